"""The doors of calls."""

from typing import Any

import orjson
import pytest

from watchword.base.clock import ManualClock
from watchword.base.errors import NotFound, Refusal
from watchword.edge.replies import Reply
from watchword.edge.request import Request
from watchword.edge.requester import Requester, ServerRequester
from watchword.protocol.ids import DeviceId, ServerName, UserId
from watchword.server.calls.commands import CallSettings
from watchword.server.calls.endpoints import ENDPOINTS, livekit_token, livekit_token_for_server
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
    assert told == {"rtc_transports": [{"type": "livekit", "livekit_service_url": "https://calls.example"}], "transports": []}
    with pytest.raises(NotFound) as refused:
        await ask(path, CallSettings())
    assert refused.value.errcode == "M_UNRECOGNIZED"


_BODY = {"url": "wss://livekit.example", "room_id": "!r:here.example", "slot_id": "s", "member_id": "m"}


@pytest.mark.parametrize(
    ("change", "errcode"),
    [
        ({"url": None}, "M_BAD_JSON"),
        ({"slot_id": 5}, "M_BAD_JSON"),
        ({"room_id": "r"}, "M_INVALID_PARAM"),
        ({"member_id": "x" * 2_000}, "M_INVALID_PARAM"),
        ({"server_name": "no server"}, "M_INVALID_PARAM"),
    ],
)
@pytest.mark.parametrize("path", [row.path for row in ENDPOINTS if row.handler is livekit_token])
async def test_who_wants_into_a_media_server_says_where_and_who(path: str, change: dict[str, object], errcode: str) -> None:
    request = Request("POST", path, json={**_BODY, **change})
    with pytest.raises(Refusal) as refused:
        await livekit_token(request, ALICE, Calls(CallSettings(), ManualClock()))
    assert refused.value.errcode == errcode


async def test_another_server_says_for_whom_it_asks() -> None:
    there = ServerRequester(ServerName("there.example"))
    with pytest.raises(Refusal) as refused:
        await livekit_token_for_server(Request("POST", "/", json=_BODY), there, Calls(CallSettings(), ManualClock()))
    assert refused.value.errcode == "M_MISSING_PARAM"
    asked = Request("POST", "/", json={**_BODY, "user_id": "@eve:there.example"})
    with pytest.raises(Refusal) as refused:
        await livekit_token_for_server(asked, there, Calls(CallSettings(), ManualClock()))
    assert refused.value.errcode == "M_UNRECOGNIZED"
