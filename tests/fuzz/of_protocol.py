"""Targets in `protocol/`: what other servers, clients and rooms say in the words of Matrix."""

import json
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from tests.fuzz.inputs import JUNK, VALUES, edited_bytes, edited_json, edited_object, edited_text
from tests.fuzz.targets import Target
from watchword.base.errors import ProtocolError, Refusal
from watchword.protocol import (
    auth_rules,
    canonical_json,
    events,
    globs,
    ids,
    invite_permission,
    policy_lists,
    policy_servers,
    redaction,
    relations,
    room_topic,
    signatures,
    space_order,
    stripped_state,
    unpadded_base64,
)
from watchword.protocol.ids import UserId
from watchword.protocol.power_levels import PowerLevels
from watchword.protocol.push_conditions import PushContext, PushEvent, compile_condition
from watchword.protocol.push_rule_editing import add_rule
from watchword.protocol.push_rules import KINDS, CompiledRules, RuleSet
from watchword.protocol.room_versions import ROOM_VERSIONS, RoomVersion
from watchword.protocol.server_acl import ServerAcl
from watchword.protocol.signatures import SigningKey

_VECTORS = Path(__file__).parents[1] / "data" / "vectors"
_ME = UserId("@me:here.example")
_KEY = SigningKey(b"f" * 32, "fuzz")
_VERSIONS = st.sampled_from(sorted(ROOM_VERSIONS.values(), key=lambda version: version.identifier))


def _vectors(name: str) -> Any:
    return json.loads((_VECTORS / f"{name}.json").read_text("utf-8"))


_PDUS = [case["event"] for case in _vectors("redaction-and-event-ids")["cases"]]
_CONTENTS = [event["content"] for event in _PDUS] + [
    {"users": {"@a:b": 100}, "events": {"m.room.name": 50}, "ban": 50, "users_default": "0", "notifications": {"room": 50}},
    {"allow": ["*", "*.example.org"], "deny": ["evil.example", "1.2.3.?"], "allow_ip_literals": False},
    {"entity": "@spam*:evil.example", "reason": "spam", "recommendation": "m.ban"},
    {"m.relates_to": {"rel_type": "m.thread", "event_id": "$x", "m.in_reply_to": {"event_id": "$y"}, "key": "👍"}},
    {"m.topic": {"m.text": [{"body": "topic", "mimetype": "text/plain"}]}, "topic": "topic"},
    {"default_action": "block", "allowed_users": ["@a:*"], "blocked_servers": ["*.evil"], "enabled": True},
    {"via": ["here.example"], "public_keys": {"ed25519": "A" * 43}, "order": "abc", "suggested": True},
]


def _canonical(data: bytes) -> None:
    value = canonical_json.decode(data, strict=True)
    again = canonical_json.encode(value)
    assert canonical_json.decode(again) == value
    assert canonical_json.encode(canonical_json.decode(again)) == again


def _lenient(data: bytes) -> None:
    canonical_json.encode(canonical_json.decode(data, strict=False), strict=False)


def _pdu(given: tuple[Any, RoomVersion]) -> None:
    raw, version = given
    pdu = events.parse_pdu(raw, version)
    redacted = redaction.redact(raw, version)
    assert redaction.redact(redacted, version) == redacted
    assert events.event_id_of(raw, version) == pdu.event_id
    events.content_hash_matches(raw)
    signatures.required_signers(raw, version)
    signatures.verify_event(raw, version, pdu.sender.partition(":")[2], _KEY.verify_key)
    signed = signatures.sign_event(raw, version, "here.example", _KEY)
    assert signatures.verify_event(signed, version, "here.example", _KEY.verify_key)
    auth_rules.check_create(pdu, version)
    auth_rules.check_auth(pdu, {}, version)
    stripped_state.strip_dated(pdu)
    relations.is_edit(pdu)
    policy_servers.needs_signature(pdu)


def _content(given: tuple[dict[str, Any], RoomVersion, str]) -> None:
    content, version, text = given
    levels = PowerLevels.from_content(content, version, (_ME,))
    assert isinstance(levels.ban, int)
    ServerAcl.from_content(content).allows(text)
    policy_lists.rule_of("m.policy.rule.user", content)
    policy_servers.policy_server_of("m.room.policy", content)
    relations.relation_of(content)
    relations.replied_to(content)
    relations.thread_root(content)
    relations.annotation_of(_ME, "m.reaction", content)
    room_topic.plain_topic(content)
    invite_permission.InvitePermission.of(content, content).judge(_ME)
    space_order.is_child({"type": "m.space.child", "state_key": "!r", "content": content})


def _identifier(text: str) -> None:
    wrong = 0
    for parse in _PARSERS:
        try:
            found = parse(text)
        except ProtocolError:
            wrong += 1
            continue
        assert found == text
        ids.domain_of(found)
    ids.localpart_from_foreign(text)
    ids.localpart_from_foreign(text, case_preserved=True)
    ids.is_valid_new_localpart(text)
    ids.canonical_email(text)


_PARSERS = (
    ids.parse_server_name,
    ids.parse_user_id,
    ids.parse_room_id,
    ids.parse_event_id,
    ids.parse_room_alias,
    ids.parse_device_id,
    ids.parse_key_id,
    ids.parse_room_version,
)


