"""The doors of membership: join, invite, leave, kick, ban, unban, knock, forget."""

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.server.rooms.world import ALICE, BOB, CAROL, EVE, PHONE, World
from watchword.edge.requester import Requester
from watchword.protocol.ids import RoomId, UserId

NOWHERE = RoomId("!nowhere:here.example")
SUSPENDED = replace(Requester(BOB, PHONE, 1), is_suspended=True)
KNOCKING = [{"type": "m.room.join_rules", "content": {"join_rule": "knock"}}]


async def member(world: World, room_id: RoomId, user_id: UserId) -> Any:
    """The member event's content, as ALICE reads it; None if there is none."""
    status, body = await world.tried(ALICE, "GET", f"rooms/{room_id}/state/m.room.member/{user_id}")
    return body if status == 200 else None


async def membership(world: World, room_id: RoomId, user_id: UserId) -> str | None:
    content = await member(world, room_id, user_id)
    return None if content is None else str(content["membership"])


async def act(world: World, who: UserId, action: str, room_id: RoomId, target: UserId, **more: Any) -> Any:
    return await world.ask(who, "POST", f"rooms/{room_id}/{action}", {"user_id": target, **more})


async def refused(world: World, who: UserId, action: str, room_id: RoomId, target: UserId) -> tuple[int, str]:
    return await world.refused(who, "POST", f"rooms/{room_id}/{action}", {"user_id": target})


# Join


@pytest.mark.parametrize("door", ["rooms/{}/join", "join/{}"])
async def test_a_public_room_can_be_joined(world: World, door: str) -> None:
    room_id = await world.public_room()
    assert await world.ask(BOB, "POST", door.format(room_id), {}) == {"room_id": room_id}
    assert await membership(world, room_id, BOB) == "join"


async def test_a_room_can_be_joined_by_its_alias(world: World) -> None:
    room_id = await world.public_room(room_alias_name="lobby")
    assert await world.ask(BOB, "POST", "join/%23lobby:here.example", {}) == {"room_id": room_id}


async def test_an_alias_that_names_nothing_cannot_be_joined(world: World) -> None:
    assert await world.refused(BOB, "POST", "join/%23lobby:here.example", {}) == (404, "M_NOT_FOUND")


async def test_joining_twice_is_joining_once(world: World) -> None:
    room_id = await world.public_room(BOB)
    before = len(await world.timeline(room_id))
    assert await world.ask(BOB, "POST", f"join/{room_id}", {}) == {"room_id": room_id}
    assert len(await world.timeline(room_id)) == before


async def test_an_invited_user_can_join(world: World) -> None:
    room_id = await world.room(invite=[BOB])
    await world.join(BOB, room_id)
    assert await membership(world, room_id, BOB) == "join"


async def test_nobody_joins_a_private_room_uninvited(world: World) -> None:
    room_id = await world.room()
    assert await world.refused(BOB, "POST", f"join/{room_id}", {}) == (403, "M_FORBIDDEN")


async def test_the_banned_cannot_join(world: World) -> None:
    room_id = await world.public_room()
    await act(world, ALICE, "ban", room_id, BOB)
    assert await world.refused(BOB, "POST", f"join/{room_id}", {}) == (403, "M_FORBIDDEN")


async def test_a_room_that_nobody_knows_cannot_be_joined(world: World) -> None:
    assert await world.refused(BOB, "POST", f"join/{NOWHERE}", {}) == (404, "M_NOT_FOUND")


async def test_a_room_elsewhere_is_joined_through_the_servers_named(world: World) -> None:
    path = "join/!room:there.example"
    await world.refused(BOB, "POST", path, {}, via=["one.example", "two.example"], server_name="three.example")
    assert world.nobody.asked == [("join", ["one.example", "two.example", "three.example", "there.example"])]


async def test_a_server_that_is_none_is_invalid(world: World) -> None:
    assert await world.refused(BOB, "POST", f"join/{NOWHERE}", {}, via="a/b") == (400, "M_INVALID_PARAM")


@pytest.mark.parametrize("door", ["join", "knock"])
@pytest.mark.parametrize("name", ["room", "@bob:here.example", "%23alias"])
async def test_what_is_neither_room_nor_alias_is_invalid(world: World, door: str, name: str) -> None:
    assert await world.refused(BOB, "POST", f"{door}/{name}", {}) == (400, "M_INVALID_PARAM")


