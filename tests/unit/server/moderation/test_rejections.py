from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.server.moderation.world import ModeratedWorld, open_world
from tests.unit.server.rooms.world import ALICE, BOB, CAROL, EVE
from watchword.base import limits
from watchword.protocol.ids import EventId, RoomId, UserId
from watchword.protocol.room_versions import ROOM_VERSIONS
from watchword.server.moderation.rejections import Criteria
from watchword.server.rooms.out_of_band import OutOfBand, Told


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[ModeratedWorld]:
    async with open_world(tmp_path) as world:
        await world.users(ALICE, BOB, CAROL)
        yield world


async def invited(world: ModeratedWorld, room: str, user: UserId, sender: UserId) -> RoomId:
    """An invite from afar."""
    room_id = RoomId(f"!{room}:there.example")
    out_of_band = OutOfBand(world.writer, world.memberships, world.log, world.reader.server_name)
    await out_of_band.record(room_id, ROOM_VERSIONS["11"], Told(user, "invite", EventId(f"${room}"), sender, []))
    return room_id


async def pending(world: ModeratedWorld, user: UserId) -> set[RoomId]:
    rows = (await world.memberships.of(user)).values()
    return {row.room_id for row in rows if row.membership == "invite"}


async def test_invites_of_a_sender_are_rejected_and_others_stay(world: ModeratedWorld) -> None:
    local = await world.room(ALICE)
    await world.invite(ALICE, local, BOB)
    await invited(world, "one", BOB, EVE)
    await invited(world, "two", CAROL, EVE)
    mallory = await invited(world, "three", BOB, UserId("@mallory:there.example"))
    world.nobody.leaves_out_of_band(world)
    assert await world.moderation.rejections.reject(Criteria(sender="@eve:*")) == 2
    assert await pending(world, BOB) == {local, mallory}
    assert await pending(world, CAROL) == set()


async def test_an_invite_to_a_room_here_is_rejected_in_the_room(world: ModeratedWorld) -> None:
    room_id = await world.room(ALICE)
    await world.invite(ALICE, room_id, BOB)
    assert await world.moderation.rejections.reject(Criteria(room_id=room_id), tell=False) == 1
    member = await world.ask(ALICE, "GET", f"rooms/{room_id}/state/m.room.member/{BOB}")
    assert member["membership"] == "leave"


@pytest.mark.parametrize(
    ("criteria", "count"),
    [
        (Criteria(), 0),
        (Criteria(server="there.example"), 2),
        (Criteria(server="THERE.*"), 2),
        (Criteria(sender="@eve:*", server="there.*"), 1),
        (Criteria(sender="@eve:*", room_id=RoomId("!b:there.example")), 0),
        (Criteria(server="elsewhere"), 0),
    ],
)
async def test_all_that_is_asked_for_must_fit(world: ModeratedWorld, criteria: Criteria, count: int) -> None:
    world.nobody.leaves_out_of_band(world)
    await invited(world, "a", BOB, EVE)
    await invited(world, "b", BOB, UserId("@mallory:there.example:8448"))
    assert await world.moderation.rejections.reject(criteria) == count


async def test_many_invites_are_rejected_page_by_page(world: ModeratedWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "pending_invites_page", 3)
    world.nobody.leaves_out_of_band(world)
    for number in range(10):
        await invited(world, f"r{number}", BOB, EVE)
    assert await world.moderation.rejections.reject(Criteria(sender=EVE)) == 10
    assert await pending(world, BOB) == set()


async def test_what_cannot_be_rejected_does_not_stop_the_rest(world: ModeratedWorld) -> None:
    await invited(world, "one", BOB, EVE)
    world.nobody.refuses_to_leave = True
    assert await world.moderation.rejections.reject(Criteria(sender=EVE)) == 0
