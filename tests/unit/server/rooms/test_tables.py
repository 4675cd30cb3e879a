"""The SQL of rooms, events and state: the line of state against a dictionary per position, and rows as they were stored."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.server.rooms.world import ALICE, BOB, SCHEMAS
from watchword.protocol.events import StateKey
from watchword.protocol.ids import EventId, RoomId
from watchword.server.rooms import tables
from watchword.server.rooms.commands import Transaction
from watchword.server.rooms.records import FOREVER, REJECTED, SOFT_FAILED, NewEvent, RoomRow
from watchword.storage import Database, SqliteDatabase, Tx, migrate
from watchword.storage.names import Names

ROOM, OTHER = RoomId("!r:here.example"), RoomId("!o:here.example")
KEYS: tuple[StateKey, ...] = (("m.room.topic", ""), ("m.room.name", ""), ("m.room.member", ALICE), ("m.room.member", BOB))


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = SqliteDatabase(tmp_path / "tables.db")
    await migrate(opened, SCHEMAS)
    yield opened
    await opened.close()


async def insert(tx: Tx, event_id: str, ordering: int | None, *, room_nid: int = 1, flags: int = 0) -> int:
    return await tables.insert_event(tx, room_nid, NewEvent(EventId(event_id), ordering, 1, flags, b"{}"))


# The line of state, against a model

Change = dict[StateKey, bool]
"""address → whether there is something there from now on."""
CHANGES = st.lists(st.dictionaries(st.sampled_from(KEYS), st.booleans(), max_size=3), max_size=8)


class Line:
    """A line of state in the database, and the same as one dictionary per position."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.names = Names()
        self.states: list[dict[StateKey, EventId]] = [{}]

    async def write(self, changes: list[Change]) -> None:
        async with self.database.write() as tx:
            for change in changes:
                await self._step(tx, change)

    async def _step(self, tx: Tx, change: Change) -> None:
        state, position, rows = dict(self.states[-1]), len(self.states), []
        for (kind, key), is_there in change.items():
            event_id = EventId(f"${position}{kind}{key}")
            nid = await insert(tx, event_id, None) if is_there else None
            rows.append((await self.names.number(tx, kind), await self.names.number(tx, key), nid))
            state.pop((kind, key), None)
            if is_there:
                state[kind, key] = event_id
        await tables.change_state(tx, 1, position, rows)
        self.states.append(state)

    def spans(self) -> Iterator[tuple[int, int]]:
        end = len(self.states)
        return ((after, until) for until in range(end) for after in range(until + 1))


@contextmanager
def a_server() -> Iterator[Callable[[Callable[[Line], Coroutine[Any, Any, None]]], None]]:
    """Run coroutines on one database, each on a fresh line."""
    with TemporaryDirectory() as folder, asyncio.Runner() as runner:
        database = SqliteDatabase(Path(folder) / "line.db")
        runner.run(migrate(database, SCHEMAS))

        async def on_fresh_line(check: Callable[[Line], Coroutine[Any, Any, None]]) -> None:
            async with database.write() as tx:
                for table in ("state_line", "events", "names"):
                    await tx.execute(f"DELETE FROM {table}")
            await check(Line(database))

        yield lambda check: runner.run(on_fresh_line(check))
        runner.run(database.close())


OnLine = Callable[[Callable[[Line], Coroutine[Any, Any, None]]], None]


@pytest.fixture(scope="module")
def on_line() -> Iterator[OnLine]:
    with a_server() as run:
        yield run


FEW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@FEW
@given(changes=CHANGES)
def test_the_state_at_every_position_is_what_was_written_until_then(on_line: OnLine, changes: list[Change]) -> None:
    async def check(line: Line) -> None:
        await line.write(changes)
        async with line.database.read() as tx:
            found = [await tables.state_at(tx, 1, position) for position in range(len(line.states))]
        assert found == line.states

    on_line(check)


@FEW
@given(changes=CHANGES)
def test_the_changes_of_every_span_are_what_its_end_has_and_was_written_in_it(on_line: OnLine, changes: list[Change]) -> None:
    async def check(line: Line) -> None:
        await line.write(changes)
        async with line.database.read() as tx:
            for after, until in line.spans():
                old, new = line.states[after], line.states[until]
                assert await tables.state_changes(tx, 1, after, until) == dict(new.items() - old.items())

    on_line(check)


