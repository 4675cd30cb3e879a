"""Rooms as their operator sees them, and what is left of one that was taken from the disk."""

from typing import Any

import pytest

from tests.unit.server.rooms.stacks import Network, Stack
from tests.unit.server.rooms.world import ALICE, BOB, CAROL, EVE, World, bodies
from watchword.base.errors import BadRequest
from watchword.protocol.ids import RoomId
from watchword.server.changes import RoomPurged
from watchword.server.rooms.estate import Estate, RoomSize
from watchword.storage import Position

NOWHERE = RoomId("!nowhere:here.example")


def _estate(world: World) -> Estate:
    return Estate(world.writer, world.memberships, world.log, world.clock)


async def _counts(world: World, room_id: RoomId) -> dict[str, int]:
    """How many rows each table has of a room, and how many events."""
    async with world.database.read() as tx:
        found = await tx.fetch_one("SELECT room_nid FROM rooms WHERE room_id = ?", room_id)
        assert found is not None
        counts = {}
        for table in ("events", "state_line", "event_relations", "threads", "receipts", "event_times", "missing_events"):
            row = await tx.fetch_one(f"SELECT COUNT(*) FROM {table} WHERE room_nid = ?", found[0])
            assert row is not None
            counts[table] = row[0]
    return counts


async def test_every_room_is_listed_with_what_it_says_of_itself(world: World) -> None:
    await world.room(ALICE, name="Choir", topic="Songs", room_alias_name="choir", visibility="public")
    state = [{"type": "m.room.encryption", "content": {"algorithm": "m.megolm.v1.aes-sha2"}}]
    plain = await world.room(
        BOB, room_version="10", creation_content={"type": "m.space", "m.federate": False}, initial_state=state
    )
    await world.invite(BOB, plain, CAROL)
    choir, space = await _estate(world).rooms()
    assert (choir.name, choir.canonical_alias, choir.is_public, choir.join_rule) == (
        "Choir",
        "#choir:here.example",
        True,
        "public",
    )
    assert (choir.joined, choir.joined_local, choir.creator, choir.encryption) == (1, 1, ALICE, None)
    assert (space.room_id, space.version, space.room_type, space.is_federated) == (plain, "10", "m.space", False)
    assert (space.name, space.encryption, space.history_visibility) == (None, "m.megolm.v1.aes-sha2", "shared")
    assert choir.state_events > 5


async def test_the_list_is_kept_for_a_moment_and_no_longer(world: World) -> None:
    estate = _estate(world)
    assert await estate.rooms() == []
    await world.room()
    assert await estate.rooms() == []
    world.clock.advance(15_000)
    assert len(await estate.rooms()) == 1
    await world.room()
    estate.forget_list()
    assert len(await estate.rooms()) == 2
    assert await estate.count() == 2


async def test_a_rooms_members_types_and_size_are_told(world: World) -> None:
    room_id = await world.public_room(BOB)
    await world.invite(ALICE, room_id, CAROL)
    estate, room = _estate(world), await world.reader.room(room_id)
    assert room is not None
    assert (await estate.entry(room)).room_id == room_id
    assert await estate.members(room, "join", "", 10) == [(ALICE, True), (BOB, True)]
    assert await estate.members(room, "join", ALICE, 10) == [(BOB, True)]
    assert await estate.local_members(room) == [(ALICE, "join"), (BOB, "join"), (CAROL, "invite")]
    assert (await estate.state_types(room))["m.room.member"] == 3
    size = await estate.size(room)
    assert size == RoomSize(len(await world.timeline(room_id)), size.bytes, is_estimate=False)
    assert size.bytes > 1_000


