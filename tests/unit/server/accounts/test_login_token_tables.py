"""Login tokens as they are kept."""

from typing import Any

from watchword.protocol.ids import UserId
from watchword.server.accounts import login_token_tables as tables

ALICE = UserId("@alice:here.example")


async def test_a_token_is_taken_once_and_in_time(house: Any) -> None:
    async with house.database.write() as tx:
        await tables.insert_login_token(tx, b"a", ALICE, 10)
        await tables.insert_login_token(tx, b"b", ALICE, 10)
        assert await tables.take_login_token(tx, b"a", 9) == ALICE
        assert await tables.take_login_token(tx, b"a", 9) is None
        assert await tables.take_login_token(tx, b"b", 10) is None


async def test_old_tokens_are_forgotten_and_few_are_kept(house: Any) -> None:
    async with house.database.write() as tx:
        for number in range(1, 5):
            await tables.insert_login_token(tx, bytes([number]), ALICE, number)
        await tables.delete_login_tokens_before(tx, 1)
        await tables.keep_newest_login_tokens(tx, ALICE, 2)
        taken = [await tables.take_login_token(tx, bytes([number]), 0) for number in range(1, 5)]
    assert taken == [None, None, ALICE, ALICE]
