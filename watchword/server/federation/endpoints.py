"""The doors for other servers: transactions, events, queries. Membership and keys have tables of their own.

Spec: server-server-api
"""

from typing import Any

import orjson

from watchword.base import limits
from watchword.base.errors import BadRequest, NotFound, RemoteProtocolError, Unauthenticated
from watchword.edge.endpoint import Auth, Body, Endpoint, Rate
from watchword.edge.replies import Reply
from watchword.edge.request import Request
from watchword.edge.requester import ServerRequester
from watchword.protocol.ids import EventId, domain_of, parse_event_id, parse_room_id, parse_user_id
from watchword.server.federation import key_endpoints, membership_endpoints
from watchword.server.federation.doors import FederationDoors, spliced, string_list
from watchword.server.federation.ports import MissingEvents, PublicRoomsQuery

_MISSING_DEFAULT = 10
_PUBLIC_ROOMS_MAX = 500


async def send(request: Request, requester: ServerRequester, doors: FederationDoors) -> Reply:
    """A transaction. Always 200 once it is read: errors are per event."""
    answer = await doors.transactions.receive(requester.server_name, request.params["txnId"], request.json)
    return Reply.encoded(answer)


# Events


async def backfill(request: Request, requester: ServerRequester, doors: FederationDoors) -> Reply:
    """Events at and before the given ones."""
    event_ids = [_event_id(value) for value in request.query.get("v", ())][: limits.prev_events_max]
    if not event_ids:
        raise BadRequest("M_MISSING_PARAM", "v is missing.")
    limit = request.query_int("limit", limits.backfill_page_max, least=1, most=limits.backfill_page_max)
    room_id = request.param("roomId", parse_room_id)
    return _pdus(doors, {"pdus": await doors.rooms.backfill(requester.server_name, room_id, event_ids, limit)})


async def get_missing_events(request: Request, requester: ServerRequester, doors: FederationDoors) -> Reply:
    """Events between those that the asking server has and those that it was sent."""
    limit = request.field_or("limit", int, _MISSING_DEFAULT)
    wanted = MissingEvents(
        earliest=[_event_id(value) for value in string_list(request.json, "earliest_events")],
        latest=[_event_id(value) for value in string_list(request.json, "latest_events")],
        limit=max(0, min(limit, limits.missing_events_page_max)),
        min_depth=max(0, request.field_or("min_depth", int, 0)),
    )
    room_id = request.param("roomId", parse_room_id)
    found = await doors.rooms.missing_events(requester.server_name, room_id, wanted)
    return Reply.encoded(spliced({"events": found}))


async def state(request: Request, requester: ServerRequester, doors: FederationDoors) -> Reply:
    """The state before an event, whole."""
    room_id = request.param("roomId", parse_room_id)
    pdus, auth_chain = await doors.rooms.state(requester.server_name, room_id, _queried_event(request))
    return Reply.encoded(spliced({"auth_chain": auth_chain, "pdus": pdus}))


async def state_ids(request: Request, requester: ServerRequester, doors: FederationDoors) -> Reply:
    """The state before an event, as IDs."""
    room_id = request.param("roomId", parse_room_id)
    ids, chain = await doors.rooms.state_ids(requester.server_name, room_id, _queried_event(request))
    return Reply.json({"auth_chain_ids": list(chain), "pdu_ids": list(ids)})


async def event(request: Request, requester: ServerRequester, doors: FederationDoors) -> Reply:
    """One event."""
    found = await doors.rooms.event(requester.server_name, request.param("eventId", parse_event_id))
    return _pdus(doors, {"pdus": [found]})


async def event_auth(request: Request, requester: ServerRequester, doors: FederationDoors) -> Reply:
    """The auth chain of an event."""
    room_id, event_id = request.param("roomId", parse_room_id), request.param("eventId", parse_event_id)
    chain = await doors.rooms.event_auth(requester.server_name, room_id, event_id)
    return Reply.encoded(spliced({"auth_chain": chain}))


def _pdus(doors: FederationDoors, fields: dict[str, Any]) -> Reply:
    """An answer in the form of a transaction."""
    head = {"origin": orjson.dumps(doors.server_name), "origin_server_ts": str(doors.clock.now_ms()).encode()}
    return Reply.encoded(spliced({**head, **fields}))


def _event_id(value: str) -> EventId:
    try:
        return parse_event_id(value)
    except RemoteProtocolError as error:
        raise BadRequest("M_INVALID_PARAM", "This is not an event ID.") from error


def _queried_event(request: Request) -> EventId:
    found = request.query_parsed("event_id", parse_event_id)
    if found is None:
        raise BadRequest("M_MISSING_PARAM", "event_id is missing.")
    return found


# Queries


