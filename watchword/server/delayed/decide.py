"""The decisions of delayed events: what an action does to an event, what is too much, how an event is described.

Spec: proposals/4140
"""

from collections.abc import Mapping
from typing import Any

from watchword.base.errors import Conflict, NotFound, Refusal
from watchword.server.delayed.commands import Action, DelayedEvent, DelaySettings, Form, Listing, Order, Outcome, Place

_TOO_LONG = "The requested delay exceeds the allowed maximum."
_PLACE_DIGITS_MAX = 20
END: Place = ((1 << 63) - 1, 0)
"""Behind every place."""


def too_long(settings: DelaySettings, delay_ms: int, form: Form) -> Refusal | None:
    """The refusal of a delay that is too long, as clients of each form look for it."""
    if delay_ms <= settings.delay_ms_max:
        return None
    most = settings.delay_ms_max
    match form:
        case Form.STABLE:
            return Refusal("M_MAX_DELAY_EXCEEDED", _TOO_LONG, extra={"max_delay": most})
        case Form.UNSTABLE:
            return Refusal("ORG.MATRIX.MSC4140_MAX_DELAY_EXCEEDED", _TOO_LONG, extra={"org.matrix.msc4140.max_delay": most})
        case Form.QUERY:
            extra = {"org.matrix.msc4140.errcode": "M_MAX_DELAY_EXCEEDED", "org.matrix.msc4140.max_delay": most}
            return Refusal("M_UNKNOWN", _TOO_LONG, extra=extra)


def judge(event: DelayedEvent, action: Action) -> Refusal | bool:
    """Whether an action is still to be carried out; or why it cannot be. What was done before need not be done again.

    An event that was sent cannot be put off: clients take 404 for the sign to schedule another.
    """
    if event.finalised is None:
        return True
    if event.finalised.outcome is Outcome.SEND:
        if action is Action.RESTART:
            return NotFound("This delayed event was sent.")
        return action is Action.CANCEL and Conflict("M_UNKNOWN", "This delayed event was sent already.")
    return action is not Action.CANCEL and Conflict("M_UNKNOWN", "This delayed event was cancelled already.")


def overtaken() -> Refusal:
    """Why a delayed state event is not sent: somebody else has said otherwise since it was scheduled."""
    return Refusal(
        "M_UNKNOWN",
        "The delayed event was not sent because a different user updated the same state event.",
        status=409,
        extra={"org.matrix.msc4140.errcode": "M_CANCELLED_BY_STATE_UPDATE"},
    )


def described(delayed: DelayedEvent) -> Mapping[str, Any]:
    """A delayed event as its owner sees it."""
    event, end = delayed.event, delayed.finalised
    body: dict[str, Any] = {
        "delay_id": delayed.delay_id,
        "room_id": event.room_id,
        "type": event.type,
        "delay": event.delay_ms,
        "running_since": delayed.running_since,
        "content": event.content,
    }
    if event.state_key is not None:
        body["state_key"] = event.state_key
    if end is not None:
        body["origin_server_ts"] = end.ts
        if end.error is not None:
            body["error"] = end.error
        if end.event_id is not None:
            body["event_id"] = end.event_id
    return body


def place_of(delayed: DelayedEvent, order: Order) -> Place:
    """Where an event stands in a list."""
    match order:
        case Order.SEND_TS:
            return delayed.send_ts, delayed.number
        case Order.ORIGIN_SERVER_TS:
            return delayed.send_ts if delayed.finalised is None else delayed.finalised.ts, delayed.number
        case Order.RUNNING_SINCE:
            return delayed.running_since, delayed.number


def first_place(now_ms: int, since: str | None, *, backwards: bool) -> Place | None:
    """Where a list begins that is not continued: now, at a time, or at the end; None if `since` is none of these."""
    if since == "end":
        return END
    if since is not None:
        number = _number(since)
        if number is None:
            return None
        now_ms = number
    # Either way the moment itself is in.
    return (now_ms, END[0]) if backwards else (now_ms - 1, END[0])


def token(listing: Listing, last: DelayedEvent) -> str:
    """What continues a list behind an event."""
    ts, number = place_of(last, listing.order)
    return f"d{ts}_{number}"


def read_token(text: str) -> Place | None:
    """The place that a token stands for; None if it was not given by this server."""
    ts, _, number = text.removeprefix("d").partition("_")
    found = _number(ts), _number(number)
    if not text.startswith("d") or found[0] is None or found[1] is None:
        return None
    return found[0], found[1]


def _number(text: str) -> int | None:
    if not text.isascii() or not text.isdigit() or len(text) > _PLACE_DIGITS_MAX:
        return None
    number = int(text)
    return number if number <= END[0] else None
