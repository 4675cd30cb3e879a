"""Reading settings: one TOML file, then the environment, then flags, checked against a frozen Struct.

Every mistake is collected, so that an operator mends a file in one go. Knows nothing of what the settings mean:
`config.py` says so with `msgspec.Meta`: bounds, a description, and in `extra`

    check     a function (value) → bool, with `expected` in words
    path      True: a path, taken from the folder of the file
    secret    True: never shown in an error
"""

import difflib
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import msgspec

from watchword.base.errors import ConfigError

S = TypeVar("S", bound=msgspec.Struct)

ENVIRONMENT_PREFIX = "WATCHWORD_"
# Kubernetes gives every pod such variables for a service that is called "watchword"; they are no settings.
_FOREIGN_PREFIXES = ("WATCHWORD_SERVICE_", "WATCHWORD_PORT")
# WATCHWORD_PYTHON and WATCHWORD_TEST_WORKERS are `./run`'s.
_RESERVED = frozenset({"WATCHWORD_CONFIG", "WATCHWORD_PYTHON", "WATCHWORD_TEST_WORKERS"})

_DURATIONS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_SIZES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "KB": 10**3, "MB": 10**6, "GB": 10**9}


class ConfigErrors(ConfigError):
    """Everything that is wrong, one line each."""

    def __init__(self, errors: list[ConfigError]) -> None:
        first = errors[0]
        super().__init__(first.file, first.key, first.found, first.expected)
        self.errors = errors

    def __str__(self) -> str:
        return "\n".join(str(error) for error in self.errors)


