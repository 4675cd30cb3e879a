"""The rows of times, sweeps and lists of networks."""

from tests.unit.server.rooms.world import ALICE, World
from watchword.protocol.ids import RoomId
from watchword.server.rooms import catalogue_tables
from watchword.server.rooms.records import FOREVER


async def test_events_are_found_by_their_time_in_both_directions(world: World) -> None:
    room_id = await world.public_room()
    room = await world.reader.room(room_id)
    assert room is not None
    for _ in range(3):
        world.clock.advance(1_000)
        await world.send(ALICE, room_id)
    now = world.clock.now_ms()
    async with world.database.write() as tx:
        await catalogue_tables.insert_times(tx, 0, 1_000)
        await catalogue_tables.insert_times(tx, 0, 1_000)
        later = await catalogue_tables.shown_from(tx, room.room_nid, now - 1_000, (-1, -1), 9)
        assert [row[0] for row in later] == [now - 1_000, now]
        (last,) = await catalogue_tables.shown_from(tx, room.room_nid, now - 1_000, (later[0][0], later[0][2]), 9)
        assert last == later[1]
        earlier = await catalogue_tables.shown_until(tx, room.room_nid, now - 1, (FOREVER, FOREVER), 2)
        assert [row[0] for row in earlier] == [now - 1_000, now - 2_000]
        (before,) = await catalogue_tables.shown_until(tx, room.room_nid, now - 1, (earlier[0][0], earlier[0][2]), 1)
        assert before == earlier[1]
        await tx.execute("UPDATE events SET flags = 2 WHERE event_nid = ?", last[2])
        assert await catalogue_tables.shown_from(tx, room.room_nid, now, (-1, -1), 9) == []


async def test_times_of_any_kind_are_taken(world: World) -> None:
    async with world.database.write() as tx:
        for nid, encoded in enumerate((b'{"origin_server_ts":5.5}', b"{}", b'{"origin_server_ts":1e30}'), 500):
            await tx.execute(
                "INSERT INTO events (event_nid, event_id, room_nid, ordering, depth, json) VALUES (?, ?, 1, ?, 1, ?)",
                nid,
                f"${nid}",
                nid,
                encoded,
            )
        await catalogue_tables.insert_times(tx, 499, 600)
        rows = await catalogue_tables.shown_from(tx, 1, 0, (-1, -1), 9)
    assert [row[0] for row in rows] == [0, 5, FOREVER]


async def test_sweeps_and_gaps_are_remembered(world: World) -> None:
    async with world.database.write() as tx:
        assert await catalogue_tables.swept(tx, "x") == 0
        await catalogue_tables.save_swept(tx, "x", 5)
        await catalogue_tables.save_swept(tx, "x", 7)
        assert await catalogue_tables.swept(tx, "x") == 7
        assert await catalogue_tables.first_missing_from(tx, 1, 0) is None
        for place in (30, 20):
            await tx.execute(
                "INSERT INTO missing_events (room_nid, event_id, before_ordering) VALUES (1, ?, ?)", f"${place}", place
            )
        assert await catalogue_tables.first_missing_from(tx, 1, 0) == 20
        assert await catalogue_tables.first_missing_from(tx, 1, 21) == 30


async def test_networks_list_rooms(world: World) -> None:
    first, second = RoomId("!a:x"), RoomId("!b:x")
    async with world.database.write() as tx:
        await catalogue_tables.set_network_room(tx, "irc", first, "bridge")
        await catalogue_tables.set_network_room(tx, "irc", first, "other")
        await catalogue_tables.set_network_room(tx, "xmpp", second, "bridge")
        assert await catalogue_tables.network_rooms(tx, "irc", 9) == [first]
        assert await catalogue_tables.network_rooms(tx, None, 9) == [first, second]
        await catalogue_tables.delete_network_room(tx, "irc", first, "other")
        assert await catalogue_tables.network_rooms(tx, "irc", 9) == [first]
        await catalogue_tables.delete_network_room(tx, "irc", first, "bridge")
        assert await catalogue_tables.network_rooms(tx, "irc", 9) == []
