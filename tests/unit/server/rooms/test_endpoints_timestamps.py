"""The doors to events by their time."""

from urllib.parse import urlencode

import orjson
import pytest

from tests.unit.server.rooms.test_timestamps import times_of
from tests.unit.server.rooms.world import ALICE, PHONE, World
from watchword.base.errors import BadRequest, Forbidden
from watchword.edge.request import Request
from watchword.edge.requester import Requester, ServerRequester
from watchword.protocol.ids import RoomId, ServerName
from watchword.server.rooms.endpoints_timestamps import by_time, by_time_for_server


def request(room_id: str, **query: object) -> Request:
    return Request("GET", "/", urlencode(query), params={"roomId": room_id})


async def test_an_event_is_named_with_its_time(world: World) -> None:
    room_id = await world.public_room()
    world.clock.advance(1_000)
    event_id = await world.send(ALICE, room_id, "tea")
    ts = world.clock.now_ms()
    reply = await by_time(request(room_id, ts=ts, dir="f"), Requester(ALICE, PHONE, 1), times_of(world))
    assert orjson.loads(reply.body) == {"event_id": event_id, "origin_server_ts": ts}


@pytest.mark.parametrize(
    ("query", "errcode"),
    [
        ({"dir": "f"}, "M_MISSING_PARAM"),
        ({"ts": 5}, "M_MISSING_PARAM"),
        ({"ts": 5, "dir": "x"}, "M_INVALID_PARAM"),
        ({"ts": "now", "dir": "f"}, "M_INVALID_PARAM"),
        ({"ts": -1, "dir": "f"}, "M_INVALID_PARAM"),
    ],
)
async def test_what_is_no_time_is_refused(world: World, query: dict[str, object], errcode: str) -> None:
    room_id = await world.public_room()
    with pytest.raises(BadRequest, match=errcode):
        await by_time(request(room_id, **query), Requester(ALICE, PHONE, 1), times_of(world))


async def test_servers_must_be_in_the_room(world: World) -> None:
    room_id: RoomId = await world.public_room()
    asking = ServerRequester(ServerName("there.example"))
    with pytest.raises(Forbidden):
        await by_time_for_server(request(room_id, ts=5, dir="b"), asking, times_of(world))
