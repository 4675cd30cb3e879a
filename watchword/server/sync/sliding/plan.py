"""Which rooms a request is about, and how much of each: its lists' windows and its subscriptions, combined.

Definition: MSC4186, "Lists and subscriptions" and "Combining room configs".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from watchword.protocol.ids import RoomId
from watchword.server.sync.sliding.commands import RoomConfig, Rules
from watchword.server.sync.sliding.decide import combined
from watchword.server.sync.sliding.room_list import RoomList, RoomLists


@dataclass(frozen=True, slots=True, eq=False)
class Wanted:
    """How much of a room is wanted. lists: whose windows it is in. One object per combination, so identity tells a change."""

    config: RoomConfig
    lists: tuple[str, ...]
    subscribed: bool


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """The rooms of a request. counts: rooms of each list, whatever its window. generation: of the room list behind it."""

    rules: Rules
    combinations: dict[tuple[int, ...], Wanted]
    rooms: Mapping[RoomId, Wanted]
    counts: Mapping[str, int]
    generation: int


async def made_plan(lists: RoomLists, rooms: RoomList, rules: Rules, last: Plan | None) -> Plan:
    """The plan of a request. last: that of the one before, which is returned if nothing has changed."""
    generation = rooms.generation
    if last is not None and last.rules == rules:
        spaces = any(rule.room_filter.spaces is not None for rule in rules.lists)
        if last.generation == generation and not spaces:
            return last
        rules, combinations = last.rules, last.combinations
    else:
        combinations = {}
    matches: dict[RoomId, tuple[int, ...]] = {}
    counts: dict[str, int] = {}
    for index, rule in enumerate(rules.lists):
        filtered = (await lists.filtered(rooms, rule.room_filter)).rooms
        counts[rule.name] = len(filtered)
        alone: tuple[int, ...] = (index,)
        inside = dict.fromkeys(_in_windows(filtered, rule.ranges), alone)
        if not matches:
            matches = inside
            continue
        for room_id in inside:
            matches[room_id] = (*matches.get(room_id, ()), index)
    for index, (room_id, _) in enumerate(rules.subscriptions, start=len(rules.lists)):
        # "Rooms that they do not have permission to see, or that do not exist, should be ignored."
        if room_id in rooms.kinds:
            matches[room_id] = (*matches.get(room_id, ()), index)
    known = {indexes: _wanted(rules, combinations, indexes) for indexes in set(matches.values())}
    wanted = {room_id: known[indexes] for room_id, indexes in matches.items()}
    return Plan(rules, combinations, wanted, counts, generation)


def _in_windows(rooms: dict[RoomId, None], ranges: Sequence[tuple[int, int]] | None) -> list[RoomId]:
    newest_first = reversed(rooms)
    if ranges is None:
        return list(newest_first)
    last = max((stop for _, stop in ranges), default=-1)
    top = list(islice(newest_first, last + 1))
    if len(ranges) == 1:
        return top[ranges[0][0] :]
    return [room_id for start, stop in ranges for room_id in top[start : stop + 1]]


def _wanted(rules: Rules, combinations: dict[tuple[int, ...], Wanted], indexes: tuple[int, ...]) -> Wanted:
    known = combinations.get(indexes)
    if known is None:
        count = len(rules.lists)
        configs = [rules.lists[index].config if index < count else rules.subscriptions[index - count][1] for index in indexes]
        names = tuple(rules.lists[index].name for index in indexes if index < count)
        known = combinations[indexes] = Wanted(combined(configs), names, indexes[-1] >= count)
    return known
