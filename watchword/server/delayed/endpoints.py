"""The doors of delayed events.

What is done with an event that waits needs no token: who knows its ID may do it, such as the media server of a call. A token,
where there is one, says only whose rate it is.

Spec: proposals/4140
"""

from collections.abc import Awaitable, Callable
from enum import Enum
from typing import TypeVar

from watchword.base import limits
from watchword.base.errors import BadRequest
from watchword.edge.endpoint import Auth, Body, Endpoint, Rate
from watchword.edge.replies import Reply
from watchword.edge.request import Request
from watchword.edge.requester import Requester
from watchword.protocol.ids import parse_room_id
from watchword.server.delayed import decide
from watchword.server.delayed.commands import Action, Form, Listing, Order, Outcome, Reason
from watchword.server.delayed.service import DelayedEvents
from watchword.server.rooms.commands import LaterEvent
from watchword.server.rooms.doors import room_of, sticky_of, transaction_of

E = TypeVar("E", bound=Enum)
Door = Callable[[Request, Requester, DelayedEvents], Awaitable[Reply]]
_UNSTABLE = "/_matrix/client/unstable/org.matrix.msc4140"
_PROPOSAL = "proposals/4140"


def _scheduling(form: Form) -> Door:
    async def schedule(request: Request, requester: Requester, delayed: DelayedEvents) -> Reply:
        room_id, kind = room_of(request), request.params["eventType"]
        delay_ms = request.field("delay", int)
        if not 0 < delay_ms <= limits.canonical_integer_max:
            raise BadRequest("M_INVALID_PARAM", "delay must be a positive number of milliseconds.")
        later = LaterEvent(
            room_id,
            kind,
            request.field("content", dict),
            delay_ms,
            request.field_or_none("state_key", str),
            transaction_of(requester, f"delayed_event/{room_id}/{kind}", request.params["txnId"]),
            request.query_int("ts", 0) or None if requester.appservice_id is not None else None,
            sticky_of(request) if request.query_string else None,
        )
        return Reply.json({"delay_id": await delayed.schedule(requester, later, form)})

    return schedule


def _acting(action: Action) -> Callable[[Request, Requester | None, DelayedEvents], Awaitable[Reply]]:
    async def act(request: Request, _: Requester | None, delayed: DelayedEvents) -> Reply:
        await delayed.act(request.params["delayId"], action)
        return Reply.EMPTY

    return act


async def act_as_told(request: Request, _: Requester | None, delayed: DelayedEvents) -> Reply:
    """COMPAT(call clients of 2024 and 2025, until 2029): the action stands in the body."""
    await delayed.act(request.params["delayId"], _one_of(Action, request.field("action", str), "action"))
    return Reply.EMPTY


async def one(request: Request, requester: Requester, delayed: DelayedEvents) -> Reply:
    return Reply.json(decide.described(await delayed.one(requester.user_id, request.params["delayId"])))


async def listed(request: Request, requester: Requester, delayed: DelayedEvents) -> Reply:
    backwards = _query(request, "dir", _Direction) is _Direction.BACKWARDS
    status = _query(request, "status", _Status)
    start = request.query_one("from")
    if start is None:
        place = decide.first_place(delayed.clock.now_ms(), request.query_one("since_ts"), backwards=backwards)
    else:
        place = decide.read_token(start)
    if place is None:
        raise BadRequest("M_INVALID_PARAM", "from or since_ts is not valid.")
    listing = Listing(
        requester.user_id,
        place,
        backwards,
        _query(request, "order_by", Order) or Order.SEND_TS,
        None if status is None else status is _Status.FINALISED,
        request.query_parsed("room_id", parse_room_id),
        request.query_one("type"),
        _query(request, "outcome", Outcome),
        _query(request, "reason", Reason),
        request.query.get("delay_id", ())[: limits.delayed_events_page],
    )
    return Reply.json(await delayed.listed(listing))


class _Direction(Enum):
    FORWARDS = "f"
    BACKWARDS = "b"


class _Status(Enum):
    SCHEDULED = "scheduled"
    FINALISED = "finalised"


def _query(request: Request, name: str, kind: type[E]) -> E | None:
    value = request.query_one(name)
    return None if value is None else _one_of(kind, value, name)


def _one_of(kind: type[E], value: str, name: str) -> E:
    try:
        return kind(value)
    except ValueError as error:
        raise BadRequest("M_INVALID_PARAM", f"{name} has a value that is not known.") from error


def _schedule_at(prefix: str, form: Form) -> Endpoint:
    path = f"{prefix}/rooms/{{roomId}}/delayed_event/{{eventType}}/{{txnId}}"
    return Endpoint("PUT", path, _scheduling(form), _PROPOSAL, rate=Rate.MESSAGE, body=Body.JSON, guests=True)


def _act_at(prefix: str, action: Action) -> Endpoint:
    path = f"{prefix}/delayed_events/{{delayId}}/{action.value}"
    return Endpoint("POST", path, _acting(action), _PROPOSAL, auth=Auth.OPTIONAL, rate=Rate.WRITE, guests=True)


ENDPOINTS = (
    _schedule_at("/_matrix/client/v3", Form.STABLE),
    _schedule_at(_UNSTABLE, Form.UNSTABLE),
    *(_act_at(prefix, action) for prefix in ("/_matrix/client/v1", _UNSTABLE) for action in Action),
    Endpoint(
        "POST",
        f"{_UNSTABLE}/delayed_events/{{delayId}}",
        act_as_told,
        _PROPOSAL,
        auth=Auth.OPTIONAL,
        rate=Rate.WRITE,
        body=Body.JSON,
        guests=True,
    ),
    Endpoint("GET", "/_matrix/client/v1/delayed_events", listed, _PROPOSAL, guests=True),
    Endpoint("GET", f"{_UNSTABLE}/delayed_events", listed, _PROPOSAL, guests=True),
    Endpoint("GET", "/_matrix/client/v1/delayed_events/{delayId}", one, _PROPOSAL, guests=True),
    Endpoint("GET", f"{_UNSTABLE}/delayed_events/{{delayId}}", one, _PROPOSAL, guests=True),
)
