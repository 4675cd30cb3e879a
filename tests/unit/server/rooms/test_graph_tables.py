from tests.unit.server.rooms.stacks import Stack
from watchword.server.rooms import graph_tables, tables


async def test_overlays_that_rest_on_others_are_laid_together(a: Stack) -> None:
    async with a.database.write() as tx:
        await tables.insert_overlay(tx, 1, 7, {("x", ""): "$1", ("y", ""): "$1"})  # type: ignore[dict-item]
        await tables.insert_overlay(tx, 2, -1, {("x", ""): "$2"})  # type: ignore[dict-item]
        await tables.insert_overlay(tx, 3, -2, {("y", ""): None})
        laid = await graph_tables.overlays(tx, [3, 1, 9])
    assert laid == {1: (7, {("x", ""): "$1", ("y", ""): "$1"}), 3: (7, {("x", ""): "$2", ("y", ""): None})}


async def test_the_line_can_be_seen_from_its_end(a: Stack) -> None:
    room_id = await a.create()
    room = await a.room(room_id)
    before, position = dict(room.state), room.last_position
    await a.send(room_id, "m.room.topic", {"topic": "x"}, "")
    await a.send(room_id, "m.room.topic", {"topic": "y"}, "")
    await a.send(room_id, "m.room.join_rules", {"join_rule": "invite"}, "")
    async with a.database.read() as tx:
        written, ended = await graph_tables.line_changed_since(tx, room.room_nid, position)
    rules = ("m.room.join_rules", "")
    assert set(written) == {("m.room.topic", ""), rules}
    assert ended == {rules: before[rules]}


async def test_auth_chains_stop_at_the_floor_and_leave_out_their_start(a: Stack) -> None:
    room = await a.room(await a.create(version="10"))
    async with a.database.read() as tx:
        known = await tables.known_events(tx, room.state.values())
        create, rules = (known[room.state[(kind, "")]][0] for kind in ("m.room.create", "m.room.join_rules"))
        chain = await graph_tables.auth_chain(tx, [rules])
        assert create in chain
        assert rules not in chain
        assert await graph_tables.auth_chain(tx, [rules], create + 1) == chain - {create}
        assert {nid for nid, _ in await graph_tables.line_events(tx, room.room_nid, rules)} >= {rules}


async def test_servers_with_wildcards_in_their_names_match_only_themselves(a: Stack) -> None:
    room = await a.room(await a.create())
    async with a.database.read() as tx:
        names = a.rooms.writer.names
        member = await names.find(tx, "m.room.member")
        assert member is not None
        assert len(await graph_tables.member_intervals_of_server(tx, room.room_nid, member, "a.example")) == 1
        assert await graph_tables.member_intervals_of_server(tx, room.room_nid, member, "%.example") == []
        assert await graph_tables.member_intervals_of_server(tx, room.room_nid, member, "_.example") == []
