"""`python -m bench.storage`: bytes on disk per message and per state change, in rooms small and large.

Drives the writer of rooms itself, in this process, on a real database; what is measured is the file after it was closed.
The change log is counted in: it is trimmed only later.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from watchword.base.clock import SystemClock
from watchword.base.entropy import SystemEntropy
from watchword.base.errors import PeerError
from watchword.protocol.ids import RoomId, ServerName, UserId
from watchword.protocol.signatures import SigningKey
from watchword.server import rooms
from watchword.server.changes import Change, decode_change, encode_change
from watchword.server.rooms.append import Appender
from watchword.server.rooms.commands import ChangeMembership, CreateRoom, SendEvent
from watchword.server.rooms.creation import RoomMaker
from watchword.server.rooms.memberships import Memberships
from watchword.server.rooms.policy_server import PolicyGate
from watchword.server.rooms.registry import RoomRegistry
from watchword.server.rooms.sent import SentTransactions
from watchword.server.rooms.sticky import StickyEvents
from watchword.server.rooms.stored import EventStore
from watchword.server.rooms.writer import Identity, RoomWriter
from watchword.storage import Log, Schema, SqliteDatabase, migrate
from watchword.storage.names import Names

_SERVER = ServerName("example.org")
_ALICE = UserId("@alice:example.org")
_MEMBERS = (10, 1_000, 10_000)
_EVENTS = 3_000
_AT_ONCE = 200


class _Nobody:
    """No policy server, which these rooms do not have either."""

    async def policy_sign(self, server: ServerName, event: Mapping[str, Any], *, is_unstable: bool) -> dict[str, Any]:
        raise PeerError(server, "there is nobody")


@dataclass(frozen=True)
class Store:
    """An open database with a writer of rooms over it."""

    writer: RoomWriter
    maker: RoomMaker


@asynccontextmanager
async def opened(file: Path) -> AsyncIterator[Store]:
    """The store in this file."""
    database = SqliteDatabase(file)
    clock, entropy = SystemClock(), SystemEntropy()
    await migrate(database, [Schema("storage", "watchword.storage"), rooms.SCHEMA])
    log: Log[Change] = Log(database, encode_change, decode_change)
    await log.start()
    names, events = Names(), EventStore()
    memberships = Memberships(database, names)
    writer = RoomWriter(
        database=database,
        registry=RoomRegistry(database, log, events, _SERVER),
        appender=Appender(log, names, events, memberships, _SERVER, StickyEvents(clock)),
        sent=SentTransactions(database, names),
        events=events,
        names=names,
        identity=Identity(_SERVER, SigningKey(bytes(32), "a")),
        clock=clock,
        entropy=entropy,
        policy=PolicyGate(_Nobody()),
    )
    try:
        yield Store(writer, RoomMaker(writer, database, clock, entropy, _SERVER))
    finally:
        await database.close()


async def grow(work: Sequence[Coroutine[Any, Any, object]]) -> None:
    """Do a list of things, some at once, so that they share commits."""
    for start in range(0, len(work), _AT_ONCE):
        await asyncio.gather(*work[start : start + _AT_ONCE])


async def bytes_per_event(folder: Path, members: int) -> tuple[float, float, float]:
    """(bytes per join, per message, per state change) in a room that has so many members."""
    file = folder / f"{members}.db"
    async with opened(file) as store:
        room = await store.maker.create(CreateRoom(_ALICE, "12", "public_chat"))
    empty = file.stat().st_size
    async with opened(file) as store:
        users = [UserId(f"@member{number}:example.org") for number in range(members - 1)]
        await grow([store.writer.change_membership(ChangeMembership(room, user, user, "join")) for user in users])
    joined = file.stat().st_size
    async with opened(file) as store:
        await grow([store.writer.send(message(room, number)) for number in range(_EVENTS)])
    talked = file.stat().st_size
    async with opened(file) as store:
        await grow([store.writer.send(topic(room, number)) for number in range(_EVENTS)])
    changed = file.stat().st_size
    return (joined - empty) / max(1, members - 1), (talked - joined) / _EVENTS, (changed - talked) / _EVENTS


def message(room: RoomId, number: int) -> SendEvent:
    """A short message."""
    return SendEvent(room, _ALICE, "m.room.message", {"msgtype": "m.text", "body": f"The quick brown fox, number {number}."})


def topic(room: RoomId, number: int) -> SendEvent:
    """A change of state."""
    return SendEvent(room, _ALICE, "m.room.topic", {"topic": f"The topic of the hour, number {number}"}, state_key="")


async def run() -> None:
    """Print the table in Markdown."""
    print("| members of the room | bytes per join | per message | per state change |")
    print("|---:|---:|---:|---:|")
    for members in _MEMBERS:
        with tempfile.TemporaryDirectory(prefix="bench-storage-") as folder:
            join, said, changed = await bytes_per_event(Path(folder), members)
        print(f"| {members:,} | {join:,.0f} | {said:,.0f} | {changed:,.0f} |", flush=True)


if __name__ == "__main__":
    asyncio.run(run())
