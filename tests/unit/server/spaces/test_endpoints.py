"""The doors of spaces."""

import orjson
import pytest

from tests.unit.server.rooms.world import ALICE
from tests.unit.server.spaces.world import V1, SpaceWorld
from watchword.base.errors import NotFound
from watchword.edge.endpoint import Auth
from watchword.edge.request import Request
from watchword.edge.requester import ServerRequester
from watchword.protocol.ids import ServerName
from watchword.server.spaces.endpoints import ENDPOINTS, hierarchy_for_server, room_summary

THERE = ServerRequester(ServerName("there.example"))


async def test_a_page_has_a_largest_size(world: SpaceWorld) -> None:
    space = await world.space(ALICE)
    assert await world.tree(ALICE, space, limit=100_000, max_depth=100_000) == [space]


async def test_a_server_is_told_of_one_room_at_a_time(world: SpaceWorld) -> None:
    space = await world.space(ALICE)
    reply = await hierarchy_for_server(Request("GET", "/", params={"roomId": space}), THERE, world.spaces)
    assert list(orjson.loads(reply.body)) == ["room", "children", "inaccessible_children"]
    with pytest.raises(NotFound):
        await hierarchy_for_server(Request("GET", "/", params={"roomId": "!none:x"}), THERE, world.spaces)


async def test_whoever_is_not_logged_in_may_ask_for_a_summary(world: SpaceWorld) -> None:
    space = await world.space(ALICE)
    reply = await room_summary(Request("GET", "/", params={"roomIdOrAlias": space}), None, world.spaces)
    assert "membership" not in orjson.loads(reply.body)


async def test_servers_to_ask_must_have_names(world: SpaceWorld) -> None:
    path = f"{V1}/room_summary/!x:here.example"
    assert await world.refused(ALICE, "GET", path, via="not a name") == (400, "M_INVALID_PARAM")


def test_only_summaries_are_for_everybody() -> None:
    assert all((endpoint.auth is Auth.OPTIONAL) == ("summary" in endpoint.path) for endpoint in ENDPOINTS)
