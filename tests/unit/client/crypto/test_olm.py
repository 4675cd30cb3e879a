"""Olm channels: sessions, and what a payload must prove."""

from typing import Any

import msgspec
import pytest
import vodozemac

from tests.unit.client.crypto.key_server import ALICE, BOB, KeyServer, TestDevice, a_device
from watchword.base.clock import ManualClock
from watchword.base.errors import RemoteProtocolError
from watchword.client.crypto.devices import Device
from watchword.client.crypto.olm import OlmWedged
from watchword.protocol.unpadded_base64 import encode


class Pair:
    """Alice and Bob, who know each other's devices; Alice has a channel to Bob."""

    def __init__(self) -> None:
        self.server = KeyServer()
        self.clock = ManualClock()
        self.alice = a_device(self.server, ALICE, "A1", self.clock)
        self.bob = a_device(self.server, BOB, "B1", self.clock)
        for device, other in ((self.alice, BOB), (self.bob, ALICE)):
            device.machine.devices.track([other])
            device.settle()

    def device(self, of: TestDevice, user_id: str, device_id: str) -> Device:
        device = of.machine.devices.device(user_id, device_id)
        assert device is not None
        return device

    def begin(self) -> bool:
        claimed = self.server.claim({BOB: {"B1": "signed_curve25519"}})["one_time_keys"].get(BOB, {}).get("B1", {})
        return self.alice.machine.channels.begin(self.device(self.alice, BOB, "B1"), claimed)

    def encrypt(self, n: int) -> dict[str, Any]:
        own = self.alice.machine.account.device_keys()
        return self.alice.machine.channels.encrypt(self.device(self.alice, BOB, "B1"), "m.x", {"n": n}, own)


@pytest.fixture
def pair() -> Pair:
    return Pair()


def forged(pair: Pair, **changes: Any) -> dict[str, Any]:
    """An Olm event of Alice whose plaintext says what we want."""
    account, bob = pair.alice.machine.account, pair.bob.machine.account
    payload = {
        "type": "m.x",
        "content": {},
        "sender": ALICE,
        "recipient": BOB,
        "recipient_keys": {"ed25519": bob.ed25519},
        "keys": {"ed25519": account.ed25519},
        **changes,
    }
    ((_, key),) = pair.server.claim({BOB: {"B1": ""}})["one_time_keys"][BOB]["B1"].items()
    one_time_key = vodozemac.Curve25519PublicKey.from_base64(key["key"])
    identity_key = vodozemac.Curve25519PublicKey.from_base64(bob.curve25519)
    session = account.olm.create_outbound_session(identity_key, one_time_key)
    message_type, body = session.encrypt(msgspec.json.encode(payload)).to_parts()
    ciphertext = {bob.curve25519: {"type": message_type, "body": encode(body)}}
    return {"algorithm": "m.olm.v1.curve25519-aes-sha2", "sender_key": account.curve25519, "ciphertext": ciphertext}


def test_messages_arrive_in_any_order(pair: Pair) -> None:
    assert pair.begin()
    messages = [pair.encrypt(n) for n in range(3)]
    found = [pair.bob.machine.channels.decrypt(ALICE, messages[n]).content["n"] for n in (2, 0, 1)]
    assert found == [2, 0, 1]


def test_a_repeated_message_opens_nothing(pair: Pair) -> None:
    pair.begin()
    message = pair.encrypt(1)
    pair.bob.machine.channels.decrypt(ALICE, message)
    with pytest.raises(OlmWedged):
        pair.bob.machine.channels.decrypt(ALICE, message)


def test_of_several_sessions_the_last_begun_or_heard_from_is_used(pair: Pair) -> None:
    for n in range(12):
        pair.clock.advance(1)
        pair.begin()
        opened = pair.bob.machine.channels.decrypt(ALICE, pair.encrypt(n))
        assert opened.content == {"n": n}
    row = pair.bob.machine.channels._peers.get(pair.alice.machine.account.curve25519)
    assert row is not None
    assert len(row.sessions) == 8, "the oldest are dropped"
    assert [session.used_ts for session in row.sessions] == sorted((s.used_ts for s in row.sessions), reverse=True)


