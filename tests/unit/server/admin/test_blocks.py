"""Blocked rooms."""

from pathlib import Path

import pytest

from tests.unit.server.admin.world import OURS, ROOT, V3, AdminWorld, open_world, quoted
from watchword.base import limits
from watchword.protocol.ids import RoomId


async def test_nobody_joins_a_blocked_room_or_invites_to_it_until_it_is_unblocked(world: AdminWorld) -> None:
    room_id = await world.room(preset="public_chat")
    path, join = f"{OURS}/rooms/{quoted(room_id)}/blocked", f"{V3}/rooms/{quoted(room_id)}/join"
    assert await world.call("root", "PUT", path, {"blocked": True}) == {"blocked": True}
    assert (await world.ask("bob", "POST", join, {})).status == 403
    invited = await world.ask("alice", "POST", f"{V3}/rooms/{quoted(room_id)}/invite", {"user_id": "@bob:here.example"})
    assert invited.status == 403
    assert (await world.get(f"{OURS}/rooms/{quoted(room_id)}"))["blocked_by"] == ROOT
    await world.call("root", "PUT", path, {"blocked": False})
    await world.call("bob", "POST", join, {})
    assert [(entry.whom, entry.details) for entry in await world.entries(action="room.block")] == [
        (room_id, {"blocked": False}),
        (room_id, {"blocked": True}),
    ]


async def test_a_block_outlives_a_restart(tmp_path: Path) -> None:
    room = RoomId("!nowhere:there.example")
    async with open_world(tmp_path) as world:
        await world.call("root", "PUT", f"{OURS}/rooms/{quoted(room)}/blocked", {"blocked": True})
        blocks = world.server.admin.blocks
        blocks.bans.blocked_rooms = set()
        await blocks.start()
        assert blocks.bans.bans_room(room)


async def test_holding_a_room_does_not_unblock_it_afterwards(world: AdminWorld) -> None:
    blocks, room = world.server.admin.blocks, RoomId("!room:here.example")
    blocks.hold(room)
    blocks.hold(room)
    blocks.let_go(room)
    assert blocks.bans.bans_room(room)
    blocks.let_go(room)
    assert not blocks.bans.bans_room(room)


async def test_blocks_are_bounded(world: AdminWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "blocked_rooms_max", 1)
    for room, status in (("!a:x.y", 200), ("!a:x.y", 200), ("!b:x.y", 403)):
        answer = await world.ask("root", "PUT", f"{OURS}/rooms/{quoted(room)}/blocked", {"blocked": True})
        assert answer.status == status
