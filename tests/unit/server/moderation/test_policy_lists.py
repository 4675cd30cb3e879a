import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.unit.server.moderation.world import ModeratedWorld, open_world
from tests.unit.server.rooms.world import ALICE, BOB, EVE
from watchword.base import limits
from watchword.protocol.ids import EventId, RoomId, ServerName, UserId
from watchword.protocol.room_versions import ROOM_VERSIONS
from watchword.server.moderation.policy_lists import PolicyLists
from watchword.server.rooms.out_of_band import OutOfBand, Told

BAD_ROOM = RoomId("!bad:there.example")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[ModeratedWorld]:
    async with open_world(tmp_path) as world:
        await world.users(ALICE, BOB)
        world.nobody.leaves_out_of_band(world)
        yield world


@asynccontextmanager
async def following(world: ModeratedWorld, *room_ids: RoomId) -> AsyncIterator[PolicyLists]:
    lists = PolicyLists(world.reader, world.bans, world.moderation.rejections, world.clock, frozenset(room_ids))
    lists.listen(world.log)
    await lists.start()
    task = asyncio.ensure_future(lists.run())
    try:
        yield lists
    finally:
        task.cancel()
        await asyncio.wait([task])


async def rule(world: ModeratedWorld, room_id: RoomId, kind: str, entity: str, **changes: Any) -> EventId:
    content = {"entity": entity, "recommendation": "m.ban", "reason": "Spam.", **changes}
    return await world.set_state(ALICE, room_id, f"m.policy.rule.{kind}", content, f"rule:{entity}")


async def settled(world: ModeratedWorld) -> None:
    """Let the lists be read again."""
    for _ in range(3):
        await asyncio.sleep(0.005)
        world.clock.advance(limits.policy_lists_pause_ms)
    await asyncio.sleep(0.02)


async def test_the_rules_that_are_there_hold_from_the_start(world: ModeratedWorld) -> None:
    room_id = await world.room(ALICE)
    await rule(world, room_id, "user", "@eve:*")
    await rule(world, room_id, "server", "evil.example")
    await rule(world, room_id, "room", BAD_ROOM)
    async with following(world, room_id):
        assert world.bans.bans_user(EVE)
        assert world.bans.bans_server(ServerName("evil.example"))
        assert await world.refused(BOB, "POST", f"rooms/{BAD_ROOM}/join", {}) == (403, "M_FORBIDDEN")
        assert await world.refused(BOB, "POST", f"knock/{BAD_ROOM}", {}) == (403, "M_FORBIDDEN")


async def test_a_new_rule_holds_soon_and_one_taken_back_no_more(world: ModeratedWorld) -> None:
    room_id = await world.room(ALICE)
    async with following(world, room_id):
        assert not world.bans.bans_user(EVE)
        event_id = await rule(world, room_id, "user", EVE)
        await settled(world)
        assert world.bans.bans_user(EVE)
        await world.set_state(ALICE, room_id, "m.policy.rule.user", {}, f"rule:{EVE}")
        await settled(world)
        assert not world.bans.bans_user(EVE)
        assert event_id


async def test_a_redacted_rule_holds_no_more(world: ModeratedWorld) -> None:
    room_id = await world.room(ALICE)
    event_id = await rule(world, room_id, "user", EVE)
    async with following(world, room_id):
        assert world.bans.bans_user(EVE)
        await world.ask(ALICE, "PUT", f"rooms/{room_id}/redact/{event_id}/1", {})
        await settled(world)
        assert not world.bans.bans_user(EVE)


async def test_invites_by_whoever_is_banned_are_rejected(world: ModeratedWorld) -> None:
    room_id = await world.room(ALICE)
    spam = RoomId("!spam:there.example")
    out_of_band = OutOfBand(world.writer, world.memberships, world.log, world.reader.server_name)
    await out_of_band.record(spam, ROOM_VERSIONS["11"], Told(BOB, "invite", EventId("$spam"), EVE, []))
    async with following(world, room_id):
        await rule(world, room_id, "user", EVE)
        await settled(world)
        row = await world.reader.membership_of(BOB, spam)
        assert row is not None
        assert row.membership == "leave"
    assert world.nobody.asked == [("leave", [])]


async def test_a_banned_room_is_not_listed(world: ModeratedWorld) -> None:
    listed = await world.room(ALICE, visibility="public")
    room_id = await world.room(ALICE)
    await rule(world, room_id, "room", listed)
    async with following(world, room_id):
        assert (await world.ask(BOB, "GET", "publicRooms"))["chunk"] == []


async def test_other_rooms_are_no_lists(world: ModeratedWorld) -> None:
    room_id, other = await world.room(ALICE), await world.room(ALICE)
    async with following(world, room_id):
        await rule(world, other, "user", EVE)
        await settled(world)
        assert not world.bans.bans_user(EVE)


async def test_a_list_that_is_not_here_bans_nobody(world: ModeratedWorld) -> None:
    async with following(world, RoomId("!nowhere:x")):
        assert not world.bans.bans_user(UserId("@anybody:x"))