def test_a_claimed_key_that_the_device_has_not_signed_makes_no_session(pair: Pair) -> None:
    key = pair.server.claim({BOB: {"B1": ""}})["one_time_keys"][BOB]["B1"]
    ((key_id, value),) = key.items()
    device = pair.device(pair.alice, BOB, "B1")
    other = vodozemac.Account().curve25519_key.to_base64()
    for bad in ({key_id: {**value, "key": other}}, {key_id: {"key": value["key"]}}, {"x:y": value}, {key_id: None}, {}):
        assert not pair.alice.machine.channels.begin(device, bad)
    assert not pair.alice.machine.channels.has_session(device.curve25519)
    assert not pair.alice.machine.channels.may_claim(device.curve25519)
    pair.clock.advance(600_000)
    assert pair.alice.machine.channels.may_claim(device.curve25519)


def test_what_the_plaintext_claims_is_accepted_when_it_fits(pair: Pair) -> None:
    event = pair.bob.machine.channels.decrypt(ALICE, forged(pair))
    assert event.device is not None
    assert event.device.device_id == "A1"


@pytest.mark.parametrize(
    "changes",
    [
        {"sender": "@mallory:x"},
        {"sender": None},
        {"recipient": ALICE},
        {"recipient_keys": {"ed25519": "other"}},
        {"recipient_keys": {}},
        {"keys": {"ed25519": vodozemac.Account().ed25519_key.to_base64()}},
        {"keys": {}},
        {"type": 5},
        {"content": []},
        {"sender_device_keys": 5},
        {"sender_device_keys": {}},
        {"sender_device_keys": {"device_id": "A1", "user_id": ALICE, "keys": {}}},
    ],
)
def test_what_the_plaintext_claims_must_fit_its_envelope(pair: Pair, changes: dict[str, Any]) -> None:
    with pytest.raises(RemoteProtocolError):
        pair.bob.machine.channels.decrypt(ALICE, forged(pair, **changes))


def test_device_keys_of_another_device_in_the_plaintext_are_refused(pair: Pair) -> None:
    other = a_device(pair.server, ALICE, "A2").machine.account.device_keys()
    with pytest.raises(RemoteProtocolError):
        pair.bob.machine.channels.decrypt(ALICE, forged(pair, sender_device_keys=other))


def test_an_unknown_device_is_known_by_the_keys_that_the_plaintext_proves() -> None:
    server = KeyServer()
    alice, bob = a_device(server, ALICE, "A1"), a_device(server, BOB, "B1")
    alice.encrypt("x", ALICE, BOB)
    (message,) = server.to_device[(BOB, "B1")]
    event = bob.machine.channels.decrypt(ALICE, message["content"])
    assert event.device is not None
    assert event.device.device_id == "A1"


def test_a_message_for_another_device_is_not_ours(pair: Pair) -> None:
    pair.begin()
    with pytest.raises(RemoteProtocolError):
        a_device(pair.server, BOB, "B2").machine.channels.decrypt(ALICE, pair.encrypt(1))


def test_a_peer_is_told_once_until_it_can_be_reached(pair: Pair) -> None:
    channels, key = pair.alice.machine.channels, pair.bob.machine.account.curve25519
    assert [channels.tell_no_olm(key), channels.tell_no_olm(key)] == [True, False]
    pair.begin()
    assert channels.tell_no_olm(key)


def test_a_replacement_is_begun_once_an_hour(pair: Pair) -> None:
    channels, key = pair.alice.machine.channels, pair.bob.machine.account.curve25519
    assert channels.may_unwedge(key)
    channels.note_unwedged(key)
    assert not channels.may_unwedge(key)
    pair.clock.advance(3_600_000)
    assert channels.may_unwedge(key)
