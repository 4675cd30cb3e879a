import asyncio

import pytest

from tests.unit.server.e2ee.world import ALICE, CAROL, THERE, World, cross_signing_key
from watchword.base.errors import Refusal
from watchword.edge.request import Request
from watchword.edge.requester import Requester
from watchword.server.e2ee.endpoints import ENDPOINTS


@pytest.mark.parametrize(
    ("query", "errcode"),
    [
        ("from=1", "M_MISSING_PARAM"),
        ("to=1", "M_MISSING_PARAM"),
        ("from=x&to=1", "M_INVALID_PARAM"),
        ("from=-1&to=1", "M_INVALID_PARAM"),
    ],
)
async def test_a_wrong_token_is_refused(world: World, query: str, errcode: str) -> None:
    with pytest.raises(Refusal, match=errcode):
        await world.ask("GET", "keys/changes", query=query)


async def test_cross_signing_keys_are_uploaded_under_the_old_path_too(world: World) -> None:
    (row,) = (row for row in ENDPOINTS if row.path.startswith("/_matrix/client/unstable/keys/"))
    request = Request("POST", row.path, json={"master_key": cross_signing_key("master", 5)})
    await row.handler(request, Requester(ALICE, None, 1), world.service)
    assert "master_key" in await world.reader.signing_key_edu(ALICE)


async def test_a_query_waits_no_longer_than_the_client_asks(world: World) -> None:
    async def never(*_: object) -> None:
        await asyncio.Event().wait()

    world.neighbours.query_keys = never  # type: ignore[method-assign,assignment]
    asking = asyncio.ensure_future(world.ask("POST", "keys/query", {"device_keys": {CAROL: []}, "timeout": 500}))
    for _ in range(20):
        await asyncio.sleep(0)
    world.clock.advance(500)
    assert list((await asking)["failures"]) == [THERE]


@pytest.mark.parametrize("body", [{}, {"device_keys": []}, {"device_keys": {}, "timeout": "1"}])
async def test_a_query_of_the_wrong_shape_is_refused(world: World, body: dict[str, object]) -> None:
    with pytest.raises(Refusal):
        await world.ask("POST", "keys/query", body)
