from pathlib import Path

import pytest

from tests.unit.server.rooms.stacks import Network, Stack
from watchword.base.errors import Forbidden
from watchword.protocol.ids import RoomId, ServerName, UserId
from watchword.protocol.policy_lists import PolicyRules, Rule
from watchword.server.moderation.bans import BanList

HERE = ServerName("a.example")


def test_nobody_of_this_server_is_banned_by_a_list() -> None:
    bans = BanList(HERE)
    bans.rules = PolicyRules([Rule("user", "*"), Rule("server", "*"), Rule("room", "!x*")])
    assert not bans.bans_user(UserId("@me:a.example"))
    assert not bans.bans_server(HERE)
    assert bans.bans_user(UserId("@you:b.example"))
    assert bans.bans_server(ServerName("b.example"))
    assert bans.bans_room(RoomId("!xyz"))


@pytest.fixture
async def stacks(tmp_path: Path) -> "tuple[Stack, Stack, BanList]":
    network, bans = Network(), BanList(HERE)
    a = await Stack.start(network, tmp_path, "a.example", "alice", bans=bans)
    return a, await Stack.start(network, tmp_path, "b.example", "bob"), bans


async def test_a_banned_server_neither_joins_nor_knocks_nor_invites(stacks: tuple[Stack, Stack, BanList]) -> None:
    a, b, bans = stacks
    room_id, theirs = await a.create(), await b.create("bob")
    bans.rules = PolicyRules([Rule("server", "b.*")])
    with pytest.raises(Forbidden):
        await b.join(room_id, "bob", a)
    with pytest.raises(Forbidden):
        await b.knock(room_id, "bob", a)
    with pytest.raises(Forbidden):
        await b.change(theirs, "invite", a.user("alice"), "bob")
    assert await a.membership(theirs, a.user("alice")) is None
    for stack in (a, b):
        await stack.database.close()


async def test_a_banned_user_invites_nobody_and_others_of_his_server_do(stacks: tuple[Stack, Stack, BanList]) -> None:
    a, b, bans = stacks
    theirs = await b.create("bob")
    bans.rules = PolicyRules([Rule("user", "@bob:*")])
    with pytest.raises(Forbidden):
        await b.change(theirs, "invite", a.user("alice"), "bob")
    bans.rules = PolicyRules([Rule("user", "@mallory:*")])
    await b.change(theirs, "invite", a.user("alice"), "bob")
    assert await a.membership(theirs, a.user("alice")) == "invite"
    for stack in (a, b):
        await stack.database.close()


async def test_who_is_banned_may_leave(stacks: tuple[Stack, Stack, BanList]) -> None:
    a, b, bans = stacks
    room_id = await a.create(preset="private_chat")
    await a.change(room_id, "invite", b.user("bob"))
    bans.rules = PolicyRules([Rule("server", "b.example")])
    await b.change(room_id, "leave", b.user("bob"), "bob")
    assert (await a.room(room_id)).members.membership[b.user("bob")] == "leave"
    for stack in (a, b):
        await stack.database.close()
