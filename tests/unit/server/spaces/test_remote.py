"""Asking other servers about rooms."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from tests.unit.server.spaces.world import Played
from watchword.base import limits
from watchword.base.clock import ManualClock
from watchword.protocol.ids import RoomId, ServerName
from watchword.server.spaces.remote import RemoteRooms

HERE, THERE, YONDER = ServerName("here.example"), ServerName("there.example"), ServerName("yonder.example")
ROOM = RoomId("!room:there.example")
ANSWER = {"room": {"room_id": ROOM, "num_joined_members": 1, "world_readable": True, "guest_can_join": True}}


async def name_of(remote: RemoteRooms, *via: ServerName, timeout_ms: int = 1_000) -> str | None:
    described = await remote.described(ROOM, via, suggested_only=False, timeout_ms=timeout_ms)
    return None if described is None else described.entry["room_id"]


async def test_an_answer_is_kept_for_a_while() -> None:
    played, clock = Played(), ManualClock()
    played.answers[ROOM] = ANSWER
    remote = RemoteRooms(played, HERE, clock)
    assert await name_of(remote, THERE) == ROOM
    assert await name_of(remote, THERE) == ROOM
    assert len(played.asked) == 1
    clock.advance(limits.space_answer_ms)
    assert await name_of(remote, THERE) == ROOM
    assert len(played.asked) == 2


async def test_silence_is_kept_for_less_long() -> None:
    played, clock = Played(), ManualClock()
    remote = RemoteRooms(played, HERE, clock)
    assert await name_of(remote, THERE, YONDER) is None
    assert await name_of(remote, THERE, YONDER) is None
    assert [asked[0] for asked in played.asked] == [THERE, YONDER]
    clock.advance(limits.space_failure_ms)
    played.answers[ROOM] = ANSWER
    assert await name_of(remote, THERE, YONDER) == ROOM


async def test_whoever_names_a_server_of_his_own_does_not_speak_for_others() -> None:
    played = Played()
    played.answers[ROOM] = ANSWER
    remote = RemoteRooms(played, HERE, ManualClock())
    await name_of(remote, YONDER)
    played.answers.clear()
    assert await name_of(remote, THERE) is None


async def test_this_server_is_not_asked_and_nobody_else_too_often() -> None:
    played = Played()
    remote = RemoteRooms(played, HERE, ManualClock())
    assert await name_of(remote, HERE) is None
    assert await name_of(remote) is None
    assert played.asked == []
    await name_of(remote, *(ServerName(f"s{number}.example") for number in range(9)))
    assert len(played.asked) == limits.space_servers_asked_max


async def test_an_answer_about_another_room_is_passed_over() -> None:
    played = Played()
    played.answers[ROOM] = {"room": {**ANSWER["room"], "room_id": "!other:there.example"}}
    assert await name_of(RemoteRooms(played, HERE, ManualClock()), THERE) is None


class Slow(Played):
    """Waits until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.go = asyncio.Event()

    async def hierarchy(self, server: ServerName, room_id: RoomId, suggested_only: bool) -> Mapping[str, Any]:
        answer = await super().hierarchy(server, room_id, suggested_only)
        await self.go.wait()
        return answer


async def test_many_who_ask_the_same_wait_for_one_answer() -> None:
    slow = Slow()
    slow.answers[ROOM] = ANSWER
    remote = RemoteRooms(slow, HERE, ManualClock())
    asking = [asyncio.ensure_future(name_of(remote, THERE)) for _ in range(3)]
    await asyncio.sleep(0)
    slow.go.set()
    assert await asyncio.gather(*asking) == [ROOM] * 3
    assert len(slow.asked) == 1


async def test_who_does_not_answer_in_time_has_not_answered() -> None:
    slow = Slow()
    slow.answers[ROOM] = ANSWER
    assert await name_of(RemoteRooms(slow, HERE, ManualClock()), THERE, timeout_ms=5) is None


async def test_not_more_is_kept_than_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("watchword.base.limits.space_answers_max", 2)
    remote = RemoteRooms(Played(), HERE, ManualClock())
    for number in range(5):
        await name_of(remote, ServerName(f"s{number}.example"))
    assert len(remote._kept) == 2


async def test_answers_that_are_kept_are_bounded_by_their_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "space_answers_bytes_max", 100_000)
    played = Played()
    remote = RemoteRooms(played, HERE, ManualClock())
    for number in range(40):
        room_id = RoomId(f"!{number}:there.example")
        events = [
            {
                "type": "m.space.child",
                "state_key": f"!c{child}:there.example",
                "sender": "@a:there.example",
                "origin_server_ts": 1,
                "content": {"via": ["there.example"], "padding": "x" * 1_000},
            }
            for child in range(20)
        ]
        played.answers[room_id] = {"room": {**ANSWER["room"], "room_id": room_id, "children_state": events}}
        assert await remote.described(room_id, [THERE], suggested_only=False, timeout_ms=1_000) is not None
        assert remote._kept_bytes <= 100_000
    assert 0 < len(remote._kept) < 10
    assert remote._kept_bytes == sum(kept.size for kept in remote._kept.values())
