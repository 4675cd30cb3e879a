"""Walking through spaces."""

from typing import Any

import pytest

from tests.unit.server.rooms.world import ALICE, BOB, CAROL
from tests.unit.server.spaces.world import V1, SpaceWorld
from watchword.base import limits
from watchword.protocol.ids import RoomId, ServerName
from watchword.server.spaces.commands import HierarchyQuery

FAR, FARTHER = RoomId("!far:there.example"), RoomId("!farther:there.example")


def told(room_id: RoomId, **more: Any) -> dict[str, Any]:
    return {"room_id": room_id, "num_joined_members": 2, "world_readable": False, "guest_can_join": False, **more}


def child_event(room_id: RoomId, **content: Any) -> dict[str, Any]:
    return {
        "type": "m.space.child",
        "state_key": room_id,
        "sender": "@eve:there.example",
        "content": {"via": ["there.example"], **content},
        "origin_server_ts": 5,
    }


async def refused(world: SpaceWorld, user_id: Any, room_id: RoomId, **query: Any) -> tuple[int, str]:
    return await world.refused(user_id, "GET", f"{V1}/rooms/{room_id}/hierarchy", **query)


async def test_a_space_is_walked_depth_first_in_order(world: SpaceWorld) -> None:
    first, second, third = [await world.another(ALICE) for _ in range(3)]
    inner = await world.space(ALICE, second)
    outer = await world.space(ALICE)
    await world.adopt(ALICE, outer, third, order="b")
    await world.adopt(ALICE, outer, inner, order="a")
    await world.adopt(ALICE, outer, first)
    assert await world.tree(ALICE, outer) == [outer, inner, second, third, first]


async def test_loops_are_walked_once(world: SpaceWorld) -> None:
    inner = await world.space(ALICE)
    outer = await world.space(ALICE, inner)
    await world.adopt(ALICE, inner, outer)
    await world.adopt(ALICE, inner, inner)
    assert await world.tree(ALICE, outer) == [outer, inner]


async def test_an_entry_says_what_the_room_is(world: SpaceWorld) -> None:
    child = await world.another(ALICE)
    space = await world.space(ALICE, child, name="Home", topic="Here")
    body = await world.ask(BOB, "GET", f"{V1}/rooms/{space}/hierarchy")
    (event,) = body["rooms"][0].pop("children_state")
    assert body["rooms"][0] == {
        "room_id": space,
        "num_joined_members": 1,
        "world_readable": False,
        "guest_can_join": False,
        "join_rule": "public",
        "room_version": "12",
        "room_type": "m.space",
        "name": "Home",
        "topic": "Here",
    }
    assert set(event) == {"type", "state_key", "sender", "content", "origin_server_ts"}
    assert body["rooms"][1]["children_state"] == []


async def test_only_spaces_have_children(world: SpaceWorld) -> None:
    child, room_id = await world.another(ALICE), await world.another(ALICE)
    await world.adopt(ALICE, room_id, child)
    assert await world.tree(ALICE, room_id) == [room_id]


async def test_children_without_servers_and_those_taken_away_are_none(world: SpaceWorld) -> None:
    first, second = await world.another(ALICE), await world.another(ALICE)
    space = await world.space(ALICE, first)
    await world.set_state(ALICE, space, "m.space.child", {}, first)
    await world.set_state(ALICE, space, "m.space.child", {"via": []}, second)
    assert await world.tree(ALICE, space) == [space]


async def test_rooms_are_shown_to_those_who_may_come_in(world: SpaceWorld) -> None:
    private = await world.another(ALICE, preset="private_chat")
    invited = await world.another(ALICE, preset="private_chat", invite=[BOB])
    readable = await world.another(
        ALICE,
        preset="private_chat",
        initial_state=[{"type": "m.room.history_visibility", "content": {"history_visibility": "world_readable"}}],
    )
    club = await world.another(ALICE, preset="private_chat", invite=[CAROL])
    await world.join(CAROL, club)
    rule = {"join_rule": "restricted", "allow": [{"type": "m.room_membership", "room_id": club}]}
    limited = await world.another(ALICE, initial_state=[{"type": "m.room.join_rules", "content": rule}])
    knocking = await world.another(ALICE, initial_state=[{"type": "m.room.join_rules", "content": {"join_rule": "knock"}}])
    space = await world.space(ALICE, private, invited, readable, limited, knocking)
    assert await world.tree(ALICE, space) == [space, private, invited, readable, limited, knocking]
    assert await world.tree(BOB, space) == [space, invited, readable, knocking]
    assert await world.tree(CAROL, space) == [space, readable, limited, knocking]


