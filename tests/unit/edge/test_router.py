import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from watchword.base.errors import Forbidden, NotFound, PeerError, RemoteProtocolError, StorageError
from watchword.edge.endpoint import Auth, Body, Endpoint, Rate
from watchword.edge.rate_limits import Allowance
from watchword.edge.replies import AnyReply, Reply
from watchword.edge.request import Request
from watchword.edge.router import CLIENT_DOOR, FEDERATION_DOOR, ClientGone, Incoming, doors_of

ROOM = "/_matrix/client/v3/rooms/{roomId}"


class Pieces:
    """A body in pieces; an endless one if it is asked for."""

    def __init__(self, *pieces: bytes, endless: bool = False, gone: bool = False) -> None:
        self.pieces = list(pieces) or [b""]
        self.endless = endless
        self.gone = gone
        self.asked = 0

    async def next_piece(self) -> tuple[bytes, bool]:
        self.asked += 1
        if self.endless:
            return b"x" * 1000, True
        if self.gone and not self.pieces:
            raise ClientGone
        piece = self.pieces.pop(0)
        return piece, bool(self.pieces) or self.gone


def incoming(
    method: str, path: str, body: Pieces | bytes = b"", token: str | None = "alice", query: str = "", **headers: str
) -> Incoming:
    given = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    if token is not None:
        given.append((b"authorization", f"Bearer {token}".encode()))
    source = Pieces(body) if isinstance(body, bytes) else body
    return Incoming(method, path.encode(), query.encode("latin-1"), given, "198.51.100.7", source)


async def echo(request: Request, requester: Any, service: object) -> Reply:
    who = getattr(requester, "user_id", None) or getattr(requester, "server_name", None)
    return Reply.json({"params": dict(request.params), "json": dict(request.json), "who": who, "service": service})


def failing(error: Exception) -> Callable[[Request, Any, Any], Any]:
    async def handler(request: Request, requester: Any, service: object) -> Reply:
        raise error

    return handler


def row(method: str = "GET", path: str = ROOM, handler: Any = echo, **more: Any) -> Endpoint:
    return Endpoint(method, path, handler, "x#y", **more)


def told(reply: AnyReply) -> tuple[int, str]:
    assert isinstance(reply, Reply)
    return reply.status, json.loads(reply.body)["errcode"]


def found(reply: AnyReply) -> dict[str, Any]:
    assert isinstance(reply, Reply)
    assert reply.status == 200, reply
    value: dict[str, Any] = json.loads(reply.body)
    return value


async def test_a_handler_gets_its_parameters_its_requester_and_its_service(a_house: Any) -> None:
    house = a_house(row(), service="rooms")
    assert found(await house.router.answer(incoming("GET", ROOM.replace("{roomId}", "!a%3Ab%2Fc")))) == {
        "params": {"roomId": "!a:b/c"},
        "json": {},
        "who": "@alice:a.example",
        "service": "rooms",
    }


@pytest.mark.parametrize(
    ("registered", "asked"),
    [
        ("/_matrix/client/v3/sync", "/_matrix/client/r0/sync"),
        ("/_matrix/media/v3/upload", "/_matrix/media/r0/upload"),
        ("/_matrix/media/v3/upload", "/_matrix/media/v1/upload"),
        ("/_matrix/client/v3/rooms/{roomId}/x", "/_matrix/client/r0/rooms/!a/x"),
        ("/_matrix/client/v3/room_keys/version/{version}", "/_matrix/client/unstable/room_keys/version/1"),
        ("/_matrix/client/v3/keys/signatures/upload", "/_matrix/client/unstable/keys/signatures/upload"),
        ("/_matrix/client/v3/refresh", "/_matrix/client/v1/refresh"),
        ("/_matrix/client/v3/account/3pid/bind", "/_matrix/client/unstable/account/3pid/bind"),
        ("/_matrix/client/v3/thirdparty/protocols", "/_matrix/client/unstable/thirdparty/protocols"),
        ("/_matrix/client/v3/user/{userId}/openid/x", "/_matrix/client/unstable/user/@a:b/openid/x"),
        ("/_matrix/client/v1/rooms/{roomId}/relations/{eventId}", "/_matrix/client/unstable/rooms/!a/relations/$b"),
        ("/_matrix/client/v1/rooms/{roomId}/hierarchy", "/_matrix/client/unstable/org.matrix.msc2946/rooms/!a/hierarchy"),
    ],
)
async def test_old_prefixes_still_answer(a_house: Any, registered: str, asked: str) -> None:
    found(await a_house(row(path=registered)).router.answer(incoming("GET", asked)))


