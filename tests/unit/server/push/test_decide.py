from dataclasses import dataclass, replace
from typing import Any

import pytest

from watchword.base import limits
from watchword.protocol.ids import EventId, RoomId, UserId
from watchword.protocol.push_rules import NOTHING, Actions
from watchword.server.push.commands import DigestState, Pusher, PusherForm, PusherKey, Subject
from watchword.server.push.decide import (
    form_refusal,
    is_final,
    is_rejected,
    key_refusal,
    mailed,
    notification,
    read_up_to,
    wait_ms,
    while_reading,
    with_news,
)
from watchword.server.push.tally import ReadUpTo

ALICE = UserId("@alice:here.example")
URL = "https://gateway.example/_matrix/push/v1/notify"
FORM = PusherForm("http", "App", "Phone", "", "en", {"url": URL, "brand": "x"})
PUSHER = Pusher(1, PusherKey(ALICE, "app", "key"), None, FORM, 1_700_000_000_123)
SUBJECT = Subject(EventId("$event"), RoomId("!room"), "m.room.message", UserId("@bob:here.example"), {"body": "hello"})
LOUD = Actions.of(["notify", {"set_tweak": "highlight"}, {"set_tweak": "sound", "value": "default"}])


@dataclass(frozen=True)
class Seen:
    receipt_type: str
    thread_id: str
    ordering: int | None


# Receipts


def test_nobody_has_read_less_than_what_was_before_he_joined() -> None:
    assert read_up_to([], 7) == ReadUpTo(7)
    assert read_up_to([Seen("m.read", "", 3)], 7) == ReadUpTo(7)


def test_the_more_advanced_receipt_counts_for_all_or_for_its_thread() -> None:
    seen = [
        Seen("m.read", "", 10),
        Seen("m.read.private", "", 12),
        Seen("m.read", "main", 15),
        Seen("m.read.private", "main", 14),
        Seen("m.read", "$root", 11),
        Seen("m.fully_read", "", 99),
        Seen("m.read", "", None),
    ]
    assert read_up_to(seen, 0) == ReadUpTo(12, {"main": 15})


def test_a_thread_is_read_up_to_the_further_of_both() -> None:
    read = ReadUpTo(5, {"main": 9})
    assert (read.of("main"), read.of("$root")) == (9, 5)


# Pushers


@pytest.mark.parametrize("key", [("a" * 65, "key"), ("", "key"), ("app", ""), ("app", "ü" * 257)])
def test_keys_have_bounds(key: tuple[str, str]) -> None:
    refused = key_refusal(PusherKey(ALICE, *key))
    assert refused is not None
    assert refused.errcode == "M_INVALID_PARAM"
    assert key_refusal(PusherKey(ALICE, "a" * 64, "k" * 512)) is None


@pytest.mark.parametrize(
    ("changes", "errcode"),
    [
        ({"kind": "email"}, "M_INVALID_PARAM"),
        ({"lang": "x" * 1_025}, "M_INVALID_PARAM"),
        ({"data": {"url": URL, "more": "x" * 20_000}}, "M_INVALID_PARAM"),
        ({"data": {}}, "M_MISSING_PARAM"),
        ({"data": {"url": 1}}, "M_INVALID_PARAM"),
        ({"data": {"url": "http://gateway.example/_matrix/push/v1/notify"}}, "M_INVALID_PARAM"),
        ({"data": {"url": "https://gateway.example/other"}}, "M_INVALID_PARAM"),
        ({"data": {"url": "https:///_matrix/push/v1/notify"}}, "M_INVALID_PARAM"),
        ({"data": {"url": "https://me@gateway.example/_matrix/push/v1/notify"}}, "M_INVALID_PARAM"),
        ({"data": {"url": "https://gateway.example:x/_matrix/push/v1/notify"}}, "M_INVALID_PARAM"),
        ({"data": {"url": "https://gateway.example:0/_matrix/push/v1/notify"}}, "M_INVALID_PARAM"),
        ({"data": {"url": URL + "#part"}}, "M_INVALID_PARAM"),
        ({"data": {"url": "https://gate way.example/_matrix/push/v1/notify"}}, "M_INVALID_PARAM"),
        ({"data": {"url": "https://gateway.example\x7f/_matrix/push/v1/notify"}}, "M_INVALID_PARAM"),
    ],
)
def test_forms_are_checked(changes: dict[str, Any], errcode: str) -> None:
    assert form_refusal(FORM) is None
    refused = form_refusal(replace(FORM, **changes))
    assert refused is not None
    assert refused.errcode == errcode


def test_gateways_without_tls_are_for_test_setups() -> None:
    plain = replace(FORM, data={"url": URL.replace("https", "http")})
    assert form_refusal(plain) is not None
    assert form_refusal(plain, plain_http=True) is None


# Notifications


def test_a_gateway_hears_everything_but_its_own_url() -> None:
    subject = replace(SUBJECT, sender_display_name="Bob", room_name="Room", room_alias="#room:here.example")
    assert notification(PUSHER, subject, LOUD, 3)["notification"] == {
        "event_id": "$event",
        "room_id": "!room",
        "type": "m.room.message",
        "sender": "@bob:here.example",
        "sender_display_name": "Bob",
        "room_name": "Room",
        "room_alias": "#room:here.example",
        "content": {"body": "hello"},
        "prio": "high",
        "counts": {"unread": 3},
        "devices": [
            {
                "app_id": "app",
                "pushkey": "key",
                "pushkey_ts": 1_700_000_000,
                "data": {"brand": "x"},
                "tweaks": {"highlight": True, "sound": "default"},
            }
        ],
    }


