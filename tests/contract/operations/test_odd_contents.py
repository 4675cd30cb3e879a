"""Rooms hold what other servers and clients like to put there; reading them fails nowhere, and every shape is kept.

Events of every type that somebody here takes apart are sent with contents that are wrong in a few places, by somebody who
may; then everybody reads all there is, and whoever follows the log has caught up without a complaint.
"""

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given, seed
from hypothesis import strategies as st

from tests.contract.operations import generated
from tests.contract.operations.judge import Asked, complaints
from tests.contract.operations.rules import BEYOND, CLIENTS, Rule, rules
from tests.contract.operations.stage import Stage
from tests.contract.operations.world import V3, Cast
from tests.fuzz.inputs import edited_object

_ROOMS = ("hall", "square", "space")
_READERS = ("member", "left", "invited", "owner", "stranger")
_ROOM_ID, _USER, _EVENT = "{room:square}", "{user:member}", "{event:before}"
_RELATION = {"rel_type": "m.thread", "event_id": _EVENT, "is_falling_back": True, "m.in_reply_to": {"event_id": _EVENT}}
_LEVELS = {"users": {"{user:owner}": 100}, "events": {"m.room.name": 50}, "notifications": {"room": 50}, "ban": 50}
_STATE: Mapping[str, dict[str, Any]] = {
    "m.room.name": {"name": "A name"},
    "m.room.topic": {"topic": "A topic", "m.topic": {"m.text": [{"body": "A topic", "mimetype": "text/html"}]}},
    "m.room.avatar": {"url": "mxc://here.example/picture", "info": {"w": 1, "h": 1, "thumbnail_url": "mxc://here.example/x"}},
    "m.room.canonical_alias": {"alias": "{alias:square}", "alt_aliases": ["{alias:square}"]},
    "m.room.join_rules": {"join_rule": "restricted", "allow": [{"type": "m.room_membership", "room_id": _ROOM_ID}]},
    "m.room.history_visibility": {"history_visibility": "shared"},
    "m.room.guest_access": {"guest_access": "can_join"},
    "m.room.encryption": {"algorithm": "m.megolm.v1.aes-sha2", "rotation_period_ms": 1, "rotation_period_msgs": 1},
    "m.room.server_acl": {"allow": ["*"], "deny": ["evil.example"], "allow_ip_literals": True},
    "m.room.tombstone": {"body": "gone", "replacement_room": _ROOM_ID},
    "m.room.pinned_events": {"pinned": [_EVENT]},
    "m.room.power_levels": _LEVELS,
    "m.room.third_party_invite": {
        "display_name": "x",
        "key_validity_url": "https://x/",
        "public_key": "A" * 43,
        "public_keys": [],
    },
    "m.room.retention": {"max_lifetime": 86_400_000, "min_lifetime": 0},
    # Not a right one: it would have to be asked about whatever follows.
    "m.room.policy": {"via": "here.example", "public_keys": {}},
    "m.space.child": {"via": ["here.example"], "order": "a", "suggested": True},
    "m.space.parent": {"via": ["here.example"], "canonical": True},
    "m.policy.rule.user": {"entity": "@spam*:evil.example", "reason": "spam", "recommendation": "m.ban"},
    "m.policy.rule.server": {"entity": "*.evil.example", "recommendation": "m.ban", "hashes": {"sha256": "A" * 43}},
    "org.matrix.msc3401.call.member": {"memberships": [], "focus_active": {}},
    "im.vector.modular.widgets": {"type": "x", "url": "https://x", "data": {}},
}
_MESSAGES: Mapping[str, dict[str, Any]] = {
    "m.room.message": {
        "msgtype": "m.image",
        "body": "words",
        "format": "org.matrix.custom.html",
        "formatted_body": "<b>words</b>",
        "url": "mxc://here.example/picture",
        "info": {"thumbnail_url": "mxc://here.example/x", "mimetype": "image/png"},
        "m.mentions": {"user_ids": [_USER], "room": True},
        "m.relates_to": _RELATION,
        "m.new_content": {"msgtype": "m.text", "body": "other words"},
    },
    "m.reaction": {"m.relates_to": {"rel_type": "m.annotation", "event_id": _EVENT, "key": "👍"}},
    "m.room.encrypted": {"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "x", "session_id": "s", "m.relates_to": _RELATION},
    "m.sticker": {"body": "x", "url": "mxc://here.example/x", "info": {}},
    "m.poll.start": {"m.poll": {"question": {"m.text": [{"body": "?"}]}, "answers": []}, "m.text": [{"body": "?"}]},
    "m.poll.response": {"m.relates_to": {"rel_type": "m.reference", "event_id": _EVENT}, "m.selections": ["a"]},
    "m.call.invite": {"call_id": "c", "version": "1", "lifetime": 60_000, "offer": {"type": "offer", "sdp": "v=0"}},
    "m.room.redaction": {"redacts": "{event:reply}", "reason": "why"},
}
_ACCOUNT: Mapping[str, dict[str, Any]] = {
    "m.direct": {_USER: [_ROOM_ID]},
    "m.ignored_user_list": {"ignored_users": {"{user:stranger}": {}}},
    "m.invite_permission_config": {"default_action": "allow", "blocked_users": ["@x:y"], "allowed_servers": ["*"]},
    "m.identity_server": {"base_url": "https://id.example"},
    "m.secret_storage.default_key": {"key": "k"},
    "m.widgets": {"w": {"content": {}}},
}
_numbers = itertools.count(1)


@st.composite
def _writes(draw: st.DrawFn) -> tuple[str, str, dict[str, Any]]:
    """Method-and-path, with names in braces, and a body."""
    room = draw(st.sampled_from(_ROOMS))
    match draw(st.sampled_from(["state", "state", "message", "message", "account", "room account"])):
        case "state":
            kind = draw(st.sampled_from(sorted(_STATE)))
            key = draw(st.sampled_from(["", "", _ROOM_ID, "{room:hall}", "odd key"])) if kind.startswith("m.space") else ""
            return f"{V3}/rooms/{{room:{room}}}/state/{kind}/{key}", "owner", draw(edited_object([_STATE[kind]]))
        case "message":
            kind = draw(st.sampled_from(sorted(_MESSAGES)))
            path = f"{V3}/rooms/{{room:{room}}}/send/{kind}/odd{next(_numbers)}"
            return path, draw(st.sampled_from(["owner", "member"])), draw(edited_object([_MESSAGES[kind]]))
        case "account":
            kind = draw(st.sampled_from(sorted(_ACCOUNT)))
            return f"{V3}/user/{{user:me}}/account_data/{kind}", "member", draw(edited_object([_ACCOUNT[kind]]))
        case _:
            kind = draw(st.sampled_from(["m.tag", "m.fully_read", "m.marked_unread"]))
            body = draw(edited_object([{"tags": {"u.x": {"order": 0.5}}, "event_id": _EVENT, "unread": True}]))
            return f"{V3}/user/{{user:me}}/rooms/{{room:{room}}}/account_data/{kind}", "member", body


def _reads() -> list[Rule]:
    """Every request of the tables that reads, and those that read although they POST."""
    posts = ("/sync", "/search", "/publicRooms")
    found = [*rules(CLIENTS), *rules(BEYOND)]
    return [rule for rule in found if rule.method == "GET" or rule.target.partition("?")[0].endswith(posts)]


@pytest.mark.parametrize("number", range(1, 5))
def test_whatever_is_in_a_room_everybody_can_go_on_reading(number: int, staged: Callable[..., Stage], cast: Cast) -> None:
    stage, taken = staged(), []

    @seed(number)
    @generated.determined(20 * generated.EXAMPLES)
    @given(_writes())
    def write(wanted: tuple[str, str, dict[str, Any]]) -> None:
        path, role, body = wanted
        me = cast.sessions[role]
        rule = Rule(CLIENTS, 0, "PUT", path, body, {})
        asked, data = rule.target_for(cast, me), generated.Draft((), (), body).body_for(cast, me)
        answer = stage.ask("PUT", asked, data, me.token)
        assert answer.status < 500 or "policy server" in answer.json["error"], (asked, data, answer)
        if answer.status == 200:
            taken.append(f"{role} PUT {asked} {data[:300]!r}")

    write()
    stage.settle()
    wrong = [f"{each}\n    after {taken}" for each in stage.failures.taken()]
    for rule, role in itertools.product(_reads(), _READERS):
        if len(wrong) > 5:
            break
        me = cast.sessions[role]
        target = rule.target_for(cast, me)
        answer = stage.ask(rule.method, target, cast.resolve(rule.body, me), me.token)
        found = [*stage.failures.taken()]
        if answer.status >= 500 and answer.status != 502:
            found.append(f"status {answer.status}")
        elif answer.status < 300 and rule.operation is not None:
            asked = Asked(rule.operation, me, target, b"")
            found += [each for each in complaints(asked, answer, cast) if not each.startswith("tells")]
        wrong += [f"{each}\n    {role} {rule.method} {target}\n    {answer.status} {answer.body[:500]!r}" for each in found]
    assert len(taken) > 40
    assert not wrong, "\n".join(wrong)
