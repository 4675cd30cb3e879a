"""State of a room in parts: the rules that the results of rooms do not show one by one."""

import sys

import pytest

from tests.unit.server.rooms.world import ALICE, BOB
from tests.unit.server.sync.sliding.windows import SlidingWorld
from watchword.protocol.ids import EventId
from watchword.server.rooms.facts import FactsReader
from watchword.server.sync.sliding.commands import Required, RoomConfig
from watchword.server.sync.sliding.connections import Told
from watchword.server.sync.sliding.state_parts import StatePart, StateParts, StateSpan, members_who_appear

NAME, TOPIC = Required((("m.room.name", ""),)), Required((("m.room.topic", ""),))


async def part(world: SlidingWorld, required: Required, told: Told | None) -> StatePart:
    room = await world.reader.room((await world.reader.joined_rooms(ALICE))[0])
    assert room is not None
    async with world.database.read() as tx:
        config = RoomConfig(1, (required,))
        return await StateParts(world.reader, FactsReader(world.reader)).part(
            tx, StateSpan(room, config, told, world.log.position)
        )


async def test_a_client_holds_the_state_of_two_configurations(world: SlidingWorld) -> None:
    room_id = await world.room(name="N", topic="T")
    first = await part(world, NAME, None)
    assert (first.changed, list(first.ids)) == (None, [("m.room.name", "")])
    told = Told(world.log.position, held=first.held)
    second = await part(world, TOPIC, told)
    assert list(second.ids) == [("m.room.topic", "")]
    assert [required for required, _ in second.held] == [(TOPIC,), (NAME,)]
    await world.set_state(ALICE, room_id, "m.room.name", {"name": "M"})
    third = await part(world, NAME, Told(told.until, held=second.held))
    assert list(third.ids) == [("m.room.name", "")]
    other = await part(world, Required(((None, None),), (("m.room.member", None),)), Told(told.until, held=third.held))
    assert ("m.room.name", "") not in other.ids
    assert ("m.room.topic", "") not in other.ids
    assert ("m.room.create", "") in other.ids
    assert len(other.held) == 2


def test_only_so_many_members_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("watchword.base.limits.sliding_members_told_max", 2)
    now = {("m.room.member", name): EventId(f"${name}") for name in ("@a:b", "@c:d", "@e:f")}
    changed = {("m.room.member", "@e:f"): EventId("$@e:f")}
    found, names = members_who_appear(StatePart(now, changed, (), {}, ()), [], ["@a:b", "@c:d"], limited=False)
    assert list(found) == [("m.room.member", "@e:f")]
    assert names == ("@c:d", "@e:f")
    assert names[1] is sys.intern("@e:" + "f")
    assert members_who_appear(StatePart(now, changed, (), {}, ()), [], ["@a:b"], limited=True) == ({}, ())
    assert BOB not in names
