"""Pages of the events that relate to one event."""

import pytest

from tests.unit.server.rooms.relating import children, edit, ids, ignore, react, redact, refer, related, reply, send
from tests.unit.server.rooms.world import ALICE, BOB, CAROL, DAVE, World
from watchword.base import limits
from watchword.protocol.ids import EventId


async def test_children_come_newest_first_with_their_bundles(world: World) -> None:
    room_id = await world.public_room(BOB)
    said = await world.send(ALICE, room_id)
    first = await reply(world, BOB, room_id, said)
    second = await react(world, BOB, room_id, said)
    edited = await edit(world, BOB, room_id, first)
    body = await children(world, ALICE, room_id, said)
    assert ids(body) == [second, first]
    assert body["chunk"][1]["unsigned"]["m.relations"]["m.replace"]["event_id"] == edited
    assert body.keys() == {"chunk"}
    assert ids(await children(world, ALICE, room_id, said, dir="f")) == [first, second]


async def test_they_may_be_asked_for_by_type(world: World) -> None:
    room_id = await world.public_room(BOB)
    said = await world.send(ALICE, room_id)
    vote = await refer(world, BOB, room_id, said)
    other = await send(world, BOB, room_id, "m.room.message", {"body": "see", **related("m.reference", said)})
    await react(world, BOB, room_id, said)
    assert ids(await children(world, ALICE, room_id, said, "m.reference")) == [other, vote]
    assert ids(await children(world, ALICE, room_id, said, "m.reference", "org.example.vote")) == [vote]
    assert ids(await children(world, ALICE, room_id, said, "m.thread")) == []


async def test_replies_are_no_relations(world: World) -> None:
    room_id = await world.public_room()
    said = await world.send(ALICE, room_id)
    await world.send(ALICE, room_id, "re", **{"m.relates_to": {"m.in_reply_to": {"event_id": said}}})
    assert ids(await children(world, ALICE, room_id, said)) == []


@pytest.mark.parametrize("direction", ["b", "f"])
async def test_pages_follow_each_other_without_gap(world: World, direction: str) -> None:
    room_id = await world.public_room()
    said = await world.send(ALICE, room_id)
    votes = [await refer(world, ALICE, room_id, said) for _ in range(7)]
    found: list[str] = []
    token = None
    for count in (3, 3, 1):
        body = await children(world, ALICE, room_id, said, limit=3, dir=direction, **{"from": token})
        assert len(body["chunk"]) == count
        assert body.get("prev_batch") == token
        found += ids(body)
        # What comes meanwhile does not move what was there.
        if direction == "b":
            await refer(world, ALICE, room_id, said)
        token = body.get("next_batch")
    assert token is None
    assert found == (votes if direction == "f" else votes[::-1])


async def test_a_page_ends_where_it_is_told_to(world: World) -> None:
    room_id = await world.public_room()
    said = await world.send(ALICE, room_id)
    votes = [await refer(world, ALICE, room_id, said) for _ in range(4)]
    middle = (await world.sync(ALICE))["next_batch"]
    later = [await refer(world, ALICE, room_id, said) for _ in range(2)]
    assert ids(await children(world, ALICE, room_id, said, to=middle)) == later[::-1]
    assert ids(await children(world, ALICE, room_id, said, **{"from": middle})) == votes[::-1]
    assert ids(await children(world, ALICE, room_id, said, dir="f", **{"from": middle})) == later
    assert ids(await children(world, ALICE, room_id, said, dir="f", to=middle)) == votes


async def test_children_of_children_come_if_asked_for(world: World) -> None:
    room_id = await world.public_room()
    said = await world.send(ALICE, room_id)
    line: list[EventId] = [said]
    for depth in range(4):
        line.append(await refer(world, ALICE, room_id, line[depth]))
    direct = await children(world, ALICE, room_id, said)
    assert ids(direct) == [line[1]]
    whole = await children(world, ALICE, room_id, said, recurse="true")
    assert ids(whole) == [line[3], line[2], line[1]]
    assert whole["recursion_depth"] == limits.relations_depth_max == 3
    assert (await children(world, ALICE, room_id, said, recurse="false"))["recursion_depth"] == 0


async def test_a_filter_is_asked_of_what_is_given_not_of_what_leads_there(world: World) -> None:
    room_id = await world.public_room()
    said = await world.send(ALICE, room_id)
    answer = await reply(world, ALICE, room_id, said)
    reaction = await react(world, ALICE, room_id, answer)
    assert ids(await children(world, ALICE, room_id, said, "m.annotation", recurse="true")) == [reaction]
    assert ids(await children(world, ALICE, room_id, said, "m.annotation")) == []


async def test_redacted_children_are_no_children(world: World) -> None:
    room_id = await world.public_room()
    said = await world.send(ALICE, room_id)
    vote = await refer(world, ALICE, room_id, said)
    await redact(world, ALICE, room_id, vote)
    assert ids(await children(world, ALICE, room_id, said)) == []


async def test_a_redacted_parent_keeps_its_children(world: World) -> None:
    room_id = await world.public_room()
    said = await world.send(ALICE, room_id)
    vote = await refer(world, ALICE, room_id, said)
    await redact(world, ALICE, room_id, said)
    assert ids(await children(world, ALICE, room_id, said)) == [vote]


async def test_ignored_users_are_left_out(world: World) -> None:
    room_id = await world.public_room(BOB)
    said = await world.send(ALICE, room_id)
    mine = await refer(world, ALICE, room_id, said)
    await refer(world, BOB, room_id, said)
    await ignore(world, ALICE, BOB)
    assert ids(await children(world, ALICE, room_id, said)) == [mine]
    assert ids(await children(world, ALICE, room_id, said, recurse="true")) == [mine]


async def test_hidden_children_are_passed_by(world: World) -> None:
    room_id = await world.public_room(BOB, CAROL)
    said = await world.send(BOB, room_id)
    seen = await refer(world, BOB, room_id, said)
    await world.leave(CAROL, room_id)
    for _ in range(25):
        await refer(world, BOB, room_id, said)
    body = await children(world, CAROL, room_id, said, limit=1)
    token = None
    while "next_batch" in body and not body["chunk"]:
        token = body["next_batch"]
        body = await children(world, CAROL, room_id, said, limit=1, **{"from": token})
    assert ids(body) == [seen]
    assert "next_batch" not in body


async def test_who_may_not_see_the_event_finds_nothing(world: World) -> None:
    room_id = await world.public_room()
    await world.users(DAVE)
    said = await world.send(ALICE, room_id)
    path = f"/_matrix/client/v1/rooms/{room_id}/relations"
    assert await world.refused(DAVE, "GET", f"{path}/{said}") == (404, "M_NOT_FOUND")
    assert await world.refused(ALICE, "GET", f"{path}/$absent") == (404, "M_NOT_FOUND")


@pytest.mark.parametrize("query", [{"dir": "x"}, {"from": "x"}, {"to": "t-1"}, {"limit": "0"}, {"recurse": "maybe"}])
async def test_what_is_not_valid_is_refused(world: World, query: dict[str, str]) -> None:
    room_id = await world.public_room()
    said = await world.send(ALICE, room_id)
    path = f"/_matrix/client/v1/rooms/{room_id}/relations/{said}"
    assert await world.refused(ALICE, "GET", path, **query) == (400, "M_INVALID_PARAM")
