"""Windows and subscriptions become rooms; what did not change is not made again."""

from typing import Any

from tests.unit.server.rooms.world import ALICE
from tests.unit.server.sync.sliding.windows import SlidingWorld
from watchword.protocol.ids import RoomId
from watchword.server.sync.sliding.commands import ALL_ROOMS, ListRule, Required, RoomConfig, RoomFilter, Rules
from watchword.server.sync.sliding.plan import Plan, made_plan

ONE, TEN = RoomConfig(1, (Required(),)), RoomConfig(10, (Required((("a", "b"),)),))


async def plan(world: SlidingWorld, rules: Rules, last: Plan | None = None) -> Plan:
    lists = world.sliding.lists
    return await made_plan(lists, await lists.at(ALICE, world.log.position), rules, last)


def rule(name: str, *ranges: tuple[int, int], config: RoomConfig = ONE, wanted: RoomFilter = ALL_ROOMS) -> ListRule:
    return ListRule(name, config, wanted, ranges or None)


async def test_rules_combine(world: SlidingWorld) -> None:
    rooms = [await world.room() for _ in range(4)][::-1]
    lists = (rule("top", (0, 1), config=TEN), rule("two", (0, 0), (2, 2), (2, 3)), rule("none", wanted=RoomFilter(is_dm=True)))
    made = await plan(world, Rules(lists, ((rooms[3], TEN), (RoomId("!no:b"), ONE))))
    assert {room_id: wanted.lists for room_id, wanted in made.rooms.items()} == {
        rooms[0]: ("top", "two"),
        rooms[1]: ("top",),
        rooms[2]: ("two",),
        rooms[3]: ("two",),
    }
    assert made.counts == {"top": 4, "two": 4, "none": 0}
    assert made.rooms[rooms[0]].config == RoomConfig(10, (*TEN.required, *ONE.required))
    assert [made.rooms[room_id].subscribed for room_id in rooms] == [False, False, False, True]


async def test_a_list_without_ranges_has_every_room_and_one_with_no_range_none(world: SlidingWorld) -> None:
    await world.room()
    assert len((await plan(world, Rules((rule("all"),)))).rooms) == 1
    empty = await plan(world, Rules((ListRule("none", ONE, ALL_ROOMS, ()),)))
    assert (empty.rooms, empty.counts) == ({}, {"none": 1})


async def test_the_last_plan_stands_while_nothing_changes(world: SlidingWorld) -> None:
    old, new = await world.room(), await world.room()
    first = await plan(world, Rules((rule("top", (0, 0)),)))
    assert await plan(world, Rules((rule("top", (0, 0)),)), first) is first
    await world.send(ALICE, new)
    second = await plan(world, Rules((rule("top", (0, 0)),)), first)
    assert second is not first
    # The same combination is the same object: nothing is wanted of the room that was not wanted before.
    assert second.rooms[new] is first.rooms[new]
    third = await plan(world, Rules((rule("top", (0, 1)),)), second)
    wanted: Any = third.rooms
    assert set(wanted) == {old, new}
    assert wanted[new] is not first.rooms[new]
