"""The persistent data unit: an event as servers exchange it. One class for all formats, built once at the door."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from watchword.protocol.ids import EventId, RoomId, UserId

StateKey = tuple[str, str]
"""(type, state_key): the address of a piece of room state."""

StateMap = Mapping[StateKey, EventId]
"""Room state: which event holds at each address."""


class Pdu(msgspec.Struct, frozen=True, gc=False):
    """An event with its ID, parsed for deciding. Nobody changes `json` or `content` after construction.

    json: the whole event as signed (without `unsigned`), as decoded from canonical JSON.
    state_key: None for an event that is not state.
    redacts: the target of a redaction wherever the room version keeps it, else None.
    """

    event_id: EventId
    room_id: RoomId
    sender: UserId
    type: str
    state_key: str | None
    content: Mapping[str, Any]
    origin_server_ts: int
    depth: int
    prev_events: Sequence[EventId]
    auth_events: Sequence[EventId]
    json: Mapping[str, Any]
    redacts: EventId | None = None

    @property
    def state_address(self) -> StateKey | None:
        """(type, state_key) if this is a state event."""
        return None if self.state_key is None else (self.type, self.state_key)