def test_a_gateway_that_wants_only_the_id_hears_no_more() -> None:
    pusher = replace(PUSHER, form=replace(FORM, data={"url": URL, "format": "event_id_only"}))
    told = notification(pusher, SUBJECT, LOUD, 1)["notification"]
    assert told.keys() == {"event_id", "room_id", "counts", "devices"}
    assert told["devices"][0]["data"] == {"format": "event_id_only"}


def test_zero_is_left_out() -> None:
    told = notification(PUSHER, None, NOTHING, 0)["notification"]
    assert told["counts"] == {}
    assert told.keys() == {"counts", "devices"}


def test_silent_events_have_low_priority_unless_they_are_encrypted() -> None:
    silent = Actions.of(["notify"])
    assert notification(PUSHER, SUBJECT, silent, 1)["notification"]["prio"] == "low"
    encrypted = replace(SUBJECT, type="m.room.encrypted")
    assert notification(PUSHER, encrypted, silent, 1)["notification"]["prio"] == "high"
    ringing = Actions.of(["notify", {"set_tweak": "sound", "value": "ring"}])
    assert notification(PUSHER, SUBJECT, ringing, 1)["notification"]["prio"] == "high"


def test_of_member_events_the_gateway_hears_whom_they_concern() -> None:
    invite = replace(SUBJECT, type="m.room.member", user_is_target=True)
    assert notification(PUSHER, invite, NOTHING, 1)["notification"]["user_is_target"] is True


# Answers


@pytest.mark.parametrize("answer", [{}, {"rejected": ["other"]}, {"rejected": "key"}])
def test_a_pusher_lives_until_its_own_key_is_rejected(answer: dict[str, Any]) -> None:
    assert not is_rejected(answer, "key")
    assert is_rejected({"rejected": ["other", "key"]}, "key")


def test_only_refusals_of_the_request_itself_are_final() -> None:
    assert [status for status in (None, 200, 400, 404, 408, 429, 500) if is_final(status)] == [400, 404]


def test_the_wait_doubles_up_to_a_bound() -> None:
    assert [wait_ms(failures, None, 0.5) for failures in (1, 2, 3)] == [1_000, 2_000, 4_000]
    assert wait_ms(1, None, 0.0) == 750
    assert wait_ms(1_000, None, 0.5) == limits.push_wait_ms_max
    assert wait_ms(1, 60_000, 0.5) == 60_000
    assert wait_ms(1, 10**12, 0.5) == limits.push_wait_ms_max


# Digests

MINUTE = 60_000
DELAY = 10 * MINUTE
NEVER = DigestState(1, "token")


def after_mails(count: int, state: DigestState = NEVER) -> DigestState:
    """So many mails, the last at 0."""
    for _ in range(count):
        state = mailed(state, 0, 0, DELAY)
    return state


def test_the_first_mail_waits_for_the_delay_and_what_comes_after_changes_nothing() -> None:
    state = with_news(NEVER, 5, DELAY)
    assert state.due_ts == DELAY + 5
    assert with_news(state, 7, DELAY) == state


@pytest.mark.parametrize(("mails", "gap"), [(1, 60), (2, 360), (3, 1_440), (4, 1_440), (100, 1_440)])
def test_gaps_grow_to_a_day(mails: int, gap: int) -> None:
    state = after_mails(mails)
    assert with_news(state, 1, DELAY).due_ts == gap * MINUTE
    assert with_news(state, 3 * gap * MINUTE, DELAY).due_ts == 3 * gap * MINUTE + DELAY


def test_a_delay_of_more_than_a_day_is_the_gap() -> None:
    delay = 2 * limits.digest_gap_ms_max
    assert with_news(mailed(NEVER, 0, 0, delay), 1, delay).due_ts == 1 + delay


def test_reading_makes_the_gaps_short_again() -> None:
    state = with_news(after_mails(3), 1, DELAY)
    assert while_reading(state, 100, DELAY) == replace(state, mails=0, due_ts=100 + DELAY)
    assert while_reading(after_mails(3), 100, DELAY).due_ts == 0


def test_a_mail_tells_of_all_before_it_and_what_came_meanwhile_waits() -> None:
    state = mailed(replace(NEVER, told=7), 100, 9, DELAY)
    assert (state.told, state.mails, state.last_ts, state.due_ts) == (9, 1, 100, 0)
    assert mailed(replace(NEVER, told=7), 100, 5, DELAY).told == 7
    assert mailed(replace(NEVER, due_ts=50), 100, 9, DELAY).due_ts == 100 + 60 * MINUTE


def test_pushers_that_mail_need_no_address_of_a_gateway() -> None:
    form = PusherForm("email", "Mail", "Mail", "", "en", {})
    assert form_refusal(form) is not None
    assert form_refusal(form, mails=True) is None
    assert form_refusal(replace(form, kind="http"), mails=True) is not None
