"""The SQL of memberships, receipts and aliases."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.server.rooms.world import ALICE, BOB, CAROL, SCHEMAS
from watchword.protocol.ids import EventId, RoomAlias, RoomId, UserId
from watchword.server.rooms import member_tables
from watchword.server.rooms.records import MembershipRow, ReceiptRow
from watchword.storage import Database, Position, SqliteDatabase, Tx, migrate
from watchword.storage.names import Names

ROOM, OTHER = RoomId("!r:here.example"), RoomId("!o:here.example")
ALIAS = RoomAlias("#r:here.example")


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = SqliteDatabase(tmp_path / "members.db")
    await migrate(opened, SCHEMAS)
    yield opened
    await opened.close()


def row_of(
    user_id: UserId, membership: str, room_id: RoomId = ROOM, *, forgotten: bool = False, stripped: bytes | None = None
) -> MembershipRow:
    return MembershipRow(room_id, user_id, membership, EventId("$it"), Position(7), ALICE, forgotten, stripped)


async def save(tx: Tx, *rows: MembershipRow) -> tuple[int, int]:
    """Returns the numbers of the last row's room and user."""
    names = Names()
    numbers = (0, 0)
    for row in rows:
        numbers = (await names.number(tx, row.room_id), await names.number(tx, row.user_id))
        await member_tables.save_membership(tx, *numbers, row, is_local=True)
    return numbers


# Memberships


@pytest.mark.parametrize("stripped", [None, b"[]"])
async def test_a_membership_is_found_as_it_was_stored(database: Database, stripped: bytes | None) -> None:
    row = row_of(BOB, "invite", stripped=stripped)
    async with database.write() as tx:
        assert await member_tables.membership(tx, *await save(tx, row)) == row


async def test_who_has_no_membership_is_not_found(database: Database) -> None:
    async with database.read() as tx:
        assert await member_tables.membership(tx, 1, 2) is None


async def test_a_new_membership_replaces_all_of_the_old_one(database: Database) -> None:
    async with database.write() as tx:
        numbers = await save(tx, row_of(BOB, "leave", forgotten=True, stripped=b"[]"), row_of(BOB, "join"))
        assert await member_tables.membership(tx, *numbers) == row_of(BOB, "join")


async def test_a_forgotten_room_is_marked(database: Database) -> None:
    async with database.write() as tx:
        numbers = await save(tx, row_of(BOB, "leave"))
        await member_tables.forget(tx, *numbers)
        assert await member_tables.membership(tx, *numbers) == row_of(BOB, "leave", forgotten=True)


async def test_a_deleted_membership_is_gone(database: Database) -> None:
    async with database.write() as tx:
        numbers = await save(tx, row_of(BOB, "join"))
        await member_tables.delete_membership(tx, *numbers)
        assert await member_tables.membership(tx, *numbers) is None


async def test_the_members_of_a_room_are_all_who_ever_had_a_membership(database: Database) -> None:
    async with database.write() as tx:
        room_nid, _ = await save(
            tx, row_of(CAROL, "ban", OTHER), row_of(ALICE, "join"), row_of(BOB, "leave"), row_of(CAROL, "invite")
        )
        assert sorted(await member_tables.members(tx, room_nid)) == [(ALICE, "join"), (BOB, "leave"), (CAROL, "invite")]


async def test_the_memberships_of_a_user_are_those_of_all_his_rooms(database: Database) -> None:
    rows = [row_of(BOB, "join"), row_of(BOB, "leave", OTHER)]
    async with database.write() as tx:
        _, user_nid = await save(tx, row_of(ALICE, "join"), *rows)
        assert sorted(await member_tables.memberships_of(tx, user_nid), key=str) == sorted(rows, key=str)


