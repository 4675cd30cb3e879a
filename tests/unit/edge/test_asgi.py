import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from watchword.edge.asgi import AsgiApp, encoded, send_reply
from watchword.edge.endpoint import Auth, Endpoint
from watchword.edge.replies import Reply, StreamReply
from watchword.edge.request import Request


class Transport:
    """Collects what is sent."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    async def receive(self) -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    @property
    def headers(self) -> dict[bytes, bytes]:
        pairs = list(self.sent[0]["headers"])
        assert len({name for name, _ in pairs}) == len(pairs), pairs
        return dict(pairs)


def scope(method: str = "GET", path: bytes = b"/x") -> dict[str, Any]:
    return {
        "type": "http",
        "method": method,
        "raw_path": path,
        "query_string": b"",
        "headers": [(b"host", b"a")],
        "client": ("198.51.100.7", 1),
    }


async def echo(request: Request, requester: Any, service: object) -> Reply:
    return Reply.json({"address": request.client_address})


async def test_a_scope_becomes_a_reply(a_house: Any) -> None:
    transport = Transport()
    app = AsgiApp(a_house(Endpoint("GET", "/x", echo, "x#y", auth=Auth.NONE)).router)
    await app(scope(), transport.receive, transport.send)
    assert transport.sent[0]["status"] == 200
    assert json.loads(transport.sent[1]["body"]) == {"address": "198.51.100.7"}
    assert transport.headers[b"content-length"] == b"%d" % len(transport.sent[1]["body"])
    assert transport.headers[b"access-control-allow-origin"] == b"*"


async def test_too_many_requests_at_once_are_sent_away(a_house: Any) -> None:
    transport = Transport()
    await AsgiApp(a_house().router, is_full=lambda: True)(scope(), transport.receive, transport.send)
    assert transport.sent[0]["status"] == 503
    assert b"retry-after" in transport.headers


async def test_preflight_is_answered_without_the_router() -> None:
    transport = Transport()
    router: Any = None
    await AsgiApp(router)(scope("OPTIONS"), transport.receive, transport.send)
    assert transport.sent[0]["status"] == 204
    assert transport.headers[b"access-control-allow-headers"].startswith(b"X-Requested-With, Content-Type, Authorization")


async def test_a_reply_may_say_its_own_length_and_origin() -> None:
    transport = Transport()
    reply = Reply(200, b"abc", {"Content-Length": "99", "Access-Control-Allow-Origin": "https://a", "X-Thing": "yes"})
    await send_reply(reply, transport.send)
    assert transport.headers[b"content-length"] == b"3"
    assert transport.headers[b"access-control-allow-origin"] == b"https://a"
    assert transport.headers[b"x-thing"] == b"yes"


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: b", "a\0b", "a\nb"])
def test_a_header_cannot_be_split(value: str) -> None:
    given = dict(encoded({"x-name": value}))[b"x-name"]
    assert not {0, 10, 13} & set(given)


async def test_a_stream_ends_its_generator_when_the_transport_fails() -> None:
    ended = []

    async def pieces() -> AsyncIterator[bytes]:
        try:
            yield b"a"
            yield b"b"
        finally:
            ended.append(True)

    async def failing(message: Any) -> None:
        if message.get("body") == b"b":
            raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await send_reply(StreamReply(200, pieces(), {}), failing)
    assert ended == [True]


async def test_a_stream_need_not_be_a_generator() -> None:
    class Two:
        def __init__(self) -> None:
            self.left = [b"a", b"b"]

        def __aiter__(self) -> "Two":
            return self

        async def __anext__(self) -> bytes:
            if not self.left:
                raise StopAsyncIteration
            return self.left.pop(0)

    transport = Transport()
    await send_reply(StreamReply(206, Two(), {"content-type": "text/plain"}), transport.send)
    assert [message["body"] for message in transport.sent[1:]] == [b"a", b"b", b""]
