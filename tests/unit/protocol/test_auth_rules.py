from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from watchword.protocol.auth_rules import check_auth, check_auth_events, may_redact
from watchword.protocol.events import Pdu, StateKey
from watchword.protocol.ids import EventId, RoomId, UserId
from watchword.protocol.power_levels import PowerLevels
from watchword.protocol.room_versions import V1, V2, V3, V5, V6, V10, V11, V12, RoomVersion

ALICE, BOB, CAROL = "@alice:hs", "@bob:hs", "@carol:other"
CREATE: StateKey = ("m.room.create", "")


def an_event(
    event_type: str, sender: str, content: Mapping[str, Any] | None = None, state_key: str | None = None, **changes: Any
) -> Pdu:
    pdu = Pdu(
        EventId("$event:hs"),
        RoomId("!room:hs"),
        UserId(sender),
        event_type,
        state_key,
        content or {},
        1,
        1,
        (EventId("$before:hs"),),
        (),
        {},
    )
    return msgspec.structs.replace(pdu, **changes)


def a_create(version: RoomVersion, content: Mapping[str, Any] | None = None, **changes: Any) -> Pdu:
    """The create event of !room:hs, or in version 12 of !create."""
    own: dict[str, Any] = {"creator": ALICE} if version.creator_in_content else {}
    if version.room_id_is_create_hash:
        own_fields: dict[str, Any] = {"event_id": "$create", "room_id": "!create"}
    else:
        own_fields = {"event_id": "$create:hs"}
    given = {"state_key": "", "prev_events": (), **own_fields, **changes}
    return an_event("m.room.create", ALICE, {**own, **(content or {})}, **given)


class ARoom:
    """Alice made it and has 100 (or stands above all), Bob is a member."""

    def __init__(self, version: RoomVersion = V11, create: Mapping[str, Any] | None = None, **levels: Any) -> None:
        self.version = version
        self.create = a_create(version, create)
        users = {} if version.privileged_creators else {ALICE: 100}
        self.state: dict[StateKey, Pdu] = {CREATE: self.create}
        self.put("m.room.power_levels", ALICE, {"users": users, **levels}, "")
        self.put("m.room.member", ALICE, {"membership": "join"}, ALICE)
        self.put("m.room.member", BOB, {"membership": "join"}, BOB)

    def put(self, event_type: str, sender: str, content: Mapping[str, Any], state_key: str) -> None:
        self.state[event_type, state_key] = self.event(event_type, sender, content, state_key)

    def event(
        self, event_type: str, sender: str, content: Mapping[str, Any] | None = None, state_key: str | None = None, **more: Any
    ) -> Pdu:
        return an_event(event_type, sender, content, state_key, **{"room_id": self.create.room_id, **more})

    def refuses(self, event_type: str, sender: str, *rest: Any, **more: Any) -> str | None:
        return check_auth(self.event(event_type, sender, *rest, **more), self.state, self.version)


VERSIONS = [V1, V3, V6, V10, V11, V12]


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.identifier)
def test_a_member_may_send_a_message(version: RoomVersion) -> None:
    assert ARoom(version).refuses("m.room.message", BOB) is None


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.identifier)
def test_a_stranger_may_not_send_a_message(version: RoomVersion) -> None:
    assert ARoom(version).refuses("m.room.message", CAROL) == "The sender is not in the room."


def test_nothing_is_allowed_in_a_room_without_create_event() -> None:
    assert check_auth(an_event("m.room.message", BOB), {}, V11) == "The room has no create event."


def test_nothing_is_allowed_in_another_room() -> None:
    assert ARoom().refuses("m.room.message", BOB, room_id="!other:hs") is not None


def test_a_room_of_version_12_is_named_by_its_create_event() -> None:
    assert ARoom(V12).refuses("m.room.message", BOB, room_id="!other") is not None


def test_a_room_that_does_not_federate_takes_nothing_from_other_servers() -> None:
    room = ARoom(create={"m.federate": False})
    room.put("m.room.member", CAROL, {"membership": "join"}, CAROL)
    assert "does not federate" in str(room.refuses("m.room.message", CAROL))
    assert room.refuses("m.room.message", BOB) is None


