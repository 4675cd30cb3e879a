"""Invites and knocks in a sync response: stripped state, as much of the room as somebody outside may see.

Spec: client-server-api#stripped-state
"""

from dataclasses import dataclass

import orjson

from watchword.protocol.ids import UserId
from watchword.protocol.stripped_state import strip, stripped_state_keys
from watchword.server.rooms.reader import RoomReader
from watchword.server.rooms.records import MembershipRow


@dataclass(frozen=True)
class InviteSections:
    """Builds the sections of rooms that the user is invited to or knocks at."""

    rooms: RoomReader

    async def section(self, row: MembershipRow) -> bytes:
        """`{"invite_state": {"events": […]}}`, or `knock_state`."""
        name = b"invite_state" if row.membership == "invite" else b"knock_state"
        return b'{"%b":{"events":%b}}' % (name, await self.events(row))

    async def events(self, row: MembershipRow) -> bytes:
        """The stripped state events as a JSON list."""
        return await self._stripped(row) if row.stripped is None else row.stripped

    async def _stripped(self, row: MembershipRow) -> bytes:
        room = await self.rooms.room(row.room_id)
        if room is None:
            return b"[]"
        members: tuple[UserId, ...] = (row.user_id,) if row.sender == row.user_id else (row.user_id, row.sender)
        ids = [room.state[key] for key in stripped_state_keys(*members) if key in room.state]
        found = await self.rooms.found(ids)
        return orjson.dumps([strip(dict(event.pdu.json)) for event in found.values()])
