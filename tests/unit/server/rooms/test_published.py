"""The list of published rooms: pages, networks, other servers."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.unit.server.rooms.world import ALICE, BOB, CAROL, PHONE, World
from watchword.base.errors import BadRequest, Forbidden, NotFound, PeerError
from watchword.edge.requester import Kind, Requester
from watchword.protocol.ids import RoomAlias, RoomId, ServerName
from watchword.server.rooms.directory import Directory
from watchword.server.rooms.published import DirectoryQuery, PublishedRooms

THERE = ServerName("there.example")
LEAST = {"room_id": "!r:there.example", "num_joined_members": 3, "world_readable": True, "guest_can_join": False}
BRIDGE = Requester(ALICE, PHONE, 1, kind=Kind.APPSERVICE, appservice_id="bridge")


class Played:
    """Another server that says what it is told to. Fits RemoteDirectories."""

    def __init__(self, answer: Mapping[str, Any] | PeerError, aliases: Mapping[str, str] | None = None) -> None:
        self.answer = answer
        self.aliases = aliases or {}
        self.asked: list[Mapping[str, Any]] = []

    async def public_rooms(self, server_name: ServerName, query: Mapping[str, Any]) -> Mapping[str, Any]:
        self.asked.append(query)
        if isinstance(self.answer, PeerError):
            raise self.answer
        return self.answer

    async def query_directory(self, server: ServerName, alias: RoomAlias) -> tuple[RoomId, list[ServerName]]:
        if alias not in self.aliases:
            raise PeerError(server, "no such alias", status=404)
        return RoomId(self.aliases[alias]), [server]


async def a_room(world: World, *members: Any, **body: Any) -> RoomId:
    world.clock.advance(1)
    room_id = await world.room(ALICE, preset="public_chat", visibility="public", **body)
    for member in members:
        await world.join(member, room_id)
    return room_id


async def page(world: World, **query: Any) -> dict[str, Any]:
    return await world.directory.public_rooms(DirectoryQuery(**{"limit": 100, **query}))


def ids(body: Mapping[str, Any]) -> list[str]:
    return [entry["room_id"] for entry in body["chunk"]]


async def test_the_largest_rooms_come_first(world: World) -> None:
    small, large = await a_room(world), await a_room(world, BOB, CAROL)
    middle = await a_room(world, BOB)
    assert ids(await page(world)) == [large, middle, small]


async def test_pages_can_be_turned_both_ways_by_the_token_alone(world: World) -> None:
    rooms = [await a_room(world) for _ in range(5)]
    whole = ids(await page(world))
    assert sorted(whole) == sorted(rooms)
    first = await page(world, limit=2)
    second = await page(world, limit=2, since=first["next_batch"])
    third = await page(world, limit=2, since=second["next_batch"])
    assert [*ids(first), *ids(second), *ids(third)] == whole
    assert "prev_batch" not in first
    assert "next_batch" not in third
    back = await page(world, limit=2, since=third["prev_batch"])
    assert ids(back) == ids(second)
    start = await page(world, limit=2, since=back["prev_batch"])
    assert ids(start) == ids(first)
    assert "prev_batch" not in start
    assert start["next_batch"] == first["next_batch"]


async def test_pages_fit_together_when_a_room_goes_meanwhile(world: World) -> None:
    for _ in range(4):
        await a_room(world)
    whole = ids(await page(world))
    first = await page(world, limit=2)
    await world.directory.list_room(RoomId(whole[1]), ALICE, listed=False, is_admin=True)
    assert ids(await page(world, limit=2, since=first["next_batch"])) == whole[2:]


async def test_no_limit_means_as_many_as_there_may_be(world: World) -> None:
    rooms = [await a_room(world) for _ in range(3)]
    assert len(ids(await page(world, limit=0))) == len(rooms)


@pytest.mark.parametrize("since", ["", "!room:here.example", "x" * 2_000, "W10", "ü", "WzEsMiwzXQ"])
async def test_a_token_that_was_not_given_is_refused(world: World, since: str) -> None:
    with pytest.raises(BadRequest, match="M_INVALID_PARAM"):
        await page(world, since=since)


async def test_entries_at_hand_are_renewed_when_their_room_changes(world: World) -> None:
    world.directory.published.listen(world.log)
    room_id = await a_room(world, name="Old")
    assert (await page(world))["chunk"][0]["name"] == "Old"
    assert await world.directory.summary(room_id) is await world.directory.summary(room_id)
    await world.set_state(ALICE, room_id, "m.room.name", {"name": "New"})
    await world.join(BOB, room_id)
    (entry,) = (await page(world))["chunk"]
    assert (entry["name"], entry["num_joined_members"]) == ("New", 2)
    await world.leave(BOB, room_id)
    await world.leave(ALICE, room_id)
    assert (await page(world))["chunk"] == []


# Networks


async def _list(world: World, network_id: str, room_id: RoomId, visibility: str = "public", **more: Any) -> Any:
    path = f"directory/list/appservice/{network_id}/{room_id}"
    return await world.tried(ALICE, "PUT", path, {"visibility": visibility}, **{"requester": BRIDGE, **more})


async def test_networks_have_lists_of_their_own(world: World) -> None:
    listed = await a_room(world)
    world.clock.advance(1)
    bridged = await world.room(ALICE, preset="public_chat")
    assert await _list(world, "irc", bridged) == (200, {})
    assert await _list(world, "irc", bridged) == (200, {})

    async def found(**body: Any) -> set[str]:
        return set(ids(await world.ask(BOB, "POST", "publicRooms", body)))

    assert await found() == {listed}
    assert await found(third_party_instance_id="irc") == {bridged}
    assert await found(third_party_instance_id="xmpp") == set()
    assert await found(include_all_networks=True) == {listed, bridged}
    assert await _list(world, "irc", bridged, "private") == (200, {})
    assert await found(include_all_networks=True) == {listed}


async def test_only_application_services_keep_lists_of_networks(world: World) -> None:
    room_id = await a_room(world)
    status, body = await _list(world, "irc", room_id, requester=Requester(ALICE, PHONE, 1))
    assert (status, body["errcode"]) == (403, "M_FORBIDDEN")
    for network_id, target, visibility, expected in (
        ("irc", "!none:here.example", "public", (404, "M_NOT_FOUND")),
        ("irc", room_id, "hidden", (400, "M_INVALID_PARAM")),
        ("x" * 300, room_id, "public", (400, "M_INVALID_PARAM")),
    ):
        status, body = await _list(world, network_id, RoomId(target), visibility)
        assert (status, body["errcode"]) == expected


async def test_one_network_and_all_of_them_cannot_both_be_asked_for(world: World) -> None:
    body = {"third_party_instance_id": "irc", "include_all_networks": True}
    assert await world.refused(BOB, "POST", "publicRooms", body) == (400, "M_INVALID_PARAM")


# Other servers


def elsewhere(world: World, answer: Any) -> tuple[PublishedRooms, Played]:
    played = Played(answer)
    return PublishedRooms(world.database, world.reader, played), played


async def test_another_servers_list_is_asked_for_and_checked(world: World) -> None:
    answer = {
        "chunk": [{**LEAST, "name": "Tea", "extra": 1}, {"room_id": 5}, "nonsense", LEAST],
        "next_batch": "n",
        "prev_batch": 5,
        "total_room_count_estimate": 7,
        "more": "nonsense",
    }
    published, played = elsewhere(world, answer)
    body = await published.elsewhere(THERE, DirectoryQuery(3, "s", "tea", [None], "irc", False))
    assert body == {"chunk": [{**LEAST, "name": "Tea"}], "next_batch": "n", "total_room_count_estimate": 7}
    assert played.asked == [
        {
            "limit": 3,
            "since": "s",
            "include_all_networks": False,
            "third_party_instance_id": "irc",
            "filter": {"generic_search_term": "tea", "room_types": [None]},
        }
    ]


async def test_nonsense_of_another_server_is_an_empty_list(world: World) -> None:
    published, _ = elsewhere(world, {"chunk": 5, "next_batch": "x" * 9_999, "total_room_count_estimate": -1})
    assert await published.elsewhere(THERE, DirectoryQuery(0)) == {"chunk": []}


async def test_what_another_server_refuses_is_refused(world: World) -> None:
    published, _ = elsewhere(world, PeerError(THERE, "no", status=403))
    with pytest.raises(Forbidden):
        await published.elsewhere(THERE, DirectoryQuery(5))
    published, _ = elsewhere(world, PeerError(THERE, "silent"))
    with pytest.raises(PeerError):
        await published.elsewhere(THERE, DirectoryQuery(5))
    with pytest.raises(NotFound):
        await world.directory.published.elsewhere(THERE, DirectoryQuery(5))


async def test_canonical_aliases_of_other_servers_must_name_the_room(world: World) -> None:
    room_id = await world.room()
    played = Played({}, {"#here:there.example": room_id, "#other:there.example": "!other:there.example"})
    directory = Directory(world.database, world.reader, world.directory.server_name, played)
    await directory.check_canonical_alias(room_id, {"alias": "#here:there.example"})
    for alias in ("#other:there.example", "#none:there.example"):
        with pytest.raises(BadRequest, match="M_BAD_ALIAS"):
            await directory.check_canonical_alias(room_id, {"alt_aliases": [alias]})