def test_federating_is_only_refused_by_false_itself() -> None:
    room = ARoom(create={"m.federate": 0})
    room.put("m.room.member", CAROL, {"membership": "join"}, CAROL)
    assert room.refuses("m.room.message", CAROL) is None


def test_state_needs_its_level() -> None:
    assert "too low" in str(ARoom().refuses("m.room.topic", BOB, {}, ""))


def test_an_event_type_may_need_a_level_of_its_own() -> None:
    room = ARoom(events={"m.room.topic": 0, "m.room.message": 10})
    assert room.refuses("m.room.topic", BOB, {}, "") is None
    assert room.refuses("m.room.message", BOB) is not None


def test_a_state_key_that_is_another_user_is_refused() -> None:
    room = ARoom(state_default=0)
    assert room.refuses("com.example", BOB, {}, ALICE) == "The state key is the ID of another user."
    assert room.refuses("com.example", BOB, {}, BOB) is None
    assert room.refuses("com.example", BOB, {}, "x") is None


def test_a_promise_of_a_third_party_invite_needs_the_level_to_invite() -> None:
    room = ARoom(invite=50, state_default=100)
    assert room.refuses("m.room.third_party_invite", BOB, {}, "token") is not None
    assert room.refuses("m.room.third_party_invite", ALICE, {}, "token") is None


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.identifier)
def test_a_room_may_begin(version: RoomVersion) -> None:
    assert check_auth(a_create(version), {}, version) is None


@pytest.mark.parametrize(
    ("version", "create"),
    [
        (V11, a_create(V11, prev_events=("$x",))),
        (V11, a_create(V11, state_key=None)),
        (V11, a_create(V11, room_id="!room:other")),
        (V11, a_create(V11, {"room_version": "x"})),
        (V11, a_create(V11, {"room_version": []})),
        (V12, a_create(V12, json={"room_id": "!create"})),
        (V12, a_create(V12, {"additional_creators": ALICE})),
        (V12, a_create(V12, {"additional_creators": [5]})),
        (V12, a_create(V12, {"additional_creators": ["alice"]})),
        (V10, a_create(V11)),
    ],
)
def test_a_room_may_not_begin_malformed(version: RoomVersion, create: Pdu) -> None:
    assert check_auth(create, {}, version) is not None


def test_additional_creators_are_user_ids() -> None:
    assert check_auth(a_create(V12, {"additional_creators": [BOB]}), {}, V12) is None


def test_additional_creators_may_do_everything() -> None:
    room = ARoom(V12, {"additional_creators": [BOB]}, state_default=100)
    assert room.refuses("m.room.topic", BOB, {}, "") is None


def test_aliases_are_set_by_their_server_before_version_6() -> None:
    room = ARoom(V5)
    assert room.refuses("m.room.aliases", CAROL, {}, "other") is None
    assert room.refuses("m.room.aliases", CAROL, {}, "hs") is not None
    assert room.refuses("m.room.aliases", CAROL, {}) is not None
    assert ARoom(V6).refuses("m.room.aliases", CAROL, {}, "other") is not None


def test_in_version_2_redactions_of_own_servers_events_are_allowed() -> None:
    room = ARoom(V2)
    assert room.refuses("m.room.redaction", BOB, redacts="$x:hs") is None
    assert room.refuses("m.room.redaction", BOB, redacts="$x:other") is not None
    assert room.refuses("m.room.redaction", BOB) is not None
    assert room.refuses("m.room.redaction", BOB, redacts="$x", event_id="$y") is not None
    assert room.refuses("m.room.redaction", ALICE, redacts="$x:other") is None


def test_from_version_3_on_every_redaction_is_allowed() -> None:
    assert ARoom(V3).refuses("m.room.redaction", BOB, redacts="$x") is None


