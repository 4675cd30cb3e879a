"""What every storage engine keeps to, whatever is behind it."""

import asyncio
from collections.abc import Sequence

import pytest

from watchword.base.errors import StorageError
from watchword.storage import Database, Tx


async def put(tx: Tx, name: str) -> None:
    await tx.execute("INSERT INTO names (name) VALUES (?)", name)


async def names(database: Database) -> Sequence[str]:
    async with database.read() as tx:
        return [row[0] for row in await tx.fetch_all("SELECT name FROM names ORDER BY id LIMIT 1000")]


class Oops(Exception):
    """Something in a block went wrong."""


async def test_what_a_block_writes_is_there_once_it_is_left(database: Database) -> None:
    async with database.write() as tx:
        await put(tx, "one")
    assert await names(database) == ["one"]


async def test_a_transaction_reads_what_it_wrote(database: Database) -> None:
    async with database.write() as tx:
        await put(tx, "one")
        assert await tx.fetch_one("SELECT COUNT(*) FROM names") == (1,)


async def test_nobody_reads_what_is_not_committed(database: Database) -> None:
    async with database.write(wait=False) as tx:
        await put(tx, "one")
    assert await names(database) == []
    await tx.durable()
    assert await names(database) == ["one"]


async def test_a_read_transaction_keeps_its_view(database: Database) -> None:
    async with database.write() as tx:
        await put(tx, "one")
    async with database.read() as view:
        assert await view.fetch_one("SELECT COUNT(*) FROM names") == (1,)
        async with database.write() as tx:
            await put(tx, "two")
        assert await view.fetch_one("SELECT COUNT(*) FROM names") == (1,)
    assert await names(database) == ["one", "two"]


async def test_execute_says_how_many_rows_it_changed(database: Database) -> None:
    async with database.write() as tx:
        await tx.execute_many("INSERT INTO names (name) VALUES (?)", [("one",), ("two",)])
        assert await tx.execute("UPDATE names SET name = name || '!'") == 2
        assert await tx.execute("DELETE FROM names WHERE name = ?", "absent") == 0
        assert await tx.execute("INSERT INTO names (name) VALUES (?) ON CONFLICT (name) DO NOTHING", "one!") == 0


async def test_a_block_left_by_an_exception_is_undone_whole(database: Database) -> None:
    with pytest.raises(Oops):  # noqa: PT012
        async with database.write() as tx:
            await put(tx, "one")
            await put(tx, "two")
            raise Oops
    assert await names(database) == []


async def test_a_block_that_fails_does_not_harm_the_others_of_its_batch(database: Database) -> None:
    async def write(number: int) -> None:
        async with database.write() as tx:
            await put(tx, str(number))
            if number % 3 == 0:
                raise Oops

    results = await asyncio.gather(*(write(number) for number in range(30)), return_exceptions=True)
    assert [isinstance(result, Oops) for result in results] == [number % 3 == 0 for number in range(30)]
    assert sorted(await names(database), key=int) == [str(number) for number in range(30) if number % 3]


async def test_a_statement_that_fails_raises_a_storage_error_and_undoes_its_block_alone(database: Database) -> None:
    async def write(*listed: str) -> None:
        async with database.write() as tx:
            for name in listed:
                await put(tx, name)

    results = await asyncio.gather(write("one"), write("two", "one"), write("three"), return_exceptions=True)
    assert [type(result) for result in results] == [type(None), StorageError, type(None)]
    assert await names(database) == ["one", "three"]


async def test_writers_take_turns_in_the_order_in_which_they_came(database: Database) -> None:
    async def write(number: int) -> None:
        async with database.write() as tx:
            await put(tx, str(number))

    await asyncio.gather(*(write(number) for number in range(50)))
    assert await names(database) == [str(number) for number in range(50)]


async def test_after_commit_actions_run_in_order_once_the_rows_can_be_read(database: Database) -> None:
    told: list[str] = []
    async with database.write(wait=False) as first:
        await put(first, "one")
        first.after_commit(lambda: told.append("first a"))
        first.after_commit(lambda: told.append("first b"))
    async with database.write(wait=False) as second:
        await put(second, "two")
        second.after_commit(lambda: told.append("second"))
    assert told == []
    await second.durable()
    assert told == ["first a", "first b", "second"]
    assert await names(database) == ["one", "two"]


