"""Rows of accounts: what the statements promise."""

from typing import Any

from watchword.protocol.ids import DeviceId, UserId
from watchword.server.accounts import tables
from watchword.server.accounts.commands import CreateAccount, Stage

ALICE, PHONE = UserId("@alice:here.example"), DeviceId("PHONE")


async def test_a_name_is_inserted_once(house: Any) -> None:
    async with house.database.write() as tx:
        assert await tables.insert_account(tx, CreateAccount(ALICE, None), 1, None)
        assert not await tables.insert_account(tx, CreateAccount(ALICE, "other"), 2, None)
        await tables.deactivate(tx, ALICE, erase=False)
        assert not await tables.insert_account(tx, CreateAccount(ALICE, None), 3, None)


async def test_a_deactivated_account_gets_neither_password_nor_rights(house: Any) -> None:
    async with house.database.write() as tx:
        await tables.insert_account(tx, CreateAccount(ALICE, "hash", is_admin=True), 1, None)
        await tables.deactivate(tx, ALICE, erase=True)
        await tables.set_password(tx, ALICE, "new")
        await tables.set_admin(tx, ALICE, True)
        account = await tables.account(tx, ALICE)
    assert account is not None
    assert (account.password_hash, account.is_admin, account.is_deactivated, account.is_erased) == (None, False, True, True)


async def test_session_numbers_are_never_used_again(house: Any) -> None:
    async with house.database.write() as tx:
        first = await tables.insert_session(tx, ALICE, PHONE, 1)
        await tables.delete_session(tx, ALICE, PHONE)
        assert await tables.insert_session(tx, ALICE, PHONE, 2) > first


async def test_promotion_revokes_the_pair_before_and_happens_once(house: Any) -> None:
    async with house.database.write() as tx:
        await tables.insert_account(tx, CreateAccount(ALICE, None), 1, None)
        session = await tables.insert_session(tx, ALICE, PHONE, 1)
        await tables.insert_pair(tx, session, b"a1", b"r1", stage=Stage.CURRENT, expires_ts=None)
        await tables.insert_pair(tx, session, b"a2", b"r2", stage=Stage.FRESH, expires_ts=5)
        fresh = await tables.pair_by_access(tx, b"a2")
        assert fresh is not None
        assert await tables.promote_pair(tx, session, fresh.pair_id)
        assert not await tables.promote_pair(tx, session, fresh.pair_id)
        old, new = await tables.pair_by_refresh(tx, b"r1"), await tables.pair_by_refresh(tx, b"r2")
    assert old is not None
    assert new is not None
    assert (old.stage, new.stage, new.expires_ts, new.device_id) == (Stage.REVOKED, Stage.CURRENT, 5, PHONE)