async def test_a_join_carries_profile_and_reason(world: World) -> None:
    await world.ask(BOB, "PUT", f"profile/{BOB}/displayname", {"displayname": "Bob"})
    room_id = await world.public_room()
    await world.ask(BOB, "POST", f"rooms/{room_id}/join", {"reason": "why not"})
    assert await member(world, room_id, BOB) == {"membership": "join", "displayname": "Bob", "reason": "why not"}


async def test_a_member_of_a_named_room_joins_a_restricted_room(world: World) -> None:
    space = await world.public_room(BOB)
    rule = {"join_rule": "restricted", "allow": [{"type": "m.room_membership", "room_id": space}]}
    room_id = await world.room(initial_state=[{"type": "m.room.join_rules", "content": rule}])
    await world.join(BOB, room_id)
    assert (await member(world, room_id, BOB))["join_authorised_via_users_server"] == ALICE
    assert await world.refused(CAROL, "POST", f"join/{room_id}", {}) == (403, "M_FORBIDDEN")


# Invite


async def test_a_member_may_invite(world: World) -> None:
    room_id = await world.room()
    assert await act(world, ALICE, "invite", room_id, BOB) == {}
    assert await membership(world, room_id, BOB) == "invite"


async def test_inviting_twice_is_inviting_once(world: World) -> None:
    room_id = await world.room(invite=[BOB])
    before = len(await world.timeline(room_id))
    assert await act(world, ALICE, "invite", room_id, BOB) == {}
    assert len(await world.timeline(room_id)) == before


async def test_who_is_joined_cannot_be_invited(world: World) -> None:
    assert await refused(world, ALICE, "invite", await world.public_room(BOB), BOB) == (403, "M_FORBIDDEN")


async def test_who_is_banned_cannot_be_invited(world: World) -> None:
    room_id = await world.room()
    await act(world, ALICE, "ban", room_id, BOB)
    assert await refused(world, ALICE, "invite", room_id, BOB) == (403, "M_FORBIDDEN")


async def test_who_is_not_in_the_room_may_not_invite(world: World) -> None:
    assert await refused(world, BOB, "invite", await world.public_room(), CAROL) == (403, "M_FORBIDDEN")
    assert await refused(world, BOB, "invite", NOWHERE, CAROL) == (403, "M_FORBIDDEN")
    assert await refused(world, BOB, "invite", NOWHERE, EVE) == (403, "M_FORBIDDEN")


async def test_a_local_user_who_does_not_exist_cannot_be_invited(world: World) -> None:
    nobody = UserId("@nobody:here.example")
    assert await refused(world, ALICE, "invite", await world.room(), nobody) == (404, "M_NOT_FOUND")


async def test_an_invite_by_address_is_denied(world: World) -> None:
    body = {"id_server": "id.example", "medium": "email", "address": "bob@example.com", "id_access_token": "x"}
    path = f"rooms/{await world.room()}/invite"
    assert await world.refused(ALICE, "POST", path, body) == (400, "M_THREEPID_DENIED")


@pytest.mark.parametrize("action", ["invite", "kick", "ban", "unban"])
@pytest.mark.parametrize(
    ("body", "errcode"), [({}, "M_MISSING_PARAM"), ({"user_id": 5}, "M_BAD_JSON"), ({"user_id": "bob"}, "M_INVALID_PARAM")]
)
async def test_who_is_meant_must_be_said(world: World, action: str, body: dict[str, Any], errcode: str) -> None:
    assert await world.refused(ALICE, "POST", f"rooms/{await world.room()}/{action}", body) == (400, errcode)


# Leave


async def test_a_member_may_leave(world: World) -> None:
    room_id = await world.public_room(BOB)
    assert await world.ask(BOB, "POST", f"rooms/{room_id}/leave", {"reason": "enough"}) == {}
    assert await member(world, room_id, BOB) == {"membership": "leave", "reason": "enough"}


async def test_leaving_rejects_an_invite(world: World) -> None:
    room_id = await world.room(invite=[BOB])
    await world.leave(BOB, room_id)
    assert await membership(world, room_id, BOB) == "leave"


async def test_leaving_takes_a_knock_back(world: World) -> None:
    room_id = await world.room(initial_state=KNOCKING)
    await world.ask(BOB, "POST", f"knock/{room_id}", {})
    await world.leave(BOB, room_id)
    assert await membership(world, room_id, BOB) == "leave"


async def test_leaving_twice_is_leaving_once(world: World) -> None:
    room_id = await world.public_room(BOB)
    await world.leave(BOB, room_id)
    before = len(await world.timeline(room_id))
    await world.leave(BOB, room_id)
    assert len(await world.timeline(room_id)) == before


