"""The decisions of delayed events."""

import pytest

from watchword.base.errors import Refusal
from watchword.protocol.ids import EventId, RoomId, UserId
from watchword.server.delayed import decide
from watchword.server.delayed.commands import (
    Action,
    DelayedEvent,
    DelaySettings,
    Finalised,
    Form,
    Listing,
    Order,
    Outcome,
    Reason,
)
from watchword.server.rooms.commands import LaterEvent

ALICE = UserId("@alice:here.example")


def _delayed(end: Finalised | None = None, state_key: str | None = None) -> DelayedEvent:
    event = LaterEvent(RoomId("!r:here.example"), "m.x", {"a": 1}, 500, state_key)
    return DelayedEvent("id", ALICE, "", event, 1_000, 7, number=3, finalised=end)


@pytest.mark.parametrize(("form", "errcode"), [(Form.STABLE, "M_MAX_DELAY_EXCEEDED"), (Form.QUERY, "M_UNKNOWN")])
def test_a_delay_may_be_as_long_as_is_allowed(form: Form, errcode: str) -> None:
    assert decide.too_long(DelaySettings(100, 1), 100, form) is None
    refused = decide.too_long(DelaySettings(100, 1), 101, form)
    assert refused is not None
    assert (refused.status, refused.errcode) == (400, errcode)


def test_the_unstable_form_has_an_error_of_its_own() -> None:
    refused = decide.too_long(DelaySettings(100, 1), 101, Form.UNSTABLE)
    assert refused is not None
    assert refused.body()["org.matrix.msc4140.max_delay"] == 100


@pytest.mark.parametrize("action", list(Action))
def test_everything_may_be_done_with_an_event_that_waits(action: Action) -> None:
    assert decide.judge(_delayed(), action) is True


@pytest.mark.parametrize(
    ("outcome", "action", "status"),
    [
        (Outcome.SEND, Action.SEND, None),
        (Outcome.SEND, Action.CANCEL, 409),
        (Outcome.SEND, Action.RESTART, 404),
        (Outcome.CANCEL, Action.SEND, 409),
        (Outcome.CANCEL, Action.CANCEL, None),
        (Outcome.CANCEL, Action.RESTART, 409),
        (Outcome.ERROR, Action.SEND, 409),
        (Outcome.ERROR, Action.CANCEL, None),
        (Outcome.ERROR, Action.RESTART, 409),
    ],
)
def test_what_was_done_is_done_and_nothing_else_can_be(outcome: Outcome, action: Action, status: int | None) -> None:
    verdict = decide.judge(_delayed(Finalised(outcome, Reason.ACTION, 5)), action)
    if status is None:
        assert verdict is False
    else:
        assert isinstance(verdict, Refusal)
        assert verdict.status == status


def test_an_event_is_described_as_far_as_it_has_come() -> None:
    assert "state_key" not in decide.described(_delayed())
    assert "origin_server_ts" not in decide.described(_delayed())
    assert decide.described(_delayed(state_key=""))["state_key"] == ""
    sent = decide.described(_delayed(Finalised(Outcome.SEND, Reason.DELAY, 5, EventId("$e"))))
    assert (sent["event_id"], sent["origin_server_ts"], "error" in sent) == ("$e", 5, False)
    failed = decide.described(_delayed(Finalised(Outcome.ERROR, Reason.DELAY, 5, error={"errcode": "M_FORBIDDEN"})))
    assert (failed["error"], "event_id" in failed) == ({"errcode": "M_FORBIDDEN"}, False)


@pytest.mark.parametrize(
    ("order", "end", "place"),
    [
        (Order.SEND_TS, None, (1_500, 3)),
        (Order.RUNNING_SINCE, None, (1_000, 3)),
        (Order.ORIGIN_SERVER_TS, None, (1_500, 3)),
        (Order.ORIGIN_SERVER_TS, Finalised(Outcome.CANCEL, Reason.ACTION, 1_200), (1_200, 3)),
    ],
)
def test_a_token_says_where_a_list_goes_on(order: Order, end: Finalised | None, place: tuple[int, int]) -> None:
    delayed = _delayed(end)
    assert decide.place_of(delayed, order) == place
    assert decide.read_token(decide.token(Listing(ALICE, (0, 0), order=order), delayed)) == place


@pytest.mark.parametrize("text", ["", "d", "d1", "1_2", "d1_x", "dx_1", "d-1_1", "d1_99999999999999999999", "d¹_1"])
def test_what_is_no_token_leads_nowhere(text: str) -> None:
    assert decide.read_token(text) is None


def test_a_list_begins_now_or_when_it_is_told_to() -> None:
    end = decide.END[0]
    assert decide.first_place(100, None, backwards=False) == (99, end)
    assert decide.first_place(100, None, backwards=True) == (100, end)
    assert decide.first_place(100, "7", backwards=False) == (6, end)
    assert decide.first_place(100, "end", backwards=True) == decide.END
    assert decide.first_place(100, "soon", backwards=True) is None


def test_being_overtaken_is_an_error_with_a_name() -> None:
    assert decide.overtaken().body()["org.matrix.msc4140.errcode"] == "M_CANCELLED_BY_STATE_UPDATE"
