import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.server.rooms.world import ALICE, BOB, HERE, World, bodies, open_world
from watchword.base.errors import NotFound
from watchword.protocol.ids import UserId
from watchword.server.notices import SCHEMA
from watchword.server.notices.assembly import assemble_notices
from watchword.server.notices.commands import NoticeSettings
from watchword.server.notices.service import ServerNotices
from watchword.storage import migrate

NOTICES = UserId(f"@notices:{HERE}")
SETTINGS = NoticeSettings(NOTICES, "The server", room_topic="What you should know", room_avatar_url="mxc://here.example/x")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as world:
        await migrate(world.database, [SCHEMA])
        await world.users(ALICE, BOB)
        object.__setattr__(world.membership, "notices_user", NOTICES)
        yield world


@pytest.fixture
def notices(world: World) -> ServerNotices:
    return assemble_notices(world.database, world.accounts, world.membership, SETTINGS)


def saying(text: str) -> dict[str, Any]:
    return {"msgtype": "m.text", "body": text}


async def invited_to(world: World, user: UserId) -> Any:
    (found,) = (await world.sync(user))["rooms"]["invite"].items()
    return found


async def test_a_notice_comes_in_a_room_of_its_own_with_its_tag(world: World, notices: ServerNotices) -> None:
    await notices.send(ALICE, saying("Please read this."))
    room_id, section = await invited_to(world, ALICE)
    state = {event["type"]: event["content"] for event in section["invite_state"]["events"] if event["state_key"] == ""}
    assert state["m.room.name"] == {"name": "Server notices"}
    assert state["m.room.avatar"] == {"url": "mxc://here.example/x"}
    tags = await world.ask(ALICE, "GET", f"user/{ALICE}/rooms/{room_id}/tags")
    assert tags == {"tags": {"m.server_notice": {}}}
    await world.join(ALICE, room_id)
    assert bodies((await world.messages(ALICE, room_id))["chunk"]) == ["Please read this."]
    member = await world.ask(ALICE, "GET", f"rooms/{room_id}/state/m.room.member/{NOTICES}")
    assert member["displayname"] == "The server"


async def test_every_user_has_one_room(world: World, notices: ServerNotices) -> None:
    await asyncio.gather(*(notices.send(ALICE, saying(f"{number}")) for number in range(5)))
    await notices.send(BOB, saying("for bob"))
    alice, _ = await invited_to(world, ALICE)
    bob, _ = await invited_to(world, BOB)
    assert alice != bob
    await world.join(ALICE, alice)
    assert sorted(bodies((await world.messages(ALICE, alice))["chunk"])) == ["0", "1", "2", "3", "4"]


async def test_the_invite_cannot_be_rejected(world: World, notices: ServerNotices) -> None:
    await notices.send(ALICE, saying("Stay."))
    room_id, _ = await invited_to(world, ALICE)
    refused = (403, "M_CANNOT_LEAVE_SERVER_NOTICE_ROOM")
    assert await world.refused(ALICE, "POST", f"rooms/{room_id}/leave", {}) == refused
    member = {"membership": "leave"}
    assert await world.refused(ALICE, "PUT", f"rooms/{room_id}/state/m.room.member/{ALICE}", member) == refused


async def test_who_left_is_invited_again_when_there_is_something_to_say(world: World, notices: ServerNotices) -> None:
    await notices.send(ALICE, saying("first"))
    room_id, _ = await invited_to(world, ALICE)
    await world.join(ALICE, room_id)
    await world.leave(ALICE, room_id)
    await notices.send(ALICE, saying("second"))
    assert (await invited_to(world, ALICE))[0] == room_id


async def test_nobody_can_answer(world: World, notices: ServerNotices) -> None:
    await notices.send(ALICE, saying("Listen."))
    room_id, _ = await invited_to(world, ALICE)
    await world.join(ALICE, room_id)
    assert await world.refused(ALICE, "PUT", f"rooms/{room_id}/send/m.room.message/1", saying("No!")) == (403, "M_FORBIDDEN")


async def test_whoever_takes_no_invites_hears_the_server_all_the_same(world: World, notices: ServerNotices) -> None:
    await world.ask(ALICE, "PUT", f"user/{ALICE}/account_data/m.invite_permission_config", {"default_action": "block"})
    await notices.send(ALICE, saying("Important."))
    row = [row for row in (await world.memberships.of(ALICE)).values() if row.membership == "invite"]
    assert len(row) == 1


async def test_notices_are_for_users_of_this_server(world: World, notices: ServerNotices) -> None:
    assert notices.enabled
    for nobody in (UserId("@nobody:here.example"), UserId("@eve:there.example"), NOTICES):
        with pytest.raises(NotFound):
            await notices.send(nobody, saying("Hello?"))


async def test_a_server_with_nothing_to_say_says_nothing(world: World) -> None:
    silent = assemble_notices(world.database, world.accounts, world.membership, NoticeSettings())
    assert not silent.enabled
    with pytest.raises(NotFound):
        await silent.send(ALICE, saying("Hello?"))
