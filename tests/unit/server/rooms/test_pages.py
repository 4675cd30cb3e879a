"""Pages of history: /messages and /context."""

from typing import Any

import orjson
import pytest

from tests.unit.server.rooms.world import ALICE, BOB, CAROL, World, bodies, types
from watchword.protocol.ids import EventId, RoomId


@pytest.fixture
async def room_id(world: World) -> RoomId:
    """A room in which eight things were said after it was made."""
    made = await world.public_room(BOB)
    for number in range(8):
        await world.send(ALICE if number % 2 else BOB, made, str(number))
    return made


async def context(world: World, room_id: RoomId, event_id: str, **query: Any) -> Any:
    return await world.ask(ALICE, "GET", f"rooms/{room_id}/context/{event_id}", **query)


async def said(world: World, room_id: RoomId) -> list[EventId]:
    page = await world.messages(ALICE, room_id, dir="f", limit=1000)
    return [EventId(event["event_id"]) for event in page["chunk"] if event["type"] == "m.room.message"]


# /messages


async def test_backwards_begins_at_the_end_and_forwards_at_the_beginning(world: World, room_id: RoomId) -> None:
    assert bodies((await world.messages(ALICE, room_id, limit=3))["chunk"]) == ["7", "6", "5"]
    assert types((await world.messages(ALICE, room_id, dir="f", limit=2))["chunk"]) == ["m.room.create", "m.room.member"]


async def test_end_is_given_as_long_as_there_is_more(world: World, room_id: RoomId) -> None:
    seen: list[str] = []
    query: dict[str, Any] = {}
    while True:
        page = await world.messages(ALICE, room_id, limit=4, **query)
        seen.extend(types(page["chunk"]))
        if "end" not in page:
            break
        query = {"from": page["end"]}
    assert seen[-1] == "m.room.create"
    assert len(seen) == len(set(await said(world, room_id))) + 7


async def test_to_bounds_a_page(world: World, room_id: RoomId) -> None:
    page = await world.messages(ALICE, room_id, limit=3)
    inner = await world.messages(ALICE, room_id, to=page["end"])
    assert bodies(inner["chunk"]) == ["7", "6", "5"]
    assert "end" not in inner
    forward = await world.messages(ALICE, room_id, dir="f", **{"from": page["end"]})
    assert bodies(forward["chunk"]) == ["5", "6", "7"]
    assert bodies((await world.messages(ALICE, room_id, dir="f", **{"from": page["end"], "to": page["end"]}))["chunk"]) == []


async def test_tokens_of_sync_are_understood(world: World, room_id: RoomId) -> None:
    token = (await world.sync())["next_batch"]
    await world.send(ALICE, room_id, "later")
    assert bodies((await world.messages(ALICE, room_id, limit=1, **{"from": token}))["chunk"]) == ["7"]
    assert bodies((await world.messages(ALICE, room_id, dir="f", **{"from": token}))["chunk"]) == ["later"]


async def test_a_filter_leaves_events_out(world: World, room_id: RoomId) -> None:
    page = await world.messages(ALICE, room_id, filter='{"senders":["@bob:here.example"],"types":["m.room.message"]}')
    assert bodies(page["chunk"]) == ["6", "4", "2", "0"]


async def test_messages_of_ignored_users_are_left_out_and_their_state_is_not(world: World, room_id: RoomId) -> None:
    await world.ask(ALICE, "PUT", f"user/{ALICE}/account_data/m.ignored_user_list", {"ignored_users": {BOB: {}}})
    page = await world.messages(ALICE, room_id, limit=1000)
    assert bodies(page["chunk"]) == ["7", "5", "3", "1"]
    assert BOB in {event["sender"] for event in page["chunk"] if event["type"] == "m.room.member"}
    assert bodies((await world.messages(BOB, room_id, limit=2))["chunk"]) == ["7", "6"]


