import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from watchword.base.config import Config
from watchword.edge.connection import ConnectionLimits
from watchword.edge.endpoint import Auth, Body, Endpoint
from watchword.edge.listener import Listen, ListenError, listens
from watchword.edge.replies import Reply, StreamReply
from watchword.edge.request import Request


async def echo(request: Request, requester: Any, service: object) -> Reply:
    return Reply.json({"json": dict(request.json), "address": request.client_address, "query": dict(request.query)})


async def measure(request: Request, requester: Any, service: object) -> Reply:
    return Reply.json({"bytes": sum([len(piece) async for piece in request.stream()])})


def row(method: str = "GET", path: str = "/x", handler: Any = echo, **more: Any) -> Endpoint:
    return Endpoint(method, path, handler, "x#y", auth=Auth.NONE, **more)


class Poll:
    """A handler that waits for ever and says what became of it."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.finished = asyncio.Event()
        self.release = asyncio.Event()

    async def handle(self, request: Request, requester: Any, service: object) -> Reply:
        self.started.set()
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        self.finished.set()
        return Reply.EMPTY


async def test_a_request_is_answered_over_a_real_socket(a_house: Any, serving: Any) -> None:
    async with serving(a_house(row("PUT", body=Body.JSON))) as served:
        answer = await served.ask("PUT", "/x?a=b", b'{"c":1}')
    assert answer.status == 200
    assert answer.json == {"json": {"c": 1}, "address": "127.0.0.1", "query": {"a": ["b"]}}
    assert answer.headers["content-type"] == "application/json"
    assert "date" in answer.headers
    assert "server" not in answer.headers


@pytest.mark.parametrize(
    ("method", "target"), [("GET", "/x"), ("GET", "/nowhere"), ("POST", "/x"), ("PUT", "/x"), ("OPTIONS", "/x")]
)
async def test_cors_is_on_every_answer(a_house: Any, serving: Any, method: str, target: str) -> None:
    async with serving(a_house(row(), row("PUT", body=Body.JSON))) as served:
        answer = await served.ask(method, target)
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "PUT" in answer.headers["access-control-allow-methods"]
    assert "Authorization" in answer.headers["access-control-allow-headers"]


async def test_options_runs_no_handler(a_house: Any, serving: Any) -> None:
    async def never(request: Request, requester: Any, service: object) -> Reply:
        raise AssertionError

    async with serving(a_house(row(handler=never), row("OPTIONS", handler=never))) as served:
        for target in ("/x", "/nowhere", "*"):
            assert (await served.ask("OPTIONS", target)).status in (204, 400)
        assert (await served.ask("OPTIONS", "/x")).status == 204


async def test_head_has_the_head_and_no_body(a_house: Any, serving: Any) -> None:
    async with serving(a_house(row())) as served:
        answer = await served.ask("HEAD", "/x")
    assert (answer.status, answer.body) == (200, b"")
    assert int(answer.headers["content-length"]) > 0


async def test_a_connection_serves_many_requests_and_pipelined_ones_in_order(a_house: Any, serving: Any) -> None:
    async with serving(a_house(row())) as served:
        wire = await served.connect()
        await wire.send(b"".join(b"GET /x?n=%d HTTP/1.1\r\nHost: a\r\n\r\n" % n for n in range(5)))
        assert [(await wire.answer()).json["query"] for _ in range(5)] == [{"n": [str(n)]} for n in range(5)]


# Sizes


async def test_a_chunked_body_is_bounded_though_nothing_was_declared(a_house: Any, serving: Any) -> None:
    async with serving(a_house(row("PUT", body=Body.JSON, body_bytes_max=100_000), row())) as served:
        wire = await served.connect()
        await wire.send(b"PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        await wire.send((b"8000\r\n" + b" " * 0x8000 + b"\r\n") * 8)
        assert (await wire.answer()).status == 413
        # What follows of the body is thrown away, and the connection is good for the next request.
        await wire.send((b"8000\r\n" + b" " * 0x8000 + b"\r\n") * 4 + b"0\r\n\r\n")
        await wire.send(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await wire.answer()).status == 200


async def test_a_declared_body_that_is_too_large_is_refused_before_it_is_sent(a_house: Any, serving: Any) -> None:
    async with serving(a_house(row("PUT", body=Body.JSON, body_bytes_max=100))) as served:
        wire = await served.connect()
        await wire.send(b"PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n")
        answer = await wire.answer()
    assert (answer.status, answer.json["errcode"]) == (413, "M_TOO_LARGE")


async def test_a_body_that_never_ends_after_its_refusal_ends_the_connection(a_house: Any, serving: Any) -> None:
    async with serving(a_house(row("PUT", body=Body.JSON, body_bytes_max=100))) as served:
        wire = await served.connect()
        await wire.send(b"PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n")
        assert (await wire.answer()).status == 413
        async with asyncio.timeout(30):
            with pytest.raises(ConnectionError):
                await wire.send(b"x" * 60_000_000)


async def test_a_refusal_reaches_a_client_that_ends_its_connection_and_is_still_sending(a_house: Any, serving: Any) -> None:
    async with serving(a_house(row("PUT", body=Body.JSON, body_bytes_max=100))) as served:
        wire = await served.connect()
        await wire.send(b"PUT /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 5000000\r\n\r\n")
        for _ in range(50):
            await wire.send(b"x" * 100_000)
        assert (await wire.answer()).status == 413
        assert await wire.is_closed()


async def test_a_large_upload_streams_through(a_house: Any, serving: Any) -> None:
    async with serving(a_house(row("POST", handler=measure, body=Body.STREAM, body_bytes_max=10_000_000))) as served:
        answer = await served.ask("POST", "/x", b"x" * 5_000_000)
    assert answer.json == {"bytes": 5_000_000}


@pytest.mark.parametrize(
    "head",
    [
        b"GET /x HTTP/1.1\r\nHost: a\r\n" + b"X-Big: " + b"a" * 200_000 + b"\r\n\r\n",
        b"GET /x HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 30_000 + b"\r\n",
        b"GET /" + b"x" * 200_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /x HTTP/1.1\r\nHost: a\r\nX-Endless: " + b"a" * 500_000,
        b"PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;" + b"e" * 500_000,
    ],
    ids=["one header", "many headers", "target", "endless header", "chunk extension"],
)
async def test_a_huge_head_is_refused(a_house: Any, serving: Any, head: bytes) -> None:
    async with serving(a_house(row(), row("PUT", body=Body.JSON))) as served:
        wire = await served.connect()
        try:
            await wire.send(head)
            assert (await wire.answer()).status == 400
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        assert await wire.is_closed()
        assert (await served.ask("GET", "/x")).status == 200


@pytest.mark.parametrize(
    "head",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\0/x HTTP/1.1\r\n\r\n",
        b"GET /x HTTP/1.1\r\nHost: a\r\nA\0B: c\r\n\r\n",
        b"GET /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET /x HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"GET /x HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999999\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: a\r\n\r\n",
        b"CONNECT a.example:443 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET http:// HTTP/1.1\r\nHost: a\r\n\r\n",
        b"NONSENSE /x HTTP/1.1\r\n\r\n",
        b"GET /x HTTP/9.9\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_refused_and_harms_nobody(a_house: Any, serving: Any, head: bytes) -> None:
    async with serving(a_house(row())) as served:
        wire = await served.connect()
        await wire.send(head)
        answer = await wire.answer()
        assert 400 <= answer.status < 500
        assert "errcode" in answer.json
        assert (await served.ask("GET", "/x")).status == 200


async def test_an_upgrade_that_we_do_not_know_is_an_ordinary_request(a_house: Any, serving: Any) -> None:
    async with serving(a_house(row())) as served:
        answer = await served.ask("GET", "/x", Connection="Upgrade", Upgrade="websocket")
    assert answer.status == 200


SECRET = b"GET /secret HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize(
    "head",
    [
        b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\nContent-Length: %d\r\n\r\n" % len(SECRET),
        b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"GET /x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
        b"GET /x HTTP/1.1\r\nHost: a\r\nX-Folded: a\r\n b\r\n\r\n",
        b"GET /x HTTP/1.1\r\nHost: a\r\nX-Bare: a\nY: b\r\n\r\n",
        b"GET /x HTTP/1.1\r\nHost: a\r\nX-Spaced : a\r\n\r\n",
        b"GET /x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /x HTTP/2.0\r\nHost: a\r\n\r\n",
        b"GET /x\r\n\r\n",
    ],
)
async def test_no_request_can_be_smuggled_inside_another(a_house: Any, serving: Any, head: bytes) -> None:
    asked = asyncio.Event()

    async def secret(request: Request, requester: Any, service: object) -> Reply:
        asked.set()
        return Reply.EMPTY

    async with serving(a_house(row(), row(path="/secret", handler=secret))) as served:
        wire = await served.connect()
        await wire.send(head)
        answer = await wire.answer()
        assert (answer.status, answer.closed) == (400, True)
        with suppress(ConnectionError):
            await wire.send(SECRET)
            assert await wire.is_closed()
        assert not asked.is_set()


async def test_nothing_follows_a_wish_to_upgrade(a_house: Any, serving: Any) -> None:
    async with serving(a_house(row())) as served:
        wire = await served.connect()
        await wire.send(b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
        answer = await wire.answer()
        assert (answer.status, answer.closed) == (200, True)
        assert await wire.is_closed()


async def test_a_trailer_is_no_header(a_house: Any, serving: Any) -> None:
    async def told(request: Request, requester: Any, service: object) -> Reply:
        return Reply.json({"headers": sorted(request.headers)})

    async with serving(a_house(row("PUT", handler=told, body=Body.JSON))) as served:
        wire = await served.connect()
        await wire.send(
            b"PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nAuthorization: Bearer a\r\n\r\n"
        )
        assert (await wire.answer()).json == {"headers": ["host", "transfer-encoding"]}


# Slowness


SHORT = ConnectionLimits(header_timeout_ms=200, stop_grace_ms=200, write_stall_ms=200, sweep_interval_ms=50)


@pytest.mark.parametrize(
    "start", [b"", b"GET /x HTTP/1.1\r\nHost: a\r\nX-Slow: ", b"PUT /x HTTP/1.1\r\nContent-Length: 9\r\n\r\n{"]
)
async def test_who_does_not_finish_a_request_is_dropped(a_house: Any, serving: Any, start: bytes) -> None:
    async with serving(a_house(row(), row("PUT", body=Body.JSON)), connection_limits=SHORT, running=True) as served:
        wire = await served.connect()
        await wire.send(start)
        assert await wire.is_closed()


async def test_who_waits_for_us_is_not_dropped(a_house: Any, serving: Any) -> None:
    poll = Poll()
    async with serving(a_house(row(handler=poll.handle)), connection_limits=SHORT, running=True) as served:
        wire = await served.connect()
        await wire.send(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
        await asyncio.sleep(0.5)
        poll.release.set()
        assert (await wire.answer()).status == 200


@pytest.mark.parametrize("whole", [True, False])
async def test_who_does_not_read_his_answer_is_dropped(a_house: Any, serving: Any, whole: bool) -> None:
    ended = asyncio.Event()

    async def pieces() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x" * 1_000_000
        finally:
            ended.set()

    async def large(request: Request, requester: Any, service: object) -> Reply | StreamReply:
        return Reply(200, b"x" * 50_000_000) if whole else StreamReply(200, pieces(), {})

    async with serving(a_house(row(handler=large)), connection_limits=SHORT, running=True) as served:
        wire = await served.connect()
        wire.writer.transport.pause_reading()
        await wire.send(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
        async with asyncio.timeout(10):
            if not whole:
                await ended.wait()
            while served.listeners.connections:  # noqa: ASYNC110 (nobody rings when a connection is lost)
                await asyncio.sleep(0.01)
        wire.writer.transport.abort()


async def test_more_connections_than_allowed_are_dropped(a_house: Any, serving: Any) -> None:
    async with serving(a_house(row()), connection_limits=ConnectionLimits(connections_max=2)) as served:
        kept = [await served.connect() for _ in range(2)]
        await asyncio.sleep(0.05)
        assert await (await served.connect()).is_closed()
        await kept[0].send(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await kept[0].answer()).status == 200
        assert served.listeners.connections == 2


async def test_more_requests_than_allowed_are_told_to_come_back(a_house: Any, serving: Any) -> None:
    poll = Poll()
    house = a_house(row(handler=poll.handle), row(path="/y"))
    async with serving(house, connection_limits=ConnectionLimits(requests_active_max=1)) as served:
        wire = await served.connect()
        await wire.send(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
        await poll.started.wait()
        answer = await served.ask("GET", "/y")
        assert answer.status == 503
        assert answer.headers["retry-after"] == "5"
        poll.release.set()
        assert (await wire.answer()).status == 200
        assert (await served.ask("GET", "/y")).status == 200


# Clients that leave


async def test_a_long_poll_whose_client_leaves_is_cancelled(
    a_house: Any, serving: Any, caplog: pytest.LogCaptureFixture
) -> None:
    poll = Poll()
    async with serving(a_house(row(handler=poll.handle))) as served:
        wire = await served.connect()
        await wire.send(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
        await poll.started.wait()
        await wire.close()
        async with asyncio.timeout(5):
            await poll.cancelled.wait()
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []


async def test_a_write_whose_client_leaves_goes_on(a_house: Any, serving: Any, caplog: pytest.LogCaptureFixture) -> None:
    poll = Poll()
    async with serving(a_house(row("PUT", handler=poll.handle))) as served:
        wire = await served.connect()
        await wire.send(b"PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
        await poll.started.wait()
        await wire.close()
        await asyncio.sleep(0.05)
        assert not poll.cancelled.is_set()
        poll.release.set()
        async with asyncio.timeout(5):
            await poll.finished.wait()
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []


async def test_a_stream_whose_client_leaves_is_ended(a_house: Any, serving: Any) -> None:
    ended = asyncio.Event()

    async def pieces() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x" * 65_536
                await asyncio.sleep(0)
        finally:
            ended.set()

    async def stream(request: Request, requester: Any, service: object) -> StreamReply:
        return StreamReply(200, pieces(), {"content-type": "text/plain"})

    async with serving(a_house(row(handler=stream))) as served:
        wire = await served.connect()
        await wire.send(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
        await wire.reader.read(1000)
        wire.writer.transport.abort()
        async with asyncio.timeout(5):
            await ended.wait()


async def test_a_stream_arrives_whole(a_house: Any, serving: Any) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 10_000

    async def stream(request: Request, requester: Any, service: object) -> StreamReply:
        return StreamReply(200, pieces(), {"content-type": "text/plain", "content-length": "1000000"})

    async with serving(a_house(row(handler=stream))) as served:
        assert len((await served.ask("GET", "/x")).body) == 1_000_000


# Stopping


async def test_the_stop_wakes_long_polls_and_is_quick(a_house: Any, serving: Any) -> None:
    async with serving(a_house()) as served:

        async def until_stop(request: Request, requester: Any, service: object) -> Reply:
            await served.stopping.wait()
            return Reply.json({"woken": True})

        served.listeners._router.mount((row(handler=until_stop),), None)
        wires = [await served.connect() for _ in range(20)]
        for wire in wires:
            await wire.send(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
        await asyncio.sleep(0.05)
        async with asyncio.timeout(1):
            await served.listeners.stop()
        answers = [await wire.answer() for wire in wires]
    assert all(answer.json == {"woken": True} for answer in answers)
    assert all(answer.closed for answer in answers)


async def test_what_does_not_end_within_the_grace_is_cut_off(a_house: Any, serving: Any) -> None:
    poll = Poll()
    async with serving(a_house(row("PUT", handler=poll.handle)), connection_limits=SHORT) as served:
        wire = await served.connect()
        await wire.send(b"PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
        await poll.started.wait()
        async with asyncio.timeout(2):
            await served.listeners.stop()
        assert poll.cancelled.is_set()


async def test_after_the_stop_nobody_listens(a_house: Any, serving: Any) -> None:
    async with serving(a_house(row())) as served:
        port = served.port
        await served.listeners.stop()
        with pytest.raises(ConnectionRefusedError):
            await served.connect(port)


# Listeners


async def test_each_listener_serves_its_own_doors(a_house: Any, serving: Any) -> None:
    house = a_house(row(path="/_matrix/client/versions"), row(path="/_matrix/federation/v1/version"))
    client, federation = Listen(port=0, doors=frozenset({"client"})), Listen(port=0, doors=frozenset({"federation"}))
    async with serving(house, client, federation) as served:
        first, second = served.listeners.ports
        assert first != second
        assert (await served.ask("GET", "/_matrix/client/versions", port=first)).status == 200
        assert (await served.ask("GET", "/_matrix/client/versions", port=second)).status == 404
        assert (await served.ask("GET", "/_matrix/federation/v1/version", port=first)).status == 404
        assert (await served.ask("GET", "/_matrix/federation/v1/version", port=second)).status == 200


async def test_tls_is_spoken_where_a_certificate_is_given(a_house: Any, serving: Any, authority: Any) -> None:
    certificate, key = authority.issue("a.example")
    async with serving(a_house(row()), Listen(port=0, certificate_file=certificate, key_file=key)) as served:
        context = ssl.create_default_context(cafile=authority.file)
        wire = await served.connect(tls=context, name="a.example")
        await wire.send(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await wire.answer()).status == 200
        wire.writer.transport.abort()


def is_gone(path: str) -> bool:
    return not Path(path).exists()


async def test_a_unix_socket_is_served_and_removed(a_house: Any, serving: Any, tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    async with serving(a_house(row()), Listen(unix_socket=path)):
        connector = aiohttp.UnixConnector(path)
        async with aiohttp.ClientSession(connector=connector) as session:
            answer = await session.get("http://a/x", headers={"X-Forwarded-For": "203.0.113.9"})
            assert (await answer.json())["address"] == "203.0.113.9"
    assert is_gone(path)


async def test_an_address_that_is_taken_stops_the_start(a_house: Any, serving: Any) -> None:
    async with serving(a_house(row())) as served:
        with pytest.raises(ListenError):
            async with serving(a_house(row()), Listen(port=0), Listen(port=served.port)):
                raise AssertionError


async def test_a_certificate_that_cannot_be_read_stops_the_start(a_house: Any, serving: Any, tmp_path: Path) -> None:
    with pytest.raises(ListenError, match="certificate"):
        async with serving(a_house(), Listen(port=0, certificate_file=str(tmp_path / "no"), key_file=str(tmp_path / "no"))):
            raise AssertionError


async def test_a_trusted_proxy_names_the_client(a_house: Any, serving: Any) -> None:
    async with serving(a_house(row()), Listen(port=0, proxies=("127.0.0.0/8",))) as served:
        answer = await served.ask("GET", "/x", X_Forwarded_For="203.0.113.9")
    assert answer.json["address"] == "203.0.113.9"


def test_listeners_are_made_from_the_configuration() -> None:
    config = Config.load(
        None,
        {
            "WATCHWORD_SERVER_NAME": "a.example",
            "WATCHWORD_LISTENERS": '[{"port": 1, "serves": ["federation"]}, {"unix_socket": "/s"}]',
        },
    )
    first, second = listens(config)
    assert (first.port, first.doors) == (1, frozenset({"federation"}))
    assert (second.unix_socket, second.unix_socket_mode) == ("/s", 0o660)
