"""The door of the key backup: wire → service → wire. One-key requests and many-key requests end in the same calls."""

from typing import Any

import orjson

from watchword.base import limits
from watchword.base.errors import BadRequest, Refused
from watchword.edge.endpoint import Body, Endpoint, Rate
from watchword.edge.replies import Reply
from watchword.edge.request import Request
from watchword.edge.requester import Requester
from watchword.server.e2ee.backup import decide
from watchword.server.e2ee.backup.decide import BackedUpKey, Sessions
from watchword.server.e2ee.backup.service import Totals
from watchword.server.e2ee.backup.tables import Version
from watchword.server.e2ee.service import E2eeService

# Versions


async def create_version(request: Request, requester: Requester, service: E2eeService) -> Reply:
    """POST room_keys/version."""
    algorithm, auth_data = request.field("algorithm", str), request.field("auth_data", dict)
    return Reply.json({"version": await service.backup.create(requester.user_id, algorithm, auth_data)})


async def get_newest_version(request: Request, requester: Requester, service: E2eeService) -> Reply:
    """GET room_keys/version."""
    return _version(await service.backup.version(requester.user_id, None))


async def get_version(request: Request, requester: Requester, service: E2eeService) -> Reply:
    """GET room_keys/version/{version}."""
    return _version(await service.backup.version(requester.user_id, request.params["version"]))


async def update_version(request: Request, requester: Requester, service: E2eeService) -> Reply:
    """PUT room_keys/version/{version}."""
    name = request.params["version"]
    if request.field_or("version", str, name) != name:
        raise BadRequest("M_INVALID_PARAM", "The version in the body is not the one in the path.")
    algorithm, auth_data = request.field("algorithm", str), request.field("auth_data", dict)
    await service.backup.update(requester.user_id, name, algorithm, auth_data)
    return Reply.EMPTY


async def delete_version(request: Request, requester: Requester, service: E2eeService) -> Reply:
    """DELETE room_keys/version/{version}."""
    await service.backup.delete_version(requester.user_id, request.params["version"])
    return Reply.EMPTY


# Keys


async def put_key(request: Request, requester: Requester, service: E2eeService) -> Reply:
    """PUT room_keys/keys/{roomId}/{sessionId}."""
    room = {"sessions": {request.params["sessionId"]: request.json}}
    return await _put(request, requester, service, decide.sessions_of_room(request.params["roomId"], room))


async def put_room(request: Request, requester: Requester, service: E2eeService) -> Reply:
    """PUT room_keys/keys/{roomId}."""
    room = {"sessions": request.field("sessions", dict)}
    return await _put(request, requester, service, decide.sessions_of_room(request.params["roomId"], room))


async def put_rooms(request: Request, requester: Requester, service: E2eeService) -> Reply:
    """PUT room_keys/keys."""
    return await _put(request, requester, service, decide.sessions_of_rooms(request.field("rooms", dict)))


async def get_key(request: Request, requester: Requester, service: E2eeService) -> Reply:
    """GET room_keys/keys/{roomId}/{sessionId}."""
    session = request.params["roomId"], request.params["sessionId"]
    return Reply.json(_key(await service.backup.key(requester.user_id, _version_name(request), session)))


async def get_room(request: Request, requester: Requester, service: E2eeService) -> Reply:
    """GET room_keys/keys/{roomId}."""
    room_id = request.params["roomId"]
    found = await service.backup.keys(requester.user_id, _version_name(request), room_id)
    return Reply.json({"sessions": {name: _key(key) for name, key in found.get(room_id, {}).items()}})


async def get_rooms(request: Request, requester: Requester, service: E2eeService) -> Reply:
    """GET room_keys/keys."""
    found = await service.backup.keys(requester.user_id, _version_name(request), None)
    rooms = {room: {"sessions": {name: _key(key) for name, key in keys.items()}} for room, keys in found.items()}
    return Reply.json({"rooms": rooms})


