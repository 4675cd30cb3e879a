"""Device lists: how they are followed, and what of them is not believed."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import vodozemac

from tests.unit.client.crypto.key_server import ALICE, BOB, KeyServer, a_device, with_identity
from watchword.base.clock import ManualClock
from watchword.client.crypto.devices import DeviceBook, Trust, parse_device
from watchword.client.crypto.records import Records
from watchword.client.crypto.requests import DeviceAdded, DeviceRefused
from watchword.client.crypto.signing import signed


class Key:
    """A device's Ed25519 key."""

    def __init__(self, device_id: str) -> None:
        self.account = vodozemac.Account()
        self.key_id = f"ed25519:{device_id}"

    def sign(self, message: bytes) -> str:
        return self.account.sign(message).to_base64()


def device_keys(user_id: str, device_id: str, key: Key | None = None) -> dict[str, Any]:
    key = key or Key(device_id)
    keys = {
        f"ed25519:{device_id}": key.account.ed25519_key.to_base64(),
        f"curve25519:{device_id}": key.account.curve25519_key.to_base64(),
    }
    return signed({"user_id": user_id, "device_id": device_id, "algorithms": ["a"], "keys": keys}, user_id, key)


def a_book(records: Records | None = None) -> DeviceBook:
    return DeviceBook(records or Records(), ALICE, "A1", ManualClock())


def ids(prefix: str = "q") -> Iterator[str]:
    return (f"{prefix}{number}" for number in range(100))


def answer(*devices: dict[str, Any], user_id: str = BOB) -> dict[str, Any]:
    return {"device_keys": {user_id: {device["device_id"]: device for device in devices}}}


def ask(book: DeviceBook, body: dict[str, Any], user_id: str = BOB, prefix: str = "q") -> None:
    book.track([user_id])
    (query,) = book.queries([user_id], ids(prefix))
    assert book.receive_answer(query.request_id, body)


def ask_again(book: DeviceBook, body: dict[str, Any]) -> None:
    book.receive_changes([BOB], [])
    ask(book, body, prefix="r")


# Following


def test_a_tracked_user_is_asked_for_once() -> None:
    book = a_book()
    book.track([BOB])
    (query,) = book.queries([BOB], ids())
    assert book.queries([BOB], ids("other")) == [query]
    book.receive_answer(query.request_id, answer())
    assert book.queries([BOB], ids()) == []


def test_a_change_during_a_query_asks_again_afterwards() -> None:
    book = a_book()
    book.track([BOB])
    (query,) = book.queries([BOB], ids())
    book.receive_changes([BOB], [])
    assert book.queries([BOB], ids("other")) == [query], "never two at once"
    book.receive_answer(query.request_id, answer(device_keys(BOB, "B1")))
    assert [query.users for query in book.queries([BOB], ids("next"))] == [(BOB,)]


def test_an_answer_to_no_question_is_not_taken() -> None:
    book = a_book()
    assert not book.receive_answer("never asked", answer(device_keys(BOB, "B1")))
    assert not book.receive_failure("never asked")
    assert book.devices_of(BOB) == {}


def test_users_that_were_not_asked_for_are_not_taken_from_an_answer() -> None:
    book = a_book()
    ask(book, {**answer(), "device_keys": {BOB: {}, "@eve:x": {"E": device_keys("@eve:x", "E")}}})
    assert book.devices_of("@eve:x") == {}


def test_strangers_are_not_followed_because_they_changed() -> None:
    book = a_book()
    book.receive_changes(["@stranger:x"], ["@other:x"])
    assert book.tracked() == []


def test_a_user_with_whom_no_room_is_shared_is_stale_and_not_followed() -> None:
    book = a_book()
    ask(book, answer())
    book.receive_changes([], [BOB])
    assert book.tracked() == []
    book.track([BOB])
    assert book.unclean([BOB]) == [BOB]


def test_a_user_whose_server_is_silent_is_asked_again_later() -> None:
    clock = ManualClock()
    book = DeviceBook(Records(), ALICE, "A1", clock)
    book.track([BOB])
    (query,) = book.queries([BOB], ids())
    book.receive_answer(query.request_id, {"device_keys": {}, "failures": {"two.test": {}}})
    assert book.queries([BOB], ids()) == []
    clock.advance(10_000)
    (query,) = book.queries([BOB], ids())
    book.receive_failure(query.request_id)
    clock.advance(10_000)
    assert book.queries([BOB], ids()) == []
    book.receive_changes([BOB], [])
    assert len(book.queries([BOB], ids())) == 1, "news that they changed ends the waiting"


def test_a_stale_list_stays_stale_over_a_restart() -> None:
    records = Records()
    book = a_book(records)
    ask(book, answer(device_keys(BOB, "B1")))
    book.receive_changes([BOB], [])
    rows = {key: value for key, value in records.take().items() if value is not None}
    again = a_book(Records(rows))
    assert again.unclean([BOB]) == [BOB]
    assert list(again.devices_of(BOB)) == ["B1"]


def test_many_users_are_asked_for_in_bounded_queries() -> None:
    book = a_book()
    users = [f"@u{number}:x" for number in range(450)]
    book.track(users)
    assert [len(query.users) for query in book.queries(users, ids())] == [200, 200, 50]


