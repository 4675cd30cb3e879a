"""The list of published rooms: of this server, of the networks of application services, and of other servers.

The largest rooms come first. A token names the room at the edge of a page, so that pages fit together whatever happens
meanwhile, in both directions. Entries are kept at hand until the state of their room changes.

Spec: client-server-api#published-room-directory
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from watchword.base import limits
from watchword.base.errors import BadRequest, Forbidden, NotFound, PeerError
from watchword.protocol.ids import RoomAlias, RoomId, ServerName
from watchword.protocol.room_summary import checked_summary
from watchword.server.changes import Change, EventAppended, StateChanged
from watchword.server.rooms import catalogue_tables, tables
from watchword.server.rooms.ports import NO_BANS, StandingBans
from watchword.server.rooms.reader import RoomReader
from watchword.server.rooms.summaries import RoomSummaries
from watchword.storage import Database, Log, Logged

_TOKEN_CHARACTERS_MAX = 1_024
_Key = tuple[int, RoomId]


class RemoteDirectories(Protocol):
    """Lists and aliases of other servers. Fitted by `federation.client.FederationClient`."""

    async def public_rooms(self, server_name: ServerName, query: Mapping[str, Any]) -> Mapping[str, Any]:
        """A page of that server's published rooms; query is the body of POST publicRooms. Raises PeerError."""
        ...

    async def query_directory(self, server: ServerName, alias: RoomAlias) -> tuple[RoomId, Sequence[ServerName]]:
        """Which room an alias of that server names. PeerError with status 404: none."""
        ...


@dataclass(frozen=True, slots=True)
class DirectoryQuery:
    """A page of published rooms. limit 0: as many as there may be. since: the token of another page.

    network_id: the list of one network of an application service. all_networks: all of these lists, and our own.
    """

    limit: int
    since: str | None = None
    search: str | None = None
    room_types: Sequence[str | None] | None = None
    network_id: str | None = None
    all_networks: bool = False


class _Edge(msgspec.Struct, frozen=True, array_like=True):
    """A token: the key of the room at the edge of a page, and on which side of it the next page lies."""

    backwards: bool
    members: int
    room_id: str


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Edge).decode


