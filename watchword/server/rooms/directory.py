"""Aliases and the public directory of this server.

Spec: client-server-api#room-aliases, client-server-api#published-room-directory
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from watchword.base.errors import BadRequest, Conflict, Forbidden, NotFound, ProtocolError
from watchword.protocol import event_types
from watchword.protocol.ids import RoomAlias, RoomId, ServerName, UserId, domain_of, parse_room_alias
from watchword.server.rooms import member_tables, tables
from watchword.server.rooms.reader import RoomReader
from watchword.server.rooms.room import Room
from watchword.storage import Database

_SCAN_MAX = 5_000


@dataclass(frozen=True, slots=True)
class DirectoryQuery:
    """A page of published rooms. since: the token of an earlier page."""

    limit: int
    since: str | None = None
    search: str | None = None
    room_types: Sequence[str | None] | None = None


@dataclass(frozen=True)
class Directory:
    """Names rooms and lists them."""

    database: Database
    reader: RoomReader
    server_name: ServerName

    async def set_alias(self, alias: RoomAlias, room_id: RoomId, user_id: UserId) -> None:
        """Take an alias for a room that the user is in. Raises Conflict, BadRequest, Forbidden."""
        if domain_of(alias) != self.server_name:
            raise BadRequest("M_INVALID_PARAM", "The alias is not on this server.")
        room = await self.reader.room(room_id)
        if room is None or room.members.membership.get(user_id) != "join":
            raise Forbidden("You are not in this room.")
        async with self.database.write() as tx:
            if not await member_tables.insert_alias(tx, alias, room_id, user_id):
                raise Conflict("M_UNKNOWN", "This alias is taken.")

    async def delete_alias(self, alias: RoomAlias, user_id: UserId, *, is_admin: bool) -> None:
        """Drop an alias: its creator may, and who may send m.room.canonical_alias. Raises NotFound, Forbidden."""
        found = await self.reader.alias(alias)
        if found is None:
            raise NotFound("This alias names no room.")
        room_id, creator = found
        room = await self.reader.room(room_id)
        if not is_admin and user_id != creator and not _may_name(room, user_id):
            raise Forbidden("You may not delete this alias.")
        async with self.database.write() as tx:
            await member_tables.delete_alias(tx, alias)

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
            if domain_of(parsed) == self.server_name:
                found = await self.reader.alias(parsed)
                if found is None or found[0] != room_id:
                    raise BadRequest("M_BAD_ALIAS", "This alias does not name this room.")

    async def list_room(self, room_id: RoomId, user_id: UserId, *, listed: bool, is_admin: bool) -> None:
        """Publish a room, or take it off the list. Raises NotFound, Forbidden."""
        room = await self.reader.room(room_id)
        if room is None:
            raise NotFound("There is no such room.")
        if not is_admin and not _may_name(room, user_id):
            raise Forbidden("You may not change this room's place in the directory.")
        async with self.database.write() as tx:
            await tables.set_public(tx, room.room_nid, listed)
        room.is_public = listed

    async def public_rooms(self, query: DirectoryQuery) -> dict[str, Any]:
        """The body of /publicRooms: in order of room ID."""
        after = "" if query.since is None else query.since
        chunk: list[dict[str, Any]] = []
        next_batch = None
        async with self.database.read() as tx:
            room_ids = await tables.public_rooms(tx, after, _SCAN_MAX)
        for room_id in room_ids:
            entry = await self.summary(room_id)
            if entry is None or not _matches(entry, query):
                continue
            if len(chunk) == query.limit:
                next_batch = chunk[-1]["room_id"] if chunk else None
                break
            chunk.append(entry)
        body: dict[str, Any] = {"chunk": chunk, "total_room_count_estimate": len(room_ids)}
        if next_batch is not None:
            body["next_batch"] = next_batch
        return body

    async def summary(self, room_id: RoomId) -> dict[str, Any] | None:
        """A PublishedRoomsChunk of one room; None if nobody of this server is in it."""
        room = await self.reader.room(room_id)
        if room is None or not room.is_alive:
            return None
        wanted = {
            event_types.NAME: "name",
            event_types.TOPIC: "topic",
            event_types.AVATAR: "url",
            event_types.CANONICAL_ALIAS: "alias",
        }
        ids = {kind: room.state[(kind, "")] for kind in wanted if (kind, "") in room.state}
        guest_id = room.state.get((event_types.GUEST_ACCESS, ""))
        found = await self.reader.found([*ids.values(), *([guest_id] if guest_id else [])])
        entry: dict[str, Any] = {
            "room_id": room_id,
            "num_joined_members": len(room.members.joined),
            "world_readable": room.history_visibility == "world_readable",
            "guest_can_join": bool(
                guest_id in found and guest_id and found[guest_id].pdu.content.get("guest_access") == "can_join"
            ),
            "join_rule": room.join_rule,
        }
        for kind, key in wanted.items():
            event = found.get(ids[kind]) if kind in ids else None
            value = None if event is None else event.pdu.content.get(key)
            if isinstance(value, str) and value:
                entry[{"url": "avatar_url", "alias": "canonical_alias"}.get(key, key)] = value
        create = room.current(event_types.CREATE)
        room_type = None if create is None else create.content.get("type")
        if isinstance(room_type, str):
            entry["room_type"] = room_type
        return entry


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


def _matches(entry: dict[str, Any], query: DirectoryQuery) -> bool:
    if query.room_types is not None and entry.get("room_type") not in query.room_types:
        return False
    if not query.search:
        return True
    term = query.search.casefold()
    return any(term in str(entry.get(key, "")).casefold() for key in ("name", "topic", "canonical_alias"))