async def query_profile(request: Request, requester: ServerRequester, doors: FederationDoors) -> Reply:
    """The profile of a local user, or one field of it."""
    user_id = request.query_parsed("user_id", parse_user_id)
    if user_id is None:
        raise BadRequest("M_MISSING_PARAM", "user_id is missing.")
    if domain_of(user_id) != doors.server_name or not await doors.profiles.exists(user_id):
        raise NotFound("There is no such user here.")
    profile = await doors.profiles.profile(user_id)
    field = request.query_one("field")
    if field is None:
        return Reply.json(dict(profile))
    return Reply.json({field: profile[field]} if field in profile else {})


async def public_rooms(request: Request, requester: ServerRequester, doors: FederationDoors) -> Reply:
    """A page of the rooms published here."""
    limit = request.query_int("limit", _PUBLIC_ROOMS_MAX, most=_PUBLIC_ROOMS_MAX)
    network_id, all_networks = request.query_one("third_party_instance_id"), request.query_bool("include_all_networks")
    query = PublicRoomsQuery(limit, request.query_one("since"), None, None, network_id, all_networks)
    return Reply.json(dict(await doors.rooms.public_rooms(requester.server_name, query)))


async def search_public_rooms(request: Request, requester: ServerRequester, doors: FederationDoors) -> Reply:
    """The same, filtered."""
    wanted = request.field_or("filter", dict, {})
    search, types = wanted.get("generic_search_term"), wanted.get("room_types")
    if not isinstance(search, str | None) or not _are_room_types(types):
        raise BadRequest("M_BAD_JSON", "filter is not valid.")
    limit = request.field_or("limit", int, _PUBLIC_ROOMS_MAX)
    query = PublicRoomsQuery(
        max(0, min(limit, _PUBLIC_ROOMS_MAX)),
        request.field_or_none("since", str),
        search or None,
        types,
        request.field_or_none("third_party_instance_id", str),
        request.field_or("include_all_networks", bool, False),
    )
    return Reply.json(dict(await doors.rooms.public_rooms(requester.server_name, query)))


def _are_room_types(types: object) -> bool:
    return types is None or (isinstance(types, list) and all(isinstance(each, str | None) for each in types))


async def unknown_query(request: Request, requester: ServerRequester, doors: FederationDoors) -> Reply:
    """A question of a kind that we do not know; the known ones have doors of their own."""
    raise NotFound("This server does not know this kind of query.", "M_UNRECOGNIZED")


async def version(request: Request, requester: None, doors: FederationDoors) -> Reply:
    """Which software this is."""
    return Reply.json({"server": {"name": "Watchword", "version": doors.version}})


async def openid_userinfo(request: Request, requester: None, doors: FederationDoors) -> Reply:
    """Whose OpenID token this is."""
    token = request.query_one("access_token")
    if token is None:
        raise Unauthenticated("M_MISSING_TOKEN", "access_token is missing.")
    user_id = await doors.openid.openid_user(token)
    if user_id is None:
        raise Unauthenticated("M_UNKNOWN_TOKEN", "This token is not known, or has expired.")
    return Reply.json({"sub": user_id})


def _door(
    method: str,
    path: str,
    handler: Any,
    anchor: str,
    *,
    auth: Auth = Auth.SERVER,
    bytes_max: int = limits.client_body_bytes_max,
) -> Endpoint:
    body = Body.NONE if method == "GET" else Body.JSON
    return Endpoint(
        method, f"/_matrix/federation/v1/{path}", handler, f"server-server-api#{anchor}", auth, Rate.FEDERATION, body, bytes_max
    )


ENDPOINTS = (
    _door(
        "PUT",
        "send/{txnId}",
        send,
        "put_matrixfederationv1sendtxnid",
        bytes_max=limits.transaction_body_bytes_max,
    ),
    _door("GET", "backfill/{roomId}", backfill, "get_matrixfederationv1backfillroomid"),
    _door("POST", "get_missing_events/{roomId}", get_missing_events, "post_matrixfederationv1get_missing_eventsroomid"),
    _door("GET", "state/{roomId}", state, "get_matrixfederationv1stateroomid"),
    _door("GET", "state_ids/{roomId}", state_ids, "get_matrixfederationv1state_idsroomid"),
    _door("GET", "event/{eventId}", event, "get_matrixfederationv1eventeventid"),
    _door("GET", "event_auth/{roomId}/{eventId}", event_auth, "get_matrixfederationv1event_authroomideventid"),
    _door("GET", "query/profile", query_profile, "get_matrixfederationv1queryprofile"),
    _door("GET", "query/{queryType}", unknown_query, "get_matrixfederationv1queryquerytype"),
    _door("GET", "publicRooms", public_rooms, "get_matrixfederationv1publicrooms"),
    _door("POST", "publicRooms", search_public_rooms, "post_matrixfederationv1publicrooms"),
    _door("GET", "version", version, "get_matrixfederationv1version", auth=Auth.NONE),
    _door("GET", "openid/userinfo", openid_userinfo, "get_matrixfederationv1openiduserinfo", auth=Auth.NONE),
    *membership_endpoints.ENDPOINTS,
    *key_endpoints.ENDPOINTS,
)
