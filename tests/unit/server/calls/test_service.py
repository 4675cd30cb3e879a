"""Who is let into a media server: members of the room, here and of other servers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.unit.server.calls.test_livekit import SECRET, read
from tests.unit.server.rooms.world import ALICE, BOB, EVE, HERE, World, open_world
from watchword.base.errors import PeerError, Refusal
from watchword.protocol.ids import RoomId, ServerName
from watchword.server.calls import decide
from watchword.server.calls.commands import CallSettings, LiveKitSettings, TokenRequest
from watchword.server.calls.service import CallPorts, Calls

THERE = ServerName("there.example")
URL = "wss://livekit.example"
SETTINGS = CallSettings(livekit=LiveKitSettings(URL, "https://livekit.example", "key", SECRET))


@dataclass
class Outside:
    """A media server, and the other servers."""

    made: list[str] = field(default_factory=list)
    asked: list[tuple[ServerName, Mapping[str, Any]]] = field(default_factory=list)
    answer: Any = field(default_factory=lambda: {"jwt": "theirs"})
    is_down: bool = False

    async def ensure(self, name: str) -> None:
        if self.is_down:
            raise PeerError("livekit.example", "silent")
        self.made.append(name)

    async def livekit_token(self, server: ServerName, body: Mapping[str, Any]) -> dict[str, Any]:
        self.asked.append((server, body))
        if isinstance(self.answer, PeerError):
            raise self.answer
        return dict(self.answer)


def _calls(world: World, outside: Outside, settings: CallSettings = SETTINGS) -> Calls:
    return Calls(settings, world.clock, CallPorts(HERE, world.reader, outside, outside))


def _wanted(room_id: str, url: str = URL) -> TokenRequest:
    return TokenRequest(url, RoomId(room_id), "slot", "member")


async def test_a_member_gets_a_token_of_his_own_server(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        room_id, outside = await world.public_room(), Outside()
        wanted = _wanted(room_id)
        for server in (None, HERE):
            claims = read(await _calls(world, outside).token(ALICE, server, wanted))
        assert (claims["sub"], claims["video"]["room"]) == (decide.participant(ALICE, wanted), decide.media_room(wanted))
        assert claims["video"]["canPublish"]
        assert claims["nbf"] == world.clock.now_ms() // 1_000
        assert set(outside.made) == {decide.media_room(wanted)}


@pytest.mark.parametrize("server", [None, THERE])
async def test_who_is_not_in_the_room_gets_none(tmp_path: Path, server: ServerName | None) -> None:
    async with open_world(tmp_path) as world:
        room_id, outside = await world.public_room(BOB), Outside()
        await world.leave(BOB, room_id)
        for wanted in (_wanted(room_id), _wanted("!none:here.example")):
            with pytest.raises(Refusal) as refused:
                await _calls(world, outside).token(BOB, server, wanted)
            assert (refused.value.status, refused.value.errcode) == (403, "M_FORBIDDEN")
        assert not outside.made
        assert not outside.asked


async def test_another_media_server_is_not_ours_to_open(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        room_id = await world.public_room()
        with pytest.raises(Refusal) as refused:
            await _calls(world, Outside()).token(ALICE, HERE, _wanted(room_id, "wss://other.example"))
        assert (refused.value.status, refused.value.errcode) == (400, "M_INVALID_PARAM")


async def test_a_media_server_that_is_down_is_told_as_such(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        room_id = await world.public_room()
        with pytest.raises(Refusal) as refused:
            await _calls(world, Outside(is_down=True)).token(ALICE, None, _wanted(room_id))
        assert (refused.value.status, refused.value.errcode) == (502, "M_UNKNOWN")


async def test_another_server_is_asked_for_its_own(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        room_id, outside = await world.public_room(), Outside()
        # Also where there is no media server here.
        assert await _calls(world, outside, CallSettings()).token(ALICE, THERE, _wanted(room_id)) == "theirs"
        body = {"user_id": ALICE, "url": URL, "room_id": room_id, "slot_id": "slot", "member_id": "member"}
        assert outside.asked == [(THERE, body)]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (PeerError("x", "no", status=403, errcode="M_FORBIDDEN"), (403, "M_FORBIDDEN")),
        (PeerError("x", "no", status=400, errcode="M_INVALID_PARAM"), (400, "M_INVALID_PARAM")),
        (PeerError("x", "no", status=400, errcode="M_FORBIDDEN"), (502, "M_UNKNOWN")),
        (PeerError("x", "no", status=404, errcode="M_UNRECOGNIZED"), (502, "M_UNKNOWN")),
        (PeerError("x", "silent"), (502, "M_UNKNOWN")),
        ({}, (502, "M_UNKNOWN")),
        ({"jwt": 5}, (502, "M_UNKNOWN")),
        ({"jwt": "x" * 10_000}, (502, "M_UNKNOWN")),
    ],
)
async def test_what_another_server_says_is_passed_on_as_far_as_it_may(
    tmp_path: Path, answer: Any, expected: tuple[int, str]
) -> None:
    async with open_world(tmp_path) as world:
        room_id = await world.public_room()
        with pytest.raises(Refusal) as refused:
            await _calls(world, Outside(answer=answer)).token(ALICE, THERE, _wanted(room_id))
        assert (refused.value.status, refused.value.errcode) == expected


async def test_a_server_without_a_media_server_does_not_know_the_path(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        room_id, calls = await world.public_room(), _calls(world, Outside(), CallSettings())
        with pytest.raises(Refusal) as refused:
            await calls.token(ALICE, None, _wanted(room_id))
        assert (refused.value.status, refused.value.errcode) == (404, "M_UNRECOGNIZED")
        with pytest.raises(Refusal) as refused:
            await calls.token_for_server(THERE, EVE, _wanted(room_id))
        assert refused.value.errcode == "M_UNRECOGNIZED"


async def test_users_of_other_servers_may_listen_if_they_are_in_the_room(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        room_id, calls = await world.public_room(), _calls(world, Outside())
        with pytest.raises(Refusal) as refused:
            await calls.token_for_server(THERE, EVE, _wanted(room_id))
        assert refused.value.errcode == "M_FORBIDDEN"
        with pytest.raises(Refusal) as refused:
            await calls.token_for_server(THERE, ALICE, _wanted(room_id))
        assert refused.value.errcode == "M_FORBIDDEN"
        room = await world.reader.room(room_id)
        assert room is not None
        room.members.set(EVE, "join")
        claims = read(await calls.token_for_server(THERE, EVE, _wanted(room_id)))
        assert (claims["video"]["canPublish"], claims["video"]["canSubscribe"]) == (False, True)
