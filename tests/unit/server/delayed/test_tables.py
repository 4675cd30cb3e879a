"""The SQL of delayed events."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from watchword.protocol.ids import EventId, RoomId, UserId
from watchword.protocol.sticky import STABLE, Sticky
from watchword.server.delayed import SCHEMA, tables
from watchword.server.delayed.commands import DelayedEvent, Finalised, Outcome, Reason
from watchword.server.rooms.commands import LaterEvent, Transaction
from watchword.storage import Database, Schema, SqliteDatabase, migrate

ALICE, ROOM = UserId("@alice:here.example"), RoomId("!r:here.example")
TRANSACTION = Transaction(ALICE, "PHONE", "send/x", "t")
EVENT = LaterEvent(ROOM, "m.x", {"a": [1, "ä"]}, 500, "key", TRANSACTION, 77, Sticky(9, STABLE))
DELAYED = DelayedEvent("id", ALICE, "PHONE", EVENT, 1_000, 3, is_limited=False)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    found = SqliteDatabase(tmp_path / "test.db")
    await migrate(found, [Schema("storage", "watchword.storage"), SCHEMA])
    yield found
    await found.close()


async def test_an_event_comes_back_as_it_was_stored(database: Database) -> None:
    async with database.write() as tx:
        await tables.insert(tx, DELAYED, b'{"a":[1,"\xc3\xa4"]}')
        assert await tables.by_id(tx, "id") == replace(DELAYED, event=replace(EVENT, transaction=None), number=1)
        assert await tables.by_id(tx, "other") is None
        assert await tables.by_transaction(tx, TRANSACTION) == "id"
        assert await tables.by_transaction(tx, Transaction(ALICE, "", "send/x", "t")) is None


async def test_an_end_is_written_once(database: Database) -> None:
    end = Finalised(Outcome.ERROR, None, 5, error={"errcode": "M_X"})
    async with database.write() as tx:
        await tables.insert(tx, DELAYED, b"{}")
        await tables.finalise(tx, "id", end)
        await tables.finalise(tx, "id", Finalised(Outcome.SEND, Reason.DELAY, 6, EventId("$e")))
        await tables.restart(tx, "id", 9_000)
        found = await tables.by_id(tx, "id")
        assert found is not None
        assert (found.finalised, found.running_since) == (end, 1_000)


async def test_what_is_due_is_found_where_nobody_is_at_work(database: Database) -> None:
    async with database.write() as tx:
        await tables.insert(tx, DELAYED, b"{}")
        assert await tables.due(tx, 1_499, (), 10) == []
        assert await tables.due(tx, 1_500, (), 10) == [("id", ROOM)]
        assert await tables.due(tx, 1_500, (ROOM,), 10) == []
        assert (await tables.next_due(tx, ()), await tables.next_due(tx, (ROOM,))) == (1_500, None)
        await tables.restart(tx, "id", 2_000)
        assert await tables.next_due(tx, ()) == 2_500
        assert await tables.waiting_of(tx, ALICE) == (1, 2_500)
        assert await tables.waiting_of(tx, UserId("@bob:here.example")) == (0, 0)


async def test_state_that_waits_is_found_by_its_address(database: Database) -> None:
    bob = UserId("@bob:here.example")
    async with database.write() as tx:
        await tables.insert(tx, DELAYED, b"{}")
        assert await tables.rooms_of_state(tx) == {ROOM}
        assert await tables.state_of_others(tx, ROOM, ("m.x", "key"), bob, 10) == ["id"]
        assert await tables.state_of_others(tx, ROOM, ("m.x", "key"), ALICE, 10) == []
        assert await tables.state_of_others(tx, ROOM, ("m.x", ""), bob, 10) == []
        assert await tables.begun(tx, 10) == []
        await tables.mark_begun(tx, "id")
        assert await tables.begun(tx, 10) == ["id"]
        await tables.delete_of(tx, ALICE)
        assert await tables.rooms_of_state(tx) == set()
