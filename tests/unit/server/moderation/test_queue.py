"""The queue as administrators see it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.server.moderation.world import ModeratedWorld, open_world
from tests.unit.server.rooms.world import ALICE, BOB
from watchword.protocol.ids import RoomId, UserId
from watchword.server.moderation.commands import Kind, ReportQuery


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[ModeratedWorld]:
    async with open_world(tmp_path) as opened:
        await opened.users(ALICE, BOB)
        yield opened


async def test_reports_are_found_by_what_they_are_of_and_by_age(world: ModeratedWorld) -> None:
    reports = world.moderation.reports
    for number, reporter in enumerate((ALICE, BOB, BOB)):
        await reports.report_user(reporter, UserId(f"@x{number}:there.example"), str(number))
    await reports.report_room(BOB, RoomId("!room:there.example"), "room")

    async def reasons(**query: Any) -> list[str]:
        page, total = await reports.queue.newest(ReportQuery(**query))
        assert total >= len(page)
        return [report.what.reason for report in page]

    assert await reasons() == ["room", "2", "1", "0"]
    assert await reasons(oldest_first=True, start=1, limit=2) == ["1", "2"]
    assert await reasons(kind=Kind.ROOM) == ["room"]
    assert await reasons(reporter=ALICE) == ["0"]
    assert await reasons(room_id=RoomId("!room:there.example")) == ["room"]
    written: list[object] = []

    async def also(tx: object) -> None:
        written.append(tx)

    assert await reports.queue.handle(1, ALICE, also)
    assert not await reports.queue.handle(1, ALICE, also)
    assert await reports.queue.delete(2, also)
    assert not await reports.queue.delete(2, also)
    assert len(written) == 2
    assert await reasons(handled=True) == ["0"]
    assert await reasons(handled=False) == ["room", "2"]