async def test_what_one_may_not_see_is_forbidden(world: SpaceWorld) -> None:
    space = await world.space(ALICE, preset="private_chat")
    assert await refused(world, BOB, space) == (403, "M_FORBIDDEN")
    assert await refused(world, BOB, RoomId("!none:here.example")) == (403, "M_FORBIDDEN")
    assert await refused(world, BOB, RoomId("!" + "x" * 43)) == (403, "M_FORBIDDEN")
    opened = await world.space(ALICE)
    await world.ask(ALICE, "POST", f"rooms/{opened}/ban", {"user_id": BOB})
    assert await refused(world, BOB, opened) == (403, "M_FORBIDDEN")


async def test_depth_has_a_limit(world: SpaceWorld) -> None:
    child = await world.another(ALICE)
    inner = await world.space(ALICE, child)
    outer = await world.space(ALICE, inner)
    assert await world.tree(ALICE, outer, max_depth=0) == [outer]
    assert await world.tree(ALICE, outer, max_depth=1) == [outer, inner]
    assert await world.tree(ALICE, outer, max_depth=2) == [outer, inner, child]


async def test_only_what_is_suggested_can_be_asked_for(world: SpaceWorld) -> None:
    first, second = await world.another(ALICE), await world.another(ALICE)
    space = await world.space(ALICE, first)
    await world.adopt(ALICE, space, second, suggested=True)
    body = await world.ask(ALICE, "GET", f"{V1}/rooms/{space}/hierarchy", suggested_only="true")
    assert [room["room_id"] for room in body["rooms"]] == [space, second]
    assert [event["state_key"] for event in body["rooms"][0]["children_state"]] == [second]


# Pages


async def test_pages_follow_one_another_and_can_be_had_again(world: SpaceWorld) -> None:
    children = [await world.another(ALICE) for _ in range(4)]
    space = await world.space(ALICE, *children)
    path = f"{V1}/rooms/{space}/hierarchy"
    first = await world.ask(ALICE, "GET", path, limit=2)
    second = await world.ask(ALICE, "GET", path, limit=2, **{"from": first["next_batch"]})
    again = await world.ask(ALICE, "GET", path, limit=2, **{"from": first["next_batch"]})
    third = await world.ask(ALICE, "GET", path, limit=2, **{"from": second["next_batch"]})
    pages = [[room["room_id"] for room in page["rooms"]] for page in (first, second, third)]
    assert pages == [[space, children[0]], children[1:3], children[3:]]
    assert [room["room_id"] for room in again["rooms"]] == pages[1]
    assert "next_batch" not in third


@pytest.mark.parametrize("changed", [{"max_depth": 1}, {"suggested_only": "true"}])
async def test_a_token_is_good_for_the_same_question_alone(world: SpaceWorld, changed: dict[str, Any]) -> None:
    space = await world.space(ALICE, await world.another(ALICE), await world.another(ALICE))
    first = await world.ask(ALICE, "GET", f"{V1}/rooms/{space}/hierarchy", limit=1)
    token = {"from": first["next_batch"]}
    assert await refused(world, ALICE, space, **token, **changed) == (400, "M_INVALID_PARAM")
    assert await refused(world, BOB, space, **token) == (400, "M_INVALID_PARAM")
    other = await world.space(ALICE)
    assert await refused(world, ALICE, other, **token) == (400, "M_INVALID_PARAM")


async def test_a_token_grows_old(world: SpaceWorld) -> None:
    space = await world.space(ALICE, await world.another(ALICE))
    first = await world.ask(ALICE, "GET", f"{V1}/rooms/{space}/hierarchy", limit=1)
    world.clock.advance(limits.space_walk_ms)
    assert await refused(world, ALICE, space, **{"from": first["next_batch"]}) == (400, "M_INVALID_PARAM")
    await world.ask(ALICE, "GET", f"{V1}/rooms/{space}/hierarchy", limit=1)
    assert len(world.spaces.walks._kept) == 1


