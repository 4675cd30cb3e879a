"""Doors through which clients write: create, send, state, redact, receipts, typing."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from watchword.base import limits
from watchword.base.errors import BadRequest, Forbidden, ProtocolError
from watchword.edge.endpoint import Body, Endpoint, Rate
from watchword.edge.replies import Reply
from watchword.edge.request import Request
from watchword.edge.requester import Requester
from watchword.protocol import event_types
from watchword.protocol.ids import EventId, RoomAlias, RoomId, UserId, parse_event_id, parse_user_id
from watchword.protocol.room_versions import ROOM_VERSIONS
from watchword.server.rooms.commands import CreateRoom, InviteAddress, LaterEvent, SendEvent
from watchword.server.rooms.creation import PRESETS
from watchword.server.rooms.doors import RoomDoors, address_of, asked_of, object_of, room_of, transaction_of
from watchword.server.rooms.ephemeral import READ, READ_PRIVATE, Receipt
from watchword.server.rooms.mass_redactions import WithRelations
from watchword.server.rooms.posting import is_own_leave, redaction_of, require_not_suspended
from watchword.server.rooms.read_markers import FULLY_READ

_INVITES_MAX = 1_000
_INITIAL_STATE_MAX = 500


async def create_room(request: Request, requester: Requester, doors: RoomDoors) -> Reply:
    require_not_suspended(requester)
    version = request.field_or("room_version", str, doors.default_room_version)
    if version not in ROOM_VERSIONS:
        raise BadRequest("M_UNSUPPORTED_ROOM_VERSION", "This server does not support this room version.")
    visibility = request.field_or("visibility", str, "private")
    if visibility not in ("public", "private"):
        raise BadRequest("M_INVALID_PARAM", "visibility must be public or private.")
    preset = request.field_or_none("preset", str) or ("public_chat" if visibility == "public" else "private_chat")
    if preset not in PRESETS:
        raise BadRequest("M_INVALID_PARAM", "There is no such preset.")
    addresses = _addresses(request, requester, doors)
    alias_name = request.field_or_none("room_alias_name", str)
    command = CreateRoom(
        creator=requester.user_id,
        version=version,
        preset=preset,
        is_public=visibility == "public",
        alias=None if alias_name is None else _alias(alias_name, requester, doors),
        name=request.field_or_none("name", str),
        topic=request.field_or_none("topic", str),
        invite=_invitees(request, requester),
        is_direct=request.field_or("is_direct", bool, False),
        creation_content=request.field_or("creation_content", dict, {}),
        initial_state=_initial_state(request),
        power_level_override=request.field_or("power_level_content_override", dict, {}),
        creator_profile=await doors.membership.member_content(requester.user_id),
        event_levels=doors.event_levels,
    )
    room_id = await doors.membership.create(command)
    for address in addresses:
        await doors.addresses.invite(replace(address, room_id=room_id))
    return Reply.json({"room_id": room_id})


def _addresses(request: Request, requester: Requester, doors: RoomDoors) -> Sequence[InviteAddress]:
    """Whom to invite by address, once the room is there. Raises Refusal."""
    listed = request.field_or("invite_3pid", list, [])
    if len(listed) > limits.third_party_invites_at_once:
        raise BadRequest("M_INVALID_PARAM", f"At most {limits.third_party_invites_at_once} addresses can be invited at once.")
    nowhere = RoomId("")
    return [doors.addresses.check(address_of(object_of(entry, "invite_3pid"), nowhere, requester.user_id)) for entry in listed]


def _alias(name: str, requester: Requester, doors: RoomDoors) -> str:
    alias = f"#{name}:{doors.server_name}"
    if ":" in name or "\0" in name or not name or len(alias.encode()) > 255:
        raise BadRequest("M_INVALID_PARAM", "room_alias_name is not valid.")
    if not doors.reader.alias_owners.may_name(RoomAlias(alias), requester.appservice_id):
        raise BadRequest("M_EXCLUSIVE", "This alias is reserved for an application service.")
    return alias


def _invitees(request: Request, requester: Requester) -> Sequence[UserId]:
    listed = request.field_or("invite", list, [])
    if len(listed) > _INVITES_MAX:
        raise BadRequest("M_INVALID_PARAM", f"At most {_INVITES_MAX} people can be invited at once.")
    users = []
    for entry in listed:
        if not isinstance(entry, str):
            raise BadRequest("M_BAD_JSON", "invite must be a list of user IDs.")
        try:
            users.append(parse_user_id(entry))
        except ProtocolError as error:
            raise BadRequest("M_INVALID_PARAM", "invite must be a list of user IDs.") from error
    return [user for user in dict.fromkeys(users) if user != requester.user_id]


def _initial_state(request: Request) -> Sequence[tuple[str, str, Mapping[str, Any]]]:
    listed = request.field_or("initial_state", list, [])
    if len(listed) > _INITIAL_STATE_MAX:
        raise BadRequest("M_INVALID_PARAM", f"At most {_INITIAL_STATE_MAX} initial state events are taken.")
    state = []
    for entry in listed:
        match entry:
            case {"type": str(kind), "content": dict(content)}:
                state_key = entry.get("state_key", "")
                if not isinstance(state_key, str):
                    raise BadRequest("M_BAD_JSON", "state_key must be a string.")
                state.append((kind, state_key, content))
            case _:
                raise BadRequest("M_BAD_JSON", "initial_state must be a list of events with type and content.")
    return state


async def send(request: Request, requester: Requester, doors: RoomDoors) -> Reply:
    room_id, kind = room_of(request), request.params["eventType"]
    transaction = transaction_of(requester, f"send/{room_id}/{kind}", request.params["txnId"])
    redacts: EventId | None = None
    content = request.json
    if kind == event_types.REDACTION:
        content, redacts = redaction_of(content)
        await doors.posting.require_may_redact(requester, redacts)
    else:
        require_not_suspended(requester)
    # Few requests have a query: the others do not pay for what may be in it.
    sticky, delay_ms = asked_of(request) if request.query_string else (None, None)
    ts = _ts(request, requester)
    if delay_ms is not None:
        later = LaterEvent(room_id, kind, request.json, delay_ms, None, transaction, ts, sticky)
        return Reply.json({"delay_id": await doors.delays.schedule(requester, later)})
    command = SendEvent(room_id, requester.user_id, kind, content, None, redacts, transaction, ts, sticky)
    return Reply.json({"event_id": await doors.writer.send(command)})


def _ts(request: Request, requester: Requester) -> int | None:
    return request.query_int("ts", 0) or None if requester.appservice_id is not None else None


async def redact(request: Request, requester: Requester, doors: RoomDoors) -> Reply:
    room_id, target = room_of(request), request.param("eventId", parse_event_id)
    txn_id = request.params.get("txnId")
    transaction = None if txn_id is None else transaction_of(requester, f"redact/{room_id}/{target}", txn_id)
    content = {key: request.json[key] for key in ("reason",) if isinstance(request.json.get(key), str)}
    rel_types = _rel_types(request)
    await doors.posting.require_may_redact(requester, target)
    if rel_types:
        require_not_suspended(requester)
    command = SendEvent(room_id, requester.user_id, event_types.REDACTION, content, None, target, transaction)
    event_id = await doors.writer.send(command)
    if rel_types:
        wanted = WithRelations(room_id, target, requester.user_id, rel_types, content.get("reason"))
        await doors.relations.mass_redactions.with_relations(wanted)
    return Reply.json({"event_id": event_id})


def _rel_types(request: Request) -> Sequence[str]:
    """By which types events must relate to the redacted one to be redacted with it (proposal 3912)."""
    for name in ("with_rel_types", "org.matrix.msc3912.with_relations"):
        listed = request.field_or_none(name, list)
        if listed is None:
            continue
        if len(listed) > limits.redacted_rel_types_max or not all(isinstance(entry, str) for entry in listed):
            raise BadRequest("M_BAD_JSON", f"{name} must be a list of at most {limits.redacted_rel_types_max} strings.")
        return listed
    return ()


async def put_state(request: Request, requester: Requester, doors: RoomDoors) -> Reply:
    room_id, kind = room_of(request), request.params["eventType"]
    if kind == event_types.MEMBER and "stateKey" not in request.params:
        raise BadRequest("M_INVALID_PARAM", "The state key of a member event is a user ID.")
    state_key, ts = request.params.get("stateKey", ""), _ts(request, requester)
    if not is_own_leave(requester, kind, state_key, request.json):
        require_not_suspended(requester)
    _, delay_ms = asked_of(request) if request.query_string else (None, None)
    if delay_ms is not None:
        later = LaterEvent(room_id, kind, request.json, delay_ms, state_key, None, ts)
        return Reply.json({"delay_id": await doors.delays.schedule(requester, later)})
    command = SendEvent(room_id, requester.user_id, kind, request.json, state_key, ts=ts)
    return Reply.json({"event_id": await doors.posting.post(requester, command)})


async def set_receipt(request: Request, requester: Requester, doors: RoomDoors) -> Reply:
    room_id, event_id = room_of(request), request.param("eventId", parse_event_id)
    kind = request.params["receiptType"]
    thread_id = request.field_or_none("thread_id", str)
    if thread_id == "" or (thread_id is not None and kind == FULLY_READ):
        raise BadRequest("M_INVALID_PARAM", "thread_id is not valid here.")
    if kind == FULLY_READ:
        await _fully_read(doors, requester, request, event_id)
    elif kind in (READ, READ_PRIVATE):
        await doors.ephemeral.set_receipt(Receipt(room_id, requester.user_id, kind, event_id, thread_id))
    else:
        raise BadRequest("M_INVALID_PARAM", "There is no such type of receipt.")
    return Reply.EMPTY


async def _fully_read(doors: RoomDoors, requester: Requester, request: Request, event_id: EventId) -> None:
    may_go_back = any(request.field_or(name, bool, False) for name in ("allow_backward", "com.beeper.allow_backward"))
    await doors.markers.set(room_of(request), requester.user_id, event_id, may_go_back=may_go_back)


async def read_markers(request: Request, requester: Requester, doors: RoomDoors) -> Reply:
    room_id = room_of(request)
    for kind in (FULLY_READ, READ, READ_PRIVATE):
        value = request.field_or_none(kind, str)
        if value is None:
            continue
        event_id = request.field_parsed(kind, parse_event_id)
        if kind == FULLY_READ:
            await _fully_read(doors, requester, request, event_id)
        else:
            await doors.ephemeral.set_receipt(Receipt(room_id, requester.user_id, kind, event_id, None))
    return Reply.EMPTY


async def set_typing(request: Request, requester: Requester, doors: RoomDoors) -> Reply:
    if request.param("userId", parse_user_id) != requester.user_id:
        raise Forbidden("You can only say of yourself that you are typing.")
    timeout_ms = request.field_or("timeout", int, 30_000) if request.field("typing", bool) else 0
    await doors.ephemeral.set_typing(room_of(request), requester.user_id, max(0, timeout_ms))
    return Reply.EMPTY


_ROOM = "/_matrix/client/v3/rooms/{roomId}"
_STATE_SPEC = "client-server-api#put_matrixclientv3roomsroomidstateeventtypestatekey"

ENDPOINTS = (
    Endpoint(
        "POST",
        "/_matrix/client/v3/createRoom",
        create_room,
        "client-server-api#post_matrixclientv3createroom",
        rate=Rate.WRITE,
        body=Body.JSON,
    ),
    Endpoint(
        "PUT",
        _ROOM + "/send/{eventType}/{txnId}",
        send,
        "client-server-api#put_matrixclientv3roomsroomidsendeventtypetxnid",
        rate=Rate.MESSAGE,
        body=Body.JSON,
        guests=True,
    ),
    Endpoint(
        "PUT",
        _ROOM + "/redact/{eventId}/{txnId}",
        redact,
        "client-server-api#put_matrixclientv3roomsroomidredacteventidtxnid",
        rate=Rate.MESSAGE,
        body=Body.OPTIONAL_JSON,
    ),
    # COMPAT(Element classic on iOS, until: nobody uses it): a redaction that may happen twice if its answer is lost.
    Endpoint(
        "POST",
        _ROOM + "/redact/{eventId}",
        redact,
        "client-server-api#put_matrixclientv3roomsroomidredacteventidtxnid",
        rate=Rate.MESSAGE,
        body=Body.OPTIONAL_JSON,
    ),
    Endpoint(
        "PUT",
        _ROOM + "/state/{eventType}/{stateKey}",
        put_state,
        _STATE_SPEC,
        rate=Rate.WRITE,
        body=Body.JSON,
        guests=True,
    ),
    Endpoint("PUT", _ROOM + "/state/{eventType}", put_state, _STATE_SPEC, rate=Rate.WRITE, body=Body.JSON, guests=True),
    Endpoint("PUT", _ROOM + "/state/{eventType}/", put_state, _STATE_SPEC, rate=Rate.WRITE, body=Body.JSON, guests=True),
    Endpoint(
        "POST",
        _ROOM + "/receipt/{receiptType}/{eventId}",
        set_receipt,
        "client-server-api#post_matrixclientv3roomsroomidreceiptreceipttypeeventid",
        rate=Rate.WRITE,
        body=Body.OPTIONAL_JSON,
    ),
    Endpoint(
        "POST",
        _ROOM + "/read_markers",
        read_markers,
        "client-server-api#post_matrixclientv3roomsroomidread_markers",
        rate=Rate.WRITE,
        body=Body.JSON,
    ),
    Endpoint(
        "PUT",
        _ROOM + "/typing/{userId}",
        set_typing,
        "client-server-api#put_matrixclientv3roomsroomidtypinguserid",
        rate=Rate.WRITE,
        body=Body.JSON,
    ),
)
