"""The stream of what a session tells."""

import asyncio

import pytest

from watchword.client.events import EventStream, RoomEvent, RoomJoined, RoomLeft, SessionEvent


def left(event: SessionEvent) -> str | None:
    return event.room_id if isinstance(event, RoomLeft) else None


async def test_what_was_already_told_is_found() -> None:
    stream = EventStream()
    await stream.publish([RoomJoined("!a"), RoomLeft("!b")])
    assert await stream.wait_for(left, 100) == "!b"


async def test_what_comes_later_is_waited_for() -> None:
    stream = EventStream()
    waiting = asyncio.ensure_future(stream.wait_for(left, 5_000))
    await stream.publish([RoomJoined("!a")])
    await asyncio.sleep(0)
    await stream.publish([RoomLeft("!b")])
    assert await waiting == "!b"


async def test_waiting_ends() -> None:
    with pytest.raises(TimeoutError):
        await EventStream().wait_for(left, 10)


async def test_events_before_a_position_are_passed_over() -> None:
    stream = EventStream()
    await stream.publish([RoomLeft("!old")])
    position = stream.position
    await stream.publish([RoomLeft("!new")])
    assert await stream.wait_for(left, 100, position) == "!new"
    assert stream.after(position) == [RoomLeft("!new")]
    assert stream.after(stream.position) == []


async def test_a_follower_gets_everything_in_order() -> None:
    stream = EventStream()
    await stream.publish([RoomLeft("!before")])
    found: list[SessionEvent] = []

    async def follow() -> None:
        async for event in stream.follow(0):
            found.append(event)
            if len(found) == 4:
                return

    following = asyncio.ensure_future(follow())
    await stream.publish([RoomLeft("!1"), RoomLeft("!2")])
    await asyncio.sleep(0)
    await stream.publish([RoomLeft("!3")])
    await asyncio.wait_for(following, 5)
    assert [left(event) for event in found] == ["!before", "!1", "!2", "!3"]


async def test_only_so_many_events_are_kept() -> None:
    stream = EventStream()
    await stream.publish([RoomLeft(f"!{number}") for number in range(10_500)])
    assert len(stream.after(0)) == 10_000
    assert stream.position == 10_500


def test_only_a_message_has_a_body() -> None:
    message = RoomEvent("!r", "$e", "@a:b", "m.room.message", {"body": "x"}, 1)
    assert (message.body, message.encrypted) == ("x", False)
    assert RoomEvent("!r", "$e", "@a:b", "m.other", {"body": "x"}, 1).body is None
    assert RoomEvent("!r", "$e", "@a:b", "m.room.message", {"body": 5}, 1).body is None
