"""The machine's memory: named rows that somebody else makes durable.

Theory of operation. Every part of the machine keeps its state on shelves. A shelf holds one kind of Struct by name. What
was changed since the last save is known; `take` encodes it all, the caller writes it in one transaction (with the sync
token, if it is saving a sync), and only then lets anything depend on it. If the write fails, `put_back` marks the same
rows as unsaved again. Values are decoded when first asked for, so a large store opens quickly.

Deliberately absent: encryption and SQL; `store.py` has both.
"""

from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

import msgspec

RecordKey = tuple[str, str]
"""(kind, name): the address of a row."""

T = TypeVar("T", bound=msgspec.Struct)


class Records:
    """All rows of one machine."""

    def __init__(self, rows: Mapping[RecordKey, bytes] | None = None) -> None:
        self._raw: dict[str, dict[str, bytes]] = {}
        self._shelves: dict[str, Shelf[msgspec.Struct]] = {}
        self._unsaved: dict[RecordKey, None] = {}
        for (kind, name), value in (rows or {}).items():
            self._raw.setdefault(kind, {})[name] = value

    def shelf(self, kind: str, record_type: type[T]) -> "Shelf[T]":
        """The shelf of one kind; a kind has one shelf."""
        assert kind not in self._shelves, kind
        shelf = Shelf(kind, record_type, self._raw.pop(kind, {}), self._unsaved)
        self._shelves[kind] = shelf  # type: ignore[assignment]
        return shelf

    @property
    def has_unsaved(self) -> bool:
        """Whether `take` would return anything."""
        return bool(self._unsaved)

    def take(self) -> Mapping[RecordKey, bytes | None]:
        """Encode what changed since the last take; None means that the row is gone."""
        changes = {key: self._shelves[key[0]].encoded(key[1]) for key in self._unsaved}
        self._unsaved.clear()
        return changes

    def put_back(self, changes: Mapping[RecordKey, bytes | None]) -> None:
        """The save failed: these rows are unsaved still."""
        for key in changes:
            self._unsaved[key] = None


class Shelf(Generic[T]):
    """The rows of one kind, decoded on demand."""

    def __init__(self, kind: str, record_type: type[T], raw: dict[str, bytes], unsaved: dict[RecordKey, None]) -> None:
        self._kind = kind
        self._decoder = msgspec.json.Decoder(record_type)
        self._raw = raw
        self._live: dict[str, T] = {}
        self._unsaved = unsaved

    def get(self, name: str) -> T | None:
        """The row of that name, or None."""
        found = self._live.get(name)
        if found is None and (data := self._raw.pop(name, None)) is not None:
            found = self._live[name] = self._decoder.decode(data)
        return found

    def put(self, name: str, value: T) -> None:
        """Add or replace a row."""
        self._raw.pop(name, None)
        self._live[name] = value
        self._unsaved[(self._kind, name)] = None

    def remove(self, name: str) -> None:
        """Drop a row; nothing happens if it is not there."""
        if self._raw.pop(name, None) is not None or self._live.pop(name, None) is not None:
            self._unsaved[(self._kind, name)] = None

    def names(self) -> list[str]:
        """The names of all rows."""
        return [*self._live, *self._raw]

    def __contains__(self, name: str) -> bool:
        return name in self._live or name in self._raw

    def __len__(self) -> int:
        return len(self._live) + len(self._raw)

    def values(self) -> Iterator[T]:
        """All rows; decodes those not yet used."""
        for name in self.names():
            value = self.get(name)
            if value is not None:
                yield value

    def encoded(self, name: str) -> bytes | None:
        """The row as it is to be stored, or None if it is gone."""
        value = self._live.get(name)
        return self._raw.get(name) if value is None else msgspec.json.encode(value)