async def test_after_commit_actions_of_a_failed_block_never_run(database: Database) -> None:
    told: list[str] = []
    with pytest.raises(Oops):  # noqa: PT012
        async with database.write() as tx:
            tx.after_commit(lambda: told.append("commit"))
            tx.after_failure(lambda: told.append("failure"))
            raise Oops
    async with database.write():
        pass
    assert told == ["failure"]


async def test_after_failure_actions_of_a_good_block_never_run(database: Database) -> None:
    told: list[str] = []
    async with database.write() as tx:
        tx.after_failure(lambda: told.append("failure"))
    assert told == []


async def test_an_action_that_raises_stops_neither_the_others_nor_the_next_writer(database: Database) -> None:
    def broken() -> None:
        raise Oops

    told: list[str] = []
    async with database.write() as tx:
        tx.after_commit(broken)
        tx.after_commit(lambda: told.append("next"))
    assert told == ["next"]
    async with database.write() as tx:
        await put(tx, "one")
    assert await names(database) == ["one"]


async def test_durable_can_be_awaited_by_several_and_again(database: Database) -> None:
    async with database.write(wait=False) as tx:
        await put(tx, "one")
    await asyncio.gather(tx.durable(), tx.durable())
    await tx.durable()


async def test_durable_of_an_abandoned_transaction_raises(database: Database) -> None:
    with pytest.raises(Oops):
        async with database.write(wait=False) as tx:
            raise Oops
    with pytest.raises(StorageError):
        await tx.durable()


async def test_whoever_gives_up_waiting_for_the_pen_leaves_the_queue_whole(database: Database) -> None:
    async def write(name: str) -> None:
        async with database.write() as tx:
            await put(tx, name)

    async with database.write() as holder:
        await put(holder, "holder")
        waiting = [asyncio.ensure_future(write(str(number))) for number in range(4)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        waiting[2].cancel()
    await asyncio.wait(waiting)
    assert [task.cancelled() for task in waiting] == [True, False, True, False]
    assert await names(database) == ["holder", "1", "3"]


async def test_whoever_is_cancelled_just_as_he_gets_the_pen_passes_it_on(database: Database) -> None:
    async def write(name: str) -> None:
        async with database.write() as tx:
            await put(tx, name)

    first: asyncio.Future[None]
    async with database.write(wait=False):
        first, second = asyncio.ensure_future(write("first")), asyncio.ensure_future(write("second"))
        await asyncio.sleep(0)
    # The pen was handed to the first, which has not run since.
    first.cancel()
    await asyncio.wait([first, second])
    assert first.cancelled()
    assert await names(database) == ["second"]


async def test_cancelling_whoever_waits_for_the_disk_does_not_undo_his_transaction(database: Database) -> None:
    async def write() -> None:
        async with database.write() as tx:
            await put(tx, "one")

    task = asyncio.ensure_future(write())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    async with database.write():
        pass
    assert await names(database) == ["one"]


async def test_closing_finishes_what_is_queued_and_refuses_who_waits(database: Database) -> None:
    async def write(name: str) -> None:
        async with database.write() as tx:
            await put(tx, name)

    entered = asyncio.Event()
    go_on = asyncio.Event()

    async def hold() -> None:
        async with database.write() as tx:
            await put(tx, "holder")
            entered.set()
            await go_on.wait()

    holder = asyncio.ensure_future(hold())
    await entered.wait()
    waiting = asyncio.ensure_future(write("late"))
    await asyncio.sleep(0)
    closing = asyncio.ensure_future(database.close())
    with pytest.raises(StorageError):
        await waiting
    assert not closing.done()
    go_on.set()
    await asyncio.gather(holder, closing)
    with pytest.raises(StorageError):
        async with database.write():
            pass
    with pytest.raises(StorageError):
        async with database.read():
            pass
    await database.close()


async def test_closing_waits_for_a_transaction_that_nobody_waits_for(database: Database) -> None:
    told: list[str] = []
    async with database.write(wait=False) as tx:
        tx.after_commit(lambda: told.append("durable"))
    await database.close()
    assert told == ["durable"]


async def test_who_wrote_goes_on_before_those_whom_it_wakes(database: Database) -> None:
    order: list[str] = []
    bell = asyncio.Event()

    async def sleeper() -> None:
        await bell.wait()
        order.append("woken")

    async def writer() -> None:
        async with database.write() as tx:
            tx.after_commit(bell.set)
        order.append("writer")

    async with asyncio.TaskGroup() as group:
        group.create_task(sleeper())
        group.create_task(writer())
    assert order == ["writer", "woken"]