async def test_lazy_loading_gives_the_senders(world: World, room_id: RoomId) -> None:
    page = await world.messages(ALICE, room_id, limit=1, filter='{"lazy_load_members":true}')
    assert [event["state_key"] for event in page["state"]] == [ALICE]
    assert "state" not in await world.messages(ALICE, room_id, limit=1)


async def test_lazy_loading_shows_whoever_left_the_members_of_his_time(world: World, room_id: RoomId) -> None:
    await world.leave(BOB, room_id)
    await world.set_state(ALICE, room_id, "m.room.member", {"membership": "join", "displayname": "secret"}, ALICE)
    page = await world.messages(BOB, room_id, filter='{"lazy_load_members":true}')
    assert {event["state_key"] for event in page["state"]} == {ALICE, BOB}
    assert "secret" not in str(page)


@pytest.mark.parametrize(
    ("query", "errcode"),
    [
        ({"dir": None}, "M_MISSING_PARAM"),
        ({"dir": "x"}, "M_INVALID_PARAM"),
        ({"from": "nonsense"}, "M_INVALID_PARAM"),
        ({"to": "t-1"}, "M_INVALID_PARAM"),
        ({"limit": "-1"}, "M_INVALID_PARAM"),
        ({"limit": "many"}, "M_INVALID_PARAM"),
        ({"filter": "{"}, "M_NOT_JSON"),
        ({"filter": "[]"}, "M_BAD_JSON"),
    ],
)
async def test_a_bad_question_is_refused(world: World, room_id: RoomId, query: dict[str, Any], errcode: str) -> None:
    asked = {"dir": "b", **query}
    assert await world.refused(ALICE, "GET", f"rooms/{room_id}/messages", **asked) == (400, errcode)


async def test_strangers_get_no_page(world: World, room_id: RoomId) -> None:
    assert await world.refused(CAROL, "GET", f"rooms/{room_id}/messages", dir="b") == (403, "M_FORBIDDEN")
    assert await world.refused(CAROL, "GET", "rooms/!x:here.example/messages", dir="b") == (403, "M_FORBIDDEN")


# /context


async def test_context_is_split_over_before_and_after(world: World, room_id: RoomId) -> None:
    middle = (await said(world, room_id))[4]
    found = await context(world, room_id, middle, limit=4)
    assert found["event"]["event_id"] == middle
    assert bodies(found["events_before"]) == ["3", "2"]
    assert bodies(found["events_after"]) == ["5", "6"]


