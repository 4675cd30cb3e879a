"""Rooms here, for other servers: every question of theirs in one place. Fits `federation.ports.RoomsForServers`."""

from collections.abc import Mapping, Sequence
from typing import Any

from watchword.protocol.ids import RoomAlias, RoomId, ServerName
from watchword.server.rooms.directory import Directory
from watchword.server.rooms.ports import DirectoryPage
from watchword.server.rooms.published import DirectoryQuery
from watchword.server.rooms.reader import RoomReader
from watchword.server.rooms.served_events import ServedEvents
from watchword.server.rooms.served_memberships import ServedMemberships


class RoomsForServers:
    """Serves other servers."""

    def __init__(self, memberships: ServedMemberships, events: ServedEvents, directory: Directory, reader: RoomReader) -> None:
        self._directory = directory
        self._reader = reader
        self.make_join = memberships.make_join
        self.make_leave = memberships.make_leave
        self.make_knock = memberships.make_knock
        self.send_join = memberships.send_join
        self.send_leave = memberships.send_leave
        self.send_knock = memberships.send_knock
        self.invite = memberships.invite
        self.backfill = events.backfill
        self.missing_events = events.missing_events
        self.state = events.state
        self.state_ids = events.state_ids
        self.event = events.event
        self.event_auth = events.event_auth

    async def resolve_alias(self, alias: RoomAlias) -> tuple[RoomId, Sequence[ServerName]] | None:
        """A local alias: its room and servers to join it through."""
        return await self._reader.resolve_alias(alias)

    async def public_rooms(self, origin: ServerName, query: DirectoryPage) -> Mapping[str, Any]:
        """A page of the rooms published here."""
        wanted = DirectoryQuery(query.limit, query.since, query.search, query.room_types, query.network_id, query.all_networks)
        return await self._directory.public_rooms(wanted)