# Not believing


def test_a_device_that_is_not_signed_by_itself_is_refused() -> None:
    book = a_book()
    ask(book, answer({**device_keys(BOB, "B1"), "algorithms": ["changed"]}))
    assert book.devices_of(BOB) == {}
    assert isinstance(book.notices[0], DeviceRefused)


def test_one_bad_device_does_not_hide_the_others() -> None:
    book = a_book()
    ask(book, {"device_keys": {BOB: {"B0": None, "B1": device_keys(BOB, "B1"), "B2": {"keys": 5}}}})
    assert list(book.devices_of(BOB)) == ["B1"]


def test_a_device_whose_keys_change_keeps_the_first_ones() -> None:
    book = a_book()
    first = device_keys(BOB, "B1")
    ask(book, answer(first))
    ask_again(book, answer(device_keys(BOB, "B1")))
    device = book.device(BOB, "B1")
    assert device is not None
    assert device.keys == first
    assert DeviceRefused(BOB, "B1", "its identity keys changed") in book.notices


def test_a_new_device_is_told() -> None:
    book = a_book()
    ask(book, answer(device_keys(BOB, "B1")))
    assert book.notices == []
    ask_again(book, answer(device_keys(BOB, "B1b")))
    assert book.notices == [DeviceAdded(BOB, "B1b")]
    assert list(book.devices_of(BOB)) == ["B1b"]


def test_our_own_device_cannot_be_replaced_or_hidden_by_the_server() -> None:
    book = a_book()
    own = device_keys(ALICE, "A1")
    book.pin_own_device(own)
    ask(book, answer(device_keys(ALICE, "A1"), user_id=ALICE), ALICE)
    device = book.device(ALICE, "A1")
    assert device is not None
    assert device.keys == own
    book.receive_changes([ALICE], [])
    ask(book, answer(user_id=ALICE), ALICE, "r")
    assert book.device(ALICE, "A1") == device


@pytest.mark.parametrize(
    "change",
    [
        {"user_id": "@eve:x"},
        {"device_id": "B2"},
        {"keys": {}},
        {"keys": {"ed25519:B1": "AAAA", "curve25519:B1": "AAAA"}},
        {"keys": {"ed25519:B1": 5, "curve25519:B1": []}},
        {"signatures": {}},
    ],
)
def test_device_keys_that_do_not_fit_are_no_device(change: dict[str, Any]) -> None:
    assert parse_device(BOB, "B1", {**device_keys(BOB, "B1"), **change}) is None


def test_the_name_of_a_device_is_read_but_not_signed() -> None:
    device = parse_device(BOB, "B1", {**device_keys(BOB, "B1"), "unsigned": {"device_display_name": "phone"}})
    assert device is not None
    assert device.display_name == "phone"
    assert "unsigned" not in device.keys


def test_an_identity_that_vanishes_is_not_forgotten() -> None:
    server = KeyServer()
    alice, bob = a_device(server, ALICE, "A1"), with_identity(a_device(server, BOB, "B1"))
    alice.encrypt("x", ALICE, BOB)
    del server.cross_signing[BOB]
    server.tell(BOB)
    alice.sync()
    assert alice.machine.devices.identity(BOB) is not None
    assert alice.machine.trust_of(BOB, "B1") is Trust.SIGNED
    del bob


def test_a_self_signing_key_that_the_master_has_not_signed_signs_nothing() -> None:
    server = KeyServer()
    alice, mallory = a_device(server, ALICE, "A1"), with_identity(a_device(server, "@mallory:x", "M1"))
    with_identity(a_device(server, BOB, "B1"))
    forged = copy.deepcopy(server.cross_signing["@mallory:x"]["self_signing_key"])
    forged["user_id"] = BOB
    server.cross_signing[BOB] = {**server.cross_signing[BOB], "self_signing_key": forged}
    alice.encrypt("x", ALICE, BOB)
    identity = alice.machine.devices.identity(BOB)
    assert identity is not None
    assert identity.self_signing is None
    assert alice.machine.trust_of(BOB, "B1") is Trust.UNSIGNED
    del mallory


def test_a_device_named_like_a_cross_signing_key_is_refused() -> None:
    server = KeyServer()
    alice, bob = a_device(server, ALICE, "A1"), with_identity(a_device(server, BOB, "B1"))
    identity = bob.machine.devices.identity(BOB)
    assert identity is not None
    server.devices[BOB][identity.master] = device_keys(BOB, identity.master)
    alice.encrypt("x", ALICE, BOB)
    assert alice.machine.devices.device(BOB, identity.master) is None


def test_marks_of_our_user_outlast_new_answers() -> None:
    book = a_book()
    keys = device_keys(BOB, "B1")
    ask(book, answer(keys))
    book.mark_device(BOB, "B1", "blocked")
    ask_again(book, answer(keys))
    device = book.device(BOB, "B1")
    assert device is not None
    assert book.trust(device) is Trust.BLOCKED
    book.mark_device(BOB, "B1", "verified")
    device = book.device(BOB, "B1")
    assert device is not None
    assert book.trust(device) is Trust.VERIFIED