@dataclass
class PublishedRooms:
    """Lists rooms."""

    database: Database
    reader: RoomReader
    remote: RemoteDirectories | None = None
    bans: StandingBans = NO_BANS
    _entries: dict[RoomId, dict[str, Any]] = field(default_factory=dict)
    _listens: bool = False

    def listen(self, log: Log[Change]) -> None:
        """Keep entries at hand: the log tells which are old."""
        self._listens = True
        log.listen(self._heard)

    def _heard(self, logged: Logged[Change]) -> None:
        match logged.change:
            case EventAppended(room_id=room_id, state_key=state_key) if state_key is not None:
                self._entries.pop(room_id, None)
            case StateChanged(room_id=room_id):
                self._entries.pop(room_id, None)
            case _:
                pass

    # Rooms here

    async def page(self, query: DirectoryQuery) -> dict[str, Any]:
        """The body of /publicRooms. Raises BadRequest M_INVALID_PARAM."""
        edge = None if query.since is None else _parse(query.since)
        entries = {_key(entry): entry for entry in await self._listed(query)}
        keys = sorted(key for key, entry in entries.items() if _matches(entry, query))
        size = min(query.limit or limits.public_rooms_page_max, limits.public_rooms_page_max)
        if edge is None:
            start, end = 0, size
        elif edge.backwards:
            end = sum(key < (-edge.members, edge.room_id) for key in keys)
            start = max(0, end - size)
        else:
            start = sum(key <= (-edge.members, edge.room_id) for key in keys)
            end = start + size
        shown = keys[start:end]
        body: dict[str, Any] = {"chunk": [entries[key] for key in shown], "total_room_count_estimate": len(keys)}
        if shown and end < len(keys):
            body["next_batch"] = _token(shown[-1], backwards=False)
        if shown and start > 0:
            body["prev_batch"] = _token(shown[0], backwards=True)
        return body

    async def _listed(self, query: DirectoryQuery) -> list[dict[str, Any]]:
        async with self.database.read() as tx:
            room_ids: dict[RoomId, None] = {}
            if query.network_id is None:
                room_ids.update(dict.fromkeys(await tables.public_rooms(tx, "", limits.public_rooms_max)))
            if query.network_id is not None or query.all_networks:
                found = await catalogue_tables.network_rooms(tx, query.network_id, limits.public_rooms_max)
                room_ids.update(dict.fromkeys(found))
        entries = [await self.entry(room_id) for room_id in room_ids if not self.bans.bans_room(room_id)]
        return [entry for entry in entries if entry is not None]

    async def entry(self, room_id: RoomId) -> dict[str, Any] | None:
        """A PublishedRoomsChunk of one room; None if nobody of this server is in it. Do not change it."""
        entry = self._entries.get(room_id)
        if entry is not None:
            return entry
        room = await self.reader.room(room_id)
        if room is None or not room.is_alive:
            return None
        position = room.last_state_position
        entry = await RoomSummaries(self.reader).published(room)
        if self._listens and not room.evicted and room.last_state_position == position:
            self._entries[room_id] = entry
        return entry

    # Rooms elsewhere

    async def elsewhere(self, server: ServerName, query: DirectoryQuery) -> dict[str, Any]:
        """A page of another server's list, as far as it is one. Raises PeerError, Forbidden, NotFound."""
        if self.remote is None:
            raise NotFound("The directories of other servers are not served here.")
        size = min(query.limit or limits.public_rooms_page_max, limits.public_rooms_page_max)
        wanted = {
            "limit": size,
            "since": query.since,
            "include_all_networks": query.all_networks,
            "third_party_instance_id": query.network_id,
        }
        chosen = {"generic_search_term": query.search, "room_types": query.room_types}
        body: dict[str, Any] = {key: value for key, value in wanted.items() if value is not None}
        body["filter"] = {key: value for key, value in chosen.items() if value is not None}
        try:
            answer = await self.remote.public_rooms(server, body)
        except PeerError as error:
            if error.status == 403:
                raise Forbidden("The other server does not show its list.") from error
            raise
        page = _checked(answer, size)
        return {**page, "chunk": [entry for entry in page["chunk"] if not self.bans.bans_room(entry["room_id"])]}


def _checked(answer: Mapping[str, Any], size: int) -> dict[str, Any]:
    """What a peer may say in its answer, and nothing else."""
    chunk, total = answer.get("chunk"), answer.get("total_room_count_estimate")
    entries = [checked_summary(each) for each in chunk[:size]] if isinstance(chunk, list) else []
    body: dict[str, Any] = {"chunk": [entry for entry in entries if entry is not None]}
    if isinstance(total, int) and not isinstance(total, bool) and 0 <= total <= limits.canonical_integer_max:
        body["total_room_count_estimate"] = total
    for name in ("next_batch", "prev_batch"):
        token = answer.get(name)
        if isinstance(token, str) and len(token) <= _TOKEN_CHARACTERS_MAX:
            body[name] = token
    return body


def _key(entry: Mapping[str, Any]) -> _Key:
    return -entry["num_joined_members"], entry["room_id"]


def _token(key: _Key, *, backwards: bool) -> str:
    return base64.urlsafe_b64encode(_encode(_Edge(backwards, -key[0], key[1]))).decode().rstrip("=")


def _parse(text: str) -> _Edge:
    try:
        if len(text) > _TOKEN_CHARACTERS_MAX:
            raise ValueError
        return _decode(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    except (ValueError, binascii.Error, msgspec.DecodeError) as error:
        raise BadRequest("M_INVALID_PARAM", "since was not given by this server.") from error


def _matches(entry: Mapping[str, Any], query: DirectoryQuery) -> bool:
    if query.room_types is not None and entry.get("room_type") not in query.room_types:
        return False
    if not query.search:
        return True
    term = query.search.casefold()
    return any(term in str(entry.get(key, "")).casefold() for key in ("name", "topic", "canonical_alias"))