@pytest.mark.parametrize("known", [True, False])
async def test_who_was_never_in_a_room_cannot_leave_it(world: World, known: bool) -> None:
    room_id = await world.public_room() if known else NOWHERE
    assert await world.refused(BOB, "POST", f"rooms/{room_id}/leave", {}) == (403, "M_FORBIDDEN")


# Kick, ban, unban


async def test_a_moderator_may_kick(world: World) -> None:
    room_id = await world.public_room(BOB)
    assert await act(world, ALICE, "kick", room_id, BOB, reason="noise") == {}
    assert await member(world, room_id, BOB) == {"membership": "leave", "reason": "noise"}


async def test_an_invite_can_be_taken_back_by_kicking(world: World) -> None:
    room_id = await world.room(invite=[BOB])
    await act(world, ALICE, "kick", room_id, BOB)
    assert await membership(world, room_id, BOB) == "leave"


async def test_who_is_not_in_the_room_cannot_be_kicked(world: World) -> None:
    room_id = await world.public_room(BOB)
    assert await refused(world, ALICE, "kick", room_id, CAROL) == (403, "M_FORBIDDEN")
    await world.leave(BOB, room_id)
    assert await refused(world, ALICE, "kick", room_id, BOB) == (403, "M_FORBIDDEN")


@pytest.mark.parametrize("action", ["kick", "ban"])
async def test_members_without_the_level_may_not(world: World, action: str) -> None:
    room_id = await world.public_room(BOB, CAROL)
    assert await refused(world, BOB, action, room_id, CAROL) == (403, "M_FORBIDDEN")
    assert await refused(world, BOB, action, room_id, ALICE) == (403, "M_FORBIDDEN")


@pytest.mark.parametrize("action", ["kick", "ban", "unban"])
async def test_who_is_not_in_the_room_may_do_nothing(world: World, action: str) -> None:
    assert await refused(world, BOB, action, await world.public_room(CAROL), CAROL) == (403, "M_FORBIDDEN")
    assert await refused(world, BOB, action, NOWHERE, CAROL) == (403, "M_FORBIDDEN")


async def test_a_moderator_may_ban_members_and_strangers(world: World) -> None:
    room_id = await world.public_room(BOB)
    assert await act(world, ALICE, "ban", room_id, BOB, reason="noise") == {}
    assert await member(world, room_id, BOB) == {"membership": "ban", "reason": "noise"}
    await act(world, ALICE, "ban", room_id, EVE)
    assert await membership(world, room_id, EVE) == "ban"


async def test_who_is_unbanned_has_left_and_may_come_back(world: World) -> None:
    room_id = await world.public_room()
    await act(world, ALICE, "ban", room_id, BOB)
    assert await act(world, ALICE, "unban", room_id, BOB) == {}
    assert await membership(world, room_id, BOB) == "leave"
    await world.join(BOB, room_id)


async def test_who_is_not_banned_cannot_be_unbanned(world: World) -> None:
    assert await refused(world, ALICE, "unban", await world.public_room(BOB), BOB) == (403, "M_FORBIDDEN")


@pytest.mark.parametrize(("ban", "kick"), [(60, 50), (50, 60)])
async def test_unbanning_needs_the_levels_for_banning_and_for_kicking(world: World, ban: int, kick: int) -> None:
    levels = {"ban": ban, "kick": kick, "users": {ALICE: 100, BOB: 55}}
    room_id = await world.public_room(BOB, room_version="11", power_level_content_override=levels)
    await act(world, ALICE, "ban", room_id, CAROL)
    assert await refused(world, BOB, "unban", room_id, CAROL) == (403, "M_FORBIDDEN")


@pytest.mark.parametrize("reason", [5, {}, ["x"]])
@pytest.mark.parametrize("action", ["join", "leave", "invite", "kick", "ban"])
async def test_a_reason_is_a_text(world: World, action: str, reason: object) -> None:
    room_id = await world.public_room(BOB)
    body = {"user_id": BOB, "reason": reason}
    assert await world.refused(ALICE, "POST", f"rooms/{room_id}/{action}", body) == (400, "M_BAD_JSON")


# Knock


async def test_a_stranger_may_knock_and_is_let_in(world: World) -> None:
    room_id = await world.room(initial_state=KNOCKING)
    assert await world.ask(BOB, "POST", f"knock/{room_id}", {"reason": "please"}) == {"room_id": room_id}
    assert await member(world, room_id, BOB) == {"membership": "knock", "reason": "please"}
    await world.invite(ALICE, room_id, BOB)
    await world.join(BOB, room_id)


