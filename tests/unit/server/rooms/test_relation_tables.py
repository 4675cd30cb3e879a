"""The tables of relations: what a database of before becomes, and how a query is answered."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.unit.server.rooms.relating import edit, react, reply
from tests.unit.server.rooms.world import ALICE, BOB, SCHEMAS, World
from watchword.protocol.ids import EventId
from watchword.server import rooms
from watchword.server.rooms import relation_tables
from watchword.server.rooms.relation_tables import Children
from watchword.storage import SqliteDatabase, Value, migrate
from watchword.storage import migrations as steps
from watchword.storage.database import Row


def event(number: int, kind: str, content: Mapping[str, object], **more: object) -> bytes:
    raw = {"type": kind, "sender": "@bob:x", "origin_server_ts": number, "content": content, **more}
    return json.dumps(raw).encode()


async def test_what_was_noted_before_is_taken_over(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "server.db")
    schema = next(schema for schema in SCHEMAS if schema.feature == "rooms")
    assert schema is rooms.SCHEMA
    scripts = steps._files(schema)
    await migrate(database, SCHEMAS[:1])
    relates = {"m.relates_to": {"rel_type": "m.thread", "event_id": "$root"}}
    replaces = {"m.new_content": {}, "m.relates_to": {"rel_type": "m.replace", "event_id": "$root"}}
    reacts = {"m.relates_to": {"rel_type": "m.annotation", "event_id": "$root", "key": "+1"}}
    odd = {"m.relates_to": {"rel_type": "m.annotation", "event_id": "$root", "key": 1}}
    stored = (
        (1, 100, event(1, "m.room.message", relates), "m.thread"),
        (2, 200, event(2, "m.room.message", relates), "m.thread"),
        (3, 300, event(3, "m.room.message", replaces), "m.replace"),
        (4, 400, event(4, "org.example", replaces, state_key=""), "m.replace"),
        (5, 500, event(5, "m.reaction", reacts), "m.annotation"),
        (6, 600, event(6, "m.reaction", odd), "m.annotation"),
        (7, None, event(7, "m.reaction", reacts), "m.annotation"),
    )
    async with database.write() as tx:
        await steps._apply(tx, "rooms", 1, scripts[1])
        for nid, ordering, raw, rel_type in stored:
            await tx.execute(
                "INSERT INTO events (event_nid, event_id, room_nid, ordering, depth, json) VALUES (?, ?, 9, ?, 1, ?)",
                nid,
                f"${nid}",
                ordering,
                raw,
            )
            await tx.execute(
                "INSERT INTO relations (room_nid, parent_event_id, rel_type, child_nid) VALUES (9, '$root', ?, ?)",
                rel_type,
                nid,
            )
    async with database.write() as tx:
        await steps._apply(tx, "rooms", 2, scripts[2])
    root = EventId("$root")
    async with database.read() as tx:
        rows = await tx.fetch_all(
            "SELECT ordering, child_nid, rel_type, type, ts, is_edit, key FROM event_relations ORDER BY ordering"
        )
        bob = await relation_tables.numbers_of(tx, ["@bob:x", "@nobody:x"])  # type: ignore[list-item]
        threads = await relation_tables.threads_before(tx, 9, 1_000, 10)
        newest = await relation_tables.edits(tx, 9, [(root, bob[0], "m.room.message")], 5)
    assert [tuple(row) for row in rows] == [
        (100, 1, "m.thread", "m.room.message", 1, 0, None),
        (200, 2, "m.thread", "m.room.message", 2, 0, None),
        (300, 3, "m.replace", "m.room.message", 3, 1, None),
        (400, 4, "m.replace", "org.example", 4, 0, None),
        (500, 5, "m.annotation", "m.reaction", 5, 0, "+1"),
        (600, 6, "m.annotation", "m.reaction", 6, 0, None),
    ]
    assert threads == [(root, 200)]
    assert newest == {root: [(3, 300)]}
    await database.close()


async def test_questions_about_children_use_an_index(world: World) -> None:
    """However many relations there are: no question walks over those of other events."""
    room_id = await world.public_room(BOB)
    root = await world.send(ALICE, room_id)
    await reply(world, BOB, room_id, root)
    await react(world, BOB, room_id, root)
    await edit(world, ALICE, room_id, root)
    asked: list[str] = []

    class Explained:
        async def fetch_all(self, sql: str, *parameters: Value) -> Sequence[Row]:
            plan = await tx.fetch_all("EXPLAIN QUERY PLAN " + sql, *parameters)
            asked.extend(str(row[3]) for row in plan)
            return []

        async def fetch_one(self, sql: str, *parameters: Value) -> Row | None:
            await self.fetch_all(sql, *parameters)
            return None

    explained = Explained()
    wanted = Children(root, 0, 1 << 62, True, 10, "m.thread", "m.room.message", (1,))
    async with world.database.read() as tx:
        await relation_tables.children(explained, 1, wanted)
        await relation_tables.descendants(explained, 1, wanted, 3, 100)
        await relation_tables.has_annotated(explained, 1, root, 1, "m.reaction", "+")
        await relation_tables.bundled_kinds(explained, 1, [root])
        await relation_tables.edits(explained, 1, [(root, 1, "m.room.message")], 1)
        await relation_tables.references(explained, 1, [root], (1,), 10)
        await relation_tables.thread_summaries(explained, 1, [root], 1, (1,))
        await relation_tables.thread_events(explained, 1, root, (), 10)
        await relation_tables.related_to(explained, 1, [root], ["m.thread"], ["@b:x"])
        await relation_tables.threads_before(explained, 1, 5, 10)
    looked_up = [step for step in asked if "(room_nid=?" in step]
    assert len(looked_up) > 10
    # The room alone leads nowhere, nor does one event where a type of relation is asked for.
    assert not [step for step in looked_up if "(room_nid=?)" in step]
    by_event_alone = [step for step in looked_up if "(room_nid=? AND parent_id=?)" in step]
    assert len(by_event_alone) <= 3, by_event_alone
    tables = ("event_relations", "threads", "r", "c", "t")
    assert not [step for step in asked if step.startswith(tuple(f"SCAN {table} " for table in tables))]
