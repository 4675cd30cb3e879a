"""What a device publishes about itself."""

from typing import Any

from tests.unit.client.crypto.key_server import ALICE, PICKLE_KEY
from watchword.base.clock import ManualClock
from watchword.client.crypto.account import OwnAccount
from watchword.client.crypto.records import Records
from watchword.client.crypto.signing import is_signed_by

HOUR_MS = 3_600_000


def an_account(clock: ManualClock | None = None) -> OwnAccount:
    return OwnAccount(Records(), ALICE, "A1", PICKLE_KEY, clock or ManualClock())


def body_of(account: OwnAccount) -> Any:
    upload = account.outgoing("1")
    assert upload is not None
    return upload.body


def test_a_new_device_publishes_signed_device_keys() -> None:
    account = an_account()
    keys = body_of(account)["device_keys"]
    assert keys["keys"] == {"ed25519:A1": account.ed25519, "curve25519:A1": account.curve25519}
    assert is_signed_by(keys, ALICE, "A1", account.ed25519)


def test_one_time_keys_are_made_up_to_half_of_what_can_be_held_and_signed() -> None:
    account = an_account()
    account.receive_counts(5, fallback_unused=True)
    keys = body_of(account)["one_time_keys"]
    assert len(keys) == 20
    assert all(is_signed_by(key, ALICE, "A1", account.ed25519) for key in keys.values())


def test_nothing_is_uploaded_when_nothing_is_missing() -> None:
    account = an_account()
    account.receive_counts(0, fallback_unused=False)
    body_of(account)
    assert account.receive_answer("1", 25)
    account.receive_counts(25, fallback_unused=True)
    assert account.outgoing("2") is None


def test_the_same_upload_is_offered_until_it_is_answered() -> None:
    account = an_account()
    account.receive_counts(0, fallback_unused=False)
    first = account.outgoing("1")
    account.receive_counts(0, fallback_unused=False)
    assert account.outgoing("2") is first
    assert account.receive_failure("1")
    again = account.outgoing("3")
    assert again is not None
    assert first is not None
    assert again.body == first.body


def test_an_answer_to_somebody_else_is_not_taken() -> None:
    account = an_account()
    body_of(account)
    assert not account.receive_answer("other", None)
    assert not account.receive_failure("other")


def test_the_fallback_key_says_that_it_is_one() -> None:
    account = an_account()
    account.receive_counts(25, fallback_unused=False)
    (key,) = body_of(account)["fallback_keys"].values()
    assert key["fallback"] is True
    assert is_signed_by(key, ALICE, "A1", account.ed25519)


def test_a_used_fallback_key_is_replaced_but_not_twice_within_an_hour() -> None:
    clock = ManualClock()
    account = an_account(clock)
    account.receive_counts(25, fallback_unused=False)
    body_of(account)
    account.receive_answer("1", None)
    account.receive_counts(25, fallback_unused=False)
    assert account.outgoing("2") is None
    clock.advance(HOUR_MS)
    account.receive_counts(25, fallback_unused=False)
    assert "fallback_keys" in body_of(account)


def test_published_keys_stay_published_after_a_restart() -> None:
    records = Records()
    account = OwnAccount(records, ALICE, "A1", PICKLE_KEY, ManualClock())
    account.receive_counts(0, fallback_unused=False)
    body_of(account)
    account.receive_answer("1", 25)
    rows = {key: value for key, value in records.take().items() if value is not None}
    again = OwnAccount(Records(rows), ALICE, "A1", PICKLE_KEY, ManualClock())
    assert again.ed25519 == account.ed25519
    assert again.outgoing("2") is None


def test_keys_not_yet_published_are_offered_again_after_a_restart() -> None:
    records = Records()
    account = OwnAccount(records, ALICE, "A1", PICKLE_KEY, ManualClock())
    account.receive_counts(0, fallback_unused=False)
    body = body_of(account)
    rows = {key: value for key, value in records.take().items() if value is not None}
    assert body_of(OwnAccount(Records(rows), ALICE, "A1", PICKLE_KEY, ManualClock())) == body
