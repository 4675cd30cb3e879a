"""Doors through which clients read: history, single events, state, members."""

from collections.abc import Mapping
from typing import Any

import msgspec
import orjson

from watchword.base import limits
from watchword.base.errors import BadRequest, Forbidden, NotFound
from watchword.edge.endpoint import Endpoint
from watchword.edge.replies import Reply
from watchword.edge.request import Request
from watchword.edge.requester import Requester
from watchword.protocol import event_types
from watchword.protocol.events import StateKey
from watchword.protocol.ids import EventId, parse_event_id
from watchword.server.rooms import records
from watchword.server.rooms.doors import RoomDoors, reader_of, room_of
from watchword.server.rooms.event_filters import EVERYTHING, RoomEventFilter, parse_filter
from watchword.server.rooms.pages import PageRequest
from watchword.server.rooms.room import Room
from watchword.server.rooms.tokens import parse_timeline_token

_MEMBERSHIPS = ("join", "invite", "leave", "ban", "knock")


def _filter(request: Request) -> RoomEventFilter:
    text = request.query_one("filter")
    if text is None:
        return EVERYTHING
    try:
        return parse_filter(msgspec.json.decode(text))
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadRequest("M_NOT_JSON", "filter must be JSON.") from error


async def messages(request: Request, requester: Requester, doors: RoomDoors) -> Reply:
    direction = request.query_one("dir")
    if direction not in ("b", "f"):
        raise BadRequest("M_MISSING_PARAM" if direction is None else "M_INVALID_PARAM", "dir must be b or f.")
    start, stop = request.query_one("from"), request.query_one("to")
    limit = request.query_int("limit", limits.messages_page_default, least=0, most=limits.messages_page_max)
    wanted = PageRequest(
        room_of(request),
        reader_of(requester),
        None if start is None else parse_timeline_token(start),
        None if stop is None else parse_timeline_token(stop),
        max(1, limit),
        direction == "b",
        _filter(request),
    )
    return Reply.encoded(await doors.pages.messages(wanted))


async def context(request: Request, requester: Requester, doors: RoomDoors) -> Reply:
    limit = request.query_int("limit", limits.messages_page_default, most=100)
    wanted = PageRequest(room_of(request), reader_of(requester), None, None, limit, False, _filter(request))
    return Reply.encoded(await doors.pages.context(wanted.room_id, request.param("eventId", parse_event_id), wanted))


async def one_event(request: Request, requester: Requester, doors: RoomDoors) -> Reply:
    event_id = request.param("eventId", parse_event_id)
    view, event = await doors.reader.one_event(room_of(request), event_id, reader_of(requester))
    now_ms = doors.clock.now_ms()
    bundles = await doors.reader.bundles.encoded(view, (event,), now_ms)
    return Reply.encoded(view.encode(event, now_ms, relations=bundles.get(event_id)))


async def state(request: Request, requester: Requester, doors: RoomDoors) -> Reply:
    room, current = await doors.reader.readable_state(room_of(request), requester.user_id)
    return Reply.encoded(b"[" + await _encoded(doors, room, requester, current) + b"]")


async def state_event(request: Request, requester: Requester, doors: RoomDoors) -> Reply:
    room, current = await doors.reader.readable_state(room_of(request), requester.user_id)
    event_id = current.get((request.params["eventType"], request.params.get("stateKey", "")))
    if event_id is None:
        raise NotFound("The room has no such state.")
    found = (await doors.reader.found((event_id,)))[event_id]
    wanted = request.query_one("format")
    if wanted == "event":
        return Reply.encoded(await _encoded(doors, room, requester, {("", ""): event_id}))
    if wanted not in (None, "content"):
        raise BadRequest("M_INVALID_PARAM", "format must be content or event.")
    return Reply.encoded(found.encoded_content())


async def _encoded(doors: RoomDoors, room: Room, requester: Requester, wanted: Mapping[StateKey, EventId]) -> bytes:
    """State events for a reader, joined by commas. State is shown whole: its visibility was decided with the room's."""
    now_ms = doors.clock.now_ms()
    async with doors.reader.database.read() as tx:
        view = await doors.reader.view(tx, room, reader_of(requester))
        events = await doors.reader.events.many(tx, wanted.values())
    return b",".join(view.encode_all(events.values(), now_ms))


async def members(request: Request, requester: Requester, doors: RoomDoors) -> Reply:
    room, current = await doors.reader.readable_state(room_of(request), requester.user_id)
    at = request.query_one("at")
    if at is not None:
        position = records.position_of(parse_timeline_token(at))
        until = await doors.reader.readable_until(room, requester.user_id)
        current = await doors.reader.state_at(room, min(position, until or 0))
    included, excluded = request.query_one("membership"), request.query_one("not_membership")
    if any(value is not None and value not in _MEMBERSHIPS for value in (included, excluded)):
        raise BadRequest("M_INVALID_PARAM", "There is no such membership.")
    ids = {key: event_id for key, event_id in current.items() if key[0] == event_types.MEMBER}
    if included is not None or excluded is not None:
        found = await doors.reader.found(ids.values())
        # The two parameters widen each other. Spec: client-server-api#get_matrixclientv3roomsroomidmembers
        ids = {
            key: event_id
            for key, event_id in ids.items()
            if (included is not None and found[event_id].pdu.content.get("membership") == included)
            or (excluded is not None and found[event_id].pdu.content.get("membership") != excluded)
        }
    return Reply.encoded(b'{"chunk":[' + await _encoded(doors, room, requester, ids) + b"]}")


async def joined_members(request: Request, requester: Requester, doors: RoomDoors) -> Reply:
    room = await doors.reader.room(room_of(request))
    if room is None or room.members.membership.get(requester.user_id) != "join":
        raise Forbidden("You are not in this room.")
    ids = {user: room.state[(event_types.MEMBER, user)] for user in room.members.joined}
    found = await doors.reader.found(ids.values())
    joined: dict[str, Any] = {}
    for user, event_id in ids.items():
        content = found[event_id].pdu.content
        joined[user] = {
            name: content[key]
            for key, name in (("displayname", "display_name"), ("avatar_url", "avatar_url"))
            if isinstance(content.get(key), str)
        }
    return Reply.encoded(orjson.dumps({"joined": joined}))


_ROOM = "/_matrix/client/v3/rooms/{roomId}"
_SPEC = "client-server-api#get_matrixclientv3roomsroomid"

ENDPOINTS = (
    Endpoint("GET", _ROOM + "/messages", messages, _SPEC + "messages", guests=True),
    Endpoint("GET", _ROOM + "/context/{eventId}", context, _SPEC + "contexteventid", guests=True),
    Endpoint("GET", _ROOM + "/event/{eventId}", one_event, _SPEC + "eventeventid", guests=True),
    Endpoint("GET", _ROOM + "/state", state, _SPEC + "state", guests=True),
    Endpoint("GET", _ROOM + "/state/{eventType}/{stateKey}", state_event, _SPEC + "stateeventtypestatekey", guests=True),
    Endpoint("GET", _ROOM + "/state/{eventType}", state_event, _SPEC + "stateeventtypestatekey", guests=True),
    Endpoint("GET", _ROOM + "/state/{eventType}/", state_event, _SPEC + "stateeventtypestatekey", guests=True),
    Endpoint("GET", _ROOM + "/members", members, _SPEC + "members", guests=True),
    Endpoint("GET", _ROOM + "/joined_members", joined_members, _SPEC + "joined_members"),
)
