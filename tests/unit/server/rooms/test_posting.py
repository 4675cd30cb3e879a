"""Sending what clients ask for: the rules that stand before the writer."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.unit.server.rooms.world import ALICE, BOB, PHONE, World, open_world
from watchword.base.errors import BadRequest, Refusal
from watchword.edge.requester import Requester
from watchword.protocol.ids import EventId, RoomId, UserId
from watchword.server.rooms.commands import SendEvent, Transaction
from watchword.server.rooms.posting import redaction_of

BY_ALICE = Requester(ALICE, PHONE, 1)


async def _post(world: World, requester: Requester, room_id: RoomId, kind: str, content: dict[str, Any], key: str) -> EventId:
    return await world.doors.posting.post(requester, SendEvent(room_id, requester.user_id, kind, content, key))


async def _membership(world: World, room_id: RoomId, user_id: UserId) -> str | None:
    row = await world.reader.membership_of(user_id, room_id)
    return None if row is None else row.membership


async def test_a_member_event_is_a_change_of_membership(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        room_id = await world.public_room(BOB)
        await _post(world, BY_ALICE, room_id, "m.room.member", {"membership": "leave"}, BOB)
        assert await _membership(world, room_id, BOB) == "leave"
        await _post(world, BY_ALICE, room_id, "m.room.member", {"membership": "ban"}, BOB)
        await _post(world, BY_ALICE, room_id, "m.room.member", {"membership": "leave"}, BOB)
        assert await _membership(world, room_id, BOB) == "leave"


async def test_a_member_event_keeps_its_transaction(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        room_id = await world.public_room()
        transaction = Transaction(ALICE, PHONE, "later", "1")
        command = SendEvent(room_id, ALICE, "m.room.member", {"membership": "ban"}, BOB, transaction=transaction)
        first = await world.doors.posting.post(BY_ALICE, command)
        assert await world.doors.posting.post(BY_ALICE, command) == first


@pytest.mark.parametrize(
    ("content", "key", "errcode"),
    [
        ({"membership": "leave"}, "nobody", "M_INVALID_PARAM"),
        ({}, BOB, "M_MISSING_PARAM"),
        ({"membership": "loiter"}, BOB, "M_BAD_JSON"),
        ({"membership": []}, BOB, "M_BAD_JSON"),
    ],
)
async def test_a_member_event_must_make_sense(tmp_path: Path, content: dict[str, Any], key: str, errcode: str) -> None:
    async with open_world(tmp_path) as world:
        room_id = await world.public_room(BOB)
        with pytest.raises(BadRequest) as refused:
            await _post(world, BY_ALICE, room_id, "m.room.member", content, key)
        assert refused.value.errcode == errcode


async def test_an_alias_that_is_not_of_the_room_is_not_announced(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        room_id = await world.public_room()
        with pytest.raises(Refusal) as refused:
            await _post(world, BY_ALICE, room_id, "m.room.canonical_alias", {"alias": "#no:here.example"}, "")
        assert refused.value.errcode == "M_BAD_ALIAS"


async def test_who_is_suspended_may_redact_and_nothing_else(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        room_id = await world.public_room()
        said = await world.say(ALICE, room_id)
        suspended = replace(BY_ALICE, is_suspended=True)
        for command in (SendEvent(room_id, ALICE, "m.x", {}), SendEvent(room_id, ALICE, "m.x", {}, "")):
            with pytest.raises(Refusal) as refused:
                await world.doors.posting.post(suspended, command)
            assert refused.value.errcode == "M_USER_SUSPENDED"
        await world.doors.posting.post(suspended, SendEvent(room_id, ALICE, "m.room.redaction", {}, redacts=said))


def test_the_target_of_a_redaction_is_taken_out_of_its_content() -> None:
    assert redaction_of({"redacts": "$a", "reason": "b"}) == ({"reason": "b"}, "$a")


@pytest.mark.parametrize(("target", "errcode"), [(None, "M_MISSING_PARAM"), (5, "M_BAD_JSON"), ("no event", "M_INVALID_PARAM")])
def test_a_redaction_names_its_target(target: object, errcode: str) -> None:
    with pytest.raises(BadRequest) as refused:
        redaction_of({"redacts": target})
    assert refused.value.errcode == errcode