async def test_a_row_of_its_own_wins_over_an_old_prefix(a_house: Any) -> None:
    house = a_house(row(path="/_matrix/media/v3/create"), service="v3")
    with pytest.raises(ValueError, match="is there already"):
        house.router.mount((row(path="/_matrix/media/v3/create"),), "again")


async def test_an_unknown_path_is_unrecognized(a_house: Any) -> None:
    for path in ("/", "/_matrix/client/v3/nothing", "/_matrix/client/v3/rooms//", "//", "/_matrix/key/v2/server"):
        assert told(await a_house(row()).router.answer(incoming("GET", path))) == (404, "M_UNRECOGNIZED")


async def test_a_known_path_with_another_method_is_405_and_names_the_methods(a_house: Any) -> None:
    reply = await a_house(row(), row("PUT")).router.answer(incoming("DELETE", ROOM))
    assert told(reply) == (405, "M_UNRECOGNIZED")
    assert reply.headers["allow"] == "GET, OPTIONS, PUT"


async def test_head_is_answered_as_get(a_house: Any) -> None:
    found(await a_house(row()).router.answer(incoming("HEAD", ROOM)))


async def test_a_method_override_header_overrides_nothing(a_house: Any) -> None:
    house = a_house(row(), row("DELETE", handler=failing(AssertionError())))
    found(await house.router.answer(incoming("GET", ROOM, x_http_method_override="DELETE")))


@pytest.mark.parametrize("path", ["%ff", "%", "%e0%80"])
async def test_a_parameter_that_is_not_utf8_is_invalid(a_house: Any, path: str) -> None:
    house = a_house(row())
    assert told(await house.router.answer(incoming("GET", f"/_matrix/client/v3/rooms/{path}"))) == (400, "M_INVALID_PARAM")


async def test_nul_in_a_parameter_reaches_the_handler_as_it_is(a_house: Any) -> None:
    reply = await a_house(row()).router.answer(incoming("GET", "/_matrix/client/v3/rooms/a%00b"))
    assert found(reply)["params"] == {"roomId": "a\0b"}


# Who asks


async def test_no_token_is_a_missing_token(a_house: Any) -> None:
    assert told(await a_house(row()).router.answer(incoming("GET", ROOM, token=None))) == (401, "M_MISSING_TOKEN")
    assert told(await a_house(row()).router.answer(incoming("GET", ROOM, token=""))) == (401, "M_MISSING_TOKEN")


async def test_a_wrong_token_is_an_unknown_token(a_house: Any) -> None:
    assert told(await a_house(row()).router.answer(incoming("GET", ROOM, token="x"))) == (401, "M_UNKNOWN_TOKEN")


async def test_the_token_may_be_in_the_query(a_house: Any) -> None:
    found(await a_house(row()).router.answer(incoming("GET", ROOM, token=None, query="access_token=alice")))


async def test_a_query_that_is_not_utf8_is_invalid(a_house: Any) -> None:
    reply = await a_house(row()).router.answer(incoming("GET", ROOM, token=None, query="access_token=%ff"))
    assert told(reply) == (400, "M_INVALID_PARAM")