async def test_a_large_room_is_estimated_from_its_newest_events(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    room_id = await world.room()
    for _ in range(20):
        await world.send(ALICE, room_id)
    room = await world.reader.room(room_id)
    assert room is not None
    exact = await _estate(world).size(room)
    monkeypatch.setattr("watchword.base.limits.room_events_measured_max", 10)
    guessed = await _estate(world).size(room)
    assert guessed.is_estimate
    assert guessed.events == exact.events
    assert 0.5 < guessed.bytes / exact.bytes < 2


async def test_a_room_loses_its_names_and_its_place_in_the_directory(world: World) -> None:
    room_id = await world.room(ALICE, room_alias_name="choir", visibility="public")
    assert await _estate(world).unname(room_id) == ["#choir:here.example"]
    assert await world.reader.aliases_of(room_id) == []
    assert (await world.ask(BOB, "GET", "publicRooms"))["chunk"] == []
    assert await _estate(world).unname(NOWHERE) == []


async def test_a_room_with_somebody_in_it_is_not_taken_from_the_disk(world: World) -> None:
    room_id = await world.room()
    with pytest.raises(BadRequest):
        await _estate(world).purge(room_id)
    assert await _estate(world).purge(NOWHERE) == 0


async def _left(world: World) -> RoomId:
    """A room full of things that everybody has left."""
    room_id = await world.public_room(BOB, room_alias_name="choir")
    root = await world.send(ALICE, room_id, "sing")
    await world.send(BOB, room_id, "la", **{"m.relates_to": {"rel_type": "m.thread", "event_id": root}})
    await world.ask(BOB, "POST", f"rooms/{room_id}/receipt/m.read/{root}", {})
    await world.invite(ALICE, room_id, EVE)
    await world.leave(BOB, room_id)
    await world.leave(ALICE, room_id)
    return room_id


async def test_nothing_of_what_was_said_stays_on_the_disk(world: World) -> None:
    room_id = await _left(world)
    await world.room(CAROL)
    said = len(await world.timeline(room_id))
    assert await _estate(world).purge(room_id) == said
    assert set((await _counts(world, room_id)).values()) == {0}
    assert await _estate(world).purge(room_id) == 0
    changes = [change for _, change in await world.log.read(Position(0), 1_000)]
    assert RoomPurged(room_id) in changes


async def test_the_number_of_the_newest_event_is_not_given_again(world: World) -> None:
    room_id = await _left(world)

    async def newest() -> Any:
        async with world.database.read() as tx:
            return await tx.fetch_one("SELECT MAX(event_nid), MAX(json) FROM events")

    before = (await newest())[0]
    await _estate(world).purge(room_id)
    number, json = await newest()
    assert number == before
    assert b"displayname" not in json
    assert await world.timeline(room_id) == []
    await world.room(CAROL)
    assert (await newest())[0] > before


async def test_clients_hear_of_the_leave_and_find_nothing_else(world: World) -> None:
    room_id = await world.public_room(BOB)
    await world.say(ALICE, room_id, "sing")
    since = (await world.sync(BOB))["next_batch"]
    await world.leave(BOB, room_id)
    await world.leave(ALICE, room_id)
    other = await world.room(CAROL)
    await _estate(world).purge(room_id)
    answer = await world.sync(BOB, since)
    assert list(answer["rooms"]["leave"]) == [room_id]
    assert answer["rooms"]["leave"][room_id].get("timeline", {}).get("events", []) == []
    assert "leave" not in (await world.sync(BOB, answer["next_batch"])).get("rooms", {})
    await world.sync(BOB, None, filter={"room": {"include_leave": True}})
    assert (await world.messages(BOB, room_id))["chunk"] == []
    assert (await world.refused(BOB, "GET", f"rooms/{room_id}/state"))[0] == 403
    assert (await world.refused(CAROL, "POST", f"rooms/{room_id}/join", {}))[0] == 404
    await world.ask(BOB, "POST", f"rooms/{room_id}/forget", {})
    assert bodies((await world.messages(CAROL, other))["chunk"]) == []


async def test_a_room_that_lives_on_elsewhere_can_be_joined_again(network: Network, a: Stack, b: Stack) -> None:
    room_id = await a.create()
    await b.join(room_id, "bob", a)
    await network.settle()
    await a.say(room_id, "before")
    await network.settle()
    await b.change(room_id, "leave", b.user("bob"), "bob")
    await network.settle()
    estate = b.rooms.estate
    assert await estate.purge(room_id) > 5
    assert not (await b.room(room_id)).is_alive
    await b.join(room_id, "bob", a)
    await network.settle()
    await b.say(room_id, "back", "bob")
    await network.settle()
    assert (await b.state(room_id)) == (await a.state(room_id))
    assert (await a.bodies(room_id, "alice")) == ["before", "back"]
    assert (await estate.rooms())[0].joined == 2
