from typing import Any

import pytest

from watchword.protocol.event_building import EventDraft, build_event
from watchword.protocol.events import Pdu
from watchword.protocol.ids import RoomId, ServerName, UserId
from watchword.protocol.policy_servers import (
    KEY_ID,
    POLICY,
    POLICY_UNSTABLE,
    PolicyServer,
    needs_signature,
    policy_server_of,
)
from watchword.protocol.room_versions import V11
from watchword.protocol.signatures import SigningKey, sign_event, signatures_of

HERE, VIA = ServerName("here.example"), ServerName("policy.example")
KEY = SigningKey(b"p" * 32, "policy_server")
PUBLIC = KEY.verify_key.to_base64()


def an_event(kind: str = "m.room.message", state_key: str | None = None) -> Pdu:
    room = RoomId("!room:here.example")
    draft = EventDraft(kind, UserId("@me:here.example"), room, {"body": "hi"}, 1, 1, (), (), state_key)
    return build_event(draft, V11, HERE, SigningKey(b"h" * 32, "1")).pdu


def the_server() -> PolicyServer:
    server = policy_server_of(POLICY, {"via": VIA, "public_keys": {"ed25519": PUBLIC}})
    assert server is not None
    return server


@pytest.mark.parametrize(
    ("kind", "content", "is_valid"),
    [
        (POLICY, {"via": VIA, "public_keys": {"ed25519": PUBLIC}}, True),
        (POLICY_UNSTABLE, {"via": VIA, "public_keys": {"ed25519": PUBLIC}}, True),
        (POLICY_UNSTABLE, {"via": VIA, "public_key": PUBLIC}, True),
        (POLICY, {"via": VIA, "public_key": PUBLIC}, False),
        (POLICY, {}, False),
        (POLICY, {"via": VIA}, False),
        (POLICY, {"via": VIA, "public_keys": [PUBLIC]}, False),
        (POLICY, {"via": VIA, "public_keys": {"ed25519": 5}}, False),
        (POLICY, {"via": VIA, "public_keys": {"ed25519": "short"}}, False),
        (POLICY, {"via": 5, "public_keys": {"ed25519": PUBLIC}}, False),
        (POLICY, {"via": "no server", "public_keys": {"ed25519": PUBLIC}}, False),
    ],
)
def test_a_room_names_its_policy_server_with_its_key(kind: str, content: dict[str, Any], is_valid: bool) -> None:
    server = policy_server_of(kind, content)
    assert (server is not None) is is_valid
    assert server is None or (server.via, server.key.key_id, server.is_unstable) == (VIA, KEY_ID, kind == POLICY_UNSTABLE)


def test_its_signature_is_added_to_those_of_others() -> None:
    pdu, server = an_event(), the_server()
    assert not server.has_signed(pdu.json, V11)
    answer: dict[str, Any] = {VIA: dict(signatures_of(sign_event(pdu.json, V11, VIA, KEY), VIA))}
    signed = server.with_signature(pdu.json, answer, V11)
    assert signed is not None
    assert server.has_signed(signed, V11)
    assert signed["signatures"].keys() == {HERE, VIA}


def test_a_policy_server_that_is_the_origin_keeps_the_origins_signature() -> None:
    pdu = an_event()
    server = policy_server_of(POLICY, {"via": HERE, "public_keys": {"ed25519": PUBLIC}})
    assert server is not None
    answer: dict[str, Any] = {HERE: {KEY_ID: signatures_of(sign_event(pdu.json, V11, HERE, KEY), HERE)[KEY_ID]}}
    signed = server.with_signature(pdu.json, answer, V11)
    assert signed is not None
    assert signed["signatures"][HERE].keys() == {"ed25519:1", KEY_ID}


@pytest.mark.parametrize("own", [None, {}, {KEY_ID: "AAAA"}, {KEY_ID: 5}, {"ed25519:1": "AAAA"}, 5])
def test_an_answer_without_a_valid_signature_is_none(own: object) -> None:
    assert the_server().with_signature(an_event().json, {VIA: own}, V11) is None


@pytest.mark.parametrize(
    ("kind", "state_key", "needed"),
    [
        (POLICY, "", False),
        (POLICY_UNSTABLE, "", False),
        (POLICY, "x", True),
        (POLICY, None, True),
        ("m.room.message", None, True),
        ("m.room.member", "@me:here.example", True),
    ],
)
def test_all_events_need_a_signature_but_those_that_set_the_policy_server(
    kind: str, state_key: str | None, needed: bool
) -> None:
    assert needs_signature(an_event(kind, state_key)) is needed