class _Text(str):
    """A value from the environment or a flag: text that may stand for another type."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Setting:
    """One leaf, for the documentation and for the test that every one is documented."""

    key: str
    kind: object
    meta: msgspec.Meta
    default: object
    required: bool


@dataclass
class _Reading:
    file: str
    folder: Path
    sources: dict[str, str] = field(default_factory=dict)
    errors: list[ConfigError] = field(default_factory=list)

    def wrong(self, key: str, found: object, expected: str) -> None:
        self.errors.append(ConfigError(self.sources.get(key, self.file), key, found, expected))


def read(kind: type[S], path: Path | None, environment: Mapping[str, str], flags: Mapping[str, object]) -> S:
    """The settings. flags: dotted key → text or value. Raises ConfigErrors."""
    reading = _Reading(str(path) if path else "(no file)", (path.parent if path else Path()).absolute())
    tree = _file(path, reading)
    for name, value in sorted(environment.items()):
        if name.startswith(ENVIRONMENT_PREFIX) and name not in _RESERVED and not name.startswith(_FOREIGN_PREFIXES):
            key = name.removeprefix(ENVIRONMENT_PREFIX).lower().replace("__", ".")
            _put(tree, key, _Text(value), f"environment {name}", reading)
    for key, flag in flags.items():
        _put(tree, key, _Text(flag) if isinstance(flag, str) else flag, "command line", reading)
    settings = _table(kind, tree, "", reading)
    if reading.errors:
        raise ConfigErrors(reading.errors)
    assert isinstance(settings, kind)
    return settings


def _file(path: Path | None, reading: _Reading) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigErrors([ConfigError(str(path), "(file)", error.strerror, "a file that can be read")]) from error
    except ValueError as error:
        raise ConfigErrors([ConfigError(str(path), "(file)", str(error), "TOML in UTF-8")]) from error


def _put(tree: dict[str, Any], key: str, value: object, source: str, reading: _Reading) -> None:
    *parents, last = key.split(".")
    node = tree
    for parent in parents:
        child = node.setdefault(parent, {})
        if not isinstance(child, dict):
            reading.wrong(key, value, f"no table {parent} in a place that holds something else")
            return
        node = child
    node[last] = value
    reading.sources[key] = source


def _table(kind: type[msgspec.Struct], tree: object, key: str, reading: _Reading) -> msgspec.Struct | None:
    if isinstance(tree, _Text):
        tree = _as_json(tree)
    if not isinstance(tree, dict):
        reading.wrong(key, tree, "a table")
        return None
    fields = {info.name: info for info in msgspec.structs.fields(kind)}
    before = len(reading.errors)
    for name in tree:
        if name not in fields:
            close = difflib.get_close_matches(name, fields, 1)
            hint = f"; did you mean {_join(key, close[0])}?" if close else ""
            reading.wrong(_join(key, name), _shown(tree[name], None), "no such setting" + hint)
    values: dict[str, object] = {}
    for name, info in fields.items():
        inner, meta = unwrapped(info.type)
        if name not in tree:
            if info.required:
                reading.wrong(_join(key, name), None, described(inner, meta, name) + " (it must be set)")
            elif isinstance(info.default, str) and (meta.extra or {}).get("path"):
                values[name] = _absolute(info.default, reading.folder)
            continue
        values[name] = _value(inner, meta, tree[name], _join(key, name), reading)
    if len(reading.errors) > before:
        return None
    return kind(**values)


def _value(kind: Any, meta: msgspec.Meta, found: object, key: str, reading: _Reading) -> object:
    if _is_struct(kind):
        return _table(kind, found, key, reading)
    item = _struct_items(kind)
    if item is not None:
        items = _as_json(found) if isinstance(found, _Text) else found
        if not isinstance(items, list):
            reading.wrong(key, _shown(found, meta), "a list of tables")
            return None
        return tuple(_table(item, each, f"{key}[{index}]", reading) for index, each in enumerate(items))
    return _leaf(kind, meta, found, key, reading)


def _leaf(kind: Any, meta: msgspec.Meta, found: object, key: str, reading: _Reading) -> object:
    is_text = isinstance(found, _Text)
    value: object = _from_text(kind, str(found)) if is_text else found
    if _is_number(kind):
        value = _with_unit(key, value)
    extra = meta.extra or {}
    try:
        if value is not None or NoneType not in get_args(kind):
            # msgspec takes bounds on a type, not on a union.
            value = msgspec.convert(value, Annotated[_without_none(kind)[0], meta], strict=not is_text)
        check: Callable[[Any], bool] | None = extra.get("check")
        if check is not None and value is not None and not check(value):
            raise ValueError(value)
    except (msgspec.ValidationError, ValueError):
        reading.wrong(key, _shown(found, meta), described(kind, meta, key))
        return None
    if extra.get("path"):
        value = _absolute(value, reading.folder)
    return value


def _absolute(value: object, folder: Path) -> object:
    if isinstance(value, tuple):
        return tuple(str(folder / each) for each in value)
    return value if value is None else str(folder / str(value))


def _from_text(kind: Any, text: str) -> object:
    kinds = _without_none(kind)
    if any(get_origin(each) in (tuple, dict) for each in kinds):
        value = _as_json(text)
        if isinstance(value, list | dict):
            return value
        return [part.strip() for part in text.split(",") if part.strip()]
    if text == "" and kind is not str and NoneType in get_args(kind):
        return None
    return text


def _as_json(text: str) -> object:
    try:
        return msgspec.json.decode(str(text))
    except ValueError:
        return text


def _with_unit(key: str, value: object) -> object:
    """Durations and sizes may be written with a unit: "7d", "50MiB"."""
    if not isinstance(value, str):
        return value
    units = _DURATIONS_MS if key.endswith("_ms") else _SIZES if "bytes" in key.rpartition(".")[2] else {}
    text = value.strip()
    for unit in sorted(units, key=len, reverse=True):
        number = text.removesuffix(unit).strip()
        if text.endswith(unit) and number.isascii() and number.isdecimal() and len(number) < 16:
            return int(number) * units[unit]
    return value


def _shown(found: object, meta: msgspec.Meta | None) -> object:
    if meta is not None and (meta.extra or {}).get("secret"):
        return "(hidden)"
    return str(found) if isinstance(found, _Text) else found


def settings_of(kind: type[msgspec.Struct], prefix: str = "") -> Iterator[Setting]:
    """Every leaf under a Struct, in order; items of lists of tables as `listeners[].port`."""
    for info in msgspec.structs.fields(kind):
        inner, meta = unwrapped(info.type)
        key = _join(prefix, info.name)
        item = _struct_items(inner)
        if _is_struct(inner):
            yield from settings_of(inner, key)
        elif item is not None:
            yield from settings_of(item, f"{key}[]")
        else:
            yield Setting(key, inner, meta, info.default, info.required)


def unwrapped(kind: Any) -> tuple[Any, msgspec.Meta]:
    """A type and what `Annotated` says of it."""
    if get_origin(kind) is Annotated:
        inner, *notes = get_args(kind)
        return inner, next((note for note in notes if isinstance(note, msgspec.Meta)), msgspec.Meta())
    return kind, msgspec.Meta()


def described(kind: Any, meta: msgspec.Meta, key: str) -> str:
    """What a setting takes, in words."""
    extra = meta.extra or {}
    if "expected" in extra:
        return str(extra["expected"])
    words = " or ".join(_words(each) for each in _without_none(kind))
    if extra.get("path"):
        words = words.replace("a string", "a path")
    if _is_number(kind) and (unit := _unit_of(key)):
        words = unit
    if meta.ge is not None:
        words += f" of at least {in_units(key, int(meta.ge)) or meta.ge}"
    if meta.gt is not None:
        words += f" above {meta.gt}"
    if meta.le is not None:
        words += f" up to {in_units(key, int(meta.le)) or meta.le}"
    if meta.min_length is not None:
        words += ", not empty"
    return words


def in_units(key: str, number: int) -> str | None:
    """A duration or size in the largest unit that fits; None for a plain number."""
    if key.endswith("_ms"):
        units: Mapping[str, int] = _DURATIONS_MS
    elif _unit_of(key):
        units = {unit: size for unit, size in _SIZES.items() if unit.endswith("iB")}
    else:
        return None
    fitting = [(size, unit) for unit, size in units.items() if number and number % size == 0 and unit != "w"]
    size, unit = max(fitting, default=(1, ""))
    return f"{number // size}{unit}"


def _unit_of(key: str) -> str:
    name = key.rpartition(".")[2]
    return 'a duration such as "7d" or "30s"' if name.endswith("_ms") else 'a size such as "50MiB"' if "bytes" in name else ""


def _words(kind: Any) -> str:
    origin = get_origin(kind)
    if origin is Literal:
        return "one of " + ", ".join(map(str, get_args(kind)))
    if origin is tuple:
        return "a list of: " + _words(unwrapped(get_args(kind)[0])[0])
    if origin is dict:
        return "a table of strings"
    names = {str: "a string", int: "an integer", float: "a number", bool: "true or false"}
    return names[kind]


def _without_none(kind: Any) -> tuple[Any, ...]:
    if get_origin(kind) in (Union, UnionType):
        return tuple(each for each in get_args(kind) if each is not NoneType)
    return (kind,)


def _is_number(kind: Any) -> bool:
    return int in _without_none(kind)


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _struct_items(kind: Any) -> type[msgspec.Struct] | None:
    if get_origin(kind) is tuple and _is_struct(get_args(kind)[0]):
        item: type[msgspec.Struct] = get_args(kind)[0]
        return item
    return None


def _join(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name