@FEW
@given(changes=CHANGES)
def test_the_intervals_of_an_address_say_what_held_at_every_position(on_line: OnLine, changes: list[Change]) -> None:
    async def check(line: Line) -> None:
        await line.write(changes)
        async with line.database.read() as tx:
            for kind, key in KEYS:
                numbers = [await line.names.find(tx, name) or -1 for name in (kind, key)]
                intervals = await tables.state_intervals(tx, 1, numbers[0], numbers[1])
                assert intervals == sorted(intervals)
                for position, state in enumerate(line.states):
                    held = [event_id for start, end, event_id in intervals if start <= position < end]
                    assert held == ([state[kind, key]] if (kind, key) in state else [])

    on_line(check)


@FEW
@given(changes=CHANGES)
def test_what_began_or_ended_in_a_span_tells_every_difference_of_its_ends(on_line: OnLine, changes: list[Change]) -> None:
    async def check(line: Line) -> None:
        await line.write(changes)
        async with line.database.read() as tx:
            member = await line.names.find(tx, "m.room.member") or -1
            for after, until in line.spans():
                rows = await tables.line_between(tx, 1, member, after, until)
                assert all(after < start <= until or after < end <= until for _, start, end, _ in rows)
                for position in (after, until):
                    told = {key: event_id for key, start, end, event_id in rows if start <= position < end}
                    moved = {key for key, *_ in rows}
                    state = line.states[position]
                    assert told == {key: state["m.room.member", key] for key in moved if ("m.room.member", key) in state}
                changed = line.states[after].items() ^ line.states[until].items()
                assert {key for (kind, key), _ in changed if kind == "m.room.member"} <= {key for key, *_ in rows}

    on_line(check)


@FEW
@given(changes=CHANGES)
def test_the_line_last_changed_where_something_was_last_put_or_taken_away(on_line: OnLine, changes: list[Change]) -> None:
    async def check(line: Line) -> None:
        await line.write(changes)
        changed = [end for end in range(1, len(line.states)) if line.states[end] != line.states[end - 1]]
        async with line.database.read() as tx:
            assert await tables.last_state_position(tx, 1) == (changed[-1] if changed else 0)

    on_line(check)


async def test_the_lines_of_two_rooms_are_apart(database: Database) -> None:
    line = Line(database)
    await line.write([{KEYS[0]: True}])
    async with database.read() as tx:
        assert await tables.state_at(tx, 2, FOREVER - 1) == {}


# Rooms


async def test_a_room_is_found_as_it_was_stored(database: Database) -> None:
    async with database.write() as tx:
        await tables.insert_room(tx, 1, ROOM, "10")
        assert await tables.room(tx, ROOM) == RoomRow(1, ROOM, "10", False, {})
        assert await tables.room(tx, OTHER) is None


async def test_a_room_is_stored_once(database: Database) -> None:
    async with database.write() as tx:
        await tables.insert_room(tx, 1, ROOM, "10")
        await tables.insert_room(tx, 1, ROOM, "11")
        assert await tables.room_version(tx, 1) == "10"


@pytest.mark.parametrize("extremities", [None, {}, {"$a": 1, "$b": 2}])
async def test_extremities_are_read_back(database: Database, extremities: dict[EventId, int] | None) -> None:
    async with database.write() as tx:
        await tables.insert_room(tx, 1, ROOM, "10")
        await tables.save_extremities(tx, 1, extremities)
        row = await tables.room(tx, ROOM)
        assert row is not None
        assert row.extremities == extremities


async def test_listed_rooms_come_in_pages(database: Database) -> None:
    async with database.write() as tx:
        for number in range(5):
            await tables.insert_room(tx, number + 1, RoomId(f"!{number}"), "10")
            await tables.set_public(tx, number + 1, number != 2)
        assert await tables.public_rooms(tx, "", 2) == ["!0", "!1"]
        assert await tables.public_rooms(tx, "!1", 9) == ["!3", "!4"]


async def test_a_room_can_be_taken_off_the_list(database: Database) -> None:
    async with database.write() as tx:
        await tables.insert_room(tx, 1, ROOM, "10")
        await tables.set_public(tx, 1, True)
        await tables.set_public(tx, 1, False)
        assert await tables.public_rooms(tx, "", 9) == []


# Events


async def test_events_are_found_by_id_however_many_are_asked_for(database: Database) -> None:
    wanted = [EventId(f"${number}") for number in range(1_203)]
    async with database.write() as tx:
        for event_id in wanted[:-1]:
            await insert(tx, event_id, None)
        assert set(await tables.events_by_id(tx, wanted)) == set(wanted[:-1])


async def test_nothing_is_found_where_nothing_is_asked_for(database: Database) -> None:
    async with database.read() as tx:
        assert await tables.events_by_id(tx, ()) == {}


