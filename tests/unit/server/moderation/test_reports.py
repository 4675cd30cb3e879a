from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest

from tests.unit.server.moderation.world import ModeratedWorld, open_world
from tests.unit.server.rooms.world import ALICE, BOB, CAROL, EVE
from watchword.base import limits
from watchword.protocol.ids import RoomId
from watchword.server.moderation.commands import Kind

NOWHERE = RoomId("!nowhere:there.example")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[ModeratedWorld]:
    async with open_world(tmp_path) as world:
        await world.users(ALICE, BOB, CAROL)
        yield world


async def test_a_member_reports_an_event_and_the_queue_shows_it_as_he_saw_it(world: ModeratedWorld) -> None:
    room_id = await world.public_room(BOB)
    event_id = await world.send(ALICE, room_id, "something bad")
    await world.ask(BOB, "POST", f"rooms/{room_id}/report/{event_id}", {"reason": "Rude.", "score": -100})
    (report,) = await world.moderation.reports.queue.page()
    what = report.what
    assert (what.kind, what.reporter, what.room_id, what.event_id, what.user_id) == (Kind.EVENT, BOB, room_id, event_id, ALICE)
    assert what.reason == "Rude."
    assert orjson.loads(what.event or b"")["content"]["body"] == "something bad"


async def test_an_event_can_be_reported_without_a_reason(world: ModeratedWorld) -> None:
    room_id = await world.public_room(BOB)
    event_id = await world.send(ALICE, room_id)
    await world.ask(BOB, "POST", f"rooms/{room_id}/report/{event_id}", {})
    assert await world.moderation.reports.queue.count() == 1


async def test_only_members_report_events(world: ModeratedWorld) -> None:
    room_id = await world.public_room(BOB)
    event_id = await world.send(ALICE, room_id)
    await world.leave(BOB, room_id)
    for user in (BOB, CAROL):
        assert await world.refused(user, "POST", f"rooms/{room_id}/report/{event_id}", {}) == (404, "M_NOT_FOUND")
    assert await world.refused(ALICE, "POST", f"rooms/{room_id}/report/$nothing", {}) == (404, "M_NOT_FOUND")
    assert await world.refused(ALICE, "POST", f"rooms/{NOWHERE}/report/{event_id}", {}) == (404, "M_NOT_FOUND")
    assert await world.moderation.reports.queue.count() == 0


async def test_what_somebody_may_not_see_he_cannot_report(world: ModeratedWorld) -> None:
    room_id = await world.public_room(initial_state=[_visibility("joined")])
    event_id = await world.send(ALICE, room_id, "before")
    await world.join(BOB, room_id)
    assert await world.refused(BOB, "POST", f"rooms/{room_id}/report/{event_id}", {}) == (404, "M_NOT_FOUND")


def _visibility(value: str) -> dict[str, object]:
    return {"type": "m.room.history_visibility", "content": {"history_visibility": value}}


async def test_rooms_and_users_are_reported_alike_whether_they_exist_or_not(world: ModeratedWorld) -> None:
    room_id = await world.room(ALICE)
    for target in (room_id, NOWHERE):
        assert await world.ask(CAROL, "POST", f"rooms/{target}/report", {"reason": "Spam."}) == {}
    for user in (ALICE, EVE, "@nobody:here.example"):
        assert await world.ask(CAROL, "POST", f"users/{user}/report", {"reason": ""}) == {}
    kinds = [
        (report.what.kind, report.what.room_id or report.what.user_id) for report in await world.moderation.reports.queue.page()
    ]
    assert kinds[:3] == [(Kind.ROOM, room_id), (Kind.ROOM, NOWHERE), (Kind.USER, ALICE)]
    assert len(kinds) == 5


@pytest.mark.parametrize("path", [f"rooms/{NOWHERE}/report", f"users/{EVE}/report"])
async def test_a_reason_is_required_where_there_is_nothing_else_to_go_by(world: ModeratedWorld, path: str) -> None:
    assert await world.refused(ALICE, "POST", path, {}) == (400, "M_MISSING_PARAM")
    assert await world.refused(ALICE, "POST", path, {"reason": 5}) == (400, "M_BAD_JSON")


async def test_saying_the_same_again_makes_one_report(world: ModeratedWorld) -> None:
    for reason in ("First.", "Second."):
        await world.ask(ALICE, "POST", f"users/{EVE}/report", {"reason": reason})
    (report,) = await world.moderation.reports.queue.page()
    assert report.what.reason == "Second."


async def test_long_reasons_are_cut(world: ModeratedWorld) -> None:
    await world.ask(ALICE, "POST", f"users/{EVE}/report", {"reason": "x" * 100_000})
    (report,) = await world.moderation.reports.queue.page()
    assert len(report.what.reason) == limits.report_reason_characters_max


async def test_one_person_can_report_only_so_much_a_day(world: ModeratedWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "reports_per_day_max", 2)
    for number in range(2):
        await world.ask(ALICE, "POST", f"users/@u{number}:x/report", {"reason": ""})
    assert await world.refused(ALICE, "POST", "users/@u3:x/report", {"reason": ""}) == (429, "M_LIMIT_EXCEEDED")
    await world.ask(BOB, "POST", "users/@u3:x/report", {"reason": ""})
    world.clock.advance(86_400_001)
    await world.ask(ALICE, "POST", "users/@u3:x/report", {"reason": ""})


async def test_the_queue_keeps_what_is_open_longest(world: ModeratedWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "reports_kept_max", 50)
    reports = world.moderation.reports
    for number in range(2):
        await reports.report_user(ALICE, EVE, str(number))
        await reports.report_room(BOB, RoomId(f"!{number}:x"), "")
    first = (await reports.queue.page())[0]
    assert await reports.queue.handle(first.report_id, CAROL)
    for number in range(100):
        world.clock.advance(86_400_000)
        await reports.report_room(ALICE, RoomId(f"!more{number}:x"), "")
    assert await reports.queue.count(handled=True) == 0
    assert await reports.queue.count() <= 60


async def test_a_report_that_was_dealt_with_is_no_longer_open_and_forgets_the_event(world: ModeratedWorld) -> None:
    room_id = await world.public_room(BOB)
    event_id = await world.send(ALICE, room_id)
    await world.ask(BOB, "POST", f"rooms/{room_id}/report/{event_id}", {})
    reports = world.moderation.reports
    (report,) = await reports.queue.page()
    assert await reports.queue.handle(report.report_id, CAROL)
    assert not await reports.queue.handle(report.report_id, CAROL)
    assert await reports.queue.page() == []
    (handled,) = await reports.queue.page(handled=True)
    assert (handled.handled_by, handled.what.event) == (CAROL, None)
    assert await reports.queue.one(report.report_id) == handled
    assert await reports.queue.delete(report.report_id)
    assert await reports.queue.one(report.report_id) is None
    assert not await reports.queue.delete(report.report_id)


async def test_pages_of_the_queue_follow_one_another(world: ModeratedWorld) -> None:
    for number in range(3):
        await world.ask(ALICE, "POST", f"users/@u{number}:x/report", {"reason": ""})
    first = await world.moderation.reports.queue.page(limit=2)
    second = await world.moderation.reports.queue.page(after=first[-1].report_id, limit=2)
    assert [report.what.user_id for report in (*first, *second)] == ["@u0:x", "@u1:x", "@u2:x"]