def _mxc(text: str) -> None:
    server_name, media_id = ids.parse_mxc(text)
    assert text == f"mxc://{server_name}/{media_id}"


def _base64(text: str) -> None:
    for decode, encode in (
        (unpadded_base64.decode, unpadded_base64.encode),
        (unpadded_base64.decode_url, unpadded_base64.encode_url),
    ):
        data = decode(text)
        assert decode(encode(data)) == data


def _glob(given: tuple[list[str], str]) -> None:
    patterns, text = given
    globs.Globs(patterns).match(text)


def _context() -> PushContext:
    return PushContext(_ME, "Me (she)", 3, 0, lambda key: 50)


_RULES = [
    RuleSet.default(_ME).to_json(),
    {
        "override": [{"rule_id": "a", "actions": ["notify"], "enabled": True, "conditions": [{"kind": "event_match"}]}],
        "content": [{"rule_id": "b", "actions": [{"set_tweak": "sound", "value": "x"}], "pattern": "w*rd"}],
        "room": [{"rule_id": "!r:b", "actions": []}],
    },
]
_CONDITIONS = [
    {"kind": "event_match", "key": "content.body", "pattern": "he?lo*"},
    {"kind": "event_property_is", "key": "content.m\\.mentions.room", "value": True},
    {"kind": "event_property_contains", "key": "content.list", "value": "x"},
    {"kind": "room_member_count", "is": ">=2"},
    {"kind": "sender_notification_permission", "key": "room"},
    {"kind": "contains_display_name"},
]
_SEEN = [{**event, "room_id": "!r:b"} for event in _PDUS[:10]]


def _push_rules(given: tuple[Any, Any, Any]) -> None:
    stored, condition, event = given
    rules = RuleSet.from_json(stored if isinstance(stored, dict) else {}, _ME)
    assert RuleSet.from_json(rules.to_json(), _ME) == rules
    seen = PushEvent(event if isinstance(event, dict) else {})
    CompiledRules.of(rules).evaluate(seen, _context())
    compiled = compile_condition(condition)
    if compiled is not None:
        compiled.holds(seen, _context())


def _push_rule_body(given: tuple[str, str, dict[str, Any]]) -> None:
    kind, rule_id, body = given
    rules = add_rule(RuleSet.default(_ME), kind, rule_id, body)
    assert RuleSet.from_json(rules.to_json(), _ME) == rules
    CompiledRules.of(rules).evaluate(PushEvent(_SEEN[0]), _context())


def _signed(given: tuple[dict[str, Any], str]) -> None:
    value, name = given
    signatures.signatures_of(value, name)
    signatures.verify_json(value, name, _KEY.verify_key)
    assert signatures.verify_json(signatures.sign_json(value, name, _KEY), name, _KEY.verify_key)


def _stripped(value: Any) -> None:
    found = stripped_state.strip_all(value if isinstance(value, list) else [value])
    stripped_state.has_create(found)


_IDS = [
    "@alice:example.org",
    "!room:example.org",
    "$event:x",
    "#alias:[::1]:8448",
    "mxc://a.b/c",
    "ed25519:key",
    "12",
    "1.2.3.4",
]
_JSON = [json.dumps(event).encode() for event in _PDUS[:20]] + [b'{"a":1,"b":[1,-5,9007199254740991],"c":"\\ud83d\\ude00"}']

TARGETS = (
    Target("canonical-json", edited_bytes(_JSON), _canonical, (ProtocolError,)),
    Target("canonical-json-of-old-rooms", edited_bytes(_JSON), _lenient, (ProtocolError,)),
    Target("pdu", st.tuples(edited_json(_PDUS), _VERSIONS), _pdu, (ProtocolError,)),
    Target("content", st.tuples(edited_object(_CONTENTS), _VERSIONS, edited_text(_IDS)), _content),
    Target("identifiers", edited_text(_IDS), _identifier),
    Target("mxc", edited_text(["mxc://example.org/abc", "mxc://[::1]:80/A-b_9"]), _mxc, (ProtocolError,)),
    Target("base64", edited_text(["QUJD", "QUI=", "-_-_", "A" * 43]), _base64, (ProtocolError,)),
    Target("globs", st.tuples(st.lists(edited_text(["*.example.org", "a?c", "*"]), max_size=4), edited_text(_IDS)), _glob),
    Target("push-rules", st.tuples(edited_json(_RULES), edited_json(_CONDITIONS), edited_json(_SEEN)), _push_rules),
    Target(
        "push-rule-bodies",
        st.tuples(
            st.sampled_from([*KINDS, "nonsense"]),
            edited_text(["org.example.rule", "!room:b", "@user:b", ".m.rule.master"]),
            edited_object([{"actions": ["notify"], "conditions": _CONDITIONS, "pattern": "x"}]),
        ),
        _push_rule_body,
        (Refusal,),
    ),
    Target("signatures", st.tuples(edited_object(_PDUS), edited_text(["here.example"])), _signed, (ProtocolError,)),
    Target("stripped-state", st.lists(edited_json(_PDUS) | JUNK, max_size=4) | VALUES, _stripped),
)
