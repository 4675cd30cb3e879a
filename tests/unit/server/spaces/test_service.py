"""Summaries of rooms, and spaces between servers."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.unit.server.rooms.stacks import Network, Stack
from tests.unit.server.rooms.world import ALICE, BOB, CAROL
from tests.unit.server.spaces.world import V1, SpaceWorld, seen, spaces_of
from watchword.base.errors import NotFound
from watchword.edge.request import Request
from watchword.edge.requester import ServerRequester
from watchword.protocol.ids import RoomId, ServerName
from watchword.server.spaces.endpoints import hierarchy_for_server

NHEKO = "/_matrix/client/unstable/im.nheko.summary"
FAR = RoomId("!far:there.example")


async def summary(world: SpaceWorld, user_id: Any, name: str, *via: str) -> Any:
    if user_id is None:
        return await world.spaces.summary(None, name, [ServerName(each) for each in via])
    return await world.ask(user_id, "GET", f"{V1}/room_summary/{name.replace('#', '%23')}", via=list(via))


async def test_a_room_is_summed_up(world: SpaceWorld) -> None:
    room_id = await world.another(ALICE, name="Tea", room_alias_name="tea")
    expected = {
        "room_id": room_id,
        "num_joined_members": 1,
        "world_readable": False,
        "guest_can_join": False,
        "join_rule": "public",
        "room_version": "12",
        "name": "Tea",
        "canonical_alias": "#tea:here.example",
    }
    assert await summary(world, ALICE, room_id) == {**expected, "membership": "join"}
    assert await summary(world, BOB, "#tea:here.example") == {**expected, "membership": "leave"}
    assert await summary(world, None, room_id) == expected


async def test_encryption_and_conditions_are_said(world: SpaceWorld) -> None:
    club = await world.another(ALICE)
    rule = {"join_rule": "restricted", "allow": [{"type": "m.room_membership", "room_id": club}]}
    room_id = await world.another(
        ALICE,
        initial_state=[
            {"type": "m.room.join_rules", "content": rule},
            {"type": "m.room.encryption", "content": {"algorithm": "m.megolm.v1.aes-sha2"}},
        ],
    )
    body = await summary(world, ALICE, room_id)
    assert (body["encryption"], body["allowed_room_ids"]) == ("m.megolm.v1.aes-sha2", [club])
    old = await world.ask(ALICE, "GET", f"{NHEKO}/rooms/{room_id}/summary")
    assert old == {
        **body,
        "im.nheko.summary.encryption": "m.megolm.v1.aes-sha2",
        "im.nheko.summary.room_version": "12",
    }
    assert await world.ask(ALICE, "GET", f"{NHEKO}/summary/{room_id}") == old


async def test_who_may_not_see_a_room_does_not_find_it(world: SpaceWorld) -> None:
    room_id = await world.another(ALICE, preset="private_chat", invite=[CAROL])
    for user_id, name in ((BOB, room_id), (BOB, "!none:here.example"), (BOB, "#none:here.example")):
        path = f"{V1}/room_summary/{name.replace('#', '%23')}"
        assert await world.refused(user_id, "GET", path) == (404, "M_NOT_FOUND")
    with pytest.raises(NotFound):
        await summary(world, None, room_id)
    assert (await summary(world, CAROL, room_id))["membership"] == "invite"


async def test_what_is_neither_id_nor_alias_is_refused(world: SpaceWorld) -> None:
    assert await world.refused(ALICE, "GET", f"{V1}/room_summary/tea") == (400, "M_INVALID_PARAM")


async def test_other_servers_are_asked_about_their_rooms(world: SpaceWorld) -> None:
    world.played.answers[FAR] = {
        "room": {"room_id": FAR, "num_joined_members": 2, "world_readable": False, "guest_can_join": False}
    }
    assert (await summary(world, ALICE, FAR, "yonder.example"))["membership"] == "leave"
    assert await summary(world, None, FAR, "yonder.example") == world.played.answers[FAR]["room"]
    assert world.played.asked == [("yonder.example", FAR, False)]


# For other servers


async def served(world: SpaceWorld, room_id: RoomId, **more: Any) -> Any:
    return await world.spaces.for_server(ServerName("there.example"), room_id, **{"suggested_only": False, **more})


async def test_another_server_is_told_of_a_space_and_its_children(world: SpaceWorld) -> None:
    opened, private = await world.another(ALICE), await world.another(ALICE, preset="private_chat")
    space = await world.space(ALICE, opened, private, FAR)
    body = await served(world, space)
    assert body["room"]["room_id"] == space
    assert [event["state_key"] for event in body["room"]["children_state"]] == [opened, private, FAR]
    assert [child["room_id"] for child in body["children"]] == [opened]
    assert body["inaccessible_children"] == [private]
    assert "children_state" not in body["children"][0]


async def test_another_server_may_ask_for_what_is_suggested(world: SpaceWorld) -> None:
    first, second = await world.another(ALICE), await world.another(ALICE)
    space = await world.space(ALICE, first)
    await world.adopt(ALICE, space, second, suggested=True)
    body = await served(world, space, suggested_only=True)
    assert [child["room_id"] for child in body["children"]] == [second]


async def test_another_server_is_told_nothing_of_what_it_may_not_see(world: SpaceWorld) -> None:
    private = await world.space(ALICE, preset="private_chat")
    for room_id in (private, FAR):
        with pytest.raises(NotFound):
            await served(world, room_id)


async def test_the_door_for_servers_names_who_asks(world: SpaceWorld) -> None:
    space = await world.space(ALICE)
    request = Request("GET", "/", "suggested_only=true", params={"roomId": space})
    reply = await hierarchy_for_server(request, ServerRequester(ServerName("there.example")), world.spaces)
    assert orjson.loads(reply.body)["room"]["room_id"] == space


# Between servers


@pytest.fixture
async def network(tmp_path: Path) -> Any:
    network = Network()
    for name in ("a.example", "b.example"):
        await Stack.start(network, tmp_path, name, "alice", "bob")
    yield network
    for stack in network.stacks.values():
        await stack.database.close()


async def test_a_space_reaches_across_servers(network: Network) -> None:
    a, b = network.stacks.values()
    spaces = spaces_of(network)
    far = await b.create()
    hidden = await b.create(preset="private_chat")
    near = await a.create()
    space = await a.create(creation_content={"type": "m.space"})
    for room_id, via in ((far, b.name), (hidden, b.name), (near, a.name)):
        await a.send(space, "m.space.child", {"via": [via]}, room_id)
    assert await seen(spaces[a.name], a.user("alice"), space) == [space, far, near]
    await b.join(space, "bob", a)
    await network.settle()
    assert await seen(spaces[b.name], b.user("bob"), space) == [space, far, near]
    assert await seen(spaces[b.name], b.user("alice"), space) == [space, far, hidden, near]


async def test_a_room_that_members_of_another_may_join_is_shown_across_servers(network: Network) -> None:
    a, b = network.stacks.values()
    spaces = spaces_of(network)
    space = await a.create(creation_content={"type": "m.space"})
    await b.join(space, "bob", a)
    rule = {"join_rule": "restricted", "allow": [{"type": "m.room_membership", "room_id": space}]}
    limited = await b.create(initial_state=[("m.room.join_rules", "", rule)])
    await a.send(space, "m.space.child", {"via": [b.name]}, limited)
    await network.settle()
    assert await seen(spaces[a.name], a.user("alice"), space) == [space, limited]
    assert await seen(spaces[a.name], a.user("bob"), space) == [space]


async def test_summaries_come_from_other_servers(network: Network) -> None:
    a, b = network.stacks.values()
    spaces = spaces_of(network)
    room_id = await b.create()
    body = await spaces[a.name].summary(a.user("alice"), room_id, [b.name])
    assert (body["room_id"], body["membership"]) == (room_id, "leave")
    network.part(a, b)
    with pytest.raises(NotFound):
        await spaces[a.name].summary(a.user("alice"), await b.create(), [b.name])
