"""What a page of results says around them."""

from tests.unit.server.rooms.world import ALICE, BOB
from tests.unit.server.search.world import SearchWorld
from watchword.protocol.ids import RoomId


async def _talk(world: SearchWorld) -> RoomId:
    room_id = await world.public_room(BOB)
    for text in ("one", "two", "tea", "four", "five"):
        world.clock.advance(1)
        await world.send(ALICE if text != "four" else BOB, room_id, text)
    return room_id


async def test_context_stands_around_a_result(world: SearchWorld) -> None:
    room_id = await _talk(world)
    found = await world.finds(ALICE, "tea", event_context={"before_limit": 2, "after_limit": 1})
    (result,) = found["results"]
    context = result["context"]
    assert [event["content"]["body"] for event in context["events_before"]] == ["two", "one"]
    assert [event["content"]["body"] for event in context["events_after"]] == ["four"]
    assert "profile_info" not in context
    older = await world.messages(ALICE, room_id, **{"from": context["start"], "limit": 1})
    assert older["chunk"][0]["type"] == "m.room.member"
    newer = await world.messages(ALICE, room_id, **{"from": context["end"], "dir": "f", "limit": 1})
    assert newer["chunk"][0]["content"]["body"] == "five"


async def test_what_stands_around_a_result_comes_with_its_edits(world: SearchWorld) -> None:
    room_id = await world.public_room()
    before = await world.send(ALICE, room_id, "before")
    await world.send(ALICE, room_id, "tea")
    edit = await world.edit(ALICE, room_id, before, "changed")
    found = await world.finds(ALICE, "tea", event_context={"before_limit": 1, "after_limit": 0})
    (event,) = found["results"][0]["context"]["events_before"]
    assert event["unsigned"]["m.relations"]["m.replace"]["event_id"] == edit


async def test_nothing_may_stand_around_a_result(world: SearchWorld) -> None:
    await _talk(world)
    found = await world.finds(ALICE, "tea", event_context={"before_limit": 0, "after_limit": 0})
    context = found["results"][0]["context"]
    assert context["events_before"] == context["events_after"] == []


async def test_profiles_are_those_of_then(world: SearchWorld) -> None:
    room_id = await world.public_room(BOB)
    await world.set_state(BOB, room_id, "m.room.member", {"membership": "join", "displayname": "Young Bob"}, BOB)
    await world.send(BOB, room_id, "tea")
    await world.set_state(
        BOB, room_id, "m.room.member", {"membership": "join", "displayname": "Old Bob", "avatar_url": "mxc://x/y"}, BOB
    )
    await world.send(BOB, room_id, "cake")
    wanted = {"before_limit": 0, "after_limit": 0, "include_profile": True}
    (early,) = (await world.finds(ALICE, "tea", event_context=wanted))["results"]
    assert early["context"]["profile_info"] == {BOB: {"displayname": "Young Bob"}}
    (late,) = (await world.finds(ALICE, "cake", event_context=wanted))["results"]
    assert late["context"]["profile_info"] == {BOB: {"displayname": "Old Bob", "avatar_url": "mxc://x/y"}}


async def test_state_is_given_for_the_rooms_of_the_results(world: SearchWorld) -> None:
    room_id = await _talk(world)
    world.clock.advance(1)
    await world.public_room(BOB)
    found = await world.finds(BOB, "tea", include_state=True)
    assert list(found["state"]) == [room_id]
    assert "m.room.create" in {event["type"] for event in found["state"][room_id]}
    assert "state" not in await world.finds(BOB, "tea")


async def test_who_has_left_gets_the_state_of_then(world: SearchWorld) -> None:
    room_id = await _talk(world)
    await world.leave(BOB, room_id)
    await world.set_state(ALICE, room_id, "m.room.name", {"name": "Afterwards"})
    found = await world.finds(BOB, "tea", include_state=True)
    assert "m.room.name" not in {event["type"] for event in found["state"][room_id]}


async def test_results_say_which_words_to_highlight(world: SearchWorld) -> None:
    room_id = await world.public_room()
    await world.send(ALICE, room_id, "Crème brûlée")
    found = await world.finds(ALICE, "creme brulee")
    assert set(found["highlights"]) >= {"Crème", "brûlée"}
    assert found["count"] == 1
