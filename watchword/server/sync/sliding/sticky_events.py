"""The extension for sticky events: every one in a room that the client is interested in, also outside its windows.

Its pages are its own, as those of to-device messages are: the client says how far it has come. A room that the user has joined
since is told as if its events had come just then.

Definition: MSC4480.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import orjson

from watchword.base.clock import Clock
from watchword.protocol.ids import EventId, RoomId
from watchword.server.accounts.reader import AccountReader
from watchword.server.rooms.reader import RoomReader
from watchword.server.rooms.view import Reader
from watchword.server.sync.sliding.commands import StickyWanted
from watchword.storage import ReadTx


class _Found(NamedTuple):
    """told_at: the position at which a client is told. place: of the event itself, among those told together."""

    told_at: int
    place: int
    room_id: RoomId
    event_id: EventId


@dataclass(frozen=True)
class StickyExtension:
    """Builds it."""

    rooms: RoomReader
    accounts: AccountReader
    clock: Clock

    async def answer(
        self,
        reader: Reader,
        wanted: StickyWanted,
        rooms: Collection[RoomId],
        until: int,
        shown: Mapping[RoomId, Collection[EventId]],
    ) -> bytes | None:
        """The value of the extension; None if nothing is new. rooms: those with sticky events that the client wants.

        shown: what the timelines of this response show already.
        """
        if not rooms:
            return None
        # A position from before a restore of the database hides nothing.
        after = wanted.since if wanted.since is not None and wanted.since <= until else 0
        async with self.rooms.database.read() as tx:
            found = await self._found(tx, reader, rooms, after, until)
            if not found:
                return None
            page, last = _page(found, wanted.limit, until)
            encoded = await self._encoded(tx, reader, page, shown)
        parts = [b'"next_batch":"%d"' % last]
        if encoded:
            listed = b",".join(
                b'%b:{"events":[%b]}' % (orjson.dumps(room_id), b",".join(each)) for room_id, each in encoded.items()
            )
            parts.append(b'"rooms":{%b}' % listed)
        return b"{%b}" % b",".join(parts)

    async def _found(self, tx: ReadTx, reader: Reader, rooms: Collection[RoomId], after: int, until: int) -> list[_Found]:
        found: list[_Found] = []
        for room_id in rooms:
            room = await self.rooms.room(room_id)
            if room is None or reader.user_id not in room.members.joined:
                continue
            joined = room.joined_since.get(reader.user_id)
            if joined is None:
                joined = await self.rooms.sights.joined_since(tx, room, reader.user_id)
            if max(joined, self.rooms.sticky.newest_of(room_id)) <= after:
                continue
            for event_id, entry in self.rooms.sticky.of(room_id).items():
                told_at = max(entry.position, joined)
                if after < told_at <= until:
                    found.append(_Found(told_at, entry.position, room_id, event_id))
        return sorted(found)

    async def _encoded(
        self, tx: ReadTx, reader: Reader, page: list[_Found], shown: Mapping[RoomId, Collection[EventId]]
    ) -> dict[RoomId, list[bytes]]:
        ignored = await self.accounts.ignored_users(reader.user_id)
        by_room: dict[RoomId, list[EventId]] = {}
        for one in page:
            if one.event_id not in shown.get(one.room_id, ()):
                by_room.setdefault(one.room_id, []).append(one.event_id)
        now_ms = self.clock.now_ms()
        encoded: dict[RoomId, list[bytes]] = {}
        for room_id, event_ids in by_room.items():
            room = await self.rooms.room(room_id)
            assert room is not None, room_id
            view = await self.rooms.view(tx, room, reader)
            events = await self.rooms.events.many(tx, event_ids)
            listed = [
                view.encode(events[event_id], now_ms, with_room_id=False)
                for event_id in event_ids
                if event_id in events and events[event_id].is_shown and events[event_id].pdu.sender not in ignored
            ]
            if listed:
                encoded[room_id] = listed
        return encoded


def _page(found: list[_Found], limit: int, until: int) -> tuple[list[_Found], int]:
    """The oldest that were not told, and how far they lead. What is told at one position is told together."""
    if len(found) <= limit:
        return found, until
    last = found[limit - 1].told_at
    return [one for one in found if one.told_at <= last], last
