import json
from pathlib import Path
from typing import Any

import pytest

from watchword.base.errors import RemoteProtocolError
from watchword.protocol import signatures, unpadded_base64
from watchword.protocol.events import with_content_hash
from watchword.protocol.room_versions import ROOM_VERSIONS, V1, V2, V3, V7, V8, V12
from watchword.protocol.signatures import SigningKey, VerifyKey

DATA = Path(__file__).parents[2] / "data" / "vectors"
VECTORS = json.loads((DATA / "signing.json").read_text())
EVENTS = json.loads((DATA / "redaction-and-event-ids.json").read_text())["cases"]
KEY = SigningKey(unpadded_base64.decode(VECTORS["seed_unpadded_base64"]), "1")
OTHER_KEY = SigningKey(b"\x01" * 32, "1")


def member(content: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"type": "m.room.member", "sender": "@a:sender.org", "event_id": "$1:event.org", "content": content, **fields}


def test_the_public_key_follows_from_the_seed() -> None:
    assert KEY.verify_key.to_base64() == VECTORS["public_key_unpadded_base64"]
    assert VerifyKey.from_base64("ed25519:1", VECTORS["public_key_unpadded_base64"]) == KEY.verify_key
    assert SigningKey(KEY.export_seed(), "1").verify_key == KEY.verify_key


def test_a_signing_key_does_not_show_its_seed() -> None:
    assert "seed" not in repr(KEY)
    assert not hasattr(KEY, "__dict__")


@pytest.mark.parametrize("case", VECTORS["json"])
def test_json_is_signed_as_in_the_specification(case: dict[str, Any]) -> None:
    signed = signatures.sign_json(case["input"], "domain", KEY)
    assert signed == case["signed"]
    assert signatures.verify_json(signed, "domain", KEY.verify_key)


@pytest.mark.parametrize("case", VECTORS["events_room_version_1"])
def test_events_are_hashed_and_signed_as_in_the_specification(case: dict[str, Any]) -> None:
    signed = signatures.sign_event(with_content_hash(case["input"]), V1, "domain", KEY)
    assert signed == case["signed"]
    assert signatures.verify_event(signed, V1, "domain", KEY.verify_key)


@pytest.mark.parametrize("case", EVENTS, ids=lambda case: f"{case['case']}-{case['room_version']}")
def test_events_of_every_room_version_verify_whole_and_redacted(case: dict[str, Any]) -> None:
    version = ROOM_VERSIONS[case["room_version"]]
    assert signatures.verify_event(case["event"], version, "domain", KEY.verify_key)
    assert signatures.verify_event(case["redacted"], version, "domain", KEY.verify_key)
    assert not signatures.verify_event({**case["event"], "depth": 8}, version, "domain", KEY.verify_key)
    assert not signatures.verify_event(case["event"], version, "domain", OTHER_KEY.verify_key)


def test_unsigned_may_change_and_anything_else_may_not() -> None:
    signed = signatures.sign_json({"a": 1, "unsigned": {"b": 1}}, "domain", KEY)
    assert signatures.verify_json({**signed, "unsigned": {}}, "domain", KEY.verify_key)
    assert not signatures.verify_json({**signed, "a": 2}, "domain", KEY.verify_key)


def test_signing_keeps_the_signatures_that_are_there() -> None:
    signed = signatures.sign_json({"a": 1}, "origin", OTHER_KEY)
    twice = signatures.sign_json(signatures.sign_json(signed, "domain", KEY), "origin", KEY)
    assert signatures.verify_json(twice, "domain", KEY.verify_key)
    assert signatures.signatures_of(twice, "origin").keys() == {"ed25519:1"}
    added = signatures.add_signature(signed, "origin", "ed25519:policy_server", "abc")
    assert signatures.signatures_of(added, "origin") == {
        **signatures.signatures_of(signed, "origin"),
        "ed25519:policy_server": "abc",
    }
    assert signatures.signatures_of(signed, "origin").keys() == {"ed25519:1"}


