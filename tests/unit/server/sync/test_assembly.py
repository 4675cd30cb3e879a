"""The feature as `app.py` builds it: its parts know one another."""

import asyncio
from typing import cast

from tests.unit.server.rooms.world import ALICE, BOB, PHONE, World
from watchword.edge.requester import Requester
from watchword.server.rooms.assembly import Rooms
from watchword.server.sync.assembly import Sync, SyncPorts, assemble_sync
from watchword.server.sync.filters import NO_FILTER
from watchword.server.sync.service import SyncRequest


def assembled(world: World) -> Sync:
    """Sync built on a world, which has the parts of rooms under the same names."""
    return assemble_sync(
        SyncPorts(
            database=world.database,
            log=world.log,
            rooms=cast(Rooms, world),
            accounts=world.accounts.reader,
            e2ee=world.e2ee_reader,
            presence=world.accounts.presence,
            unread=world.nobody,
            push_rules=world.nobody,
            stopping=world.stopping,
            clock=world.clock,
            entropy=world.entropy,
        )
    )


def request(world: World, timeout_ms: int = 0) -> SyncRequest:
    return SyncRequest(Requester(BOB, PHONE, 1), world.log.position, NO_FILTER, timeout_ms=timeout_ms)


async def test_the_parts_answer_together(world: World) -> None:
    room_id = await world.public_room(BOB)
    sync = assembled(world)
    asked = request(world)
    await world.send(ALICE, room_id, "hello")
    assert b'"body":"hello"' in await sync.service.sync(asked)


async def test_the_waiting_room_hears_the_log(world: World) -> None:
    room_id = await world.public_room(BOB)
    sync = assembled(world)
    waiting = asyncio.ensure_future(sync.service.sync(request(world, 30_000)))
    await asyncio.sleep(0.01)
    await world.send(ALICE, room_id, "hello")
    async with asyncio.timeout(2):
        assert b'"body":"hello"' in await waiting


async def test_the_doors_ask_the_same_service(world: World) -> None:
    sync = assembled(world)
    assert sync.doors.service is sync.service