async def test_an_event_has_its_number_and_flags(database: Database) -> None:
    async with database.write() as tx:
        nid = await insert(tx, "$a", None, flags=REJECTED)
        assert await tables.known_events(tx, [EventId("$a"), EventId("$b")]) == {"$a": (nid, REJECTED)}
        assert await tables.event_ids_by_nid(tx, [nid, nid + 1]) == {nid: "$a"}


async def timeline(tx: Tx) -> None:
    for ordering in (10, 20, 30, 40):
        await insert(tx, f"${ordering}", ordering)
    await insert(tx, "$rejected", 25, flags=REJECTED)
    await insert(tx, "$failed", 26, flags=SOFT_FAILED)
    await insert(tx, "$aside", None)
    await insert(tx, "$elsewhere", 20, room_nid=2)


@pytest.mark.parametrize(
    ("span", "limit", "found"),
    [
        ((0, FOREVER), 9, [10, 20, 30, 40]),
        ((10, 30), 9, [20, 30]),
        ((0, FOREVER), 2, [10, 20]),
        ((40, FOREVER), 9, []),
        ((10, 10), 9, []),
    ],
)
async def test_a_timeline_is_read_forwards(database: Database, span: tuple[int, int], limit: int, found: list[int]) -> None:
    async with database.write() as tx:
        await timeline(tx)
        assert [row.ordering for row in await tables.timeline_forward(tx, 1, *span, limit)] == found


@pytest.mark.parametrize(
    ("span", "limit", "found"),
    [
        ((0, FOREVER), 9, [40, 30, 20, 10]),
        ((10, 30), 9, [30, 20]),
        ((0, FOREVER), 2, [40, 30]),
        ((0, 9), 9, []),
        ((10, 10), 9, []),
    ],
)
async def test_a_timeline_is_read_backwards(database: Database, span: tuple[int, int], limit: int, found: list[int]) -> None:
    async with database.write() as tx:
        await timeline(tx)
        assert [row.ordering for row in await tables.timeline_backward(tx, 1, *span, limit)] == found


async def test_an_event_from_outside_the_timeline_gets_its_place(database: Database) -> None:
    async with database.write() as tx:
        nid = await insert(tx, "$a", None, flags=REJECTED)
        await tables.promote_event(tx, nid, 7, 0, None)
        (row,) = await tables.timeline_forward(tx, 1, 0, FOREVER, 9)
        assert (row.event_nid, row.ordering, row.flags) == (nid, 7, 0)


async def test_a_pruned_event_names_its_redaction(database: Database) -> None:
    async with database.write() as tx:
        nid = await insert(tx, "$a", 7)
        await tables.prune_event(tx, nid, b'{"pruned":1}', 99)
        row = await tables.event_by_id(tx, EventId("$a"))
        assert row is not None
        assert (row.json, row.redacted_by_nid) == (b'{"pruned":1}', 99)


async def test_a_redaction_that_waits_is_taken_once(database: Database) -> None:
    async with database.write() as tx:
        for nid in (2, 1, 1):
            await tables.insert_pending_redaction(tx, EventId("$a"), nid)
        assert await tables.take_pending_redactions(tx, EventId("$a")) == [1, 2]
        assert await tables.take_pending_redactions(tx, EventId("$a")) == []


async def test_an_auth_chain_holds_its_seeds_and_all_they_cite(database: Database) -> None:
    async with database.write() as tx:
        await tables.insert_auth_edges(tx, 2, [1])
        await tables.insert_auth_edges(tx, 3, [2, 1])
        await tables.insert_auth_edges(tx, 5, [4])
        assert await tables.auth_chain(tx, [3]) == {1, 2, 3}


async def test_missing_events_are_told_nearest_first(database: Database) -> None:
    async with database.write() as tx:
        await tables.insert_missing(tx, 1, [EventId("$far")], 10)
        await tables.insert_missing(tx, 1, [EventId("$near")], 20)
        await tables.insert_missing(tx, 1, [EventId("$later")], 30)
        assert await tables.missing_before(tx, 1, 20, 9) == [("$near", 20), ("$far", 10)]
        await tables.delete_missing(tx, 1, [EventId("$near")])
        assert await tables.missing_before(tx, 1, 20, 9) == [("$far", 10)]


async def test_old_transactions_are_forgotten_the_oldest_first(database: Database) -> None:
    async with database.write() as tx:
        alice = await Names().number(tx, ALICE)
        made = [Transaction(ALICE, "PHONE", "send", f"t{number}") for number in range(4)]
        for ts, transaction in enumerate(made):
            await tables.insert_sent_transaction(tx, alice, transaction, EventId(f"${ts}"), ts)
        assert await tables.forget_transactions(tx, 3, 2) == 2
        assert await tables.recent_transactions(tx, -1, 9) == [(made[3], "$3"), (made[2], "$2")]