async def test_one_may_knock_by_alias(world: World) -> None:
    room_id = await world.room(initial_state=KNOCKING, room_alias_name="lobby")
    assert await world.ask(BOB, "POST", "knock/%23lobby:here.example", {}) == {"room_id": room_id}


async def test_nobody_knocks_where_the_rule_does_not_allow_it(world: World) -> None:
    assert await world.refused(BOB, "POST", f"knock/{await world.room()}", {}) == (403, "M_FORBIDDEN")


@pytest.mark.parametrize("now", ["join", "invite", "ban"])
async def test_who_is_in_invited_or_banned_may_not_knock(world: World, now: str) -> None:
    room_id = await world.room(initial_state=KNOCKING)
    if now == "ban":
        await act(world, ALICE, "ban", room_id, BOB)
    else:
        await world.invite(ALICE, room_id, BOB)
    if now == "join":
        await world.join(BOB, room_id)
    assert await world.refused(BOB, "POST", f"knock/{room_id}", {}) == (403, "M_FORBIDDEN")


async def test_nobody_knocks_in_rooms_of_version_6(world: World) -> None:
    room_id = await world.room(room_version="6", initial_state=KNOCKING)
    assert await world.refused(BOB, "POST", f"knock/{room_id}", {}) == (403, "M_FORBIDDEN")


async def test_a_room_elsewhere_is_knocked_at_through_the_servers_named(world: World) -> None:
    await world.ask(BOB, "POST", "knock/!room:there.example", {}, via="one.example")
    assert world.nobody.asked == [("knock", ["one.example", "there.example"])]


# Forget


async def test_who_is_in_a_room_cannot_forget_it(world: World) -> None:
    room_id = await world.public_room(BOB)
    assert await world.refused(BOB, "POST", f"rooms/{room_id}/forget", {}) == (400, "M_UNKNOWN")


async def test_an_invite_cannot_be_forgotten(world: World) -> None:
    room_id = await world.room(invite=[BOB])
    assert await world.refused(BOB, "POST", f"rooms/{room_id}/forget", {}) == (400, "M_UNKNOWN")


async def test_a_forgotten_rooms_history_is_gone(world: World) -> None:
    room_id = await world.public_room(BOB)
    await world.leave(BOB, room_id)
    assert (await world.messages(BOB, room_id))["chunk"]
    assert await world.ask(BOB, "POST", f"rooms/{room_id}/forget", {}) == {}
    assert await world.refused(BOB, "GET", f"rooms/{room_id}/messages", dir="b") == (403, "M_FORBIDDEN")


async def test_a_forgotten_room_can_be_joined_again(world: World) -> None:
    room_id = await world.public_room(BOB)
    await world.leave(BOB, room_id)
    await world.ask(BOB, "POST", f"rooms/{room_id}/forget", {})
    await world.join(BOB, room_id)
    assert (await world.messages(BOB, room_id))["chunk"]


async def test_who_was_never_in_a_room_cannot_forget_it(world: World) -> None:
    room_id = await world.public_room()
    assert await world.refused(BOB, "POST", f"rooms/{room_id}/forget", {}) == (404, "M_NOT_FOUND")


# Joined rooms


async def test_only_joined_rooms_are_joined_rooms(world: World) -> None:
    joined, left = await world.public_room(BOB), await world.public_room(BOB)
    await world.room(invite=[BOB])
    await world.leave(BOB, left)
    assert await world.ask(BOB, "GET", "joined_rooms") == {"joined_rooms": [joined]}


# Suspended


@pytest.mark.parametrize(
    "door",
    ["rooms/{}/join", "join/{}", "knock/{}", "rooms/{}/invite", "rooms/{}/kick", "rooms/{}/ban", "rooms/{}/unban"],
)
async def test_the_suspended_change_no_membership_but_by_leaving(world: World, door: str) -> None:
    path = door.format(await world.public_room())
    body = {"user_id": CAROL}
    assert await world.refused(BOB, "POST", path, body, requester=SUSPENDED) == (403, "M_USER_SUSPENDED")


async def test_the_suspended_may_leave(world: World) -> None:
    room_id = await world.public_room(BOB)
    assert await world.ask(BOB, "POST", f"rooms/{room_id}/leave", {}, requester=SUSPENDED) == {}
