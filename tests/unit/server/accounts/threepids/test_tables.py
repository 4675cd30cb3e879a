"""Addresses, proofs and policies as rows."""

from dataclasses import replace
from typing import Any

from watchword.protocol.ids import UserId
from watchword.server.accounts.threepids import tables
from watchword.server.accounts.threepids.commands import OwnThreepid, Purpose, Threepid, Validation

ALICE, BOB = UserId("@alice:here.example"), UserId("@bob:here.example")
MAIL = Threepid("email", "alice@there.example")


async def test_an_address_has_one_owner(house: Any) -> None:
    async with house.database.write() as tx:
        assert await tables.insert_threepid(tx, ALICE, OwnThreepid(MAIL, 1, 1))
        assert not await tables.insert_threepid(tx, BOB, OwnThreepid(MAIL, 2, 2))
        assert await tables.insert_threepid(tx, ALICE, OwnThreepid(MAIL, 3, 3))
        assert await tables.threepids(tx, ALICE) == [OwnThreepid(MAIL, 3, 1)]
        assert await tables.owner(tx, MAIL) == ALICE
        assert not await tables.delete_threepid(tx, BOB, MAIL)
        assert await tables.delete_threepid(tx, ALICE, MAIL)
        assert await tables.owner(tx, MAIL) is None


async def test_a_proof_is_kept_whole_and_replaced_by_who_asked(house: Any) -> None:
    first = Validation(
        sid="one",
        purpose=Purpose.RESET,
        threepid=MAIL,
        secret_hash=b"s" * 32,
        token_hashes=[b"a" * 32, b"b" * 32],
        attempt=1,
        next_link="https://here.example/",
        user_id=ALICE,
        is_decoy=False,
        created_ts=1,
        expires_ts=10,
        validated_ts=5,
        failures=2,
        remote_sid="r",
        remote_secret="x",
    )
    async with house.database.write() as tx:
        await tables.save_validation(tx, first)
        assert await tables.validation(tx, "one") == first
        await tables.save_validation(tx, replace(first, sid="two", token_hashes=[]))
        assert await tables.validation(tx, "one") is None
        found = await tables.validation_asked(tx, Purpose.RESET, MAIL, b"s" * 32)
        assert found is not None
        assert (found.sid, found.token_hashes) == ("two", [])
        assert await tables.delete_expired(tx, 10, 5) == 0
        assert await tables.delete_expired(tx, 11, 5) == 1


async def test_what_was_agreed_to_is_kept_by_version(house: Any) -> None:
    async with house.database.write() as tx:
        await tables.insert_accepted_policies(tx, ALICE, [("privacy", "1"), ("terms", "2")], 7)
        await tables.insert_accepted_policies(tx, ALICE, [("privacy", "1")], 8)
        assert await tables.accepted_policies(tx, ALICE) == [("privacy", "1", 7), ("terms", "2", 7)]
