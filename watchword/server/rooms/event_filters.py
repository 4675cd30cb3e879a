"""RoomEventFilter: which events of a room a client wants. Parsed once per filter, then asked per event.

Spec: client-server-api#filtering
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from watchword.base.errors import BadRequest
from watchword.protocol.events import Pdu
from watchword.protocol.relations import relation_of

_LIST_MAX = 1_000
_MSC3874 = "org.matrix.msc3874."


class TypeGlobs:
    """Event types, some with `*` for any characters. No pattern makes a text slow: each of its pieces is searched once."""

    __slots__ = ("_exact", "_wild")

    def __init__(self, patterns: Sequence[str]) -> None:
        self._exact = frozenset(pattern for pattern in patterns if "*" not in pattern)
        wild = [_expression(pattern.split("*")) for pattern in patterns if "*" in pattern]
        self._wild = re.compile("|".join(wild), re.DOTALL) if wild else None

    def match(self, event_type: str) -> bool:
        """Whether one of the patterns fits the whole type."""
        return event_type in self._exact or (self._wild is not None and self._wild.fullmatch(event_type) is not None)


def _expression(pieces: Sequence[str]) -> str:
    # Atomic groups: where a piece was found first, it stays.
    between = "".join(f"(?>.*?{re.escape(piece)})" for piece in pieces[1:-1] if piece)
    return f"(?:{re.escape(pieces[0])}{between}.*{re.escape(pieces[-1])})"


@dataclass(frozen=True, slots=True)
class RoomEventFilter:
    """None means: everything. limit: None means: the server's default."""

    types: TypeGlobs | None = None
    not_types: TypeGlobs | None = None
    senders: frozenset[str] | None = None
    not_senders: frozenset[str] = frozenset()
    rooms: frozenset[str] | None = None
    not_rooms: frozenset[str] = frozenset()
    contains_url: bool | None = None
    limit: int | None = None
    lazy_load_members: bool = False
    include_redundant_members: bool = False
    unread_thread_notifications: bool = False
    rel_types: frozenset[str] | None = None
    not_rel_types: frozenset[str] = frozenset()
    related_by_rel_types: frozenset[str] | None = None
    related_by_senders: frozenset[str] | None = None

    @property
    def asks_for_relations(self) -> bool:
        """Whether it depends on events that relate to an event, which the event itself does not tell."""
        return self.related_by_rel_types is not None or self.related_by_senders is not None

    @property
    def allows_everything(self) -> bool:
        """Whether `allows` need not be asked."""
        return (
            self.types is None
            and self.not_types is None
            and self.senders is None
            and not self.not_senders
            and self.contains_url is None
            and self.rel_types is None
            and not self.not_rel_types
        )

    def allows_type(self, event_type: str) -> bool:
        """Whether events of this type are wanted."""
        if self.not_types is not None and self.not_types.match(event_type):
            return False
        return self.types is None or self.types.match(event_type)

    def allows_sender(self, sender: str) -> bool:
        """Whether events of this sender are wanted."""
        return sender not in self.not_senders and (self.senders is None or sender in self.senders)

    def allows_room(self, room_id: str) -> bool:
        """Whether events of this room are wanted."""
        return room_id not in self.not_rooms and (self.rooms is None or room_id in self.rooms)

    def allows(self, pdu: Pdu) -> bool:
        """Whether an event is wanted; what is excluded beats what is included."""
        if self.allows_everything:
            return True
        if not self.allows_sender(pdu.sender):
            return False
        if self.contains_url is not None and isinstance(pdu.content.get("url"), str) is not self.contains_url:
            return False
        if (self.rel_types is not None or self.not_rel_types) and not self._allows_relation(pdu):
            return False
        return self.allows_type(pdu.type)

    def _allows_relation(self, pdu: Pdu) -> bool:
        relation = relation_of(pdu.content)
        if relation is None:
            return self.rel_types is None
        wanted = self.rel_types is None or relation.rel_type in self.rel_types
        return wanted and relation.rel_type not in self.not_rel_types


EVERYTHING = RoomEventFilter()


def parse_filter(value: object) -> RoomEventFilter:
    """Read a RoomEventFilter (or EventFilter). Raises BadRequest M_BAD_JSON."""
    if not isinstance(value, dict):
        raise BadRequest("M_BAD_JSON", "A filter must be an object.")
    limit = value.get("limit")
    if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 0):
        raise BadRequest("M_BAD_JSON", "limit must be a positive integer.")
    contains_url = value.get("contains_url")
    if contains_url is not None and not isinstance(contains_url, bool):
        raise BadRequest("M_BAD_JSON", "contains_url must be true or false.")
    types, not_types = _strings(value, "types"), _strings(value, "not_types")
    senders, rooms = _strings(value, "senders"), _strings(value, "rooms")
    return RoomEventFilter(
        types=None if types is None else TypeGlobs(types),
        not_types=TypeGlobs(not_types) if not_types else None,
        senders=None if senders is None else frozenset(senders),
        not_senders=frozenset(_strings(value, "not_senders") or ()),
        rooms=None if rooms is None else frozenset(rooms),
        not_rooms=frozenset(_strings(value, "not_rooms") or ()),
        contains_url=contains_url,
        limit=limit,
        lazy_load_members=_flag(value, "lazy_load_members"),
        include_redundant_members=_flag(value, "include_redundant_members"),
        unread_thread_notifications=_flag(value, "unread_thread_notifications"),
        rel_types=_set(value, "rel_types", _MSC3874 + "rel_types"),
        not_rel_types=_set(value, "not_rel_types", _MSC3874 + "not_rel_types") or frozenset(),
        related_by_rel_types=_set(value, "related_by_rel_types", "io.element.relation_types"),
        related_by_senders=_set(value, "related_by_senders", "io.element.relation_senders"),
    )


def _set(value: Mapping[str, Any], *names: str) -> frozenset[str] | None:
    """The first of these that is there."""
    for name in names:
        listed = _strings(value, name)
        if listed is not None:
            return frozenset(listed)
    return None


def _flag(value: Mapping[str, Any], name: str) -> bool:
    flag = value.get(name, False)
    if not isinstance(flag, bool):
        raise BadRequest("M_BAD_JSON", f"{name} must be true or false.")
    return flag


def _strings(value: Mapping[str, Any], name: str) -> Sequence[str] | None:
    listed = value.get(name)
    if listed is None:
        return None
    if not isinstance(listed, list) or len(listed) > _LIST_MAX or not all(isinstance(entry, str) for entry in listed):
        raise BadRequest("M_BAD_JSON", f"{name} must be a list of at most {_LIST_MAX} strings.")
    return listed