async def test_a_query_that_is_too_long_is_refused(a_house: Any) -> None:
    assert told(await a_house(row()).router.answer(incoming("GET", ROOM, query="a=" + "b" * 70_000))) == (
        414,
        "M_INVALID_PARAM",
    )


async def test_guests_are_refused_unless_the_row_lets_them_in(a_house: Any) -> None:
    house = a_house(row(), row("PUT", guests=True))
    assert told(await house.router.answer(incoming("GET", ROOM, token="guest"))) == (403, "M_GUEST_ACCESS_FORBIDDEN")
    found(await house.router.answer(incoming("PUT", ROOM, token="guest")))


async def test_optional_means_that_no_token_is_fine_and_a_wrong_one_is_not(a_house: Any) -> None:
    house = a_house(row(auth=Auth.OPTIONAL))
    assert found(await house.router.answer(incoming("GET", ROOM, token=None)))["who"] is None
    assert found(await house.router.answer(incoming("GET", ROOM)))["who"] == "@alice:a.example"
    assert told(await house.router.answer(incoming("GET", ROOM, token="x"))) == (401, "M_UNKNOWN_TOKEN")


async def test_an_open_door_looks_at_no_token(a_house: Any) -> None:
    reply = await a_house(row(auth=Auth.NONE)).router.answer(incoming("GET", ROOM, token="x"))
    assert found(reply)["who"] is None


async def test_locked_accounts_are_let_in_where_the_row_says_so(a_house: Any) -> None:
    house = a_house(row(), row("PUT", auth=Auth.CLIENT_LOCKED))
    await house.router.answer(incoming("GET", ROOM))
    await house.router.answer(incoming("PUT", ROOM))
    assert house.doorkeeper.locked_asked == [False, True]


async def test_a_server_is_asked_for_its_signature_with_the_body_at_hand(a_house: Any) -> None:
    seen: list[bytes] = []

    async def handler(request: Request, requester: Any, service: object) -> Reply:
        seen.append(request.raw_body)
        return await echo(request, requester, service)

    path = "/_matrix/federation/v1/send/{txnId}"
    house = a_house(row("PUT", path, handler, auth=Auth.SERVER, body=Body.JSON))
    assert told(await house.router.answer(incoming("PUT", path, b"{}", token=None))) == (401, "M_UNAUTHORIZED")
    reply = await house.router.answer(incoming("PUT", path, b'{ "pdus": [] }', token="signature"))
    assert found(reply)["who"] == "b.example"
    assert seen == [b'{ "pdus": [] }']


async def test_doors_for_servers_are_unknown_where_federation_is_off(a_house: Any) -> None:
    house = a_house(row(path="/_matrix/federation/v1/x", auth=Auth.SERVER), federation=False)
    assert told(await house.router.answer(incoming("GET", "/_matrix/federation/v1/x"))) == (404, "M_UNRECOGNIZED")


async def test_a_listener_answers_only_what_it_serves(a_house: Any) -> None:
    house = a_house(row(), row(path="/_matrix/key/v2/server", auth=Auth.NONE))
    for door, path, status in (
        (CLIENT_DOOR, ROOM, 200),
        (CLIENT_DOOR, "/_matrix/key/v2/server", 404),
        (FEDERATION_DOOR, ROOM, 404),
        (FEDERATION_DOOR, "/_matrix/key/v2/server", 200),
    ):
        request = incoming("GET", path)
        request.doors = frozenset({door})
        reply = await house.router.answer(request)
        assert (door, path, reply.status) == (door, path, status)


def test_health_and_discovery_answer_at_several_doors() -> None:
    assert {CLIENT_DOOR, FEDERATION_DOOR} <= doors_of("/health")
    assert doors_of("/.well-known/matrix/client") == {CLIENT_DOOR, FEDERATION_DOOR}
    assert CLIENT_DOOR not in doors_of("/_watchword/metrics")


# Rates


