"""The connection to a server: retries, patience and tokens."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.unit.client.homeserver import Fault, Homeserver, listening
from watchword.base.clock import SystemClock
from watchword.base.entropy import SeededEntropy
from watchword.base.errors import PeerError
from watchword.client.http import Call, ServerConnection, SignedOut, Tokens, path_of, tokens_of
from watchword.edge.addresses import EVERYWHERE
from watchword.edge.dns import DnsResolver
from watchword.edge.fetch import Fetcher

WHERE = "/_matrix/client/v3/room_keys/version"


class Line:
    """A connection to a homeserver with one signed-in device."""

    def __init__(self, homeserver: Homeserver, connection: ServerConnection) -> None:
        self.homeserver = homeserver
        self.connection = connection
        self.kept: list[Tokens] = []
        connection.keep_tokens = self._keep

    async def _keep(self, tokens: Tokens) -> None:
        self.kept.append(tokens)


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    async with listening(Homeserver()) as homeserver:
        homeserver.tokens["t"] = ("@a:x", "D")
        homeserver.versions.append({"algorithm": "a", "auth_data": {}})
        resolver = DnsResolver()
        fetcher = Fetcher(resolver, EVERYWHERE, plain_http=True)
        connection = ServerConnection(homeserver.url, fetcher, SystemClock(), SeededEntropy(1))
        connection.tokens = Tokens("t")
        yield Line(homeserver, connection)
        await fetcher.close()
        await resolver.close()


async def test_an_answer_is_an_object(line: Line) -> None:
    assert (await line.connection.call(Call("GET", WHERE)))["version"] == "1"


async def test_a_refusal_carries_status_and_errcode(line: Line) -> None:
    line.homeserver.versions.clear()
    with pytest.raises(PeerError) as refusal:
        await line.connection.call(Call("GET", WHERE))
    assert (refusal.value.status, refusal.value.errcode) == (404, "M_NOT_FOUND")


@pytest.mark.parametrize("status", [500, 502, 503])
async def test_a_server_in_trouble_is_asked_again(line: Line, status: int) -> None:
    line.homeserver.faults.append(Fault("room_keys", status))
    assert (await line.connection.call(Call("GET", WHERE)))["version"] == "1"


async def test_what_may_not_be_repeated_is_not(line: Line) -> None:
    line.homeserver.faults.append(Fault("room_keys", 502))
    with pytest.raises(PeerError):
        await line.connection.call(Call("GET", WHERE, repeatable=False))
    assert len(line.homeserver.requests) == 1


async def test_even_that_is_repeated_when_the_server_says_that_it_did_nothing(line: Line) -> None:
    line.homeserver.faults.append(Fault("room_keys", 429, {"errcode": "M_LIMIT_EXCEEDED", "retry_after_ms": 50}))
    assert await line.connection.call(Call("GET", WHERE, repeatable=False))


async def test_patience_ends(line: Line) -> None:
    line.homeserver.faults.append(Fault("room_keys", 429, {"errcode": "M_LIMIT_EXCEEDED"}, {"Retry-After": "100"}))
    with pytest.raises(PeerError) as refusal:
        await line.connection.call(Call("GET", WHERE, patience_ms=1_000))
    assert refusal.value.retry_after_ms == 100_000


async def test_a_server_that_is_not_there_is_an_error() -> None:
    resolver = DnsResolver()
    fetcher = Fetcher(resolver, EVERYWHERE, plain_http=True)
    connection = ServerConnection("http://127.0.0.1:1", fetcher, SystemClock(), SeededEntropy(1))
    with pytest.raises(PeerError) as error:
        await connection.call(Call("GET", WHERE, patience_ms=0))
    assert error.value.status is None
    await fetcher.close()
    await resolver.close()


@pytest.mark.parametrize("body", [[], 5, "text"])
async def test_an_answer_that_is_no_object_is_an_error(line: Line, body: Any) -> None:
    line.homeserver.faults.append(Fault("room_keys", 200, body))
    with pytest.raises(PeerError):
        await line.connection.call(Call("GET", WHERE))


async def test_an_unknown_token_without_a_refresh_token_ends_the_session(line: Line) -> None:
    line.homeserver.tokens.clear()
    with pytest.raises(SignedOut) as end:
        await line.connection.call(Call("GET", WHERE))
    assert end.value.soft


async def test_new_tokens_are_kept_before_they_are_used(line: Line) -> None:
    line.homeserver.tokens.clear()
    line.homeserver.refresh_tokens["r"] = ("@a:x", "D")
    line.connection.tokens = Tokens("old", "r")
    assert await line.connection.call(Call("GET", WHERE))
    assert line.kept == [line.connection.tokens]
    assert line.kept[0].refresh == "refresh1"


async def test_a_token_that_ends_soon_is_refreshed_before(line: Line) -> None:
    line.homeserver.refresh_tokens["r"] = ("@a:x", "D")
    line.connection.tokens = Tokens("t", "r", SystemClock().now_ms() + 1_000)
    await line.connection.call(Call("GET", WHERE))
    assert [request.rpartition("/")[2] for request in line.homeserver.requests] == ["refresh", "version"]


async def test_a_refused_refresh_ends_the_session(line: Line) -> None:
    line.homeserver.tokens.clear()
    line.connection.tokens = Tokens("old", "unknown")
    with pytest.raises(SignedOut):
        await line.connection.call(Call("GET", WHERE))


def test_parts_of_a_path_stay_one_part() -> None:
    assert path_of("rooms", "!a/b:c", "ü%?#") == "/rooms/%21a%2Fb%3Ac/%C3%BC%25%3F%23"


def test_tokens_are_read_from_an_answer_and_not_shown() -> None:
    tokens = tokens_of({"access_token": "a", "expires_in_ms": 5}, 100, "r")
    assert tokens == Tokens("a", "r", 105)
    assert repr(tokens) == "Tokens()"
    with pytest.raises(PeerError):
        tokens_of({}, 0)
