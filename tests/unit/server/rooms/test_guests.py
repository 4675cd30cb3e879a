"""Guests come in where they may, and go when they may no more."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.unit.server.rooms.world import ALICE, BOB, World, open_world
from watchword.edge.requester import Kind, Requester
from watchword.protocol.ids import DeviceId, RoomId, UserId
from watchword.server.accounts import registration
from watchword.server.accounts.commands import CreateAccount
from watchword.server.changes import StateChanged
from watchword.server.rooms.guests import RoomGuests

GUEST = UserId("@guest:here.example")
VISITOR = Requester(GUEST, DeviceId("G"), 9, kind=Kind.GUEST)
OPEN = [{"type": "m.room.guest_access", "content": {"guest_access": "can_join"}}]
SHUT = [{"type": "m.room.guest_access", "content": {"guest_access": "forbidden"}}]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened:
        wish = registration.Registration(None, None, None, None, wants_login=False, refreshable=False)
        await opened.accounts.registrar.create(CreateAccount(GUEST, None, is_guest=True), wish)
        yield opened


@asynccontextmanager
async def looking_after(world: World) -> AsyncIterator[None]:
    """Run the follower; at the end wait until it has acted on all that happened."""
    guests = RoomGuests(world.database, world.log, world.reader, world.writer, world.accounts.reader, world.clock)
    task = asyncio.ensure_future(guests.run())
    await asyncio.sleep(0)
    try:
        yield
        async with world.database.write() as tx:
            last = await world.log.append(tx, StateChanged(RoomId("!nowhere:here.example"), []))
        async with asyncio.timeout(10):
            while guests.followed < last:  # noqa: ASYNC110 (its progress rings no bell)
                await asyncio.sleep(0.002)
    finally:
        task.cancel()
        await asyncio.wait([task])


async def joined(world: World, room_id: RoomId) -> set[UserId]:
    room = await world.reader.room(room_id)
    assert room is not None
    return set(room.members.joined_local)


@pytest.mark.parametrize("path", ["rooms/{}/join", "join/{}"])
async def test_a_guest_joins_only_where_guests_may(world: World, path: str) -> None:
    friendly = await world.room(preset="public_chat", initial_state=OPEN)
    strict = await world.room(preset="public_chat", initial_state=SHUT)
    await world.ask(GUEST, "POST", path.format(friendly), {}, requester=VISITOR)
    assert GUEST in await joined(world, friendly)
    for room_id in (strict, "!unknown:there.example"):
        assert await world.refused(GUEST, "POST", path.format(room_id), {}, requester=VISITOR) == (
            403,
            "M_GUEST_ACCESS_FORBIDDEN",
        )


async def test_an_invitation_does_not_open_a_room_that_is_shut_to_guests(world: World) -> None:
    room_id = await world.room(initial_state=SHUT, invite=[GUEST])
    assert await world.refused(GUEST, "POST", f"rooms/{room_id}/join", {}, requester=VISITOR) == (
        403,
        "M_GUEST_ACCESS_FORBIDDEN",
    )


async def test_a_guest_does_not_come_in_by_a_member_event_either(world: World) -> None:
    room_id = await world.room(preset="public_chat", initial_state=SHUT)
    path = f"rooms/{room_id}/state/m.room.member/{GUEST}"
    assert await world.refused(GUEST, "PUT", path, {"membership": "join"}, requester=VISITOR) == (
        403,
        "M_GUEST_ACCESS_FORBIDDEN",
    )


async def test_guests_leave_when_they_may_stay_no_more_and_users_stay(world: World) -> None:
    room_id = await world.public_room(BOB, initial_state=OPEN)
    await world.ask(GUEST, "POST", f"rooms/{room_id}/join", {}, requester=VISITOR)
    async with looking_after(world):
        await world.set_state(ALICE, room_id, "m.room.guest_access", {"guest_access": "forbidden"})
    assert await joined(world, room_id) == {ALICE, BOB}


async def test_guests_stay_while_nothing_changes_for_them(world: World) -> None:
    room_id = await world.public_room(BOB, initial_state=OPEN)
    await world.ask(GUEST, "POST", f"rooms/{room_id}/join", {}, requester=VISITOR)
    async with looking_after(world):
        await world.set_state(ALICE, room_id, "m.room.topic", {"topic": "Guests"})
        await world.set_state(ALICE, room_id, "m.room.guest_access", {"guest_access": "can_join", "again": 1})
    assert GUEST in await joined(world, room_id)


async def test_what_happened_while_nobody_looked_is_made_good(world: World) -> None:
    room_id = await world.public_room(initial_state=OPEN)
    await world.ask(GUEST, "POST", f"rooms/{room_id}/join", {}, requester=VISITOR)
    await world.set_state(ALICE, room_id, "m.room.guest_access", {})
    async with looking_after(world):
        pass
    assert await joined(world, room_id) == {ALICE}
