"""Memberships of local users: what is done here, and what goes through other servers."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from tests.unit.server.rooms.stacks import Stack
from tests.unit.server.rooms.world import ALICE, BOB, CAROL, EVE, HERE, World
from watchword.base.errors import BadRequest, Forbidden, NotFound
from watchword.protocol.ids import RoomId, ServerName, UserId
from watchword.server.rooms.commands import ChangeMembership
from watchword.server.rooms.membership import VIA_MAX, reason_of

ELSEWHERE = RoomId("!room:there.example")


def change(action: str, room_id: RoomId, sender: UserId, target: UserId | None = None, **content: Any) -> ChangeMembership:
    return ChangeMembership(room_id, sender, target or sender, action, content)


async def member(world: World, room_id: RoomId, user_id: UserId) -> Mapping[str, Any]:
    room = await world.reader.room(room_id)
    assert room is not None
    event_id = room.state[("m.room.member", user_id)]
    return (await world.reader.found((event_id,)))[event_id].pdu.content


def asked(world: World) -> list[tuple[str, Any]]:
    return world.nobody.asked


# Resolving


async def test_a_room_id_stands_for_itself(world: World) -> None:
    assert await world.membership.resolve(ELSEWHERE) == (ELSEWHERE, ())


async def test_a_local_alias_stands_for_its_room_through_this_server(world: World) -> None:
    room_id = await world.room(room_alias_name="lobby")
    assert await world.membership.resolve("#lobby:here.example") == (room_id, [HERE])


@pytest.mark.parametrize("alias", ["#lobby:here.example", "#lobby:there.example"])
async def test_an_alias_that_nobody_knows_is_not_found(world: World, alias: str) -> None:
    with pytest.raises(NotFound):
        await world.membership.resolve(alias)


# Joining


async def servers_asked_to_join(world: World, room_id: RoomId, via: Sequence[str]) -> Any:
    with pytest.raises(NotFound):
        await world.membership.join(change("join", room_id, BOB), [ServerName(name) for name in via])
    return asked(world)[-1][1] if asked(world) else None


async def test_the_servers_named_are_asked_first_then_that_of_the_room_id(world: World) -> None:
    assert await servers_asked_to_join(world, ELSEWHERE, ["one.example"]) == ["one.example", "there.example"]


async def test_a_server_is_asked_once(world: World) -> None:
    assert await servers_asked_to_join(world, ELSEWHERE, ["there.example", "there.example"]) == ["there.example"]


async def test_this_server_never_asks_itself(world: World) -> None:
    assert await servers_asked_to_join(world, ELSEWHERE, [HERE]) == ["there.example"]


async def test_a_room_id_without_a_server_needs_a_server_named(world: World) -> None:
    assert await servers_asked_to_join(world, RoomId("!" + "a" * 43), []) is None
    assert await servers_asked_to_join(world, RoomId("!" + "a" * 43), ["one.example"]) == ["one.example"]


async def test_very_many_servers_are_not_all_asked(world: World) -> None:
    via = [f"s{number}.example" for number in range(VIA_MAX + 5)]
    assert await servers_asked_to_join(world, ELSEWHERE, via) == via[:VIA_MAX]


async def test_a_room_that_everybody_left_is_joined_through_other_servers(world: World) -> None:
    room_id = await world.public_room()
    await world.leave(ALICE, room_id)
    assert await servers_asked_to_join(world, room_id, ["one.example"]) == ["one.example"]


async def test_content_of_the_command_beats_the_profile(world: World) -> None:
    await world.ask(BOB, "PUT", f"profile/{BOB}/displayname", {"displayname": "Bob"})
    room_id = await world.public_room()
    await world.membership.join(change("join", room_id, BOB, displayname="Robert"), ())
    assert (await member(world, room_id, BOB))["displayname"] == "Robert"


# Restricted rooms


async def a_restricted_room(world: World, *rooms: RoomId, **override: Any) -> RoomId:
    allow = [{"type": "m.room_membership", "room_id": room_id} for room_id in rooms]
    rule = {"join_rule": "restricted", "allow": allow}
    return await world.room(
        room_version="11",
        initial_state=[{"type": "m.room.join_rules", "content": rule}],
        power_level_content_override=override,
    )


async def test_a_local_user_who_may_invite_vouches_for_who_meets_the_conditions(world: World) -> None:
    space = await world.public_room(BOB)
    room_id = await a_restricted_room(world, space)
    await world.membership.join(change("join", room_id, BOB), ())
    assert await member(world, room_id, BOB) == {"membership": "join", "join_authorised_via_users_server": ALICE}


async def test_who_meets_no_condition_is_refused(world: World) -> None:
    room_id = await a_restricted_room(world, await world.public_room())
    with pytest.raises(Forbidden):
        await world.membership.join(change("join", room_id, BOB), ())


async def test_conditions_that_only_other_servers_know_are_nobodys_where_there_is_no_other_server(world: World) -> None:
    room_id = await a_restricted_room(world, ELSEWHERE)
    with pytest.raises(Forbidden):
        await world.membership.join(change("join", room_id, BOB), ())
    assert asked(world) == []


async def test_an_invited_user_meets_no_conditions_and_joins(world: World) -> None:
    room_id = await a_restricted_room(world)
    await world.invite(ALICE, room_id, BOB)
    await world.membership.join(change("join", room_id, BOB), ())
    assert "join_authorised_via_users_server" not in await member(world, room_id, BOB)


# Inviting


async def test_an_invite_carries_the_profile_of_who_is_invited(world: World) -> None:
    await world.ask(BOB, "PUT", f"profile/{BOB}/displayname", {"displayname": "Bob"})
    room_id = await world.room()
    await world.membership.invite(change("invite", room_id, ALICE, BOB, reason="come"))
    assert await member(world, room_id, BOB) == {"membership": "invite", "displayname": "Bob", "reason": "come"}


async def test_a_user_of_another_server_is_invited_through_it(world: World) -> None:
    command = change("invite", await world.room(), ALICE, EVE)
    assert await world.membership.invite(command) == "$remote"
    assert asked(world) == [("invite", command)]


async def test_nobody_of_another_server_is_invited_from_outside(world: World) -> None:
    with pytest.raises(Forbidden):
        await world.membership.invite(change("invite", ELSEWHERE, ALICE, EVE))
    assert asked(world) == []


# Leaving


async def test_an_invite_to_a_room_that_everybody_has_left_is_rejected_with_nobodys_help(world: World) -> None:
    room_id = await world.room(invite=[BOB])
    await world.leave(ALICE, room_id)
    await world.membership.leave(change("leave", room_id, BOB))
    assert asked(world) == [("leave", [])]


async def test_a_rejected_invite_to_a_room_that_everybody_has_left_is_gone(a: Stack) -> None:
    room_id, anna = await a.create(), a.user("anna")
    await a.change(room_id, "invite", anna)
    await a.change(room_id, "leave", a.user("alice"))
    await a.change(room_id, "leave", anna, user="anna")
    assert await a.membership(room_id, anna) == "leave"


async def test_a_stranger_does_not_leave_a_room_elsewhere(world: World) -> None:
    with pytest.raises(Forbidden):
        await world.membership.leave(change("leave", ELSEWHERE, BOB))


async def test_the_banned_stay_banned_when_they_leave(world: World) -> None:
    room_id = await world.public_room(BOB)
    await world.writer.change_membership(change("ban", room_id, ALICE, BOB))
    await world.membership.leave(change("leave", room_id, BOB))
    assert (await member(world, room_id, BOB))["membership"] == "ban"


# Knocking


async def test_a_knock_carries_the_profile(world: World) -> None:
    await world.ask(CAROL, "PUT", f"profile/{CAROL}/displayname", {"displayname": "Carol"})
    room_id = await world.room(initial_state=[{"type": "m.room.join_rules", "content": {"join_rule": "knock"}}])
    await world.membership.knock(change("knock", room_id, CAROL), ())
    assert await member(world, room_id, CAROL) == {"membership": "knock", "displayname": "Carol"}


# Forgetting


async def test_the_banned_may_forget(world: World) -> None:
    room_id = await world.public_room(BOB)
    await world.writer.change_membership(change("ban", room_id, ALICE, BOB))
    await world.membership.forget(room_id, BOB)
    assert (await world.memberships.of(BOB))[room_id].forgotten


async def test_an_invite_after_forgetting_is_remembered(world: World) -> None:
    room_id = await world.public_room(BOB)
    await world.leave(BOB, room_id)
    await world.membership.forget(room_id, BOB)
    await world.invite(ALICE, room_id, BOB)
    row = (await world.memberships.of(BOB))[room_id]
    assert (row.membership, row.forgotten) == ("invite", False)


# Reasons


def test_a_reason_is_optional() -> None:
    assert reason_of({}) == reason_of({"reason": None}) == {}
    assert reason_of({"reason": "x", "other": 1}) == {"reason": "x"}


def test_a_reason_that_is_no_text_is_bad_json() -> None:
    with pytest.raises(BadRequest, match="M_BAD_JSON"):
        reason_of({"reason": 5})
