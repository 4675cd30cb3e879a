from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.server.rooms.stacks import Network, Stack
from tests.unit.server.rooms.world import ALICE, BOB, CAROL, World, open_world
from watchword.base.errors import Refusal
from watchword.protocol.ids import UserId

STABLE = "m.invite_permission_config"
UNSTABLE = "org.matrix.msc4155.invite_permission_config"
BLOCKED = (403, "M_INVITE_BLOCKED")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as world:
        await world.users(ALICE, BOB, CAROL)
        yield world


async def permit(world: World, user: UserId, content: dict[str, Any], kind: str = STABLE) -> None:
    await world.ask(user, "PUT", f"user/{user}/account_data/{kind}", content)


async def invites(world: World, user: UserId) -> set[str]:
    return set((await world.sync(user)).get("rooms", {}).get("invite", {}))


async def test_who_takes_no_invites_cannot_be_invited_in_any_way(world: World) -> None:
    room_id = await world.room(ALICE)
    await permit(world, BOB, {"default_action": "block"})
    assert await world.refused(ALICE, "POST", f"rooms/{room_id}/invite", {"user_id": BOB}) == BLOCKED
    member = {"membership": "invite"}
    assert await world.refused(ALICE, "PUT", f"rooms/{room_id}/state/m.room.member/{BOB}", member) == BLOCKED
    assert await world.refused(ALICE, "POST", "createRoom", {"invite": [BOB]}) == BLOCKED
    assert await invites(world, BOB) == set()


async def test_the_door_opens_again(world: World) -> None:
    room_id = await world.room(ALICE)
    await permit(world, BOB, {"default_action": "block"})
    assert await world.refused(ALICE, "POST", f"rooms/{room_id}/invite", {"user_id": BOB}) == BLOCKED
    await permit(world, BOB, {"default_action": "allow"})
    await world.invite(ALICE, room_id, BOB)
    assert await invites(world, BOB) == {room_id}


async def test_one_sender_can_be_refused_and_another_taken(world: World) -> None:
    await permit(world, BOB, {"blocked_users": ["@alice:*"]}, UNSTABLE)
    from_alice, from_carol = await world.room(ALICE), await world.room(CAROL)
    refused = await world.refused(ALICE, "POST", f"rooms/{from_alice}/invite", {"user_id": BOB})
    assert refused == (403, "ORG.MATRIX.MSC4155.M_INVITE_BLOCKED")
    await world.invite(CAROL, from_carol, BOB)
    assert await invites(world, BOB) == {from_carol}


async def test_an_ignored_senders_invite_is_made_and_not_shown(world: World) -> None:
    await permit(world, BOB, {"ignored_users": [ALICE]}, UNSTABLE)
    room_id = await world.room(ALICE)
    await world.invite(ALICE, room_id, BOB)
    assert await invites(world, BOB) == set()
    assert (await world.ask(BOB, "GET", "initialSync"))["rooms"] == []
    member = await world.ask(ALICE, "GET", f"rooms/{room_id}/state/m.room.member/{BOB}")
    assert member["membership"] == "invite"


async def test_invites_from_before_are_hidden(world: World) -> None:
    room_id = await world.room(ALICE)
    await world.invite(ALICE, room_id, BOB)
    assert await invites(world, BOB) == {room_id}
    await permit(world, BOB, {"default_action": "block"})
    assert await invites(world, BOB) == set()
    await world.join(BOB, room_id)


async def test_a_senders_server_is_told_and_tells_the_sender(tmp_path: Path) -> None:
    network = Network()
    here = await Stack.start(network, tmp_path, "here.example", "alice")
    there = await Stack.start(network, tmp_path, "there.example", "bob")
    room_id = await here.create()
    bob = there.user("bob")
    async with there.database.write() as tx:
        await there.rooms.doors.user_data.put_account_data(tx, bob, None, STABLE, {"default_action": "block"})
    with pytest.raises(Refusal) as refused:
        await here.change(room_id, "invite", bob)
    assert (refused.value.status, refused.value.errcode) == BLOCKED
    assert await there.rooms.reader.membership_of(bob, room_id) is None
    async with there.database.write() as tx:
        await there.rooms.doors.user_data.put_account_data(tx, bob, None, STABLE, {"blocked_servers": ["elsewhere.example"]})
    await here.change(room_id, "invite", bob)
    row = await there.rooms.reader.membership_of(bob, room_id)
    assert row is not None
    assert row.membership == "invite"
    for stack in (here, there):
        await stack.database.close()