async def test_a_user_who_asks_too_often_is_told_when_to_come_back(a_house: Any) -> None:
    house = a_house(row(), rates={Rate.READ: Allowance(1, 1)})
    found(await house.router.answer(incoming("GET", ROOM)))
    reply = await house.router.answer(incoming("GET", ROOM))
    assert told(reply) == (429, "M_LIMIT_EXCEEDED")
    assert reply.headers["Retry-After"] == "1"
    assert json.loads(reply.body)["retry_after_ms"] == 1000


async def test_an_application_service_that_is_exempt_is_not_limited(a_house: Any) -> None:
    house = a_house(row(), rates={Rate.READ: Allowance(1, 1)})
    for _ in range(3):
        found(await house.router.answer(incoming("GET", ROOM, token="bridge")))


async def test_logins_are_limited_by_address(a_house: Any) -> None:
    house = a_house(row("POST", auth=Auth.NONE, rate=Rate.LOGIN), rates={Rate.LOGIN: Allowance(1, 1)})
    found(await house.router.answer(incoming("POST", ROOM, token=None)))
    assert told(await house.router.answer(incoming("POST", ROOM, token=None))) == (429, "M_LIMIT_EXCEEDED")
    elsewhere = incoming("POST", ROOM, token=None)
    elsewhere.client_address = "203.0.113.1"
    found(await house.router.answer(elsewhere))


async def test_strangers_are_not_more_people_for_having_more_addresses(a_house: Any) -> None:
    house = a_house(row(auth=Auth.NONE, rate=Rate.LOGIN), rates={Rate.LOGIN: Allowance(1, 1)})
    answers = []
    for address in ("2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"):
        asked = incoming("GET", ROOM, token=None)
        asked.client_address = address
        answers.append((await house.router.answer(asked)).status)
    assert answers == [200, 429, 200]


async def test_servers_are_limited_by_name(a_house: Any) -> None:
    path = "/_matrix/federation/v1/x"
    house = a_house(row(path=path, auth=Auth.SERVER, rate=Rate.FEDERATION), rates={Rate.FEDERATION: Allowance(1, 1)})
    found(await house.router.answer(incoming("GET", path)))
    assert told(await house.router.answer(incoming("GET", path))) == (429, "M_LIMIT_EXCEEDED")


# Bodies


async def test_a_body_is_parsed_once_and_given_to_the_handler(a_house: Any) -> None:
    reply = await a_house(row("PUT", body=Body.JSON)).router.answer(incoming("PUT", ROOM, Pieces(b'{"a"', b":1}")))
    assert found(reply)["json"] == {"a": 1}


@pytest.mark.parametrize(
    ("body", "errcode"), [(b"", "M_NOT_JSON"), (b"{", "M_NOT_JSON"), (b"[]", "M_BAD_JSON"), (b"\xff", "M_NOT_JSON")]
)
async def test_a_body_that_is_no_object_is_refused(a_house: Any, body: bytes, errcode: str) -> None:
    assert told(await a_house(row("PUT", body=Body.JSON)).router.answer(incoming("PUT", ROOM, body))) == (400, errcode)


async def test_an_optional_body_may_be_absent_but_not_wrong(a_house: Any) -> None:
    house = a_house(row("PUT", body=Body.OPTIONAL_JSON))
    assert found(await house.router.answer(incoming("PUT", ROOM)))["json"] == {}
    assert told(await house.router.answer(incoming("PUT", ROOM, b"x"))) == (400, "M_NOT_JSON")


async def test_a_body_that_is_declared_too_large_is_refused_unread(a_house: Any) -> None:
    body = Pieces(b"{}")
    house = a_house(row("PUT", body=Body.JSON, body_bytes_max=10))
    reply = await house.router.answer(incoming("PUT", ROOM, body, content_length="11"))
    assert told(reply) == (413, "M_TOO_LARGE")
    assert body.asked == 0


