"""Who asks: signatures over requests between two stacks, and forgeries."""

from collections.abc import Awaitable, Callable

import orjson
import pytest

from tests.unit.server.federation.stacks import A, B, Net, Stack, ask_router, json_answer, signing_key
from watchword.base.errors import PeerError
from watchword.protocol.ids import RoomAlias, ServerName
from watchword.protocol.signatures import SigningKey
from watchword.server.federation.x_matrix import SignedRequest, XMatrix, format_x_matrix

URI = "/_matrix/federation/v1/query/directory?room_alias=%23room%3Aa.example"
ALIAS = RoomAlias("#room:a.example")


def header(
    *, origin: str = B, destination: str | None = A, key: SigningKey | None = None, uri: str = URI, content: bytes | None = None
) -> str:
    method = "GET" if content is None else "PUT"
    key = key or signing_key(B)
    to = None if destination is None else ServerName(destination)
    signed = SignedRequest(method, uri, ServerName(origin), to, content)
    return format_x_matrix(XMatrix(ServerName(origin), key.key_id, key.sign(signed.signed_bytes()), to))


async def status(stack: Stack, authorization: str | None, uri: str = URI) -> tuple[int, str | None]:
    headers = {} if authorization is None else {"authorization": authorization}
    answer = await ask_router(stack.router, "GET", uri, b"", headers)
    return answer.status, orjson.loads(answer.body).get("errcode")


async def test_a_signed_request_is_let_in(two: tuple[Stack, Stack]) -> None:
    a, _ = two
    assert await status(a, header()) == (200, None)
    assert await status(a, header(destination=None)) == (200, None)


async def test_a_body_is_signed_and_checked(two: tuple[Stack, Stack]) -> None:
    a, _ = two
    uri = "/_matrix/federation/v1/send/t"
    for sent in (b'{"edus":[],"pdus":[]}', b'{ "pdus" : [], "edus": [] }', b'{"pdus":[{"id":"$f","n":1.5}]}'):
        canonical = b'{"edus":[],"pdus":[]}' if b"1.5" not in sent else sent
        answer = await ask_router(a.router, "PUT", uri, sent, {"authorization": header(uri=uri, content=canonical)})
        assert answer.status == 200, sent
    answer = await ask_router(a.router, "PUT", uri, b'{"pdus":[{}]}', {"authorization": header(uri=uri, content=b"{}")})
    assert answer.status == 401


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer abc",
        "X-Matrix origin=b.example",
        header(destination="c.example"),
        header(origin=A, key=signing_key(A)),
        header(key=signing_key("somebody else")),
        header(key=SigningKey(b"!" * 32, "unknown")),
        header(uri="/_matrix/federation/v1/version"),
        header(origin="not a name"),
        header(origin="dead.example"),
        header().replace("ed25519:1", "rsa:1"),
        header().replace('sig="', 'sig="AAAA'),
    ],
)
async def test_anything_else_is_401(two: tuple[Stack, Stack], authorization: str | None) -> None:
    assert await status(two[0], authorization) == (401, "M_UNAUTHORIZED")


async def test_a_server_with_two_keys_needs_one_good_signature(two: tuple[Stack, Stack]) -> None:
    a, _ = two
    request_headers = [
        (b"authorization", header(key=SigningKey(b"x" * 32, "old")).encode()),
        (b"authorization", header().encode()),
    ]
    from tests.unit.server.federation.stacks import Body
    from watchword.edge.router import Incoming

    path, _, query = URI.partition("?")
    incoming = Incoming("GET", path.encode(), query.encode(), request_headers, "192.0.2.1", Body(b""))
    assert (await a.router.answer(incoming)).status == 200


async def test_lists_decide_who_may_ask_and_whom_we_ask(a_stack: Callable[..., Awaitable[Stack]]) -> None:
    a, b = await a_stack(A, deny=("b.*",)), await a_stack(B)
    assert await status(a, header()) == (403, "M_FORBIDDEN")
    with pytest.raises(PeerError):
        await a.out.client.query_directory(B, ALIAS)
    with pytest.raises(PeerError) as refused:
        await b.out.client.query_directory(A, ALIAS)
    assert refused.value.status == 403


async def test_a_key_that_has_run_out_is_fetched_again_and_refused_if_it_cannot_be(two: tuple[Stack, Stack], net: Net) -> None:
    a, _ = two
    assert await status(a, header()) == (200, None)
    a.clock.advance(8 * 86_400_000)
    net.down.add("b.example:8448")
    assert await status(a, header()) == (401, "M_UNAUTHORIZED")
    net.down.clear()
    assert await status(a, header()) == (401, "M_UNAUTHORIZED")
    a.clock.advance(60_000)
    assert await status(a, header()) == (200, None)


async def test_a_key_answer_of_another_name_proves_nothing(two: tuple[Stack, Stack], net: Net) -> None:
    a, b = two
    published = b.out.own_keys.published()
    net.hosts["evil.example:8448"] = lambda call: json_answer(published)
    assert await status(a, header(origin="evil.example")) == (401, "M_UNAUTHORIZED")
