import pytest

from watchword.protocol.auth_state import AuthState
from watchword.protocol.events import Pdu
from watchword.protocol.ids import EventId, RoomId, UserId
from watchword.protocol.membership import (
    refusal_to_ban,
    refusal_to_invite,
    refusal_to_join,
    refusal_to_kick,
    refusal_to_knock,
    refusal_to_leave,
    refusal_to_unban,
)
from watchword.protocol.power_levels import PowerLevels
from watchword.protocol.room_versions import V6, V11, RoomVersion

ALICE, BOB = UserId("@alice:hs"), UserId("@bob:hs")


def a_state(
    alice: str | None = "join",
    bob: str | None = None,
    *,
    alice_level: int = 50,
    bob_level: int = 0,
    join_rule: str = "invite",
    version: RoomVersion = V11,
    **levels: int,
) -> AuthState:
    rules = Pdu(EventId("$j"), RoomId("!r:hs"), ALICE, "m.room.join_rules", "", {"join_rule": join_rule}, 1, 1, (), (), {})
    power_levels = PowerLevels.from_content({"users": {ALICE: alice_level, BOB: bob_level}, **levels}, version)
    members = {ALICE: alice, BOB: bob}
    return AuthState.build(version, None, None, rules, members.get, lambda _: None, power_levels)


@pytest.mark.parametrize("refusal", [refusal_to_invite, refusal_to_kick, refusal_to_ban, refusal_to_unban])
def test_who_is_not_in_the_room_may_do_nothing(refusal: object) -> None:
    assert callable(refusal)
    assert refusal(a_state("leave", "join"), ALICE, BOB) == "You are not in this room."


@pytest.mark.parametrize("membership", [None, "leave", "invite", "knock"])
def test_who_is_outside_may_be_invited(membership: str | None) -> None:
    assert refusal_to_invite(a_state(bob=membership), ALICE, BOB) is None


def test_who_is_joined_or_banned_is_not_invited() -> None:
    assert refusal_to_invite(a_state(bob="ban"), ALICE, BOB) == "This user is banned from the room."
    assert refusal_to_invite(a_state(bob="join"), ALICE, BOB) == "This user is already in the room."


def test_inviting_needs_its_level() -> None:
    assert refusal_to_invite(a_state(invite=51), ALICE, BOB) == "Your power level is too low to invite."


@pytest.mark.parametrize("membership", ["join", "invite", "knock"])
def test_who_is_in_the_room_may_be_kicked(membership: str) -> None:
    assert refusal_to_kick(a_state(bob=membership), ALICE, BOB) is None


def test_who_is_outside_is_not_kicked() -> None:
    assert refusal_to_kick(a_state(bob="leave"), ALICE, BOB) == "This user is not in the room."


def test_kicking_needs_its_level_and_rank() -> None:
    assert "too low" in str(refusal_to_kick(a_state(bob="join", kick=51), ALICE, BOB))
    assert "not below yours" in str(refusal_to_kick(a_state(bob="join", bob_level=50), ALICE, BOB))


def test_banning_needs_its_level_and_rank() -> None:
    assert refusal_to_ban(a_state(), ALICE, BOB) is None
    assert "too low" in str(refusal_to_ban(a_state(ban=51), ALICE, BOB))
    assert "not below yours" in str(refusal_to_ban(a_state(bob_level=50), ALICE, BOB))


def test_lifting_a_ban_needs_the_levels_of_both_ban_and_kick() -> None:
    assert refusal_to_unban(a_state(bob="ban"), ALICE, BOB) is None
    assert refusal_to_unban(a_state(bob="leave"), ALICE, BOB) == "This user is not banned from the room."
    assert "too low" in str(refusal_to_unban(a_state(bob="ban", ban=51), ALICE, BOB))
    assert "too low" in str(refusal_to_unban(a_state(bob="ban", kick=51), ALICE, BOB))
    assert "not below yours" in str(refusal_to_unban(a_state(bob="ban", bob_level=50), ALICE, BOB))


@pytest.mark.parametrize(
    ("membership", "sentence"),
    [
        ("join", "You are already in this room."),
        ("invite", "You are already invited to this room."),
        ("ban", "You are banned from this room."),
        ("leave", None),
        ("knock", None),
        (None, None),
    ],
)
def test_only_strangers_knock(membership: str | None, sentence: str | None) -> None:
    assert refusal_to_knock(a_state(membership, join_rule="knock"), ALICE) == sentence


def test_knocking_needs_the_join_rule_and_the_room_version() -> None:
    assert refusal_to_knock(a_state(None), ALICE) == "This room does not accept knocks."
    assert refusal_to_knock(a_state(None, join_rule="knock", version=V6), ALICE) is not None


@pytest.mark.parametrize("membership", ["join", "invite", "knock"])
def test_who_is_in_the_room_may_leave(membership: str) -> None:
    assert refusal_to_leave(a_state(membership), ALICE) is None


@pytest.mark.parametrize("membership", [None, "leave", "ban"])
def test_who_is_outside_cannot_leave(membership: str | None) -> None:
    assert refusal_to_leave(a_state(membership), ALICE) == "You are not in this room."


@pytest.mark.parametrize(
    ("membership", "join_rule", "sentence"),
    [
        ("ban", "public", "You are banned from this room."),
        ("invite", "invite", None),
        ("join", "invite", None),
        (None, "public", None),
        (None, "restricted", None),
        (None, "knock", "You are not invited to this room."),
    ],
)
def test_joining_needs_an_invite_or_an_open_door(membership: str | None, join_rule: str, sentence: str | None) -> None:
    assert refusal_to_join(a_state(membership, join_rule=join_rule), ALICE) == sentence
