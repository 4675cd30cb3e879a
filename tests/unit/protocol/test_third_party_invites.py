from collections.abc import Mapping
from typing import Any

import pytest

from watchword.base import limits
from watchword.protocol import unpadded_base64
from watchword.protocol.auth_rules import check_auth
from watchword.protocol.events import Pdu, StateKey
from watchword.protocol.ids import EventId, RoomId, UserId
from watchword.protocol.room_versions import V11
from watchword.protocol.signatures import SigningKey, sign_json
from watchword.protocol.third_party_invites import public_keys

ALICE, BOB, CAROL = "@alice:hs", "@bob:hs", "@carol:hs"
KEY = SigningKey(b"\x01" * 32, "0")
OTHER_KEY = SigningKey(b"\x02" * 32, "0")


def public(key: SigningKey) -> str:
    return key.verify_key.to_base64()


def an_event(event_type: str, sender: str, content: Mapping[str, Any], state_key: str) -> Pdu:
    prev = (EventId("$p"),)
    return Pdu(EventId("$x"), RoomId("!room:hs"), UserId(sender), event_type, state_key, content, 1, 1, prev, (), {})


def signed(key: SigningKey = KEY, **changes: Any) -> dict[str, Any]:
    return sign_json({"mxid": BOB, "token": "t", **changes}, "identity.example", key)


def reason(
    third_party_invite: object, promise: Mapping[str, Any] | None = None, *, sender: str = ALICE, bob: str = "leave"
) -> str | None:
    """What is said of an invite of Bob by `sender`, after Alice has promised one to who proves the token `t`."""
    state: dict[StateKey, Pdu] = {
        ("m.room.create", ""): an_event("m.room.create", ALICE, {}, ""),
        ("m.room.member", BOB): an_event("m.room.member", BOB, {"membership": bob}, BOB),
        ("m.room.third_party_invite", "t"): an_event(
            "m.room.third_party_invite", ALICE, {"public_key": public(KEY)} if promise is None else promise, "t"
        ),
    }
    content = {"membership": "invite", "third_party_invite": third_party_invite}
    return check_auth(an_event("m.room.member", sender, content, BOB), state, V11)


def test_a_proven_invite_is_allowed() -> None:
    assert reason({"signed": signed()}) is None


def test_a_banned_user_is_not_invited() -> None:
    assert reason({"signed": signed()}, bob="ban") == "The invited user is banned."


@pytest.mark.parametrize("invite", [None, [], {}, {"signed": []}])
def test_an_invite_must_be_signed(invite: object) -> None:
    assert reason(invite) == "The third-party invite is not signed."


@pytest.mark.parametrize("incomplete", [{"mxid": BOB}, {"token": "t"}, {"mxid": BOB, "token": []}])
def test_user_and_token_are_needed(incomplete: object) -> None:
    assert "lacks" in str(reason({"signed": incomplete}))


def test_it_must_be_for_the_invited_user() -> None:
    assert "for another user" in str(reason({"signed": signed(mxid=CAROL)}))


def test_it_must_have_been_promised() -> None:
    assert "no third-party invite" in str(reason({"signed": signed(token="u")}))


def test_it_must_come_from_who_promised_it() -> None:
    assert "another user" in str(reason({"signed": signed()}, sender=CAROL))


def test_any_of_the_listed_keys_will_do() -> None:
    listed = [5, {"public_key": "?"}, {"public_key": public(OTHER_KEY)}, {"public_key": public(KEY)}]
    assert reason({"signed": signed()}, {"public_keys": listed}) is None


@pytest.mark.parametrize(
    "promise",
    [
        {},
        {"public_key": 5},
        {"public_key": "AAAA"},
        {"public_key": "é"},
        {"public_key": public(OTHER_KEY)},
        {"public_keys": {"public_key": public(KEY)}},
    ],
)
def test_without_a_fitting_key_it_is_refused(promise: Mapping[str, Any]) -> None:
    assert reason({"signed": signed()}, promise) == "No signature of the third-party invite is valid."


@pytest.mark.parametrize(
    "signatures",
    [
        None,
        [],
        {"identity.example": []},
        {"identity.example": {"ed25519:0": 5}},
        {"identity.example": {"ed25519:0": "AAAA"}},
        {"identity.example": {"rsa:0": "A" * 86}},
        {"identity.example": {"ed25519:0": "A" * 86}},
    ],
)
def test_a_bad_signature_is_refused(signatures: object) -> None:
    assert reason({"signed": {**signed(), "signatures": signatures}}) is not None


def test_what_cannot_be_signed_is_refused() -> None:
    assert reason({"signed": {**signed(), "x": "\ud800"}}) is not None


def test_both_alphabets_of_base64_are_read() -> None:
    key = bytes(range(220, 252))
    texts = unpadded_base64.encode(key), unpadded_base64.encode_url(key)
    assert texts[0] != texts[1]
    assert [list(public_keys({"public_key": text})) for text in texts] == [[key], [key]]


def test_only_so_many_keys_are_tried() -> None:
    many = [{"public_key": public(OTHER_KEY)}] * limits.third_party_invite_keys_max
    assert reason({"signed": signed()}, {"public_keys": [*many, {"public_key": public(KEY)}]}) is not None
