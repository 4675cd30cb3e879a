"""Doors of aliases and of the public directory."""

from typing import Any

from watchword.base import limits
from watchword.base.errors import BadRequest, Forbidden, NotFound
from watchword.edge.auditing import Deed
from watchword.edge.endpoint import Auth, Body, Endpoint, Rate
from watchword.edge.replies import Reply
from watchword.edge.request import Request
from watchword.edge.requester import Requester
from watchword.protocol.ids import parse_room_alias, parse_room_id, parse_server_name
from watchword.server.rooms.doors import RoomDoors, object_of, room_of
from watchword.server.rooms.published import DirectoryQuery

_PAGE_DEFAULT = 100


async def get_alias(request: Request, _requester: Requester | None, doors: RoomDoors) -> Reply:
    room_id, servers = await doors.membership.resolve(request.param("roomAlias", parse_room_alias))
    return Reply.json({"room_id": room_id, "servers": list(servers)})


async def put_alias(request: Request, requester: Requester, doors: RoomDoors) -> Reply:
    alias = request.param("roomAlias", parse_room_alias)
    room_id = request.field_parsed("room_id", parse_room_id)
    await doors.directory.set_alias(alias, room_id, requester.user_id, requester.appservice_id)
    return Reply.EMPTY


async def delete_alias(request: Request, requester: Requester, doors: RoomDoors) -> Reply:
    alias = request.param("roomAlias", parse_room_alias)
    entry = doors.audit.entry(Deed.asked(request, requester.user_id, "room.alias.delete", alias))
    await doors.directory.delete_alias(alias, requester.user_id, is_admin=requester.is_admin, also=entry)
    return Reply.EMPTY


async def room_aliases(request: Request, requester: Requester, doors: RoomDoors) -> Reply:
    room = await doors.reader.room(room_of(request))
    member = room is not None and room.members.membership.get(requester.user_id) == "join"
    if room is None or (not member and room.history_visibility != "world_readable"):
        raise Forbidden("You are not in this room.")
    return Reply.json({"aliases": await doors.reader.aliases_of(room.room_id)})


async def public_rooms(request: Request, _requester: Requester | None, doors: RoomDoors) -> Reply:
    query = DirectoryQuery(_limit(request.query_int("limit", _PAGE_DEFAULT)), request.query_one("since"))
    return await _public_rooms(request, query, doors)


async def search_public_rooms(request: Request, _requester: Requester, doors: RoomDoors) -> Reply:
    wanted: Any = object_of(request.json.get("filter", {}), "filter")
    term, types = wanted.get("generic_search_term"), wanted.get("room_types")
    if term is not None and not isinstance(term, str):
        raise BadRequest("M_BAD_JSON", "generic_search_term must be a string.")
    if types is not None and not (isinstance(types, list) and all(kind is None or isinstance(kind, str) for kind in types)):
        raise BadRequest("M_BAD_JSON", "room_types must be a list of strings or null.")
    network_id = request.field_or_none("third_party_instance_id", str)
    all_networks = request.field_or("include_all_networks", bool, False)
    if all_networks and network_id is not None:
        raise BadRequest("M_INVALID_PARAM", "third_party_instance_id is one network, include_all_networks all of them.")
    limit = _limit(request.field_or("limit", int, _PAGE_DEFAULT))
    since = request.field_or_none("since", str)
    return await _public_rooms(request, DirectoryQuery(limit, since, term, types, network_id, all_networks), doors)


def _limit(limit: int) -> int:
    return max(1, min(limit, limits.public_rooms_page_max))


async def _public_rooms(request: Request, query: DirectoryQuery, doors: RoomDoors) -> Reply:
    server = request.query_parsed("server", parse_server_name)
    if server is not None and server != doors.server_name:
        return Reply.json(await doors.directory.published.elsewhere(server, query))
    return Reply.json(await doors.directory.public_rooms(query))


async def get_visibility(request: Request, _requester: Requester | None, doors: RoomDoors) -> Reply:
    room = await doors.reader.room(room_of(request))
    if room is None:
        raise NotFound("There is no such room.")
    return Reply.json({"visibility": "public" if room.is_public else "private"})


async def put_visibility(request: Request, requester: Requester, doors: RoomDoors) -> Reply:
    visibility = request.field_or("visibility", str, "public")
    if visibility not in ("public", "private"):
        raise BadRequest("M_INVALID_PARAM", "visibility must be public or private.")
    room_id, listed = room_of(request), visibility == "public"
    entry = doors.audit.entry(Deed.asked(request, requester.user_id, "room.list", room_id))
    entry.add(listed=listed)
    await doors.directory.list_room(room_id, requester.user_id, listed=listed, is_admin=requester.is_admin, also=entry)
    return Reply.EMPTY


async def put_network_visibility(request: Request, requester: Requester, doors: RoomDoors) -> Reply:
    if requester.appservice_id is None:
        raise Forbidden("Only application services keep lists for networks.")
    visibility = request.field("visibility", str)
    if visibility not in ("public", "private"):
        raise BadRequest("M_INVALID_PARAM", "visibility must be public or private.")
    network_id = request.param("networkId", str)
    await doors.directory.list_for_network(requester.appservice_id, network_id, room_of(request), listed=visibility == "public")
    return Reply.EMPTY


_ALIAS = "/_matrix/client/v3/directory/room/{roomAlias}"
_LISTED = "/_matrix/client/v3/directory/list/room/{roomId}"
_SPEC = "client-server-api#"
# Whoever asks, perhaps a stranger, makes this server ask others: not as often as he may read.
_ASKS_OTHERS = Rate.WRITE

ENDPOINTS = (
    Endpoint("GET", _ALIAS, get_alias, _SPEC + "get_matrixclientv3directoryroomroomalias", auth=Auth.NONE, rate=_ASKS_OTHERS),
    Endpoint("PUT", _ALIAS, put_alias, _SPEC + "put_matrixclientv3directoryroomroomalias", rate=Rate.WRITE, body=Body.JSON),
    Endpoint("DELETE", _ALIAS, delete_alias, _SPEC + "delete_matrixclientv3directoryroomroomalias", rate=Rate.WRITE),
    Endpoint(
        "GET",
        "/_matrix/client/v3/rooms/{roomId}/aliases",
        room_aliases,
        _SPEC + "get_matrixclientv3roomsroomidaliases",
    ),
    Endpoint(
        "GET",
        "/_matrix/client/v3/publicRooms",
        public_rooms,
        _SPEC + "get_matrixclientv3publicrooms",
        auth=Auth.NONE,
        rate=_ASKS_OTHERS,
    ),
    Endpoint(
        "POST",
        "/_matrix/client/v3/publicRooms",
        search_public_rooms,
        _SPEC + "post_matrixclientv3publicrooms",
        rate=_ASKS_OTHERS,
        body=Body.OPTIONAL_JSON,
    ),
    Endpoint("GET", _LISTED, get_visibility, _SPEC + "get_matrixclientv3directorylistroomroomid", auth=Auth.NONE),
    Endpoint(
        "PUT",
        _LISTED,
        put_visibility,
        _SPEC + "put_matrixclientv3directorylistroomroomid",
        rate=Rate.WRITE,
        body=Body.OPTIONAL_JSON,
    ),
    Endpoint(
        "PUT",
        "/_matrix/client/v3/directory/list/appservice/{networkId}/{roomId}",
        put_network_visibility,
        _SPEC + "put_matrixclientv3directorylistappservicenetworkidroomid",
        rate=Rate.WRITE,
        body=Body.JSON,
    ),
)
