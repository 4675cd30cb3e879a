"""What a notification says: the event, who sent it, how the room is called, and how many rooms are unread."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from watchword.base import limits
from watchword.protocol import event_types
from watchword.protocol.ids import EventId, RoomId, UserId
from watchword.server.push.commands import Subject
from watchword.server.push.counts import UnreadCounter
from watchword.server.rooms.reader import RoomReader
from watchword.server.rooms.room import Room
from watchword.server.rooms.stored import StoredEvent

_NAMING = ((event_types.NAME, ""), (event_types.CANONICAL_ALIAS, ""))


@dataclass(frozen=True)
class Composer:
    """Looks up what notifications say."""

    reader: RoomReader
    unread: UnreadCounter

    async def about_event(self, room: Room, event: StoredEvent, user_id: UserId) -> Subject:
        """An event in a room that we know."""
        pdu = event.pdu
        ids = [room.state.get(address) for address in (*_NAMING, (event_types.MEMBER, str(pdu.sender)))]
        found = await self.reader.found([event_id for event_id in ids if event_id is not None])
        contents = [None if event_id is None or event_id not in found else found[event_id].pdu.content for event_id in ids]
        return Subject(
            event_id=pdu.event_id,
            room_id=pdu.room_id,
            type=pdu.type,
            sender=pdu.sender,
            content=pdu.content,
            sender_display_name=_text(contents[2], "displayname"),
            room_name=_text(contents[0], "name"),
            room_alias=_text(contents[1], "alias"),
            user_is_target=pdu.type == event_types.MEMBER and pdu.state_key == user_id,
        )

    async def room_name(self, room: Room) -> str | None:
        """How a room is called: its name, or else its canonical alias."""
        ids = [room.state.get(address) for address in _NAMING]
        found = await self.reader.found([event_id for event_id in ids if event_id is not None])
        contents = [None if event_id is None or event_id not in found else found[event_id].pdu.content for event_id in ids]
        return _text(contents[0], "name") or _text(contents[1], "alias")

    async def about_invite(self, room_id: RoomId, event_id: EventId, user_id: UserId) -> Subject | None:
        """An invite to a room that we do not know, from what came with it; None if it holds no more."""
        row = await self.reader.membership_of(user_id, room_id)
        if row is None or row.membership != "invite" or row.event_id != event_id:
            return None
        stripped: Sequence[Mapping[str, Any]] = orjson.loads(row.stripped) if row.stripped is not None else ()
        contents = {(entry.get("type"), entry.get("state_key")): entry.get("content") for entry in stripped}
        return Subject(
            event_id=event_id,
            room_id=room_id,
            type=event_types.MEMBER,
            sender=row.sender,
            content=_object(contents.get((event_types.MEMBER, user_id))) or {"membership": "invite"},
            sender_display_name=_text(contents.get((event_types.MEMBER, row.sender)), "displayname"),
            room_name=_text(contents.get((event_types.NAME, "")), "name"),
            room_alias=_text(contents.get((event_types.CANONICAL_ALIAS, "")), "alias"),
            user_is_target=True,
        )

    async def unread_rooms(self, user_id: UserId) -> int:
        """In how many rooms something waits for a user: unread events that notify, or an invite."""
        count = 0
        rows = (await self.reader.memberships.of(user_id)).values()
        for row in list(rows)[: limits.push_badge_rooms_max]:
            if row.membership == "invite":
                count += 1
            elif row.membership == "join":
                count += await self._is_unread(user_id, row.room_id)
        return count

    async def _is_unread(self, user_id: UserId, room_id: RoomId) -> bool:
        room = self.reader.registry.at_hand(room_id)
        if room is None:
            # Writing would have brought the room back into memory: what was counted last holds.
            known = self.unread.last_known(user_id, room_id)
            if known is not None:
                return not known.is_nothing
            room = await self.reader.room(room_id)
        return room is not None and not (await self.unread.unread(user_id, room)).is_nothing


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(content: object, name: str) -> str | None:
    value = _object(content).get(name)
    return value if isinstance(value, str) and value else None