class TestRedactionTakesEffect:
    LEVELS = PowerLevels.from_content({"users": {ALICE: 50}}, V11)

    def may(self, sender: str, target_sender: str, version: RoomVersion = V11, **changes: Any) -> bool:
        target = an_event("m.room.message", target_sender, event_id="$target:other")
        redaction = an_event("m.room.redaction", sender, redacts="$target:other")
        return may_redact(msgspec.structs.replace(redaction, **changes), target, self.LEVELS, version)

    def test_by_the_level(self) -> None:
        assert self.may(ALICE, CAROL)

    def test_by_the_server(self) -> None:
        assert self.may(BOB, ALICE)

    def test_but_not_by_anyone(self) -> None:
        assert not self.may(CAROL, BOB)

    def test_only_on_the_event_it_names(self) -> None:
        assert not self.may(ALICE, CAROL, redacts=None)

    def test_only_in_its_room(self) -> None:
        assert not self.may(ALICE, CAROL, room_id="!other:hs")

    def test_in_version_2_by_the_servers_of_the_event_ids(self) -> None:
        assert not self.may(BOB, ALICE, V2)
        assert self.may(BOB, ALICE, V2, event_id="$r:other")


class TestAuthEvents:
    def cited(self, room: ARoom, *keys: StateKey) -> list[Pdu]:
        return [msgspec.structs.replace(room.state[key], event_id=EventId(f"$cited{key}")) for key in keys]

    def reason(self, room: ARoom, cited: list[Pdu], **more: Any) -> str | None:
        return check_auth_events(room.event("m.room.message", BOB), cited, room.version, room.create, **more)

    MEMBER: StateKey = ("m.room.member", BOB)
    LEVELS: StateKey = ("m.room.power_levels", "")

    def test_are_create_levels_and_the_sender(self) -> None:
        room = ARoom()
        assert self.reason(room, self.cited(room, CREATE, self.LEVELS, self.MEMBER)) is None

    def test_do_not_include_create_in_version_12(self) -> None:
        room = ARoom(V12)
        assert self.reason(room, self.cited(room, self.LEVELS, self.MEMBER)) is None
        assert self.reason(room, self.cited(room, CREATE, self.LEVELS, self.MEMBER)) is not None

    def test_include_create_before(self) -> None:
        room = ARoom()
        assert "create event is not among" in str(self.reason(room, self.cited(room, self.LEVELS, self.MEMBER)))

    def test_are_not_given_twice(self) -> None:
        room = ARoom()
        assert "same type and state key" in str(self.reason(room, self.cited(room, CREATE, self.MEMBER, self.MEMBER)))

    def test_are_only_those_needed(self) -> None:
        room = ARoom()
        assert "not among those" in str(self.reason(room, self.cited(room, CREATE, ("m.room.member", ALICE))))

    def test_are_state(self) -> None:
        room = ARoom()
        assert self.reason(room, [*self.cited(room, CREATE), room.event("m.room.message", BOB)]) is not None

    def test_are_not_rejected(self) -> None:
        room = ARoom()
        cited = self.cited(room, CREATE, self.MEMBER)
        assert "rejected" in str(self.reason(room, cited, rejected={cited[1].event_id}))

    def test_are_in_the_same_room(self) -> None:
        room = ARoom()
        elsewhere = [msgspec.structs.replace(pdu, room_id=RoomId("!x:hs")) for pdu in self.cited(room, CREATE)]
        assert "another room" in str(self.reason(room, elsewhere))

    def test_of_a_create_event_are_none(self) -> None:
        room = ARoom()
        assert check_auth_events(room.create, [], V11, room.create) is None
        assert check_auth_events(room.create, self.cited(room, self.MEMBER), V11, room.create) is not None

    def test_in_version_12_the_room_id_names_an_accepted_create_event(self) -> None:
        room = ARoom(V12)
        wrong = (
            (msgspec.structs.replace(room.create, event_id=EventId("$other")), ()),
            (msgspec.structs.replace(room.create, type="m.room.name"), ()),
            (room.create, {room.create.event_id}),
        )
        for create, rejected in wrong:
            event = room.event("m.room.message", BOB)
            assert "room ID" in str(check_auth_events(event, [], V12, create, rejected))


def test_flags_not_numbers_decide() -> None:
    unnamed = replace(V11, identifier="unheard-of")
    assert ARoom(unnamed).refuses("m.room.message", BOB) is None
