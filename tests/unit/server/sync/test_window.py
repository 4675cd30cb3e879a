"""What in a span of the log concerns a user."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from watchword.protocol.ids import DeviceId, EventId, RoomId, ServerName, UserId
from watchword.server.changes import (
    AccountDataChanged,
    Change,
    CrossSigningChanged,
    DeviceListChanged,
    EventAppended,
    KeyCountsChanged,
    OutOfBandMembership,
    PresenceChanged,
    ProfileChanged,
    ReceiptChanged,
    StateChanged,
    ToDeviceOutgoing,
    TypingChanged,
    decode_change,
    encode_change,
)
from watchword.server.rooms.records import MembershipRow
from watchword.server.sync.window import RING_SCAN_MAX, Window, open_window
from watchword.storage import Log, Position, Schema, SqliteDatabase, migrate

ME, OTHER = UserId("@me:here.example"), UserId("@other:here.example")
DEVICE = DeviceId("PHONE")
MINE, THEIRS = RoomId("!mine:here.example"), RoomId("!theirs:here.example")
MEMBERSHIPS = {MINE: MembershipRow(MINE, ME, "join", EventId("$join"), Position(1), ME, False, None)}


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[Log[Change]]:
    database = SqliteDatabase(tmp_path / "server.db")
    await migrate(database, (Schema("storage", "watchword.storage"),))
    made: Log[Change] = Log(database, encode_change, decode_change, ring_changes_max=5_000)
    await made.start()
    yield made
    await database.close()


async def opened(log: Log[Change], changes: Sequence[Change], after: int = 0) -> Window:
    async with log._database.write() as tx:
        for change in changes:
            await log.append(tx, change)
    return open_window(log, ME, DEVICE, MEMBERSHIPS, (Position(after), log.position))


def event(room_id: RoomId) -> EventAppended:
    return EventAppended(room_id, EventId("$e"), "m.room.message", None, OTHER, True)


@pytest.mark.parametrize(
    ("change", "noted"),
    [
        (event(MINE), ("rooms", {MINE})),
        (event(THEIRS), None),
        (StateChanged(MINE, []), ("rooms", {MINE})),
        (StateChanged(THEIRS, []), None),
        (OutOfBandMembership(MINE, ME, "invite", EventId("$e")), ("rooms", {MINE})),
        (OutOfBandMembership(THEIRS, OTHER, "invite", EventId("$e")), None),
        (ReceiptChanged(MINE, OTHER, "m.read", EventId("$e"), None, 0), ("receipts", {MINE})),
        (ReceiptChanged(THEIRS, OTHER, "m.read", EventId("$e"), None, 0), None),
        (TypingChanged(MINE, OTHER, True), ("typing", {MINE})),
        (TypingChanged(THEIRS, OTHER, True), None),
        (AccountDataChanged(ME, None, "x"), ("account_data", True)),
        (AccountDataChanged(OTHER, None, "x"), None),
        (DeviceListChanged(OTHER, None), ("device_lists", True)),
        (CrossSigningChanged(OTHER), ("device_lists", True)),
        (KeyCountsChanged(ME, DEVICE), ("key_counts", True)),
        (KeyCountsChanged(ME, DeviceId("OTHER")), None),
        (KeyCountsChanged(OTHER, DEVICE), None),
        (PresenceChanged(OTHER), ("presence", {OTHER})),
        (ProfileChanged(ME, "displayname"), None),
        (ToDeviceOutgoing(ServerName("there.example"), "m"), None),
    ],
)
async def test_what_concerns_the_user_is_noted(log: Log[Change], change: Change, noted: tuple[str, object] | None) -> None:
    window = await opened(log, [change])
    assert window.is_empty is (noted is None)
    assert not window.everything
    if noted is not None:
        assert getattr(window, noted[0]) == noted[1]


async def test_only_the_span_counts(log: Log[Change]) -> None:
    assert (await opened(log, [event(MINE), event(THEIRS)], after=1)).is_empty
    assert open_window(log, ME, DEVICE, MEMBERSHIPS, (Position(2), Position(2))).is_empty
    assert open_window(log, ME, DEVICE, MEMBERSHIPS, (Position(0), Position(1))).rooms == {MINE}


async def test_further_back_than_the_ring_everything_is_a_candidate(log: Log[Change]) -> None:
    await opened(log, [event(THEIRS)] * 7_000)
    assert log.ring_floor > 0
    window = open_window(log, ME, DEVICE, MEMBERSHIPS, (Position(log.ring_floor - 1), log.position))
    assert window.everything
    assert not window.is_empty
    long = open_window(log, ME, DEVICE, MEMBERSHIPS, (Position(log.position - RING_SCAN_MAX - 1), log.position))
    assert long.everything
    assert open_window(log, ME, DEVICE, MEMBERSHIPS, (Position(log.position - 10), log.position)).is_empty
