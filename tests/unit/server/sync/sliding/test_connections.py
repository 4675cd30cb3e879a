"""Connections stay with their clients over rest and restart, within bounds, and end with their devices."""

import asyncio
import zlib
from pathlib import Path
from typing import Any

import pytest

from tests.unit.server.rooms.world import ALICE, BOB, PHONE, bodies
from tests.unit.server.sync.answers import log_in
from tests.unit.server.sync.sliding.windows import Client, SlidingWorld, open_sliding, window
from watchword.base import limits
from watchword.base.errors import BadRequest, StorageError
from watchword.protocol.ids import DeviceId
from watchword.server.changes import AccountDeactivated, Change, DeviceDeleted
from watchword.server.sync.sliding.connections import Connection, Snapshot, Told, saved_form
from watchword.storage import Position


def client(world: SlidingWorld, **more: Any) -> Client:
    return Client(world, lists={"all": window(state=[["m.room.name", ""], ["m.room.member", "$LAZY"]])}, **more)


async def is_unknown(asked: Client) -> bool:
    return await asked.world.tried(ALICE, "POST", asked.form, asked.body, pos=asked.pos) == (
        400,
        {"errcode": "M_UNKNOWN_POS", "error": "This position is not known: begin anew, without one."},
    )


async def log(world: SlidingWorld, change: Change) -> None:
    async with world.database.write() as tx:
        await world.log.append(tx, change)


async def test_a_connection_survives_a_restart_and_tells_what_is_new(tmp_path: Path) -> None:
    async with open_sliding(tmp_path) as world:
        await world.users(ALICE, BOB)
        quiet, loud = await world.public_room(BOB, name="Quiet"), await world.public_room(BOB, name="Loud")
        asked = client(world, extensions={"account_data": {"enabled": True}, "receipts": {"enabled": True}})
        await asked.ask()
        lost = asked.pos
        await world.send(BOB, loud, "one")
        await asked.ask()
        await world.sliding.connections.save_all()
    async with open_sliding(tmp_path) as world:
        asked.world = world
        newest = asked.pos
        await world.send(BOB, loud, "two")
        answer = await asked.ask()
        assert list(answer["rooms"]) == [loud]
        assert bodies(answer["rooms"][loud]["timeline"]) == ["two"]
        assert "required_state" not in answer["rooms"][loud]
        assert answer["extensions"] == {}
        assert quiet not in answer["rooms"]
        # The answer before it may not have arrived.
        assert newest != lost
        asked.pos = lost
        assert await is_unknown(asked)


async def test_the_last_answer_may_have_been_lost_before_the_restart(tmp_path: Path) -> None:
    async with open_sliding(tmp_path) as world:
        await world.users(ALICE)
        room_id = await world.room()
        asked = client(world)
        await asked.ask()
        before = asked.pos
        await world.send(ALICE, room_id, "lost")
        await asked.ask()
        await world.sliding.connections.save_all()
    async with open_sliding(tmp_path) as world:
        asked.world, asked.pos = world, before
        assert bodies((await asked.room(room_id))["timeline"]) == ["lost"]


async def test_after_a_crash_a_client_begins_anew(tmp_path: Path) -> None:
    async with open_sliding(tmp_path) as world:
        await world.users(ALICE)
        asked = client(world)
        await asked.ask()
        await world.sliding.connections.save_all()
        await asked.ask()
        await asked.ask()
    async with open_sliding(tmp_path) as world:
        # What was saved is older than what the client has.
        asked.world = world
        assert await is_unknown(asked)


async def test_who_rests_is_saved_and_comes_back(world: SlidingWorld) -> None:
    room_id = await world.room()
    asked, connections = client(world), world.sliding.connections
    await asked.ask()
    ticking = asyncio.ensure_future(connections.run())
    await asyncio.sleep(0)
    world.clock.advance(60_000)
    await asyncio.sleep(0.01)
    assert len(connections) == 1
    world.clock.advance(limits.sliding_rest_after_ms)
    await asyncio.sleep(0.01)
    ticking.cancel()
    await asyncio.wait([ticking])
    assert len(connections) == 0
    await world.send(ALICE, room_id, "news")
    assert bodies((await asked.room(room_id))["timeline"]) == ["news"]
    assert len(connections) == 1
    # Nothing changed since it was loaded: nothing is written again.
    world.clock.advance(limits.sliding_rest_after_ms)
    await connections.tidy()
    assert len(connections) == 0


