from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from watchword.protocol.auth_rules import check_auth
from watchword.protocol.events import Pdu, StateKey
from watchword.protocol.ids import EventId, RoomId, UserId
from watchword.protocol.room_versions import ROOM_VERSIONS, V6, V8, V10, V11, V12, RoomVersion

VECTORS = Path(__file__).parents[2] / "data" / "vectors"

CREATOR, SENDER, TARGET, AUTHORISER = "@creator:hs", "@sender:hs", "@target:hs", "@authoriser:hs"


class Case(NamedTuple):
    room_version: str
    actor: str
    new_membership: str
    join_rule: str
    sender_membership: str
    target_membership: str
    sender_level: str
    target_level: str
    join_authorised_via: str
    expected: str


CASES = [Case(*line.split("\t")) for line in (VECTORS / "auth-membership.tsv").read_text().splitlines()[1:]]


class ARoom:
    def __init__(self, version: RoomVersion, levels: Mapping[str, Any] | None = None) -> None:
        self.version = version
        self.room_id = RoomId("!create" if version.room_id_is_create_hash else "!room:hs")
        self.state: dict[StateKey, Pdu] = {}
        self.put("m.room.create", CREATOR, {"creator": CREATOR, "additional_creators": [TARGET]}, "")
        if levels is not None:
            self.put("m.room.power_levels", CREATOR, levels, "")

    def event(
        self, event_type: str, sender: str, content: Mapping[str, Any], state_key: str | None, prev: str = "$before"
    ) -> Pdu:
        event_id = EventId("$create") if event_type == "m.room.create" else EventId("$x")
        sent_by = UserId(sender)
        return Pdu(event_id, self.room_id, sent_by, event_type, state_key, content, 1, 1, (EventId(prev),), (), {})

    def put(self, event_type: str, sender: str, content: Mapping[str, Any], state_key: str) -> None:
        self.state[event_type, state_key] = self.event(event_type, sender, content, state_key)

    def with_member(self, user_id: str, membership: str) -> "ARoom":
        if membership != "-":
            self.put("m.room.member", user_id, {"membership": membership}, user_id)
        return self

    def with_join_rule(self, rule: object) -> "ARoom":
        self.put("m.room.join_rules", CREATOR, {"join_rule": rule}, "")
        return self

    def refuses(self, sender: str, target: str | None, prev: str = "$before", **content: Any) -> str | None:
        return check_auth(self.event("m.room.member", sender, content, target, prev), self.state, self.version)


def decided(case: Case) -> str:
    version = ROOM_VERSIONS[case.room_version]
    target = SENDER if case.actor == "self" else TARGET
    users = {SENDER: int(case.sender_level), target: int(case.target_level)}
    room = ARoom(version, {"users": users, "invite": 50 if "invite=50" in case.actor else 0})
    room.put("m.room.create", CREATOR, {"creator": CREATOR}, "")
    room.with_join_rule(case.join_rule).with_member(SENDER, case.sender_membership).with_member(target, case.target_membership)
    content = {"membership": case.new_membership}
    if case.join_authorised_via != "-":
        room.with_member(AUTHORISER, "join")
        content["join_authorised_via_users_server"] = AUTHORISER
    return "allow" if room.refuses(SENDER, target, **content) is None else "reject"


@pytest.mark.parametrize("version", sorted({case.room_version for case in CASES}))
def test_every_change_of_membership_is_decided_as_everywhere(version: str) -> None:
    cases = [case for case in CASES if case.room_version == version]
    assert cases
    assert [case for case in cases if decided(case) != case.expected] == []


@pytest.mark.parametrize("version", [V6, V11, V12])
def test_the_creator_joins_right_after_the_create_event(version: RoomVersion) -> None:
    room = ARoom(version)
    assert room.refuses(CREATOR, CREATOR, "$create", membership="join") is None
    assert room.refuses(CREATOR, CREATOR, "$later", membership="join") is not None
    assert room.refuses(SENDER, SENDER, "$create", membership="join") is not None


def test_additional_creators_do_not_join_first() -> None:
    assert ARoom(V12).refuses(TARGET, TARGET, "$create", membership="join") is not None


def test_a_member_event_needs_a_state_key() -> None:
    assert ARoom(V11).refuses(SENDER, None, membership="join") == "A member event needs a state key."


@pytest.mark.parametrize("membership", [None, 5, [], {}])
def test_a_membership_is_text(membership: object) -> None:
    assert ARoom(V11).refuses(SENDER, SENDER, membership=membership) == "A member event needs a membership."


def test_an_unknown_membership_is_refused() -> None:
    assert "unknown" in str(ARoom(V11).refuses(SENDER, SENDER, membership="here"))


def test_a_room_without_join_rules_is_for_the_invited() -> None:
    room = ARoom(V11)
    assert room.refuses(SENDER, SENDER, membership="join") == "The sender is not invited."
    assert room.with_member(SENDER, "invite").refuses(SENDER, SENDER, membership="join") is None


@pytest.mark.parametrize("rule", [None, 5, [], "restricted_or_so"])
def test_nobody_joins_by_an_unknown_join_rule(rule: object) -> None:
    room = ARoom(V11).with_join_rule(rule).with_member(SENDER, "invite")
    assert room.refuses(SENDER, SENDER, membership="join") == "The join rule is unknown in this room version."


def test_nobody_knocks_for_someone_else() -> None:
    room = ARoom(V11).with_join_rule("knock").with_member(SENDER, "join")
    assert room.refuses(SENDER, TARGET, membership="knock") == "Nobody can knock for someone else."


def test_a_ban_is_not_lifted_below_the_level_to_ban() -> None:
    room = ARoom(V11, {"users": {SENDER: 50}, "ban": 60}).with_member(SENDER, "join").with_member(TARGET, "ban")
    assert room.refuses(SENDER, TARGET, membership="leave") == "The sender's power level is too low to lift a ban."


class TestRestrictedJoin:
    def reason(self, authoriser: object, membership: str = "join", version: RoomVersion = V10) -> str | None:
        room = ARoom(version, {"invite": 50, "users": {CREATOR: 100}}).with_join_rule("restricted")
        room.with_member(CREATOR, membership).with_member(TARGET, "join")
        return room.refuses(SENDER, SENDER, membership="join", join_authorised_via_users_server=authoriser)

    def test_is_authorised_by_who_may_invite(self) -> None:
        assert self.reason(CREATOR) is None

    def test_is_not_authorised_by_who_may_not_invite(self) -> None:
        assert "may not invite" in str(self.reason(TARGET))

    def test_is_not_authorised_by_who_has_left(self) -> None:
        assert "not in the room" in str(self.reason(CREATOR, "leave"))

    @pytest.mark.parametrize("authoriser", [None, 5, [], {}])
    def test_is_not_authorised_by_nonsense(self, authoriser: object) -> None:
        assert self.reason(authoriser) == "join_authorised_via_users_server is not a user ID."

    def test_needs_someone_to_authorise_it(self) -> None:
        room = ARoom(V8, {}).with_join_rule("restricted")
        assert "nobody" in str(room.refuses(SENDER, SENDER, membership="join"))
