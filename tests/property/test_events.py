from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from watchword.base.errors import RemoteProtocolError
from watchword.protocol import canonical_json, events, redaction, signatures, stripped_state
from watchword.protocol.event_building import EventDraft, build_event
from watchword.protocol.ids import EventId, RoomId, ServerName, UserId
from watchword.protocol.room_versions import ROOM_VERSIONS, V11, V12, RoomVersion
from watchword.protocol.server_acl import ServerAcl
from watchword.protocol.signatures import SigningKey
from watchword.protocol.space_order import child_order, is_child

KEY = SigningKey(b"\x05" * 32, "k")
SERVER = ServerName("example.org")
TYPES = [
    "m.room.message",
    "m.room.member",
    "m.room.create",
    "m.room.join_rules",
    "m.room.power_levels",
    "m.room.history_visibility",
    "m.room.aliases",
    "m.room.redaction",
]
CONTENT_KEYS = [
    "membership",
    "creator",
    "join_rule",
    "allow",
    "ban",
    "invite",
    "users",
    "aliases",
    "redacts",
    "third_party_invite",
    "signed",
    "join_authorised_via_users_server",
    "history_visibility",
    "body",
    "via",
    "order",
    "deny",
    "allow_ip_literals",
]
EVENT_KEYS = [
    "type",
    "state_key",
    "sender",
    "room_id",
    "event_id",
    "content",
    "origin_server_ts",
    "depth",
    "prev_events",
    "auth_events",
    "hashes",
    "signatures",
    "unsigned",
    "redacts",
    "origin",
    "membership",
    "prev_state",
]

versions = st.sampled_from(list(ROOM_VERSIONS.values()))
words = st.sampled_from([*TYPES, *CONTENT_KEYS, "$" + "a" * 43, "!" + "a" * 43, "@a:b.org", "!a:b.org", ""]) | st.text(
    max_size=5
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(CONTENT_KEYS) | st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=10,
)
clean_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
clean = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | clean_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(clean_text | st.sampled_from(CONTENT_KEYS), inner, max_size=4),
    max_leaves=10,
)
contents = st.dictionaries(st.sampled_from(CONTENT_KEYS) | clean_text, clean, max_size=5)
drafts = st.builds(
    EventDraft,
    st.sampled_from(TYPES),
    st.just(UserId("@a:example.org")),
    st.just(RoomId("!" + "b" * 43)),
    contents,
    st.integers(0, 2**53 - 1),
    st.integers(0, 2**53 - 1),
    st.lists(st.just(EventId("$" + "a" * 43)), max_size=20),
    st.lists(st.just(EventId("$" + "c" * 43)), max_size=10),
    state_key=st.none() | clean_text,
    redacts=st.none() | st.just(EventId("$" + "d" * 43)),
)


@st.composite
def mutilated_events(draw: st.DrawFn) -> Any:
    """A good event with some fields replaced by anything."""
    draft = draw(drafts)
    if draft.type == "m.room.create":
        draft = msgspec.structs.replace(draft, room_id=None)
    raw = dict(build_event(draft, V12, SERVER, KEY).pdu.json)
    for name in draw(st.lists(st.sampled_from(EVENT_KEYS), max_size=3)):
        raw[name] = draw(anything)
    return raw


@given(mutilated_events() | anything | st.dictionaries(st.sampled_from(EVENT_KEYS), anything), versions)
def test_parsing_an_event_never_fails_but_by_refusing(raw: Any, version: RoomVersion) -> None:
    try:
        pdu = events.parse_pdu(raw, version)
    except RemoteProtocolError:
        return
    assert events.event_id_of(pdu.json, version) == pdu.event_id
    signatures.required_signers(pdu.json, version)


@given(mutilated_events(), versions)
def test_judging_hash_signature_and_stripped_state_never_fails(raw: Any, version: RoomVersion) -> None:
    events.content_hash_matches(raw)
    redaction.redact(raw, version)
    stripped_state.strip_all([raw])


@given(anything, st.text(max_size=20))
def test_reading_signatures_acls_and_children_never_fails(value: Any, name: str) -> None:
    signatures.signatures_of({"signatures": value}, name)
    ServerAcl.from_content({"allow": value, "deny": [name, "*" + name]}).allows(name)
    child_order({"order": value}, 0, name)
    is_child({"via": value})


@given(drafts, st.sampled_from([V11, V12]))
def test_redaction_is_idempotent_and_keeps_identity_and_signature(draft: EventDraft, version: RoomVersion) -> None:
    if version is V11 or draft.type != "m.room.create":
        draft = msgspec.structs.replace(draft, room_id=RoomId("!b:example.org") if version is V11 else draft.room_id)
    else:
        draft = msgspec.structs.replace(draft, room_id=None)
    built = build_event(draft, version, SERVER, KEY)
    redacted = redaction.redact(built.pdu.json, version)
    assert redaction.redact(redacted, version) == redacted
    assert events.event_id_of(redacted, version) == built.pdu.event_id
    assert signatures.verify_event(redacted, version, SERVER, KEY.verify_key)
    assert events.parse_pdu(redacted, version).event_id == built.pdu.event_id


@given(st.dictionaries(st.sampled_from(EVENT_KEYS) | clean_text, clean | contents, max_size=8), versions)
def test_redaction_is_idempotent_on_anything(raw: Any, version: RoomVersion) -> None:
    redacted = redaction.redact(raw, version)
    assert redaction.redact(redacted, version) == redacted
    assert signatures.signable_event(redacted, version) == signatures.signable_event(raw, version)


@given(contents, st.sampled_from(["example.org", "a", "é"]))
def test_what_was_signed_verifies_and_what_was_changed_does_not(value: dict[str, Any], server_name: str) -> None:
    signed = signatures.sign_json(value, server_name, KEY)
    assert signatures.verify_json(canonical_json.decode(canonical_json.encode(signed)), server_name, KEY.verify_key)
    assert not signatures.verify_json({**signed, "changed": 1.5}, server_name, KEY.verify_key)
