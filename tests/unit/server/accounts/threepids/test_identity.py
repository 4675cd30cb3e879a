"""Identity servers are asked only if trusted, and believed only as far as they speak the protocol."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.unit.server.accounts.threepids.outside import (
    IDENTITY,
    IdentityServer,
    Signature,
    a_desk,
    a_fetcher,
    an_identity_server,
)
from watchword.base.errors import BadRequest, Refusal
from watchword.edge.addresses import AddressPolicy
from watchword.protocol.ids import UserId
from watchword.server.accounts.threepids.commands import Threepid
from watchword.server.accounts.threepids.identity import IdentityServers

ALICE = UserId("@alice:here.example")
MAIL = Threepid("email", "alice@there.example")
UNBIND = "/_matrix/identity/v2/3pid/unbind"


@pytest.fixture
async def pair() -> AsyncIterator[tuple[IdentityServer, IdentityServers]]:
    async with an_identity_server() as server, a_fetcher() as fetcher:
        yield server, IdentityServers(fetcher, Signature(), {IDENTITY: server.url}, IDENTITY, "ours")


Pair = tuple[IdentityServer, IdentityServers]


async def refused(awaitable: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        await awaitable
    return caught.value


async def test_what_was_validated_there_is_bound(pair: Pair) -> None:
    server, ours = pair
    server.validated["s", "c"] = ("email", "alice@there.example")
    assert await ours.bind(IDENTITY, "id-token", "s", "c", ALICE) == MAIL
    assert (await refused(ours.bind(IDENTITY, "id-token", "x", "c", ALICE))).errcode == "M_SESSION_NOT_VALIDATED"


@pytest.mark.parametrize(
    "lie",
    [{}, {"medium": "pigeon", "address": "x", "mxid": ALICE}, {"medium": "email", "address": 5}, {"mxid": "@eve:here.example"}],
)
async def test_a_lying_server_binds_nothing(lie: dict[str, Any]) -> None:
    async with a_desk() as desk, a_fetcher() as fetcher:
        desk.answer_body = {"medium": "email", "address": "alice@there.example", **lie} if lie else {}
        ours = IdentityServers(fetcher, Signature(), {IDENTITY: desk.url})
        assert (await refused(ours.bind(IDENTITY, "id-token", "s", "c", ALICE))).status == 502


async def test_unbinding_is_signed(pair: Pair) -> None:
    server, ours = pair
    server.bound["email", "alice@there.example"] = ALICE
    assert await ours.unbind(IDENTITY, MAIL, ALICE)
    assert server.bound == {}


@pytest.mark.parametrize("status", [400, 404, 501])
async def test_a_server_that_knows_no_unbinding_is_no_error(pair: Pair, status: int) -> None:
    server, ours = pair
    server.refuses[UNBIND] = (status, None)
    assert not await ours.unbind(IDENTITY, MAIL, ALICE)


async def test_refusals_and_failures_of_unbinding_differ(pair: Pair) -> None:
    server, ours = pair
    server.refuses[UNBIND] = (404, {"errcode": "M_NOT_FOUND", "error": "x"})
    assert (await refused(ours.unbind(IDENTITY, MAIL, ALICE))).errcode == "M_NOT_FOUND"
    server.refuses[UNBIND] = (500, None)
    assert (await refused(ours.unbind(IDENTITY, MAIL, ALICE))).status == 502


async def test_nobody_else_is_asked(pair: Pair) -> None:
    server, ours = pair
    for name in ("evil.example", "", "127.0.0.1"):
        with pytest.raises(BadRequest) as caught:
            await ours.unbind(name, MAIL, ALICE)
        assert caught.value.errcode == "M_SERVER_NOT_TRUSTED"
    with pytest.raises(BadRequest):
        await IdentityServers().bind(IDENTITY, "t", "s", "c", ALICE)
    assert server.asked == []


async def test_private_addresses_are_not_asked_unless_allowed() -> None:
    async with an_identity_server() as server, a_fetcher(AddressPolicy()) as fetcher:
        ours = IdentityServers(fetcher, Signature(), {IDENTITY: server.url})
        assert (await refused(ours.unbind(IDENTITY, MAIL, ALICE))).status == 502
    assert server.asked == []


async def test_codes_are_sent_and_checked_there(pair: Pair) -> None:
    server, ours = pair
    sid = await ours.request_code("491511234567", "secret", 1)
    assert not await ours.submit_code(sid, "secret", "0")
    assert await ours.submit_code(sid, "secret", server.codes["+491511234567"])
    assert not await ours.submit_code(sid, "another", server.codes["+491511234567"])
    server.refuses["/_matrix/identity/v2/validate/msisdn/submitToken"] = (500, None)
    assert (await refused(ours.submit_code(sid, "secret", "0"))).status == 502


async def test_a_session_with_a_strange_name_is_refused() -> None:
    async with a_desk() as desk, a_fetcher() as fetcher:
        desk.answer_body = {"sid": "a/b"}
        ours = IdentityServers(fetcher, Signature(), {IDENTITY: desk.url}, IDENTITY)
        assert (await refused(ours.request_code("491511234567", "secret", 1))).status == 502
