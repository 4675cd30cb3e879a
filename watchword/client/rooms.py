"""The rooms of a session as its syncs show them: our membership, everybody else's, encryption.

Kept in the records, so that after a restart the members are those of the stored sync token and a key is never shared by a
list that is older or newer than what this device has seen. Pure.
Spec: client-server-api#syncing
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from watchword.client.crypto.records import Records
from watchword.client.crypto.untrusted import text_at


class RoomRow(msgspec.Struct, frozen=True):
    """What is stored about a room. membership: ours."""

    membership: str
    name: str | None = None
    encrypted: bool = False
    history_visibility: str = "shared"


class MemberRow(msgspec.Struct, frozen=True):
    """What is stored about a member; users who left are not stored."""

    membership: str


@dataclass
class Room:
    """A room in memory. members: user → "join", "invite" or "knock". readers: kept until one of them changes."""

    room_id: str
    row: RoomRow
    members: dict[str, str] = field(default_factory=dict)
    readers: frozenset[str] | None = None


class RoomBook:
    """All rooms that this session knows."""

    def __init__(self, records: Records) -> None:
        self._rows = records.shelf("joined_room", RoomRow)
        self._members = records.shelf("member", MemberRow)
        self._rooms: dict[str, Room] = {}
        for room_id in self._rows.names():
            row = self._rows.get(room_id)
            assert row is not None
            self._rooms[room_id] = Room(room_id, row)
        for name in self._members.names():
            room_id, _, user_id = name.partition("|")
            member = self._members.get(name)
            if member is not None and room_id in self._rooms:
                self._rooms[room_id].members[user_id] = member.membership

    def get(self, room_id: str) -> Room | None:
        """A room, or None."""
        return self._rooms.get(room_id)

    def all(self) -> Mapping[str, Room]:
        """Every room that we are in, invited to, or were in."""
        return self._rooms

    def readers(self, room_id: str) -> frozenset[str]:
        """Who is to read what is sent now: the joined, and the invited unless history begins at the join."""
        room = self._rooms.get(room_id)
        if room is None:
            return frozenset()
        if room.readers is None:
            wanted = ("join",) if room.row.history_visibility == "joined" else ("join", "invite")
            room.readers = frozenset(user_id for user_id, membership in room.members.items() if membership in wanted)
        return room.readers

    def set_membership(self, room_id: str, membership: str) -> bool:
        """Our own membership; True if it changed."""
        room = self._rooms.get(room_id)
        if room is not None and room.row.membership == membership:
            return False
        self._put(room_id, membership=membership)
        return True

    def receive_state(self, room_id: str, event: Mapping[str, Any]) -> None:
        """Take in one state event, in the order in which the sync gives them."""
        event_type, state_key = text_at(event, "type"), text_at(event, "state_key")
        if event_type == "m.room.member" and state_key is not None:
            self._receive_member(room_id, state_key, text_at(event, "content", "membership"))
        elif state_key != "":
            return
        elif event_type == "m.room.encryption" and text_at(event, "content", "algorithm") is not None:
            self._put(room_id, encrypted=True)
        elif event_type == "m.room.name":
            self._put(room_id, name=text_at(event, "content", "name"))
        elif event_type == "m.room.history_visibility":
            visibility = text_at(event, "content", "history_visibility")
            self._put(room_id, history_visibility=visibility or "shared")

    def _receive_member(self, room_id: str, user_id: str, membership: str | None) -> None:
        room = self._rooms.get(room_id)
        if room is None or room.members.get(user_id) == membership:
            return
        name = f"{room_id}|{user_id}"
        room.readers = None
        if membership in ("join", "invite", "knock"):
            room.members[user_id] = membership
            self._members.put(name, MemberRow(membership))
        elif room.members.pop(user_id, None) is not None:
            self._members.remove(name)

    def _put(self, room_id: str, **changes: Any) -> None:
        room = self._rooms.get(room_id)
        old = RoomRow("leave") if room is None else room.row
        row = msgspec.structs.replace(old, **changes)
        if room is None:
            room = self._rooms[room_id] = Room(room_id, row)
        if row != old or room_id not in self._rows:
            room.row = row
            room.readers = None
            self._rows.put(room_id, row)