async def test_an_endless_body_is_refused_at_the_bound(a_house: Any) -> None:
    body = Pieces(endless=True)
    house = a_house(row("PUT", body=Body.JSON, body_bytes_max=10_000))
    assert told(await house.router.answer(incoming("PUT", ROOM, body))) == (413, "M_TOO_LARGE")
    assert body.asked <= 12


async def test_a_stream_is_read_by_its_handler_up_to_the_bound(a_house: Any) -> None:
    async def measure(request: Request, requester: Any, service: object) -> Reply:
        pieces: AsyncIterator[bytes] = request.stream()
        return Reply.json({"bytes": sum([len(piece) async for piece in pieces])})

    house = a_house(row("POST", handler=measure, body=Body.STREAM, body_bytes_max=10_000))
    assert found(await house.router.answer(incoming("POST", ROOM, Pieces(b"ab", b"", b"c"))))["bytes"] == 3
    assert told(await house.router.answer(incoming("POST", ROOM, Pieces(endless=True)))) == (413, "M_TOO_LARGE")


async def test_a_client_that_leaves_in_mid_body_gets_no_answer(a_house: Any) -> None:
    house = a_house(row("PUT", body=Body.JSON))
    with pytest.raises(ClientGone):
        await house.router.answer(incoming("PUT", ROOM, Pieces(b"{", gone=True)))


# Errors


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (Forbidden("No."), (403, "M_FORBIDDEN")),
        (NotFound("No."), (404, "M_NOT_FOUND")),
        (RemoteProtocolError("secret words"), (400, "M_BAD_JSON")),
        (PeerError("b.example", "secret words"), (502, "M_UNKNOWN")),
        (StorageError("secret words"), (503, "M_UNKNOWN")),
        (KeyError("secret words"), (500, "M_UNKNOWN")),
        (RecursionError("secret words"), (500, "M_UNKNOWN")),
    ],
)
async def test_every_error_has_its_answer_and_tells_nothing(a_house: Any, error: Exception, expected: tuple[int, str]) -> None:
    reply = await a_house(row(handler=failing(error))).router.answer(incoming("GET", ROOM))
    assert told(reply) == expected
    assert b"secret words" not in reply.body


async def test_an_unexpected_error_is_logged_under_the_name_that_the_client_sees(
    a_house: Any, caplog: pytest.LogCaptureFixture
) -> None:
    reply = await a_house(row(handler=failing(KeyError("cause")))).router.answer(incoming("GET", ROOM))
    record = caplog.records[-1]
    assert record.failure_id in json.loads(reply.body)["error"]  # type: ignore[attr-defined]
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], KeyError)


async def test_a_busy_database_says_when_to_come_back(a_house: Any) -> None:
    reply = await a_house(row(handler=failing(StorageError("full")))).router.answer(incoming("GET", ROOM))
    assert int(reply.headers["retry-after"]) > 0


async def test_requests_are_counted_by_template_and_status(a_house: Any) -> None:
    house = a_house(row())
    await house.router.answer(incoming("GET", ROOM.replace("{roomId}", "!a")))
    await house.router.answer(incoming("GET", "/nowhere/!secret"))
    text = house.metrics.text().decode()
    assert f'watchword_requests_total{{method="GET",path="{ROOM}",status="200"}} 1.0' in text
    assert 'watchword_requests_total{method="",path="",status="404"} 1.0' in text
    assert "!secret" not in text


async def test_only_what_changes_nothing_may_be_cancelled(a_house: Any) -> None:
    house = a_house(row(), row("PUT"), row("POST", waits=True))
    for method, expected in (("GET", True), ("PUT", False), ("POST", True)):
        request = incoming(method, ROOM)
        told_to: list[bool] = []
        request.on_wait = lambda told_to=told_to: told_to.append(True)
        await house.router.answer(request)
        assert bool(told_to) is expected, method