async def delete_keys(request: Request, requester: Requester, service: E2eeService) -> Reply:
    """DELETE room_keys/keys, room_keys/keys/{roomId}, room_keys/keys/{roomId}/{sessionId}."""
    room_id, session_id = request.params.get("roomId"), request.params.get("sessionId")
    return _totals(await service.backup.delete_keys(requester.user_id, _version_name(request), room_id, session_id))


async def _put(request: Request, requester: Requester, service: E2eeService, sessions: Sessions | Refused) -> Reply:
    return _totals(await service.backup.put(requester.user_id, _version_name(request), sessions))


def _version_name(request: Request) -> str:
    name = request.query_one("version")
    if name is None:
        raise BadRequest("M_MISSING_PARAM", "version is missing.")
    return name


def _version(version: Version) -> Reply:
    return Reply.json(
        {
            "version": str(version.version),
            "algorithm": version.algorithm,
            "auth_data": orjson.Fragment(version.auth_data),
            "count": version.key_count,
            "etag": str(version.etag),
        }
    )


def _totals(totals: Totals) -> Reply:
    return Reply.json({"etag": str(totals.etag), "count": totals.key_count})


def _key(key: BackedUpKey) -> dict[str, Any]:
    return {
        "first_message_index": key.first_message_index,
        "forwarded_count": key.forwarded_count,
        "is_verified": key.is_verified,
        "session_data": orjson.Fragment(key.session_data),
    }


_VERSION = "/_matrix/client/v3/room_keys/version"
_KEYS = "/_matrix/client/v3/room_keys/keys"
_SPEC = "client-server-api#"


def _put_endpoint(path: str, handler: Any, anchor: str) -> Endpoint:
    most = limits.keys_body_bytes_max
    return Endpoint("PUT", path, handler, _SPEC + anchor, rate=Rate.WRITE, body=Body.JSON, body_bytes_max=most)


ROWS: tuple[Endpoint, ...] = (
    Endpoint(
        "POST",
        _VERSION,
        create_version,
        _SPEC + "post_matrixclientv3room_keysversion",
        rate=Rate.WRITE,
        body=Body.JSON,
    ),
    Endpoint("GET", _VERSION, get_newest_version, _SPEC + "get_matrixclientv3room_keysversion"),
    Endpoint("GET", _VERSION + "/{version}", get_version, _SPEC + "get_matrixclientv3room_keysversionversion"),
    _put_endpoint(_VERSION + "/{version}", update_version, "put_matrixclientv3room_keysversionversion"),
    Endpoint(
        "DELETE",
        _VERSION + "/{version}",
        delete_version,
        _SPEC + "delete_matrixclientv3room_keysversionversion",
        rate=Rate.WRITE,
    ),
    _put_endpoint(_KEYS, put_rooms, "put_matrixclientv3room_keyskeys"),
    _put_endpoint(_KEYS + "/{roomId}", put_room, "put_matrixclientv3room_keyskeysroomid"),
    _put_endpoint(_KEYS + "/{roomId}/{sessionId}", put_key, "put_matrixclientv3room_keyskeysroomidsessionid"),
    Endpoint("GET", _KEYS, get_rooms, _SPEC + "get_matrixclientv3room_keyskeys"),
    Endpoint("GET", _KEYS + "/{roomId}", get_room, _SPEC + "get_matrixclientv3room_keyskeysroomid"),
    Endpoint("GET", _KEYS + "/{roomId}/{sessionId}", get_key, _SPEC + "get_matrixclientv3room_keyskeysroomidsessionid"),
    Endpoint("DELETE", _KEYS, delete_keys, _SPEC + "delete_matrixclientv3room_keyskeys", rate=Rate.WRITE),
    Endpoint("DELETE", _KEYS + "/{roomId}", delete_keys, _SPEC + "delete_matrixclientv3room_keyskeysroomid", rate=Rate.WRITE),
    Endpoint(
        "DELETE",
        _KEYS + "/{roomId}/{sessionId}",
        delete_keys,
        _SPEC + "delete_matrixclientv3room_keyskeysroomidsessionid",
        rate=Rate.WRITE,
    ),
)
