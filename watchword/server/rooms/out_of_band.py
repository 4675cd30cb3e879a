"""Memberships of local users in rooms that this server is not in: invites, knocks, and their ends.

There is no room state and no timeline, only the membership, with the little that the other server showed of the room.

Spec: server-server-api#inviting-to-a-room, server-server-api#leaving-rooms-rejecting-invites, client-server-api#stripped-state
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from watchword.protocol import canonical_json, event_types
from watchword.protocol.events import Pdu
from watchword.protocol.ids import EventId, RoomId, ServerName, UserId, domain_of
from watchword.protocol.room_versions import RoomVersion
from watchword.server.changes import Change, OutOfBandMembership
from watchword.server.rooms import graph_tables, member_tables, tables
from watchword.server.rooms.memberships import Memberships
from watchword.server.rooms.records import MembershipRow
from watchword.server.rooms.room import Room
from watchword.server.rooms.writer import RoomWriter
from watchword.storage import Log

_TAKEN_BACK = ("leave", "ban")


@dataclass(frozen=True, slots=True)
class Told:
    """A membership that we were told of, or that we made. stripped: what is known of the room; None: what was known."""

    user_id: UserId
    membership: str
    event_id: EventId
    sender: UserId
    stripped: Sequence[Mapping[str, Any]] | None = None


@dataclass(frozen=True)
class OutOfBand:
    """Records memberships."""

    writer: RoomWriter
    memberships: Memberships
    log: Log[Change]
    server_name: ServerName

    async def ensure_room(self, room_id: RoomId, version: RoomVersion) -> Room:
        """The room as this server knows it, begun if it knew nothing.

        A version that somebody claimed with an invite is corrected while nothing of the room is known.
        """
        registry = self.writer.registry
        room = await registry.find(room_id)
        if room is None:
            async with self.writer.database.write() as tx:
                room_nid = await self.writer.names.number(tx, room_id)
                await tables.insert_room(tx, room_nid, room_id, version.identifier)
            room = await registry.find(room_id)
            assert room is not None, room_id
        if room.version is not version and not room.state:
            async with room.lock:
                async with self.writer.database.write() as tx:
                    await graph_tables.set_room_version(tx, room.room_nid, version.identifier)
                    tx.after_commit(partial(self.writer.events.forget_version, room.room_nid))
                registry.evict(room)
            room = await registry.find(room_id)
            assert room is not None, room_id
        return room

    async def record(self, room_id: RoomId, version: RoomVersion, told: Told) -> bool:
        """Make a membership so, unless this server is in the room by now; returns once it is durable, whether it did."""
        await self.ensure_room(room_id, version)
        async with self.writer.registry.locked(room_id) as room:
            assert room is not None, room_id
            if room.is_alive:
                return False
            async with self.writer.appending(room) as (tx, durable):
                user_nid = await self.writer.names.number(tx, told.user_id)
                before = await member_tables.membership(tx, room.room_nid, user_nid)
                stripped = None if before is None else before.stripped
                if told.stripped is not None:
                    stripped = canonical_json.encode(list(told.stripped), strict=False)
                change = OutOfBandMembership(room_id, told.user_id, told.membership, told.event_id)
                position = await self.log.append(tx, change)
                row = MembershipRow(
                    room_id, told.user_id, told.membership, told.event_id, position, told.sender, False, stripped
                )
                await member_tables.save_membership(tx, room.room_nid, user_nid, row, is_local=True)
                tx.after_commit(partial(self.memberships.forget, told.user_id))
                room.members.set(told.user_id, told.membership)
        await durable()
        return True

    async def take_back(self, room: Room, pdu: Pdu) -> bool:
        """Act on a verified event that ends the invite or the knock of a local user; whether it did.

        Whoever invited may take it back, and so may anybody of a server that the room's own authorisation let: we cannot
        check that, so only the inviter's server is believed, for a knock the server that the room ID names or that answered.
        """
        if pdu.type != event_types.MEMBER or pdu.state_key is None or pdu.content.get("membership") not in _TAKEN_BACK:
            return False
        user_id = UserId(pdu.state_key)
        if domain_of(user_id) != self.server_name:
            return False
        row = (await self.memberships.of(user_id)).get(room.room_id)
        if row is None or row.membership not in ("invite", "knock"):
            return False
        if row.membership == "invite" and domain_of(row.sender) != domain_of(pdu.sender):
            return False
        membership = str(pdu.content["membership"])
        return await self.record(room.room_id, room.version, Told(user_id, membership, pdu.event_id, pdu.sender))
