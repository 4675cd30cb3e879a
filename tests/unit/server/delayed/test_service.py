"""Scheduling, beside what the doors' tests show."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.server.delayed.world import ALICE, PHONE, open_delayed_world
from watchword.base.errors import Refusal
from watchword.edge.requester import Requester
from watchword.protocol.ids import RoomId
from watchword.server.rooms.commands import LaterEvent

BY_ALICE = Requester(ALICE, PHONE, 1)


async def test_who_is_suspended_may_schedule_redactions_and_nothing_else(tmp_path: Path) -> None:
    async with open_delayed_world(tmp_path) as world:
        service, suspended, nowhere = world.delayed.service, replace(BY_ALICE, is_suspended=True), RoomId("!r:here.example")
        with pytest.raises(Refusal) as refused:
            await service.schedule(suspended, LaterEvent(nowhere, "m.x", {}, 5))
        assert refused.value.errcode == "M_USER_SUSPENDED"
        assert await service.schedule(suspended, LaterEvent(nowhere, "m.room.redaction", {"redacts": "$a"}, 5))


async def test_older_rooms_take_content_that_newer_ones_do_not(tmp_path: Path) -> None:
    async with open_delayed_world(tmp_path) as world:
        old, new = await world.public_room(room_version="5"), await world.public_room(room_version="11")
        assert await world.delayed.service.schedule(BY_ALICE, LaterEvent(old, "m.x", {"a": 0.5}, 5))
        with pytest.raises(Refusal) as refused:
            await world.delayed.service.schedule(BY_ALICE, LaterEvent(new, "m.x", {"a": 0.5}, 5))
        assert refused.value.errcode == "M_BAD_JSON"


async def test_of_what_is_over_the_newest_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("watchword.base.limits.delayed_events_kept_max", 2)
    async with open_delayed_world(tmp_path) as world:
        room_id = await world.public_room()
        for text in ("a", "b", "c"):
            await world.act(await world.later(ALICE, room_id, text), "cancel")
            world.clock.advance(1)
        await world.later(ALICE, room_id, "d")
        body = await world.ask(ALICE, "GET", "/_matrix/client/v1/delayed_events", since_ts="0")
        assert [each["content"]["body"] for each in body["delayed_events"]] == ["b", "c", "d"]


async def test_delayed_event_ids_cannot_be_guessed(tmp_path: Path) -> None:
    async with open_delayed_world(tmp_path) as world:
        room_id = await world.public_room()
        first, second = await world.later(ALICE, room_id, "a"), await world.later(ALICE, room_id, "b")
        assert first != second
        assert len(first) >= 32
