"""What an operator can set or call is documented."""

import importlib.util

import msgspec
import pytest

from tests.house.source import ROOT

_CONFIGURATION = ROOT / "docs" / "configuration.md"


def _settings(kind: type[msgspec.Struct], prefix: str = "") -> set[str]:
    found = set()
    for field in msgspec.structs.fields(kind):
        nested = [part for part in _parts(field.type) if isinstance(part, type) and issubclass(part, msgspec.Struct)]
        for part in nested:
            found |= _settings(part, f"{field.encode_name}.")
        if not nested:
            found.add(prefix + field.encode_name)
    return found


def _parts(kind: object) -> list[object]:
    arguments = getattr(kind, "__args__", ())
    return [kind, *(part for argument in arguments for part in _parts(argument))]


def test_every_setting_is_documented() -> None:
    if importlib.util.find_spec("watchword.base.config") is None or not _CONFIGURATION.exists():
        pytest.skip("there is no configuration yet")
    config = importlib.import_module("watchword.base.config")
    text = _CONFIGURATION.read_text(encoding="utf-8")
    missing = {name for name in _settings(config.Config) if f"`{name.rpartition('.')[2]}`" not in text}
    assert not missing
