"""The doors of calls."""

from typing import Any

import orjson
import pytest

from watchword.base.clock import ManualClock
from watchword.base.errors import NotFound
from watchword.edge.replies import Reply
from watchword.edge.request import Request
from watchword.edge.requester import Requester
from watchword.protocol.ids import DeviceId, UserId
from watchword.server.calls.commands import CallSettings
from watchword.server.calls.endpoints import ENDPOINTS
from watchword.server.calls.service import Calls

ALICE = Requester(UserId("@alice:here.example"), DeviceId("D"), 1)


async def ask(path: str, settings: CallSettings) -> Any:
    endpoint = next(row for row in ENDPOINTS if row.path == path)
    reply = await endpoint.handler(Request("GET", path), ALICE, Calls(settings, ManualClock(1_000)))
    assert isinstance(reply, Reply)
    return orjson.loads(reply.body)


async def test_credentials_are_for_who_asks_and_end_in_time() -> None:
    told = await ask("/_matrix/client/v3/voip/turnServer", CallSettings(("turn:turn.example",), "shh", lifetime_ms=60_000))
    assert told["username"] == "61:@alice:here.example"


async def test_a_server_without_turn_tells_nothing() -> None:
    assert await ask("/_matrix/client/v3/voip/turnServer", CallSettings()) == {}


@pytest.mark.parametrize("path", [row.path for row in ENDPOINTS if "transports" in row.path])
async def test_media_servers_are_told_under_both_names_where_there_are_any(path: str) -> None:
    told = await ask(path, CallSettings(livekit_urls=("https://calls.example",)))
    assert told == {"rtc_transports": [{"type": "livekit", "livekit_service_url": "https://calls.example"}]}
    with pytest.raises(NotFound) as refused:
        await ask(path, CallSettings())
    assert refused.value.errcode == "M_UNRECOGNIZED"