@pytest.mark.parametrize("limit", [0, 1, 2, 3, 50])
async def test_context_keeps_its_limit(world: World, room_id: RoomId, limit: int) -> None:
    found = await context(world, room_id, (await said(world, room_id))[4], limit=limit)
    assert len(found["events_before"]) + len(found["events_after"]) == min(limit, len(found["events_before"]) + 3)
    assert len(found["events_before"]) == min(limit // 2, 11)


async def test_the_tokens_of_context_lead_on(world: World, room_id: RoomId) -> None:
    found = await context(world, room_id, (await said(world, room_id))[4], limit=2)
    before = await world.messages(ALICE, room_id, limit=1, **{"from": found["start"]})
    after = await world.messages(ALICE, room_id, limit=1, dir="f", **{"from": found["end"]})
    assert bodies(before["chunk"]) == ["2"]
    assert bodies(after["chunk"]) == ["6"]


async def test_the_tokens_of_an_empty_context_lead_on(world: World, room_id: RoomId) -> None:
    found = await context(world, room_id, (await said(world, room_id))[4], limit=0)
    before = await world.messages(ALICE, room_id, limit=1, **{"from": found["start"]})
    after = await world.messages(ALICE, room_id, limit=1, dir="f", **{"from": found["end"]})
    assert bodies(before["chunk"]) == ["3"]
    assert bodies(after["chunk"]) == ["5"]


async def test_the_state_of_context_is_that_after_its_last_event(world: World, room_id: RoomId) -> None:
    await world.set_state(ALICE, room_id, "m.room.topic", {"topic": "in"})
    middle = await world.send(ALICE, room_id, "here")
    await world.set_state(ALICE, room_id, "m.room.topic", {"topic": "last"})
    await world.set_state(ALICE, room_id, "m.room.topic", {"topic": "beyond"})

    async def topic(limit: int) -> Any:
        state = (await context(world, room_id, middle, limit=limit))["state"]
        return [event["content"]["topic"] for event in state if event["type"] == "m.room.topic"]

    assert await topic(0) == ["in"]
    assert await topic(1) == ["last"]
    assert await topic(4) == ["beyond"]


async def test_context_spares_an_event_of_an_ignored_user_alone(world: World, room_id: RoomId) -> None:
    two = (await said(world, room_id))[2]
    await world.ask(ALICE, "PUT", f"user/{ALICE}/account_data/m.ignored_user_list", {"ignored_users": {BOB: {}}})
    found = await context(world, room_id, two)
    assert bodies(found["events_before"]) == ["1"]
    assert bodies(found["events_after"]) == ["3", "5", "7"]


async def test_the_filter_of_context_spares_the_event_itself(world: World, room_id: RoomId) -> None:
    event_id = (await said(world, room_id))[4]
    found = await context(world, room_id, event_id, limit=6, filter='{"senders":["@alice:here.example"]}')
    assert found["event"]["sender"] == BOB
    assert {event["sender"] for event in (*found["events_before"], *found["events_after"])} == {ALICE}
    lazy = await context(world, room_id, event_id, limit=0, filter='{"lazy_load_members":true}')
    assert [event["state_key"] for event in lazy["state"] if event["type"] == "m.room.member"] == [BOB]


async def test_an_event_that_one_may_not_see_has_no_context(world: World, room_id: RoomId) -> None:
    event_id = (await said(world, room_id))[0]
    assert await world.refused(CAROL, "GET", f"rooms/{room_id}/context/{event_id}") == (404, "M_NOT_FOUND")
    assert await world.refused(ALICE, "GET", f"rooms/{room_id}/context/$absent") == (404, "M_NOT_FOUND")
    other = await world.room()
    assert await world.refused(ALICE, "GET", f"rooms/{other}/context/{event_id}") == (404, "M_NOT_FOUND")


async def test_pages_are_filtered_by_relations(world: World) -> None:
    room_id = await world.public_room(BOB)
    root = await world.send(ALICE, room_id, "root")
    content: dict[str, Any] = {"m.relates_to": {"rel_type": "m.thread", "event_id": root}}
    reply = await world.send(BOB, room_id, "reply", **content)

    async def found(**wanted: Any) -> list[str]:
        chosen = orjson.dumps({"types": ["m.room.message"], **wanted}).decode()
        page = await world.messages(ALICE, room_id, filter=chosen)
        context = await world.ask(ALICE, "GET", f"rooms/{room_id}/context/{reply}", filter=chosen)
        assert all(event["event_id"] == root for event in context["events_before"])
        assert bool(context["events_before"]) is (root in [event["event_id"] for event in page["chunk"]])
        synced = await world.sync(ALICE, filter={"room": {"timeline": {"types": ["m.room.message"], **wanted}}})
        timeline = synced["rooms"]["join"][room_id]["timeline"]["events"]
        ids = [event["event_id"] for event in page["chunk"]]
        assert [event["event_id"] for event in timeline] == ids[::-1]
        return ids

    assert await found() == [reply, root]
    assert await found(related_by_rel_types=["m.thread"]) == [root]
    assert await found(related_by_rel_types=["m.reference"]) == []
    assert await found(related_by_senders=[BOB]) == [root]
    assert await found(related_by_senders=[ALICE]) == []
    assert await found(related_by_senders=[BOB], related_by_rel_types=["m.thread"]) == [root]
    assert await found(**{"org.matrix.msc3874.rel_types": ["m.thread"]}) == [reply]
    assert await found(**{"org.matrix.msc3874.not_rel_types": ["m.thread"]}) == [root]
