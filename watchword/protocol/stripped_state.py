"""Stripped state: the little of a room that is shown to someone who is not in it (invited, knocking, looking on).

Deliberately absent: which rooms may be shown to whom. Spec: client-server-api#stripped-state
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from watchword.base.errors import RemoteProtocolError
from watchword.protocol import event_types
from watchword.protocol.events import Pdu, StateKey
from watchword.protocol.ids import UserId

STRIPPED_TYPES = (
    event_types.CREATE,
    event_types.JOIN_RULES,
    event_types.NAME,
    event_types.TOPIC,
    event_types.AVATAR,
    event_types.CANONICAL_ALIAS,
    event_types.ENCRYPTION,
)
"""The state events (with an empty state key) that describe a room to outsiders."""

_ROOM_KEYS: tuple[StateKey, ...] = tuple((event_type, "") for event_type in STRIPPED_TYPES)


def stripped_state_keys(*members: UserId) -> tuple[StateKey, ...]:
    """The addresses of the state to show.

    members: whose membership is shown too: the reader's own, and that of whoever invites.
    """
    return _ROOM_KEYS + tuple((event_types.MEMBER, member) for member in members)


def strip(event: Any) -> dict[str, Any]:
    """The four keys that a stripped event has, from an event of any format, a whole PDU or one stripped already.

    Raises RemoteProtocolError if one of them is missing or of the wrong type.
    """
    if isinstance(event, dict):
        match event:
            case {"type": str(event_type), "state_key": str(state_key), "sender": str(sender), "content": dict(content)}:
                return {"content": content, "sender": sender, "state_key": state_key, "type": event_type}
            case _:
                pass
    raise RemoteProtocolError("This is not a stripped state event.")


def strip_all(events: Iterable[Any]) -> list[dict[str, Any]]:
    """What may be shown of the state that another server sent with an invite or a knock.

    Events that are not state events are left out, and so are types that are not for outsiders (members excepted), so
    that a peer cannot have us show just anything.
    """
    stripped = []
    for event in events:
        try:
            stripped.append(strip(event))
        except RemoteProtocolError:
            continue
    return [event for event in stripped if event["type"] == event_types.MEMBER or _is_for_outsiders(event)]


def _is_for_outsiders(event: Mapping[str, Any]) -> bool:
    return (event["type"], event["state_key"]) in _ROOM_KEYS


def has_create(events: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the create event is among them, without which (since 1.16) stripped state is not valid."""
    return any(event["type"] == event_types.CREATE and event["state_key"] == "" for event in events)


def strip_dated(pdu: Pdu) -> dict[str, Any]:
    """The same with the event's time: for an invite, which clients put in order by it."""
    return {**strip(pdu.json), "origin_server_ts": pdu.origin_server_ts}
