import pytest

from watchword.base.errors import BadRequest
from watchword.edge.paths import PathTable, decoded, parameter_names


def a_table(*rows: tuple[str, str]) -> PathTable[str]:
    table: PathTable[str] = PathTable()
    for method, path in rows:
        table.add(method, path, f"{method} {path}")
    return table


def test_a_path_without_parameters_is_found() -> None:
    assert a_table(("GET", "/a/b")).find("GET", b"/a/b") == ("GET /a/b", ())


def test_parameters_are_captured_raw_and_in_order() -> None:
    table = a_table(("PUT", "/rooms/{roomId}/state/{type}/{key}"))
    assert table.find("PUT", b"/rooms/!a%3Ab/state/m%2Fn/k") == (
        "PUT /rooms/{roomId}/state/{type}/{key}",
        (b"!a%3Ab", b"m%2Fn", b"k"),
    )


def test_an_encoded_slash_does_not_split_a_segment() -> None:
    assert a_table(("GET", "/a/{x}"), ("GET", "/a/{x}/b")).find("GET", b"/a/y%2Fb") == ("GET /a/{x}", (b"y%2Fb",))


def test_a_static_segment_is_found_when_it_is_needlessly_encoded() -> None:
    assert a_table(("GET", "/a/sync")).find("GET", b"/a/%73ync") == ("GET /a/sync", ())


def test_a_static_segment_wins_over_a_parameter() -> None:
    assert a_table(("GET", "/a/{x}"), ("GET", "/a/me")).find("GET", b"/a/me") == ("GET /a/me", ())


def test_the_parameter_is_tried_when_the_static_path_lacks_the_method() -> None:
    table = a_table(("DELETE", "/profile/{u}/{field}"), ("PUT", "/profile/{u}/displayname"))
    assert table.find("DELETE", b"/profile/@a/displayname") == ("DELETE /profile/{u}/{field}", (b"@a", b"displayname"))


def test_a_known_path_with_another_method_names_the_methods() -> None:
    assert a_table(("GET", "/a/{x}"), ("PUT", "/a/{y}")).find("POST", b"/a/1") == frozenset({"GET", "PUT"})


@pytest.mark.parametrize("path", [b"/", b"", b"/a", b"/a//", b"/a/b/c", b"/a/", b"a/b", b"//a/b"])
def test_an_unknown_path_is_unknown(path: bytes) -> None:
    assert a_table(("GET", "/a/{x}")).find("GET", path) is None


def test_an_empty_last_parameter_needs_a_row_of_its_own() -> None:
    table = a_table(("GET", "/state/{type}"), ("GET", "/state/{type}/"), ("GET", "/state/{type}/{key}"))
    assert table.find("GET", b"/state/m/") == ("GET /state/{type}/", (b"m",))
    assert table.find("GET", b"/state/m") == ("GET /state/{type}", (b"m",))


def test_a_rest_takes_slashes_and_gives_way_to_everything_else() -> None:
    table = a_table(("GET", "/{path*}"), ("GET", "/a/b"))
    assert table.find("GET", b"/x/y/z.js") == ("GET /{path*}", (b"x/y/z.js",))
    assert table.find("GET", b"/a/b") == ("GET /a/b", ())
    assert table.find("GET", b"/") == ("GET /{path*}", (b"",))


def test_a_place_is_taken_once() -> None:
    table = a_table(("GET", "/a/{x}"))
    with pytest.raises(ValueError, match="is there already"):
        table.add("GET", "/a/{y}", "other")
    table.add("GET", "/a/{y}", "alias", alias=True)
    assert table.find("GET", b"/a/1") == ("GET /a/{x}", (b"1",))


def test_parameters_are_decoded_as_utf8() -> None:
    assert decoded(("a", "b"), (b"%F0%9F%98%80", b"m%2Fn+o")) == {"a": "😀", "b": "m/n+o"}


@pytest.mark.parametrize("raw", [b"%", b"%4", b"%zz", b"%ff", b"%c3", b"%ed%a0%80", b"%c0%af", b"%+1", b"% 1", b"a%", b"\xff"])
def test_what_is_not_utf8_or_not_well_encoded_is_an_invalid_parameter(raw: bytes) -> None:
    with pytest.raises(BadRequest) as refusal:
        decoded(("roomId",), (raw,))
    assert refusal.value.errcode == "M_INVALID_PARAM"


def test_names_are_read_from_the_template() -> None:
    assert parameter_names("/a/{roomId}/b/{rest*}") == ("roomId", "rest")
