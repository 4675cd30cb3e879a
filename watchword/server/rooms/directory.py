"""Aliases and the public directory of this server.

Spec: client-server-api#room-aliases, client-server-api#published-room-directory
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from watchword.base import limits
from watchword.base.errors import BadRequest, Conflict, Forbidden, NotFound, PeerError, ProtocolError
from watchword.protocol import event_types
from watchword.protocol.ids import RoomAlias, RoomId, ServerName, UserId, domain_of, parse_room_alias
from watchword.server.rooms import catalogue_tables, member_tables, tables
from watchword.server.rooms.published import DirectoryQuery, PublishedRooms, RemoteDirectories
from watchword.server.rooms.reader import RoomReader
from watchword.server.rooms.room import Room
from watchword.storage import Also, Database


@dataclass(frozen=True)
class Directory:
    """Names rooms and lists them."""

    database: Database
    reader: RoomReader
    server_name: ServerName
    remote: RemoteDirectories | None = None
    published: PublishedRooms = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "published", PublishedRooms(self.database, self.reader, self.remote))

    async def set_alias(self, alias: RoomAlias, room_id: RoomId, user_id: UserId, appservice_id: str | None = None) -> None:
        """Take an alias for a room that the user is in. Raises Conflict, BadRequest, also M_EXCLUSIVE, Forbidden."""
        if domain_of(alias) != self.server_name:
            raise BadRequest("M_INVALID_PARAM", "The alias is not on this server.")
        if not self.reader.alias_owners.may_name(alias, appservice_id):
            raise BadRequest("M_EXCLUSIVE", "This alias is reserved for an application service.")
        room = await self.reader.room(room_id)
        if room is None or room.members.membership.get(user_id) != "join":
            raise Forbidden("You are not in this room.")
        async with self.database.write() as tx:
            if not await member_tables.insert_alias(tx, alias, room_id, user_id):
                raise Conflict("M_UNKNOWN", "This alias is taken.")

    async def delete_alias(self, alias: RoomAlias, user_id: UserId, *, is_admin: bool, also: Also | None = None) -> None:
        """Drop an alias: its creator may, and who may send m.room.canonical_alias. Raises NotFound, Forbidden.

        also: what else is written if it was an administrator's right that was used.
        """
        found = await self.reader.alias(alias)
        if found is None:
            raise NotFound("This alias names no room.")
        room_id, creator = found
        room = await self.reader.room(room_id)
        is_own = user_id == creator or _may_name(room, user_id)
        if not is_admin and not is_own:
            raise Forbidden("You may not delete this alias.")
        async with self.database.write() as tx:
            await member_tables.delete_alias(tx, alias)
            if also is not None and not is_own:
                await also(tx)

    async def check_canonical_alias(self, room_id: RoomId, content: Mapping[str, Any]) -> None:
        """New aliases of m.room.canonical_alias must be well formed and name this room. Raises BadRequest.

        Spec: client-server-api#put_matrixclientv3roomsroomidstateeventtypestatekey
        """
        room = await self.reader.room(room_id)
        event_id = None if room is None else room.state.get((event_types.CANONICAL_ALIAS, ""))
        old: set[str] = set()
        if event_id is not None:
            for event in (await self.reader.found((event_id,))).values():
                # What is there may come from anywhere, and be anything.
                with suppress(BadRequest):
                    old = _aliases_in(event.pdu.content)
        for alias in _aliases_in(content) - old:
            try:
                parsed = parse_room_alias(alias)
            except ProtocolError as error:
                raise BadRequest("M_INVALID_PARAM", "This is not an alias.") from error
            if await self._named_by(parsed) != room_id:
                raise BadRequest("M_BAD_ALIAS", "This alias does not name this room.")

    async def _named_by(self, alias: RoomAlias) -> RoomId | None:
        """Which room an alias names, here or on its own server; None if that cannot be learnt."""
        if domain_of(alias) == self.server_name:
            found = await self.reader.alias(alias)
            return None if found is None else found[0]
        if self.remote is None:
            return None
        try:
            return (await self.remote.query_directory(domain_of(alias), alias))[0]
        except PeerError:
            return None

    async def list_room(
        self, room_id: RoomId, user_id: UserId, *, listed: bool, is_admin: bool, also: Also | None = None
    ) -> None:
        """Publish a room, or take it off the list. Raises NotFound, Forbidden.

        also: what else is written if it was an administrator's right that was used.
        """
        room = await self.reader.room(room_id)
        if room is None:
            raise NotFound("There is no such room.")
        is_own = _may_name(room, user_id)
        if not is_admin and not is_own:
            raise Forbidden("You may not change this room's place in the directory.")
        async with self.database.write() as tx:
            await tables.set_public(tx, room.room_nid, listed)
            if also is not None and not is_own:
                await also(tx)
        room.is_public = listed

    async def list_for_network(self, appservice_id: str, network_id: str, room_id: RoomId, *, listed: bool) -> None:
        """Put a room on the list of a network, or take it off. Raises NotFound, BadRequest.

        Spec: client-server-api#put_matrixclientv3directorylistappservicenetworkidroomid
        """
        if len(network_id) > limits.identifier_bytes_max:
            raise BadRequest("M_INVALID_PARAM", "networkId is too long.")
        if listed and await self.reader.room(room_id) is None:
            raise NotFound("There is no such room.")
        change = catalogue_tables.set_network_room if listed else catalogue_tables.delete_network_room
        async with self.database.write() as tx:
            await change(tx, network_id, room_id, appservice_id)

    async def public_rooms(self, query: DirectoryQuery) -> dict[str, Any]:
        """A page of the rooms published here. Raises BadRequest."""
        return await self.published.page(query)

    async def summary(self, room_id: RoomId) -> dict[str, Any] | None:
        """A PublishedRoomsChunk of one room; None if nobody of this server is in it."""
        return await self.published.entry(room_id)


def _aliases_in(content: Mapping[str, Any]) -> set[str]:
    listed = content.get("alt_aliases", [])
    alias = content.get("alias")
    if not isinstance(listed, list) or not all(isinstance(entry, str) for entry in listed):
        raise BadRequest("M_BAD_JSON", "alt_aliases must be a list of aliases.")
    if alias is not None and not isinstance(alias, str):
        raise BadRequest("M_BAD_JSON", "alias must be a string.")
    return {*listed, *([alias] if alias else [])}


def _may_name(room: Room | None, user_id: UserId) -> bool:
    if room is None or room.members.membership.get(user_id) != "join":
        return False
    levels = room.levels()
    return levels.user_level(user_id) >= levels.required_to_send(event_types.CANONICAL_ALIAS, True)
