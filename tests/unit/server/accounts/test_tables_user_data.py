"""Rows of what users store."""

from typing import Any

from watchword.protocol.ids import RoomId, UserId
from watchword.server.accounts import tables_user_data as tables
from watchword.storage import Position

ALICE = UserId("@alice:here.example")


async def test_global_and_room_account_data_do_not_meet(house: Any) -> None:
    async with house.database.write() as tx:
        await tables.put_account_data(tx, ALICE, None, "x", b"1", Position(1))
        await tables.put_account_data(tx, ALICE, RoomId("!r:x"), "x", b"2", Position(2))
        assert await tables.account_data(tx, ALICE, None, "x") == b"1"
        assert await tables.account_data(tx, ALICE, RoomId("!r:x"), "x") == b"2"
        rows = await tables.account_data_since(tx, ALICE, Position(0))
    assert [(row.room_id, row.position) for row in rows] == [(None, 1), ("!r:x", 2)]


async def test_filters_are_numbered_per_user(house: Any) -> None:
    async with house.database.write() as tx:
        assert await tables.last_filter(tx, ALICE) == -1
        await tables.insert_filter(tx, ALICE, 0, b"d", b"{}")
        assert await tables.last_filter(tx, ALICE) == 0
        assert await tables.last_filter(tx, UserId("@bob:here.example")) == -1
        assert await tables.filter_by_digest(tx, ALICE, b"d") == 0
        assert await tables.filter_content(tx, UserId("@bob:here.example"), 0) is None


async def test_expired_openid_tokens_are_swept(house: Any) -> None:
    async with house.database.write() as tx:
        await tables.insert_openid_token(tx, b"old", ALICE, 10)
        await tables.insert_openid_token(tx, b"new", ALICE, 20)
        await tables.delete_expired_openid_tokens(tx, 10)
        rows = await tx.fetch_all("SELECT token_hash FROM openid_tokens")
    assert rows == [(b"new",)]