@pytest.mark.parametrize(
    "query", [{"limit": 0}, {"limit": "x"}, {"max_depth": -1}, {"suggested_only": "maybe"}, {"from": "nothing"}]
)
async def test_what_is_no_question_is_refused(world: SpaceWorld, query: dict[str, Any]) -> None:
    space = await world.space(ALICE)
    assert await refused(world, ALICE, space, **query) == (400, "M_INVALID_PARAM")


async def test_walks_that_are_kept_are_bounded_by_what_is_to_be_visited(
    world: SpaceWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = await world.space(ALICE, *[await world.another(ALICE) for _ in range(4)])
    monkeypatch.setattr(limits, "space_visits_kept_max", 9)
    for _ in range(8):
        await world.ask(ALICE, "GET", f"{V1}/rooms/{space}/hierarchy", limit=1)
    assert len(world.spaces.walks._kept) == 2


# Rooms elsewhere


async def test_rooms_of_other_servers_are_asked_for(world: SpaceWorld) -> None:
    world.played.answers[FAR] = {"room": told(FAR, name="Far", join_rule="public", children_state=[])}
    space = await world.space(ALICE)
    await world.adopt(ALICE, space, FAR, via=["there.example", "here.example"])
    body = await world.ask(ALICE, "GET", f"{V1}/rooms/{space}/hierarchy")
    assert body["rooms"][1] == {**told(FAR, name="Far", join_rule="public"), "children_state": []}
    assert world.played.asked == [("there.example", FAR, False)]
    await world.tree(BOB, space)
    assert len(world.played.asked) == 1


async def test_what_another_server_tells_of_children_is_used(world: SpaceWorld) -> None:
    hidden = RoomId("!hidden:there.example")
    world.played.answers[FAR] = {
        "room": told(FAR, room_type="m.space", children_state=[child_event(FARTHER), child_event(hidden)]),
        "children": [told(FARTHER, name="Farther")],
        "inaccessible_children": [hidden],
    }
    space = await world.space(ALICE)
    await world.adopt(ALICE, space, FAR, via=["there.example"])
    assert await world.tree(ALICE, space) == [space, FAR, FARTHER]
    assert [asked[1] for asked in world.played.asked] == [FAR]


async def test_spaces_inside_are_asked_for_their_children(world: SpaceWorld) -> None:
    inner = told(FARTHER, room_type="m.space")
    room_id = RoomId("!room:there.example")
    world.played.answers[FAR] = {
        "room": told(FAR, room_type="m.space", children_state=[child_event(FARTHER)]),
        "children": [inner],
    }
    world.played.answers[FARTHER] = {
        "room": {**inner, "children_state": [child_event(room_id)]},
        "children": [told(room_id)],
    }
    space = await world.space(ALICE)
    await world.adopt(ALICE, space, FAR, via=["there.example"])
    assert await world.tree(ALICE, space) == [space, FAR, FARTHER, room_id]
    del world.played.answers[FARTHER]
    world.clock.advance(limits.space_answer_ms)
    assert await world.tree(ALICE, space) == [space, FAR, FARTHER]


async def test_rooms_that_nobody_tells_of_are_left_out(world: SpaceWorld) -> None:
    space = await world.space(ALICE)
    await world.adopt(ALICE, space, FAR, via=["there.example"])
    await world.adopt(ALICE, space, FARTHER, via=["here.example"])
    assert await world.tree(ALICE, space) == [space]


async def test_restricted_rooms_of_other_servers_are_shown_to_members(world: SpaceWorld) -> None:
    club = await world.another(ALICE)
    world.played.answers[FAR] = {"room": told(FAR, join_rule="restricted", allowed_room_ids=[club], children_state=[])}
    space = await world.space(ALICE)
    await world.adopt(ALICE, space, FAR, via=["there.example"])
    assert await world.tree(ALICE, space) == [space, FAR]
    assert await world.tree(BOB, space) == [space]


async def test_a_slow_tree_ends_in_time(world: SpaceWorld) -> None:
    page = await world.spaces.walks._begun(HierarchyQuery(ALICE, await world.space(ALICE), False, 5, 5))
    world.clock.advance(limits.space_page_ms_max)
    visit = page.stack[0]._replace(room_id=FAR, via=[ServerName("there.example")])
    assert await world.spaces.walks._asked(page, visit) is None
    assert world.played.asked == []
