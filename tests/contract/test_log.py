"""What the log keeps to on every storage engine: positions, visibility, order, waiting, trimming."""

import asyncio

import pytest

from watchword.base.errors import StorageError
from watchword.storage import Database, Log, Position


async def open_log(database: Database, ring_changes_max: int = 100) -> Log[str]:
    log: Log[str] = Log(database, str.encode, bytes.decode, ring_changes_max=ring_changes_max)
    await log.start()
    return log


async def append(database: Database, log: Log[str], *changes: str) -> Position:
    async with database.write() as tx:
        for change in changes:
            position = await log.append(tx, change)
    return position


async def all_of(log: Log[str], after: int = 0, limit: int = 1_000) -> list[tuple[int, str]]:
    return [(position, change) for position, change in await log.read(Position(after), limit)]


async def test_positions_are_consecutive_over_transactions_and_restarts(database: Database) -> None:
    log = await open_log(database)
    assert await append(database, log, "a", "b") == 2
    assert await append(database, log, "c") == 3
    again = await open_log(database)
    assert again.position == 3
    assert await append(database, again, "d") == 4
    assert await all_of(again) == [(1, "a"), (2, "b"), (3, "c"), (4, "d")]


async def test_nothing_is_visible_before_it_is_durable(database: Database) -> None:
    log = await open_log(database)
    heard: list[int] = []
    log.listen(lambda logged: heard.append(logged.position))
    async with database.write(wait=False) as tx:
        await log.append(tx, "a")
    assert (log.position, heard, await all_of(log)) == (0, [], [])
    await tx.durable()
    assert (log.position, heard, await all_of(log)) == (1, [1], [(1, "a")])


async def test_a_failed_block_leaves_no_gap(database: Database) -> None:
    log = await open_log(database)
    await append(database, log, "a")
    with pytest.raises(KeyError):  # noqa: PT012
        async with database.write() as tx:
            await log.append(tx, "lost")
            await log.append(tx, "lost too")
            raise KeyError
    assert await append(database, log, "b") == 2
    assert await all_of(log) == [(1, "a"), (2, "b")]


async def test_blocks_that_fail_among_others_leave_no_gap(database: Database) -> None:
    log = await open_log(database)
    heard: list[tuple[int, str]] = []
    log.listen(heard.append)

    async def write(number: int) -> None:
        async with database.write() as tx:
            await log.append(tx, str(number))
            await log.append(tx, str(number))
            if number % 4 == 1:
                raise KeyError

    await asyncio.gather(*(write(number) for number in range(40)), return_exceptions=True)
    expected = [str(number) for number in range(40) if number % 4 != 1 for _ in range(2)]
    assert heard == list(enumerate(expected, 1))
    assert await all_of(log) == heard
    assert await all_of(await open_log(database)) == heard


async def test_listeners_hear_every_change_in_order(database: Database) -> None:
    log = await open_log(database)
    first: list[int] = []
    second: list[int] = []
    log.listen(lambda logged: first.append(logged.position))
    log.listen(lambda logged: second.append(logged.position))
    await asyncio.gather(*(append(database, log, "x", "y") for _ in range(20)))
    assert first == second == list(range(1, 41))


@pytest.mark.parametrize("ring_changes_max", [4, 100])
async def test_reading_gives_the_same_from_the_ring_and_from_the_table(database: Database, ring_changes_max: int) -> None:
    log = await open_log(database, ring_changes_max)
    for number in range(30):
        await append(database, log, str(number))
    whole = [(number + 1, str(number)) for number in range(30)]
    for after in range(31):
        assert await all_of(log, after, 7) == whole[after : after + 7]


async def test_recent_reaches_back_to_the_floor_of_the_ring(database: Database) -> None:
    log = await open_log(database, 4)
    for number in range(30):
        await append(database, log, str(number))
    floor = log.ring_floor
    assert 0 < floor < 30
    assert [logged.position for logged in log.recent(floor)] == list(range(floor + 1, 31))
    assert [logged.position for logged in log.recent(Position(floor + 1), Position(floor + 2))] == [floor + 2]
    assert list(log.recent(Position(30))) == []
    with pytest.raises(AssertionError):
        log.recent(Position(floor - 1))


async def test_waiting_ends_with_the_first_change_after_the_position(database: Database) -> None:
    log = await open_log(database)
    await append(database, log, "a")
    await log.wait(Position(0))
    waiting = [asyncio.ensure_future(log.wait(Position(1))) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await append(database, log, "b")
    await asyncio.wait(waiting)
    assert [task.cancelled() for task in waiting] == [True, False, False]


async def test_a_cursor_is_saved_with_the_effect_or_not_at_all(database: Database) -> None:
    log = await open_log(database)
    async with database.write() as tx:
        await log.move_cursor(tx, "push", Position(3))
    with pytest.raises(KeyError):  # noqa: PT012
        async with database.write() as tx:
            await log.move_cursor(tx, "push", Position(9))
            raise KeyError
    async with database.read() as view:
        assert await log.cursor(view, "push") == 3
        assert await log.cursor(view, "sync") == 0


async def test_trimming_spares_what_the_slowest_follower_needs(database: Database) -> None:
    log = await open_log(database, 4)
    for number in range(20):
        await append(database, log, str(number))
    async with database.write() as tx:
        await log.move_cursor(tx, "fast", Position(18))
        await log.move_cursor(tx, "slow", Position(5))
    async with database.write() as tx:
        assert await log.trim(tx, Position(15)) == 5
    assert (await all_of(log, 5))[0] == (6, "5")
    async with database.write() as tx:
        await log.move_cursor(tx, "slow", Position(19))
        assert await log.trim(tx, Position(15), limit=3) == 3
        assert await log.trim(tx, Position(15)) == 7


async def test_trimming_everything_never_gives_a_position_twice(database: Database) -> None:
    log = await open_log(database)
    for number in range(5):
        await append(database, log, str(number))
    async with database.write() as tx:
        await log.trim(tx, Position(100))
    again = await open_log(database)
    assert again.position == 5
    assert await append(database, again, "next") == 6


async def test_a_change_that_cannot_be_encoded_takes_no_position(database: Database) -> None:
    def refuse(change: str) -> bytes:
        if change == "bad":
            raise ValueError(change)
        return change.encode()

    log: Log[str] = Log(database, refuse, bytes.decode)
    await log.start()
    with pytest.raises(ValueError, match="bad"):
        async with database.write() as tx:
            await log.append(tx, "bad")
    assert await append(database, log, "good") == 1


async def test_a_position_lost_by_a_refused_statement_is_given_again(database: Database) -> None:
    log = await open_log(database)
    with pytest.raises(StorageError):  # noqa: PT012
        async with database.write() as tx:
            await log.append(tx, "lost")
            await tx.execute("INSERT INTO log (position, change) VALUES (1, 'twice')")
    assert await append(database, log, "kept") == 1


async def test_a_follower_that_will_not_come_back_is_forgotten(database: Database) -> None:
    log = await open_log(database, 4)
    async with database.write() as tx:
        await log.move_cursor(tx, "bridge:one", Position(3))
        await log.move_cursor(tx, "bridge:two", Position(4))
        await log.move_cursor(tx, "other", Position(5))
        assert sorted(await log.cursors(tx, "bridge:")) == ["bridge:one", "bridge:two"]
        await log.drop_cursor(tx, "bridge:one")
    async with database.read() as view:
        assert await log.cursors(view, "bridge:") == ["bridge:two"]
        assert await log.cursor(view, "bridge:one") == 0
