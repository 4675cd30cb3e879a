"""Targets in `edge/`: bytes of connections, targets and bodies of requests, headers of proxies."""

import asyncio
import http.client
import io
from typing import Any, cast

from hypothesis import strategies as st
from uvicorn.config import Config
from uvicorn.server import ServerState

from tests.fuzz.inputs import edited_bytes, edited_text, pieces_of
from tests.fuzz.targets import Target
from watchword.base.errors import Refusal
from watchword.edge import bodies, paths
from watchword.edge.client_address import TrustedProxies
from watchword.edge.connection import Connection, ConnectionLimits
from watchword.edge.request import Request

# Framing


class _Transport:
    """A connection of which only the bytes are real."""

    def __init__(self) -> None:
        self.written = bytearray()
        self.protocol: Connection | None = None
        self.closed = False

    def write(self, data: bytes) -> None:
        if not self.closed:
            self.written += data

    def close(self) -> None:
        self.closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.closed

    def get_extra_info(self, name: str, default: object = None) -> object:
        return {"peername": ("192.0.2.1", 5), "sockname": ("192.0.2.2", 80)}.get(name, default)

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        """Nothing is sent faster than it is read here."""

    resume_reading = pause_reading

    def set_protocol(self, protocol: Connection) -> None:
        self.protocol = protocol


class _Heard:
    """An application that notes what it was asked."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, bytes, bytes, bytes]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        self.requests.append((scope["method"], scope["raw_path"], scope["query_string"], body))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"{}"})


async def _serve(pieces: list[bytes]) -> tuple[list[tuple[str, bytes, bytes, bytes]], bytes]:
    heard, state, transport = _Heard(), ServerState(), _Transport()
    config = Config(heard, http=Connection, ws="none", loop="none", lifespan="off", interface="asgi3", log_config=None)
    config.access_log = config.proxy_headers = config.server_header = config.date_header = False
    config.load()
    connection = Connection(config, state, ConnectionLimits())
    connection.connection_made(cast(asyncio.Transport, transport))
    for piece in pieces:
        if transport.closed:
            break
        connection.data_received(piece)
        await _quiet(state)
    connection.sweep(asyncio.get_running_loop().time())
    connection.connection_lost(None)
    await _quiet(state)
    return heard.requests, bytes(transport.written)


async def _quiet(state: ServerState) -> None:
    for _ in range(200):
        waiting = [task for task in state.tasks if not task.done()]
        await asyncio.sleep(0)
        if not waiting:
            break
    for task in list(state.tasks):
        if task.done() and not task.cancelled():
            task.result()


def _framing(given: tuple[bytes, list[bytes]]) -> None:
    data, pieces = given
    whole, answers = asyncio.run(_serve([data]))
    torn, answers_to_torn = asyncio.run(_serve(pieces))
    # However the network cuts it, nobody else's request is read out of it.
    length = min(len(whole), len(torn))
    assert whole[:length] == torn[:length]
    for requests, written in ((whole, answers), (torn, answers_to_torn)):
        assert _answers_in(written, [method for method, *_ in requests]) <= len(requests)


class _Bytes:
    def __init__(self, data: bytes) -> None:
        self.file = io.BytesIO(data)

    def makefile(self, *_: object) -> io.BytesIO:
        return self.file


def _answers_in(written: bytes, methods: list[str]) -> int:
    """How many successes are in these bytes; nothing else may be in them but one refusal at their end."""
    found = 0
    while written:
        source = _Bytes(written)
        method = methods[found] if found < len(methods) else "GET"
        if written.startswith(b"HTTP/1.1 100 "):
            written = written.partition(b"\r\n\r\n")[2]
            continue
        answer = http.client.HTTPResponse(cast(Any, source), method=method)
        answer.begin()
        length = int(answer.headers["content-length"])
        body = b"" if method == "HEAD" else source.file.read(length)
        assert len(body) == (0 if method == "HEAD" else length)
        written = source.file.read()
        if answer.status != 200:
            assert answer.status == 400
            assert not written
            break
        found += 1
    return found


_REQUESTS = [
    b"GET /_matrix/client/versions?a=b HTTP/1.1\r\nHost: h\r\n\r\n",
    b"PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhelloGET /next HTTP/1.1\r\nHost: h\r\n\r\n",
    b"POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5;x=y\r\nhello\r\n0\r\nTrailer: t\r\n\r\nGET /n HTTP/1.1\r\nHost: h\r\n\r\n",
    b"POST /e HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n{}",
    b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /two HTTP/1.0\r\n\r\n",
    b"HEAD /h HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    b"GET /u HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    b"GET http://h/abs HTTP/1.1\r\nHost: h\r\nX-Long: " + b"v" * 200 + b"\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
]


@st.composite
def _streams(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    data = draw(edited_bytes(_REQUESTS))
    return data, draw(pieces_of(data))


# What is in a request


def _body(data: bytes) -> None:
    bodies.json_object(data)


def _peer_body(data: bytes) -> None:
    bodies.server_json_object(data)


def _query(text: str) -> None:
    request = Request("GET", "/x", text)
    for name in ("limit", "from", ""):
        request.query_one(name)
    assert 0 <= request.query_int("limit", 5) <= 1 << 53
    request.query_bool("flag")


def _table() -> paths.PathTable[str]:
    table: paths.PathTable[str] = paths.PathTable()
    for path in (
        "/_matrix/client/v3/rooms/{roomId}/state/{eventType}/{stateKey}",
        "/_matrix/client/v3/rooms/{roomId}/state/{eventType}/",
        "/_matrix/client/v3/rooms/{roomId}/state",
        "/_matrix/client/v3/sync",
        "/files/{name*}",
    ):
        table.add("GET", path, path)
    return table


def _path(raw: bytes) -> None:
    found = _table().find("GET", raw)
    if isinstance(found, tuple):
        route, captured = found
        params = paths.decoded(paths.parameter_names(route), captured)
        assert len(params) == route.count("{")
        # What goes on is text that can be written again.
        "".join(params.values()).encode()


def _proxy(texts: list[str]) -> None:
    headers = [(b"x-forwarded-for", text.encode("latin-1", "replace")) for text in texts]
    for proxies in (TrustedProxies(()), TrustedProxies(("127.0.0.0/8", "10.0.0.0/8", "fc00::/7"))):
        for peer in ("127.0.0.1", "192.0.2.7", None):
            proxies.client_address(peer, headers)


_JSON = [b'{"a":{"b":[1,2,{"c":null}]},"d":"\\u00e9","e":1.5}', b'{"n":123456789012345678901234567890}', b"{" * 50 + b"}" * 50]

TARGETS = (
    Target("framing", _streams(), _framing),
    Target("client-bodies", edited_bytes(_JSON), _body, (Refusal,)),
    Target("server-bodies", edited_bytes(_JSON), _peer_body, (Refusal,)),
    Target("queries", edited_text(["limit=5&from=s1&flag=true", "a=%41+b&&=", "limit=-1", "x;y=z"]), _query, (Refusal,)),
    Target(
        "paths",
        edited_bytes([b"/_matrix/client/v3/rooms/%21a%3Ab/state/m.room.name/", b"/_matrix/client/v3/sync", b"/files/a/b%2Fc"]),
        _path,
        (Refusal,),
    ),
    Target(
        "forwarded-for",
        st.lists(edited_text(["192.0.2.1, 10.0.0.1", "[::1]:80", "unknown", "::ffff:1.2.3.4"]), max_size=3),
        _proxy,
    ),
)
