import pytest

from tests.unit.server.e2ee.world import ALICE, CAROL, PHONE, World, device_keys
from watchword.base.errors import Refusal
from watchword.edge.endpoint import Auth
from watchword.server.e2ee.endpoints import ENDPOINTS


async def test_a_device_list_is_for_local_users_only(world: World) -> None:
    await world.ask("POST", "keys/upload", {"device_keys": device_keys()})
    answer = await world.ask_as_server("GET", f"user/devices/{ALICE}")
    assert [device["device_id"] for device in answer["devices"]] == [PHONE]
    for user, status in ((CAROL, 400), ("nonsense", 400), ("@nobody:here.example", 404)):
        with pytest.raises(Refusal) as refused:
            await world.ask_as_server("GET", f"user/devices/{user}")
        assert refused.value.status == status


async def test_a_query_answers_local_users_only(world: World) -> None:
    await world.ask("POST", "keys/upload", {"device_keys": device_keys()})
    answer = await world.ask_as_server("POST", "user/keys/query", {"device_keys": {ALICE: [], CAROL: []}})
    assert list(answer["device_keys"]) == [ALICE]
    assert world.neighbours.questions == []


async def test_a_claim_takes_a_key_for_good(world: World) -> None:
    await world.ask("POST", "keys/upload", {"one_time_keys": {"a:1": "x"}})
    asked = {"one_time_keys": {ALICE: {PHONE: "a"}, CAROL: {"C": "a"}}}
    assert await world.ask_as_server("POST", "user/keys/claim", asked) == {"one_time_keys": {ALICE: {PHONE: {"a:1": "x"}}}}
    assert await world.ask_as_server("POST", "user/keys/claim", asked) == {"one_time_keys": {}}
    assert world.neighbours.questions == []


def test_every_endpoint_for_servers_wants_a_server() -> None:
    for row in ENDPOINTS:
        assert (row.auth is Auth.SERVER) == row.path.startswith("/_matrix/federation/")