@pytest.mark.parametrize(
    "found",
    [
        None,
        {},
        [],
        "x",
        {"domain": None},
        {"domain": []},
        {"domain": {"ed25519:1": None}},
        {"domain": {"ed25519:1": ""}},
        {"domain": {"ed25519:1": "not base64!"}},
        {"domain": {"ed25519:1": "A" * 84}},
        {"domain": {"ed25519:1": "A" * 86}},
        {"domain": {"ed25519:2": "A" * 86}},
        {"other": {"ed25519:1": "A" * 86}},
    ],
)
def test_a_missing_or_malformed_signature_is_just_no(found: object) -> None:
    assert not signatures.verify_json({"signatures": found}, "domain", KEY.verify_key)
    event = {"type": "x", "content": {}, "signatures": found}
    assert not signatures.verify_event(event, V12, "domain", KEY.verify_key)


@pytest.mark.parametrize("found", [None, [], "x", {"domain": []}, {"domain": {"ed25519:1": 1}}])
def test_signing_drops_signatures_that_have_no_form(found: object) -> None:
    signed = signatures.sign_json({"a": 1, "signatures": found}, "domain", KEY)
    assert signed == signatures.sign_json({"a": 1}, "domain", KEY)


def test_what_cannot_be_encoded_does_not_verify() -> None:
    broken = {"type": "\ud800", "content": {}, "signatures": {"domain": {"ed25519:1": "A" * 86}}}
    assert not signatures.verify_json(broken, "domain", KEY.verify_key)
    assert not signatures.verify_event(broken, V12, "domain", KEY.verify_key)


def test_an_unsigned_object_does_not_verify() -> None:
    assert not signatures.verify_json({}, "domain", KEY.verify_key)
    assert not signatures.verify_event({}, V12, "domain", KEY.verify_key)


@pytest.mark.parametrize(
    ("key_id", "text"), [("ed25519:1", "AAAA"), ("curve25519:1", "A" * 43), ("ed25519:", "A" * 43), ("ed25519:1", "?")]
)
def test_what_is_no_ed25519_key_is_refused(key_id: str, text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        VerifyKey.from_base64(key_id, text)


def test_verify_keys_compare_by_name_and_value() -> None:
    same = VerifyKey("ed25519:1", KEY.verify_key.public_key)
    assert {KEY.verify_key, same} == {same}
    assert same != VerifyKey("ed25519:2", same.public_key)
    assert same != OTHER_KEY.verify_key
    assert same != "ed25519:1"


def test_floats_in_older_rooms_are_signed_as_they_are_written() -> None:
    event = signatures.sign_event({"type": "m.room.power_levels", "content": {"ban": 50.5}}, V3, "domain", KEY)
    assert b"50.5" in signatures.signable_event(event, V3)
    assert signatures.verify_event(event, V3, "domain", KEY.verify_key)


def test_the_senders_server_must_sign() -> None:
    assert signatures.required_signers(member({"membership": "join"}), V12) == {"sender.org"}


@pytest.mark.parametrize("version", [V1, V2], ids=["1", "2"])
def test_the_server_that_named_the_event_must_sign_before_version_3(version: Any) -> None:
    assert signatures.required_signers(member({"membership": "join"}), version) == {"sender.org", "event.org"}


def test_the_authorising_users_server_must_sign_a_restricted_join() -> None:
    event = member({"membership": "join", "join_authorised_via_users_server": "@b:resident.org"})
    assert signatures.required_signers(event, V8) == {"sender.org", "resident.org"}
    assert signatures.required_signers(event, V7) == {"sender.org"}


@pytest.mark.parametrize(
    "event",
    [
        member({"membership": "leave", "join_authorised_via_users_server": "@b:resident.org"}),
        member({"membership": "join", "join_authorised_via_users_server": 1}),
        member({"membership": "join", "join_authorised_via_users_server": "@b:resident.org"}, type="m.room.other"),
    ],
)
def test_nobody_authorises_what_is_no_restricted_join(event: dict[str, Any]) -> None:
    assert signatures.required_signers(event, V12) == {"sender.org"}


def test_a_third_party_invite_needs_no_signature_of_the_senders_server() -> None:
    content = {"membership": "invite", "third_party_invite": {"signed": {}}}
    assert signatures.required_signers(member(content), V12) == set()
    assert signatures.required_signers(member(content), V1) == {"event.org"}
    assert signatures.required_signers(member({**content, "membership": "join"}), V12) == {"sender.org"}
