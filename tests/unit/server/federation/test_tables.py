"""Rows."""

from collections.abc import Awaitable, Callable

from tests.unit.server.federation.stacks import A, B, Stack
from watchword.server.federation import tables
from watchword.server.federation.tables import DestinationRow, KeyAnswerRow, KeyRow
from watchword.storage import Position


async def test_reachability_and_debts_are_kept_apart(a_stack: Callable[..., Awaitable[Stack]]) -> None:
    database = (await a_stack(A)).database
    row = DestinationRow(B, 2, 3, 4, 5)
    async with database.write() as tx:
        await tables.save_reachability(tx, row)
        await tables.save_behind(tx, B, Position(9))
        await tables.save_reachability(tx, row)
    async with database.read() as view:
        assert await tables.destinations(view, 10) == [DestinationRow(B, 2, 3, 4, 5, Position(9))]
    async with database.write() as tx:
        await tables.save_behind(tx, B, None)
        await tables.save_reachability(tx, DestinationRow(B))
    async with database.read() as view:
        assert await tables.destinations(view, 10) == []


async def test_progress_keys_and_answers_are_replaced(a_stack: Callable[..., Awaitable[Stack]]) -> None:
    database = (await a_stack(A)).database
    key, newer = KeyRow(B, "ed25519:1", b"k" * 32, 5, None), KeyRow(B, "ed25519:1", b"n" * 32, 0, 7)
    answer = KeyAnswerRow(B, b"{}", 1, 2)
    async with database.write() as tx:
        await tables.save_progress(tx, "x", Position(3))
        await tables.save_progress(tx, "x", Position(4))
        await tables.save_server_keys(tx, [key])
        await tables.save_server_keys(tx, [newer])
        await tables.save_key_answer(tx, answer)
        await tables.save_key_answer(tx, answer)
    async with database.read() as view:
        assert (await tables.progress(view, "x"), await tables.progress(view, "y")) == (4, 0)
        assert await tables.server_keys(view, B) == [newer]
        assert (await tables.key_answer(view, B), await tables.key_answer(view, A)) == (answer, None)
