from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import pytest
from msgspec import Meta, Struct

from watchword.base.config_reading import ConfigErrors, in_units, read, settings_of


class Inner(Struct, frozen=True):
    on: bool = True
    timeout_ms: Annotated[int, Meta(ge=10)] = 1_000
    body_bytes_max: int = 5
    words: tuple[str, ...] = ()
    mode: Literal["a", "b"] = "a"


class Row(Struct, frozen=True):
    port: int
    file: Annotated[str | None, Meta(extra={"path": True})] = None


class Outer(Struct, frozen=True):
    name: str
    secret: Annotated[str | None, Meta(min_length=5, extra={"secret": True})] = None
    limit_ms: Annotated[int | None, Meta(ge=1)] = None
    inner: Inner = Inner()
    rows: tuple[Row, ...] = ()


def reading(
    text: str = "", tmp_path: Path | None = None, environment: Mapping[str, str] | None = None, **flags: object
) -> Outer:
    path = None
    if tmp_path is not None:
        path = tmp_path / "w.toml"
        path.write_text('name = "file"\n' + text)
    return read(Outer, path, environment or {}, flags)


def errors_of(*args: object, **flags: object) -> list[tuple[str, str, object, str]]:
    with pytest.raises(ConfigErrors) as raised:
        reading(*args, **flags)  # type: ignore[arg-type]
    return [(error.file, error.key, error.found, error.expected) for error in raised.value.errors]


def test_the_environment_wins_over_the_file_and_flags_over_both(tmp_path: Path) -> None:
    assert reading("", tmp_path).name == "file"
    assert reading("", tmp_path, {"WATCHWORD_NAME": "environment"}).name == "environment"
    assert reading("", tmp_path, {"WATCHWORD_NAME": "environment"}, name="flag").name == "flag"


def test_the_environment_is_text_that_stands_for_other_types() -> None:
    outer = reading(
        environment={
            "WATCHWORD_NAME": "123",
            "WATCHWORD_INNER__ON": "false",
            "WATCHWORD_INNER__TIMEOUT_MS": "2m",
            "WATCHWORD_INNER__BODY_BYTES_MAX": "3MiB",
            "WATCHWORD_INNER__WORDS": "a, b",
            "WATCHWORD_ROWS": '[{"port": 7}]',
            "WATCHWORD_LIMIT_MS": "",
        }
    )
    assert outer == Outer("123", None, None, Inner(False, 120_000, 3 << 20, ("a", "b")), (Row(7),))


def test_lists_may_be_json_in_the_environment() -> None:
    assert reading(environment={"WATCHWORD_NAME": "n", "WATCHWORD_INNER__WORDS": '["a,b"]'}).inner.words == ("a,b",)


def test_flags_may_be_values() -> None:
    assert read(Outer, None, {}, {"name": "n", "inner.on": False, "rows": [{"port": 1}]}).rows == (Row(1),)


@pytest.mark.parametrize(
    ("text", "value"),
    [("5", 5), ('"5ms"', None), ('"10s"', 10_000), ('"2 h"', 7_200_000), ('"1d"', 86_400_000), ('"1w"', 604_800_000)],
)
def test_durations_may_have_a_unit(tmp_path: Path, text: str, value: int | None) -> None:
    if value is None or value < 10:
        assert errors_of(f"[inner]\ntimeout_ms = {text}", tmp_path)
    else:
        assert reading(f"[inner]\ntimeout_ms = {text}", tmp_path).inner.timeout_ms == value


@pytest.mark.parametrize("text", ['"7 years"', '"s"', '"-1s"', '"1.5h"', "true", "1.5", '"10"', '"٣s"'])
def test_what_is_no_duration_is_refused(tmp_path: Path, text: str) -> None:
    ((_, key, _, expected),) = errors_of(f"[inner]\ntimeout_ms = {text}", tmp_path)
    assert (key, expected) == ("inner.timeout_ms", 'a duration such as "7d" or "30s" of at least 10ms')


def test_every_mistake_is_shown_with_where_it_is(tmp_path: Path) -> None:
    file = str(tmp_path / "w.toml")
    found = errors_of(
        'inner = {on = "yes", mode = "c", wrods = []}\nrows = [{}, {port = "x"}, 3]\n',
        tmp_path,
        {"WATCHWORD_LIMIT_MS": "0", "WATCHWORD_NAMES": "x"},
        nope="1",
    )
    assert {(file, key) for file, key, _, _ in found} == {
        (file, "inner.on"),
        (file, "inner.mode"),
        (file, "inner.wrods"),
        (file, "rows[0].port"),
        (file, "rows[1].port"),
        (file, "rows[2]"),
        ("environment WATCHWORD_LIMIT_MS", "limit_ms"),
        ("environment WATCHWORD_NAMES", "names"),
        ("command line", "nope"),
    }
    hints = {key: expected for _, key, _, expected in found}
    assert hints["inner.wrods"] == "no such setting; did you mean inner.words?"
    assert hints["names"] == "no such setting; did you mean name?"
    assert hints["inner.mode"] == "one of a, b"
    assert hints["rows[0].port"] == "an integer (it must be set)"


def test_a_secret_is_never_shown() -> None:
    (error,) = errors_of("", None, {}, name="n", secret="hush")
    assert error[2] == "(hidden)"


def test_a_file_that_is_not_there_or_not_toml_is_an_error(tmp_path: Path) -> None:
    for content in (None, b"=", b"\xff"):
        path = tmp_path / "x.toml"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(ConfigErrors, match="file"):
            read(Outer, path, {}, {})


def test_a_table_in_the_place_of_a_value_is_an_error(tmp_path: Path) -> None:
    assert errors_of("inner = 3", tmp_path)[0][3] == "a table"
    assert errors_of("rows = {}", tmp_path)[0][3] == "a list of tables"
    assert errors_of("", tmp_path, {"WATCHWORD_NAME__X": "1"})[0][1] == "name.x"


def test_variables_of_others_are_left_alone() -> None:
    foreign = {"WATCHWORD_PORT_80_TCP": "x", "WATCHWORD_SERVICE_HOST": "x", "WATCHWORD_CONFIG": "x", "PATH": "x"}
    assert reading(environment=foreign, name="n").name == "n"


def test_paths_start_at_the_folder_of_the_file(tmp_path: Path) -> None:
    assert reading('rows = [{port = 1, file = "a/b"}]', tmp_path).rows[0].file == str(tmp_path / "a" / "b")


def test_settings_are_listed_with_their_keys() -> None:
    keys = [setting.key for setting in settings_of(Outer)]
    assert keys[:3] == ["name", "secret", "limit_ms"]
    assert keys[-2:] == ["rows[].port", "rows[].file"]


def test_numbers_are_shown_in_units_that_fit() -> None:
    assert in_units("a_ms", 90_000) == "90s"
    assert in_units("a_bytes_max", 3 << 20) == "3MiB"
    assert in_units("a_bytes_max", 5) == "5"
    assert in_units("port", 60_000) is None