@pytest.mark.parametrize(
    ("mine", "other", "shares"), [("join", "join", True), ("join", "invite", False), ("leave", "join", False)]
)
async def test_only_joined_users_share_a_room(database: Database, mine: str, other: str, shares: bool) -> None:
    async with database.write() as tx:
        _, alice = await save(tx, row_of(ALICE, mine))
        _, bob = await save(tx, row_of(BOB, other))
        assert await member_tables.share_room(tx, alice, bob) is shares
        assert (BOB in await member_tables.users_sharing_room(tx, alice)) is shares


async def test_users_of_two_rooms_share_nothing(database: Database) -> None:
    async with database.write() as tx:
        _, alice = await save(tx, row_of(ALICE, "join"))
        _, bob = await save(tx, row_of(BOB, "join", OTHER))
        assert not await member_tables.share_room(tx, alice, bob)
        assert await member_tables.users_sharing_room(tx, alice) == {ALICE}


# Receipts


def receipt(position: int, user_id: UserId = BOB, thread_id: str = "", event_id: str = "$it") -> ReceiptRow:
    return ReceiptRow(user_id, "m.read", thread_id, EventId(event_id), None, 5, Position(position))


async def save_receipts(tx: Tx, *rows: ReceiptRow) -> None:
    names = Names()
    for row in rows:
        await member_tables.save_receipt(tx, 1, await names.number(tx, row.user_id), row)


async def test_a_receipt_replaces_the_one_of_its_thread(database: Database) -> None:
    async with database.write() as tx:
        await save_receipts(tx, receipt(1), receipt(2, thread_id="main"), receipt(3, event_id="$new"))
        bob = await Names().number(tx, BOB)
        rows = await member_tables.receipts_of_user(tx, 1, bob)
        assert sorted(rows, key=str) == sorted([receipt(3, event_id="$new"), receipt(2, thread_id="main")], key=str)


async def test_receipts_of_a_span_come_newest_first(database: Database) -> None:
    async with database.write() as tx:
        await save_receipts(tx, receipt(1, ALICE), receipt(2, BOB), receipt(3, CAROL))
        assert await member_tables.receipts_since(tx, 1, 1, 3, 9) == [receipt(3, CAROL), receipt(2, BOB)]
        assert await member_tables.receipts_since(tx, 1, 0, 2, 1) == [receipt(2, BOB)]


async def test_receipts_of_another_room_are_not_given(database: Database) -> None:
    async with database.write() as tx:
        await save_receipts(tx, receipt(1))
        assert await member_tables.receipts_since(tx, 2, 0, 9, 9) == []


async def test_the_last_position_of_a_receipt_is_zero_where_there_is_none(database: Database) -> None:
    async with database.write() as tx:
        assert await member_tables.last_receipt_position(tx, 1) == 0
        await save_receipts(tx, receipt(4, ALICE), receipt(2, BOB))
        assert await member_tables.last_receipt_position(tx, 1) == 4


# Aliases


async def test_an_alias_is_taken_once(database: Database) -> None:
    async with database.write() as tx:
        assert await member_tables.insert_alias(tx, ALIAS, ROOM, ALICE)
        assert not await member_tables.insert_alias(tx, ALIAS, OTHER, BOB)
        assert await member_tables.alias(tx, ALIAS) == (ROOM, ALICE)


async def test_a_deleted_alias_is_free_again(database: Database) -> None:
    async with database.write() as tx:
        await member_tables.insert_alias(tx, ALIAS, ROOM, ALICE)
        await member_tables.delete_alias(tx, ALIAS)
        assert await member_tables.alias(tx, ALIAS) is None
        assert await member_tables.insert_alias(tx, ALIAS, OTHER, BOB)


async def test_the_aliases_of_a_room_are_in_order_and_bounded(database: Database) -> None:
    async with database.write() as tx:
        for name in "cab":
            await member_tables.insert_alias(tx, RoomAlias(f"#{name}:here.example"), ROOM, ALICE)
        await member_tables.insert_alias(tx, ALIAS, OTHER, ALICE)
        assert await member_tables.aliases_of(tx, ROOM, 2) == ["#a:here.example", "#b:here.example"]
