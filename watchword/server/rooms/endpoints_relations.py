"""Doors to events that relate to others: relations, threads, subscriptions to threads."""

from typing import Any

from watchword.base import limits
from watchword.base.errors import BadRequest
from watchword.edge.endpoint import Body, Endpoint, Rate
from watchword.edge.replies import Reply
from watchword.edge.request import Request
from watchword.edge.requester import Requester
from watchword.protocol.ids import EventId, parse_event_id
from watchword.server.rooms import records
from watchword.server.rooms.doors import RoomDoors, reader_of, room_of
from watchword.server.rooms.relations import RelationsRequest
from watchword.server.rooms.threads import ThreadsRequest
from watchword.server.rooms.tokens import parse_timeline_token, sync_token
from watchword.storage import Position


async def relations(request: Request, requester: Requester, doors: RoomDoors) -> Reply:
    direction = request.query_one("dir") or "b"
    if direction not in ("b", "f"):
        raise BadRequest("M_INVALID_PARAM", "dir must be b or f.")
    backwards = direction == "b"
    start, stop = request.query_parsed("from", parse_timeline_token), request.query_parsed("to", parse_timeline_token)
    if backwards:
        after, until = stop or 0, records.FOREVER if start is None else start
    else:
        after, until = start or 0, records.FOREVER if stop is None else stop
    wanted = RelationsRequest(
        room_of(request),
        request.param("eventId", parse_event_id),
        reader_of(requester),
        after,
        until,
        request.query_int("limit", limits.relations_page_default, least=1, most=limits.relations_page_max),
        backwards,
        request.query_one("from"),
        request.params.get("relType"),
        request.params.get("eventType"),
        None if request.query_one("recurse") is None else request.query_bool("recurse"),
    )
    return Reply.encoded(await doors.relations.related.page(wanted))


async def threads(request: Request, requester: Requester, doors: RoomDoors) -> Reply:
    include = request.query_one("include") or "all"
    if include not in ("all", "participated"):
        raise BadRequest("M_INVALID_PARAM", "include must be all or participated.")
    before = request.query_parsed("from", parse_timeline_token)
    wanted = ThreadsRequest(
        room_of(request),
        reader_of(requester),
        records.FOREVER if before is None else before,
        request.query_int("limit", limits.threads_page_default, least=1, most=limits.threads_page_max),
        include == "participated",
    )
    return Reply.encoded(await doors.relations.threads.page(wanted))


def _root(request: Request) -> EventId:
    return request.param("threadRootId", parse_event_id)


async def subscribe(request: Request, requester: Requester, doors: RoomDoors) -> Reply:
    cause: EventId | None = None
    if request.field_or_none("automatic", str) is not None:
        cause = request.field_parsed("automatic", parse_event_id)
    await doors.relations.subscriptions.subscribe(reader_of(requester), room_of(request), _root(request), cause)
    return Reply.EMPTY


async def subscription(request: Request, requester: Requester, doors: RoomDoors) -> Reply:
    row = await doors.relations.subscriptions.subscription(reader_of(requester), room_of(request), _root(request))
    return Reply.json({"automatic": row.is_automatic})


async def unsubscribe(request: Request, requester: Requester, doors: RoomDoors) -> Reply:
    await doors.relations.subscriptions.unsubscribe(reader_of(requester), room_of(request), _root(request))
    return Reply.EMPTY


async def subscriptions(request: Request, requester: Requester, doors: RoomDoors) -> Reply:
    direction = request.query_one("dir")
    if direction != "b":
        raise BadRequest("M_MISSING_PARAM" if direction is None else "M_INVALID_PARAM", "dir must be b.")
    most = limits.thread_subscriptions_page_max
    limit = request.query_int("limit", limits.thread_subscriptions_page_default, least=1, most=most)
    start, stop = request.query_parsed("from", parse_timeline_token), request.query_parsed("to", parse_timeline_token)
    until = doors.relations.subscriptions.log.position if start is None else Position(records.position_of(start))
    after = Position(0 if stop is None else records.position_of(stop))
    rows = await doors.relations.subscriptions.changes(requester.user_id, after, until, limit)
    body: dict[str, Any] = {}
    for row in rows:
        told: dict[str, Any] = {"automatic": row.is_automatic} if row.is_subscribed else {}
        section = body.setdefault("subscribed" if row.is_subscribed else "unsubscribed", {})
        section.setdefault(row.room_id, {})[row.root_id] = {**told, "bump_stamp": row.position}
    if len(rows) == limit:
        body["end"] = sync_token(Position(rows[-1].position - 1))
    return Reply.json(body)


_RELATIONS = "/_matrix/client/v1/rooms/{roomId}/relations/{eventId}"
_SPEC = "client-server-api#get_matrixclientv1roomsroomid"
_UNSTABLE = "/_matrix/client/unstable/"
_SUBSCRIPTION = _UNSTABLE + "io.element.msc4306/rooms/{roomId}/thread/{threadRootId}/subscription"

ENDPOINTS = (
    Endpoint("GET", _RELATIONS, relations, _SPEC + "relationseventid"),
    Endpoint("GET", _RELATIONS + "/{relType}", relations, _SPEC + "relationseventidreltype"),
    Endpoint("GET", _RELATIONS + "/{relType}/{eventType}", relations, _SPEC + "relationseventidreltypeeventtype"),
    Endpoint("GET", "/_matrix/client/v1/rooms/{roomId}/threads", threads, _SPEC + "threads"),
    Endpoint("PUT", _SUBSCRIPTION, subscribe, "proposals/4306", rate=Rate.WRITE, body=Body.OPTIONAL_JSON),
    Endpoint("GET", _SUBSCRIPTION, subscription, "proposals/4306"),
    Endpoint("DELETE", _SUBSCRIPTION, unsubscribe, "proposals/4306", rate=Rate.WRITE),
    Endpoint("GET", _UNSTABLE + "io.element.msc4308/thread_subscriptions", subscriptions, "proposals/4308"),
)