async def test_who_waits_does_not_rest(world: SlidingWorld) -> None:
    asked = client(world)
    await asked.ask()
    waiting = asyncio.ensure_future(asked.ask(timeout=limits.sync_timeout_ms_max))
    await asyncio.sleep(0.01)
    world.clock.advance(limits.sync_timeout_ms_max - 1)
    await world.sliding.connections.tidy()
    assert len(world.sliding.connections) == 1
    world.clock.advance(1)
    await waiting


async def test_what_nobody_came_back_to_is_dropped(world: SlidingWorld) -> None:
    asked = client(world)
    await asked.ask()
    world.clock.advance(limits.sliding_rest_after_ms)
    await world.sliding.connections.tidy()
    world.clock.advance(limits.sliding_saved_ms_max + 1)
    await world.sliding.connections.tidy()
    async with world.database.write():
        pass
    assert await is_unknown(asked)


async def test_a_device_has_only_so_many_connections(world: SlidingWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "sliding_connections_per_device_max", 2)
    asked = []
    for name in ("a", "b", "c"):
        asked.append(client(world, conn_id=name))
        await asked[-1].ask()
        world.clock.advance(1)
    assert await is_unknown(asked[0])
    assert not await is_unknown(asked[1])
    await world.sliding.connections.save_all()
    async with world.database.read() as tx:
        rows = await tx.fetch_all("SELECT conn_id FROM sliding_connections ORDER BY conn_id")
    assert [row[0] for row in rows] == ["b", "c"]


async def test_only_so_many_are_in_memory(world: SlidingWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "sliding_connections_max", 1)
    one, two = client(world, conn_id="one"), client(world, conn_id="two")
    await one.ask()
    await two.ask()
    assert len(world.sliding.connections) == 1
    async with world.database.write():
        pass
    await one.ask()
    await two.ask()


@pytest.mark.parametrize("change", [DeviceDeleted(ALICE, PHONE), AccountDeactivated(ALICE, erase=False)])
async def test_a_connection_ends_with_its_device(world: SlidingWorld, change: Change) -> None:
    await log_in(world, ALICE)
    asked = client(world)
    await asked.ask()
    await world.sliding.connections.save_all()
    await log(world, DeviceDeleted(BOB, DeviceId("OTHER")))
    assert len(world.sliding.connections) == 1
    await log(world, change)
    assert len(world.sliding.connections) == 0
    await world.sliding.connections.tidy()
    async with world.database.write():
        pass
    assert await is_unknown(asked)


async def test_what_cannot_be_read_is_not_known(world: SlidingWorld) -> None:
    asked = client(world)
    await asked.ask()
    connections = world.sliding.connections
    for saved in (b"nonsense", zlib.compress(b"\x93"), zlib.compress(b"\x93\xa1a\x01\x90")):
        connections._forget((ALICE, PHONE, ""))
        async with world.database.write() as tx:
            await tx.execute("DELETE FROM sliding_connections")
            await tx.execute(
                "INSERT INTO sliding_connections (user_id, device_id, conn_id, used_ts, saved) VALUES (?, ?, '', 0, ?)",
                ALICE,
                PHONE,
                saved,
            )
        assert await is_unknown(asked)


async def test_a_position_ahead_of_the_log_is_not_known(world: SlidingWorld) -> None:
    """The database was restored from an older copy."""
    connections = world.sliding.connections
    connection, _ = await connections.open((ALICE, PHONE, ""), None)
    pos = connection.answered(Snapshot(0, Position(world.log.position + 1), {}))
    with pytest.raises(BadRequest):
        await connections.open((ALICE, PHONE, ""), pos)


async def test_a_disk_that_refuses_does_not_keep_the_server_from_stopping(
    world: SlidingWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    await client(world).ask()

    def refuse(**options: Any) -> Any:
        raise StorageError("full")

    with monkeypatch.context() as patched:
        patched.setattr(world.database, "write", refuse)
        await world.sliding.connections.save_all()


def test_only_so_many_answers_may_be_under_way() -> None:
    connection = Connection((ALICE, "", ""), "NONCE", Snapshot(0, Position(0), {}))
    tokens = [connection.answered(Snapshot(0, Position(1), {})) for _ in range(5)]
    assert connection.found(tokens[0]) is None
    newest = connection.found(tokens[-1])
    assert newest is connection.base
    assert not connection.children
    assert connection.found(tokens[-2]) is None


def test_a_saved_connection_is_small() -> None:
    rooms: Any = {f"!room{number}:here.example": Told(number, 20, (), (ALICE, BOB)) for number in range(200)}
    connection = Connection((ALICE, "", ""), "NONCE", Snapshot(0, Position(0), rooms))
    assert len(saved_form(connection)) < 200 * 20
