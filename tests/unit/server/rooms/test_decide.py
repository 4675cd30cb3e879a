"""Decisions of rooms, without a room: a snapshot and a command in, a decision out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from watchword.protocol.auth_state import AuthState
from watchword.protocol.events import Pdu, StateKey
from watchword.protocol.ids import EventId, RoomId, UserId
from watchword.protocol.room_versions import ROOM_VERSIONS, RoomVersion
from watchword.server.rooms import decide
from watchword.server.rooms.commands import ChangeMembership, SendEvent
from watchword.server.rooms.decide import MAX_DEPTH, PREV_EVENTS_MAX, Accepted, AlreadySo, Decision, Draft, Refused

ROOM, ELSEWHERE = RoomId("!room:here.example"), RoomId("!other:here.example")
CREATE = EventId(f"${ROOM[1:]}")
ALICE, BOB, CAROL = (UserId(f"@{name}:here.example") for name in ("alice", "bob", "carol"))
NOW = 1_000
LEVELS = {"users": {ALICE: 100}, "events": {"m.high": 75}, "redact": 50, "invite": 50}


@dataclass
class Members:
    membership: dict[UserId, str]


@dataclass
class Snapshot:
    """A room as decisions see it: ALICE made it."""

    version: RoomVersion
    members: Members
    pdus: dict[StateKey, Pdu]
    extremities: dict[EventId, int] = field(default_factory=lambda: {EventId("$last"): 7})
    room_id: RoomId = ROOM

    @property
    def state(self) -> Mapping[StateKey, EventId]:
        return {key: pdu.event_id for key, pdu in self.pdus.items()}

    @property
    def creators(self) -> frozenset[UserId]:
        return frozenset((ALICE,))

    def auth_state(self) -> AuthState:
        return AuthState.of(self.pdus, self.version)


def an_event(
    kind: str, content: Mapping[str, Any], state_key: str | None = "", sender: UserId = ALICE, room_id: RoomId = ROOM
) -> Pdu:
    # The ID of a room of version 12 is that of its create event.
    event_id = CREATE if kind == "m.room.create" else EventId(f"${kind}{state_key}")
    return Pdu(event_id, room_id, sender, kind, state_key, content, 1, 1, (), (), {}, None)


def a_room(
    version: str = "11", join_rule: str = "invite", levels: Mapping[str, Any] | None = LEVELS, **members: str
) -> Snapshot:
    """A room with ALICE joined, and others as named."""
    found = {ALICE: "join", **{UserId(f"@{name}:here.example"): membership for name, membership in members.items()}}
    creator = {"creator": ALICE} if ROOM_VERSIONS[version].creator_in_content else {}
    events = [
        an_event("m.room.create", {"room_version": version, **creator}, ""),
        an_event("m.room.join_rules", {"join_rule": join_rule}),
        *(an_event("m.room.member", {"membership": membership}, user) for user, membership in found.items()),
    ]
    if levels is not None:
        events.append(an_event("m.room.power_levels", levels))
    return Snapshot(
        ROOM_VERSIONS[version],
        Members(dict(found)),
        {(event.type, event.state_key or ""): event for event in events},
    )


def send(
    room: Snapshot,
    kind: str = "m.room.message",
    content: Mapping[str, Any] | None = None,
    *,
    sender: UserId = ALICE,
    redacted: Pdu | None = None,
    related: decide.Related | None = None,
    **more: Any,
) -> Decision:
    command = SendEvent(ROOM, sender, kind, content or {}, **more)
    return decide.send_event(room, command, NOW, redacted, related or decide.Related())


def change(room: Snapshot, sender: UserId, action: str, target: UserId, **content: Any) -> Decision:
    return decide.change_membership(room, ChangeMembership(ROOM, sender, target, action, content), NOW)


def accepted(decision: Decision) -> Draft:
    assert isinstance(decision, Accepted), decision
    return decision.draft


def refused(decision: Decision) -> tuple[int, str, str]:
    assert isinstance(decision, Refused), decision
    return decision.status, decision.errcode, decision.text


# Sending


def test_a_member_may_send() -> None:
    draft = accepted(send(a_room(bob="join"), content={"body": "hello"}, sender=BOB))
    assert (draft.sender, draft.type, draft.state_key, draft.content) == (BOB, "m.room.message", None, {"body": "hello"})


@pytest.mark.parametrize("membership", ["invite", "leave", "ban", "knock"])
def test_whoever_is_not_joined_may_not_send(membership: str) -> None:
    assert refused(send(a_room(bob=membership), sender=BOB)) == (403, "M_FORBIDDEN", "You are not in this room.")


def test_a_stranger_may_not_send() -> None:
    assert refused(send(a_room(), sender=BOB)) == (403, "M_FORBIDDEN", "You are not in this room.")


def test_the_rules_of_the_room_version_have_the_last_word() -> None:
    status, errcode, text = refused(send(a_room(bob="join"), "m.high", sender=BOB))
    assert (status, errcode) == (403, "M_FORBIDDEN")
    assert text


def test_state_needs_the_level_for_state() -> None:
    assert refused(send(a_room(bob="join"), "m.room.topic", sender=BOB, state_key=""))[:2] == (403, "M_FORBIDDEN")


def test_an_event_is_dated_now() -> None:
    assert accepted(send(a_room())).origin_server_ts == NOW


def test_an_event_is_dated_as_its_command_says() -> None:
    assert accepted(send(a_room(), ts=5)).origin_server_ts == 5


def test_a_room_is_created_once() -> None:
    assert refused(send(a_room(), "m.room.create", state_key=""))[:2] == (403, "M_FORBIDDEN")


def test_a_message_may_be_called_like_the_create_event_as_far_as_this_goes() -> None:
    decision = send(a_room(), "m.room.create")
    assert not isinstance(decision, Refused) or decision.text != "A room is created once."


# Redacting


def test_ones_own_event_may_be_redacted_without_the_level_for_it() -> None:
    redacted = an_event("m.room.message", {}, None, BOB)
    draft = accepted(send(a_room(bob="join"), "m.room.redaction", sender=BOB, redacted=redacted, redacts=redacted.event_id))
    assert draft.redacts == redacted.event_id


def test_the_events_of_others_need_the_level_for_it() -> None:
    redacted = an_event("m.room.message", {}, None, ALICE)
    decision = send(a_room(bob="join"), "m.room.redaction", sender=BOB, redacted=redacted, redacts=redacted.event_id)
    assert refused(decision)[:2] == (403, "M_FORBIDDEN")


def test_who_has_the_level_may_redact_the_events_of_others() -> None:
    redacted = an_event("m.room.message", {}, None, BOB)
    accepted(send(a_room(bob="join"), "m.room.redaction", redacted=redacted, redacts=redacted.event_id))


def test_an_event_of_another_room_cannot_be_redacted() -> None:
    redacted = an_event("m.room.message", {}, None, ALICE, ELSEWHERE)
    assert refused(send(a_room(), "m.room.redaction", redacted=redacted, redacts=redacted.event_id))[:2] == (404, "M_NOT_FOUND")


def test_an_event_that_is_not_here_may_be_redacted() -> None:
    accepted(send(a_room(), "m.room.redaction", redacts=EventId("$unknown")))


@pytest.mark.parametrize(("version", "expected"), [("10", None), ("11", "$x")])
def test_what_content_says_is_redacted_counts_from_version_11(version: str, expected: str | None) -> None:
    command = SendEvent(ROOM, ALICE, "m.room.redaction", {"redacts": "$x"})
    assert decide.redacted_by(command, ROOM_VERSIONS[version]) == expected


def test_what_the_door_says_is_redacted_goes_before_the_content() -> None:
    command = SendEvent(ROOM, ALICE, "m.room.redaction", {"redacts": "$x"}, redacts=EventId("$y"))
    assert decide.redacted_by(command, ROOM_VERSIONS["11"]) == "$y"


def test_a_redaction_of_no_event_id_redacts_nothing() -> None:
    assert decide.redacted_by(SendEvent(ROOM, ALICE, "m.room.redaction", {"redacts": 5}), ROOM_VERSIONS["11"]) is None


def test_only_redactions_redact() -> None:
    assert decide.redacted_by(SendEvent(ROOM, ALICE, "m.room.message", {"redacts": "$x"}), ROOM_VERSIONS["11"]) is None


# Power levels


@pytest.mark.parametrize("version", ["1", "9", "10", "12"])
@pytest.mark.parametrize("value", ["50", 5.5, True, None, [50]])
@pytest.mark.parametrize("where", ["ban", "users_default", "events", "users", "notifications"])
def test_power_levels_that_are_no_integers_are_refused_in_every_version(version: str, value: object, where: str) -> None:
    content = {where: {"x": value} if where in ("events", "users", "notifications") else value}
    decision = send(a_room(version, levels=None if version == "12" else LEVELS), "m.room.power_levels", content, state_key="")
    assert refused(decision)[:2] == (400, "M_BAD_JSON")


@pytest.mark.parametrize("where", ["events", "users", "notifications"])
def test_lists_of_levels_must_be_objects(where: str) -> None:
    decision = send(a_room(), "m.room.power_levels", {where: [50]}, state_key="")
    assert refused(decision)[:2] == (400, "M_BAD_JSON")


def test_integers_are_good_power_levels() -> None:
    content = {**LEVELS, "ban": 60, "notifications": {"room": 20}}
    assert accepted(send(a_room(), "m.room.power_levels", content, state_key="")).content == content


def test_under_another_state_key_only_the_room_version_rules() -> None:
    levels = {**LEVELS, "ban": "50"}
    accepted(send(a_room("9"), "m.room.power_levels", levels, state_key="other"))
    assert refused(send(a_room("10"), "m.room.power_levels", levels, state_key="other"))[:2] == (403, "M_FORBIDDEN")


def test_creators_of_version_12_cannot_be_given_a_level() -> None:
    room = a_room("12", levels=None)
    assert refused(send(room, "m.room.power_levels", {"users": {ALICE: 100}}, state_key=""))[:2] == (400, "M_BAD_JSON")


def test_others_in_version_12_can_be_given_a_level() -> None:
    accepted(send(a_room("12", levels=None), "m.room.power_levels", {"users": {BOB: 100}}, state_key=""))


# Memberships


def test_whom_a_member_with_the_level_invites_is_invited() -> None:
    draft = accepted(change(a_room(), ALICE, "invite", BOB, reason="why not"))
    assert (draft.type, draft.state_key, draft.content) == ("m.room.member", BOB, {"membership": "invite", "reason": "why not"})


def test_content_cannot_speak_of_another_membership() -> None:
    assert accepted(change(a_room(), ALICE, "invite", BOB, membership="join")).content["membership"] == "invite"


def test_who_has_not_the_level_may_not_invite() -> None:
    assert refused(change(a_room(carol="join"), CAROL, "invite", BOB))[:2] == (403, "M_FORBIDDEN")


@pytest.mark.parametrize("action", ["invite", "kick", "ban", "unban"])
def test_who_is_not_in_the_room_decides_nothing_about_others(action: str) -> None:
    target = "ban" if action == "unban" else "invite"
    assert refused(change(a_room(bob=target), CAROL, action, BOB)) == (403, "M_FORBIDDEN", "You are not in this room.")


@pytest.mark.parametrize(
    ("action", "membership"),
    [
        ("invite", "join"),
        ("invite", "ban"),
        ("kick", "leave"),
        ("kick", "ban"),
        ("unban", "leave"),
        ("unban", "join"),
    ],
)
def test_what_does_not_fit_the_membership_of_the_other_is_refused(action: str, membership: str) -> None:
    assert refused(change(a_room(bob=membership), ALICE, action, BOB))[:2] == (403, "M_FORBIDDEN")


@pytest.mark.parametrize("membership", ["join", "invite", "knock"])
def test_who_is_in_the_room_or_asks_to_be_can_be_kicked(membership: str) -> None:
    room = a_room("11", "knock", bob=membership)
    assert accepted(change(room, ALICE, "kick", BOB)).content == {"membership": "leave"}


def test_the_banned_can_be_unbanned() -> None:
    assert accepted(change(a_room(bob="ban"), ALICE, "unban", BOB)).content == {"membership": "leave"}


@pytest.mark.parametrize("membership", ["join", "invite", "leave", "ban"])
def test_anybody_can_be_banned_whatever_he_is(membership: str) -> None:
    assert accepted(change(a_room(bob=membership), ALICE, "ban", BOB)).content == {"membership": "ban"}


def test_an_invited_user_may_join() -> None:
    assert accepted(change(a_room(bob="invite"), BOB, "join", BOB)).content == {"membership": "join"}


def test_a_banned_user_may_not_join_a_public_room() -> None:
    room = a_room(join_rule="public", bob="ban")
    assert refused(change(room, BOB, "join", BOB)) == (403, "M_FORBIDDEN", "You are banned from this room.")


def test_nobody_may_join_uninvited() -> None:
    assert refused(change(a_room(), BOB, "join", BOB))[:2] == (403, "M_FORBIDDEN")


@pytest.mark.parametrize("membership", ["join", "invite", "knock"])
def test_members_invited_and_knocking_users_may_leave(membership: str) -> None:
    room = a_room("11", "knock", bob=membership)
    assert accepted(change(room, BOB, "leave", BOB)).content == {"membership": "leave"}


@pytest.mark.parametrize("membership", ["leave", "ban"])
def test_who_is_not_in_the_room_may_not_leave(membership: str) -> None:
    assert refused(change(a_room(bob=membership), BOB, "leave", BOB))[:2] == (403, "M_FORBIDDEN")


def test_a_stranger_may_knock_where_the_rule_allows_it() -> None:
    assert accepted(change(a_room(join_rule="knock"), BOB, "knock", BOB)).content == {"membership": "knock"}


def test_a_stranger_may_not_knock_where_the_rule_does_not_allow_it() -> None:
    assert refused(change(a_room(), BOB, "knock", BOB))[:2] == (403, "M_FORBIDDEN")


@pytest.mark.parametrize("membership", ["join", "invite", "ban"])
def test_members_invited_and_banned_users_may_not_knock(membership: str) -> None:
    assert membership in refused(change(a_room("11", "knock", bob=membership), BOB, "knock", BOB))[2]


def test_nobody_knocks_before_version_7() -> None:
    text = refused(change(a_room("6", "knock"), BOB, "knock", BOB))[2]
    assert text == "Rooms of this version do not support knocking."
    accepted(change(a_room("7", "knock"), BOB, "knock", BOB))


# What is so already


@pytest.mark.parametrize(("action", "membership"), [("join", "join"), ("invite", "invite"), ("ban", "ban")])
def test_what_is_so_already_is_told_by_the_event_that_made_it_so(action: str, membership: str) -> None:
    command = ChangeMembership(ROOM, ALICE, BOB, action)
    assert decide.already_so(a_room(bob=membership), command) == AlreadySo(EventId(f"$m.room.member{BOB}"))


@pytest.mark.parametrize(
    ("action", "membership"),
    [("join", "invite"), ("invite", "join"), ("kick", "leave"), ("leave", "leave"), ("knock", "knock")],
)
def test_what_is_not_so_yet_must_be_decided(action: str, membership: str) -> None:
    assert decide.already_so(a_room(bob=membership), ChangeMembership(ROOM, ALICE, BOB, action)) is None


@pytest.mark.parametrize(
    ("current", "is_same"),
    [
        (an_event("m.x", {"a": 1}), True),
        (None, False),
        (an_event("m.x", {"a": 1}, sender=BOB), False),
        (an_event("m.x", {"a": 2}), False),
        (an_event("m.x", {"a": True}), False),
    ],
)
def test_state_is_set_already_if_its_sender_said_the_very_same_there_last(current: Pdu | None, is_same: bool) -> None:
    done = decide.already_set(current, SendEvent(ROOM, ALICE, "m.x", {"a": 1}, ""))
    assert done == (AlreadySo(EventId("$m.x")) if is_same else None)


# The place in the room


def test_an_event_comes_after_the_last() -> None:
    draft = accepted(send(a_room()))
    assert (draft.prev_events, draft.depth) == (("$last",), 8)


def test_an_event_joins_all_ends_of_the_room() -> None:
    room = a_room()
    room.extremities = {EventId("$a"): 3, EventId("$b"): 9}
    draft = accepted(send(room))
    assert (set(draft.prev_events), draft.depth) == ({"$a", "$b"}, 10)


def test_of_very_many_ends_the_deepest_are_cited() -> None:
    room = a_room()
    room.extremities = {EventId(f"${depth:02}"): depth for depth in range(PREV_EVENTS_MAX + 5)}
    draft = accepted(send(room))
    assert list(draft.prev_events) == [f"${depth:02}" for depth in range(PREV_EVENTS_MAX + 4, 4, -1)]


def test_depth_ends_where_integers_end() -> None:
    room = a_room()
    room.extremities = {EventId("$deep"): MAX_DEPTH}
    assert accepted(send(room)).depth == MAX_DEPTH


def test_the_first_event_has_depth_one_and_cites_nothing() -> None:
    room = a_room()
    room.extremities, room.pdus = {}, {}
    draft = decide.draft_event(room, SendEvent(ROOM, ALICE, "m.room.create", {}, ""), NOW)
    assert (draft.depth, draft.prev_events, draft.auth_events) == (1, (), ())


def test_a_message_cites_what_allows_it() -> None:
    draft = accepted(send(a_room(bob="join"), sender=BOB))
    assert set(draft.auth_events) == {CREATE, "$m.room.power_levels", f"$m.room.member{BOB}"}


def test_in_version_12_nobody_cites_the_create_event() -> None:
    draft = accepted(send(a_room("12", levels={"users": {BOB: 50}})))
    assert set(draft.auth_events) == {"$m.room.power_levels", f"$m.room.member{ALICE}"}


# Relations


def test_the_same_annotation_again_is_refused() -> None:
    content = {"m.relates_to": {"rel_type": "m.annotation", "event_id": "$x", "key": "+"}}
    again = send(a_room(), "m.reaction", content, related=decide.Related(is_annotated=True))
    assert refused(again)[:2] == (400, "M_DUPLICATE_ANNOTATION")
    accepted(send(a_room(), "m.reaction", content, related=decide.Related()))


@pytest.mark.parametrize(("rel_type", "refusals"), [("m.thread", 1), ("m.reference", 0)])
def test_no_thread_begins_at_an_event_that_relates_to_another(rel_type: str, refusals: int) -> None:
    target = an_event("m.room.message", {"m.relates_to": {"rel_type": "m.thread", "event_id": "$root"}}, None)
    content = {"m.relates_to": {"rel_type": rel_type, "event_id": target.event_id}}
    decision = send(a_room(), content=content, related=decide.Related(target))
    assert isinstance(decision, Refused) == bool(refusals)
    if isinstance(decision, Refused):
        assert (decision.status, decision.errcode) == (400, "M_UNKNOWN")


def test_a_thread_may_begin_at_a_plain_event_and_events_of_other_rooms_do_not_matter() -> None:
    content = {"m.relates_to": {"rel_type": "m.thread", "event_id": "$x"}}
    plain = an_event("m.room.message", {"body": "root"}, None)
    accepted(send(a_room(), content=content, related=decide.Related(plain)))
    related = {"m.relates_to": {"rel_type": "m.reference", "event_id": "$y"}}
    elsewhere = an_event("m.room.message", related, None, room_id=ELSEWHERE)
    accepted(send(a_room(), content=content, related=decide.Related(elsewhere)))


@pytest.mark.parametrize(
    ("content", "sender", "expected"),
    [
        ({"membership": "ban", "redact_events": True}, ALICE, True),
        ({"membership": "leave", "org.matrix.msc4293.redact_events": True}, ALICE, True),
        ({"membership": "ban"}, ALICE, False),
        ({"membership": "ban", "redact_events": "true"}, ALICE, False),
        ({"membership": "join", "redact_events": True}, ALICE, False),
        ({"membership": "leave", "redact_events": True}, BOB, False),
        ({"membership": "ban", "redact_events": True}, CAROL, False),
    ],
)
def test_a_kick_or_ban_by_who_may_redact_takes_all_with_it(content: dict[str, Any], sender: UserId, expected: bool) -> None:
    pdu = an_event("m.room.member", content, BOB, sender)
    levels = a_room(levels={"users": {ALICE: 50}}).auth_state().power_levels
    assert decide.redacts_events(pdu, levels) is expected


def test_the_level_for_redactions_counts_too() -> None:
    pdu = an_event("m.room.member", {"membership": "ban", "redact_events": True}, BOB)
    levels = a_room(levels={"users": {ALICE: 50}, "events": {"m.room.redaction": 60}}).auth_state().power_levels
    assert decide.redacts_events(pdu, levels) is False
