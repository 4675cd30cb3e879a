"""Connections: what each client was told, by position, so that it is told the rest.

Theory of operation. A snapshot says what a client knows that has the response with its position. A request names the position
of the last response that its client has; what follows from it becomes a further snapshot. Until one of these is named the
request may be repeated, with another body too: responses get lost. Naming one drops the others and what was before.

A connection is in memory while it is used. One that rests is saved, compressed, and comes back when its client does; all are
saved when the server stops. Nothing is written per request: after a crash a client whose connection was in memory is answered
`M_UNKNOWN_POS` and begins anew, as it does when its connection was dropped for the bounds' sake.

Definition: MSC4186, "Connections".
"""

import zlib
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import msgspec

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.entropy import Entropy
from watchword.base.errors import BadRequest, StorageError
from watchword.protocol.ids import RoomId, UserId
from watchword.server.changes import AccountDeactivated, Change, DeviceDeleted
from watchword.server.sync.sliding import tables
from watchword.server.sync.sliding.commands import ExtensionsWanted, Required
from watchword.server.sync.sliding.plan import Plan
from watchword.storage import Database, Log, Logged, Position

EVERYTHING = 1 << 30
"""A depth: the client has the room from its first event that he may see."""

_CHILDREN_MAX = 3
_REST_CHECK_MS = 60_000
_SAVED_AT_ONCE = 20

Key = tuple[UserId, str, str]
"""User, device, conn_id."""


class Told(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a client knows of one room.

    until: everything up to this position, as far as it wanted it. depth: so many of the newest events, without a gap.
    held: which state it has, as of which position. members: whose member events it has beside, though it did not ask for all.
    receipts, account_data: told up to this position by these extensions; -1 for never.
    """

    until: int
    depth: int = 0
    held: tuple[tuple[tuple[Required, ...], int], ...] = ()
    members: tuple[str, ...] = ()
    is_dm: bool = False
    receipts: int = -1
    account_data: int = -1


@dataclass(slots=True)
class Snapshot:
    """What a client knows that has a response.

    account_data, threads: its global account data, its thread subscriptions, up to this position; -1 for none.
    plan, extensions, directs: what the response was made by; plan None if that is not remembered. looked_at: up to this
    position there is nothing to say to a request that waits with it.
    """

    serial: int
    position: Position
    rooms: dict[RoomId, Told]
    account_data: int = -1
    threads: int = -1
    plan: Plan | None = None
    extensions: ExtensionsWanted | None = None
    directs: frozenset[RoomId] = frozenset()
    looked_at: int = 0


@dataclass(slots=True)
class Connection:
    """One connection. base: what the client has for certain. children: what it may have, by serial."""

    key: Key
    nonce: str
    base: Snapshot
    serial: int = 0
    children: "OrderedDict[int, Snapshot]" = field(default_factory=OrderedDict)
    used_ms: int = 0
    unsaved: bool = True
    in_use: int = 0

    def token(self, snapshot: Snapshot) -> str:
        """The position as clients see it. The log's position comes first: /messages understands it, too."""
        return f"p{snapshot.position}_{snapshot.serial}_{self.nonce}"

    def found(self, pos: str) -> Snapshot | None:
        """The snapshot that a client names, which it then has for certain."""
        for snapshot in (self.base, *self.children.values()):
            if self.token(snapshot) == pos:
                if snapshot is not self.base:
                    self.base = snapshot
                    self.children.clear()
                    self.unsaved = True
                return snapshot
        return None

    def answered(self, snapshot: Snapshot) -> str:
        """A response is about to go out, and a client that gets it knows this; its position."""
        self.serial += 1
        snapshot.serial = self.serial
        self.children[self.serial] = snapshot
        while len(self.children) > _CHILDREN_MAX:
            self.children.popitem(last=False)
        self.unsaved = True
        return self.token(snapshot)


class _SavedSnapshot(msgspec.Struct, frozen=True, array_like=True):
    serial: int
    position: int
    rooms: dict[str, Told]
    account_data: int = -1
    threads: int = -1


class _Saved(msgspec.Struct, frozen=True, array_like=True):
    nonce: str
    serial: int
    snapshots: list[_SavedSnapshot]
    """The base, and the newest of what follows it."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Saved).decode


class Connections:
    """Finds and keeps connections."""

    def __init__(self, database: Database, log: Log[Change], clock: Clock, entropy: Entropy) -> None:
        self._database = database
        self._log = log
        self._clock = clock
        self._entropy = entropy
        self._known: OrderedDict[Key, Connection] = OrderedDict()
        self._by_device: dict[tuple[UserId, str], set[Key]] = {}
        self._gone: set[tuple[UserId, str]] = set()
        log.listen(self._heard)

    def __len__(self) -> int:
        return len(self._known)

    async def open(self, key: Key, pos: str | None) -> tuple[Connection, Snapshot]:
        """The connection of a request and what its client has. pos None: a new one. Raises BadRequest M_UNKNOWN_POS."""
        if pos is None:
            connection = Connection(key, self._entropy.letters(8), Snapshot(0, Position(0), {}))
            await self._keep(connection)
        else:
            known = self._known.get(key) or await self._load(key)
            snapshot = None if known is None else known.found(pos)
            if known is None or snapshot is None or snapshot.position > self._log.position:
                raise BadRequest("M_UNKNOWN_POS", "This position is not known: begin anew, without one.")
            connection = known
        connection.used_ms = self._clock.now_ms()
        self._known.move_to_end(key)
        return connection, connection.base

    async def _keep(self, connection: Connection) -> None:
        """Take a connection into memory, in the place of its predecessor, within the bounds."""
        key = connection.key
        self._forget(key)
        self._known[key] = connection
        keys = self._by_device.setdefault(key[:2], set())
        keys.add(key)
        if len(keys) > limits.sliding_connections_per_device_max:
            self._forget(min((known for known in keys if known != key), key=lambda known: self._known[known].used_ms))
        if len(self._known) > limits.sliding_connections_max:
            idle = (known for known in self._known.values() if not known.in_use and known is not connection)
            longest = next(idle, None)
            if longest is not None:
                await self._rest(longest)

    def _forget(self, key: Key) -> None:
        if self._known.pop(key, None) is not None:
            keys = self._by_device[key[:2]]
            keys.discard(key)
            if not keys:
                del self._by_device[key[:2]]

    # Saving

    async def _load(self, key: Key) -> Connection | None:
        async with self._database.read() as tx:
            saved = await tables.load(tx, key)
        if saved is None or key in self._known:
            return self._known.get(key)
        connection = _restored(key, saved)
        if connection is not None:
            await self._keep(connection)
        return connection

    async def _rest(self, connection: Connection) -> None:
        """Save a connection that nobody uses, and let it go."""
        if connection.unsaved:
            await self._save([connection])
        # Its client may have come back while it was being written.
        if self._known.get(connection.key) is connection and not connection.unsaved and not connection.in_use:
            self._forget(connection.key)

    async def _save(self, connections: list[Connection]) -> None:
        async with self._database.write() as tx:
            for connection in connections:
                connection.unsaved = False
                await tables.save(tx, connection.key, connection.used_ms, saved_form(connection))
                user_id, device_id, _ = connection.key
                await tables.keep_newest(tx, user_id, device_id, limits.sliding_connections_per_device_max)

    async def save_all(self) -> None:
        """Save what is in memory only: the server stops."""
        unsaved = [connection for connection in self._known.values() if connection.unsaved]
        # On a disk that refuses, clients begin anew.
        with suppress(StorageError):
            for start in range(0, len(unsaved), _SAVED_AT_ONCE):
                await self._save(unsaved[start : start + _SAVED_AT_ONCE])

    async def run(self) -> None:
        """Save those who rest and drop what is over. Runs until cancelled."""
        while True:
            await self._clock.sleep(_REST_CHECK_MS)
            await self.tidy()

    async def tidy(self) -> None:
        """One round of `run`."""
        now_ms = self._clock.now_ms()
        resting = [
            connection
            for connection in self._known.values()
            if not connection.in_use and now_ms - connection.used_ms >= limits.sliding_rest_after_ms
        ]
        for connection in resting:
            await self._rest(connection)  # One by one: nobody waits for it, and the pen is free in between.
        gone, self._gone = self._gone, set()
        async with self._database.write(wait=False) as tx:
            for device in gone:
                await tables.delete_device(tx, *device)
            await tables.delete_older(tx, now_ms - limits.sliding_saved_ms_max)

    def _heard(self, logged: Logged[Change]) -> None:
        match logged.change:
            case DeviceDeleted(user_id=user_id, device_id=device_id):
                devices = [(user_id, str(device_id))]
            case AccountDeactivated(user_id=user_id):
                devices = [device for device in self._by_device if device[0] == user_id]
            case _:
                return
        for device in devices:
            for key in list(self._by_device.get(device, ())):
                self._forget(key)
            self._gone.add(device)


def saved_form(connection: Connection) -> bytes:
    """A connection as it is stored."""
    snapshots = [connection.base, *list(connection.children.values())[-1:]]
    saved = _Saved(
        connection.nonce,
        connection.serial,
        [
            _SavedSnapshot(
                snapshot.serial,
                snapshot.position,
                {str(room_id): told for room_id, told in snapshot.rooms.items()},
                snapshot.account_data,
                snapshot.threads,
            )
            for snapshot in snapshots
        ],
    )
    return zlib.compress(_encode(saved), 1)


def _restored(key: Key, stored: bytes) -> Connection | None:
    try:
        saved = _decode(zlib.decompress(stored))
    except (zlib.error, msgspec.MsgspecError):
        # Another version's: the client begins anew.
        return None
    if not saved.snapshots:
        return None
    same: dict[tuple[Required, ...], tuple[Required, ...]] = {}
    base, *children = [
        Snapshot(one.serial, Position(one.position), _shared(one.rooms, same), one.account_data, one.threads)
        for one in saved.snapshots
    ]
    connection = Connection(key, saved.nonce, base, saved.serial, unsaved=False)
    connection.children.update((child.serial, child) for child in children)
    return connection


def _shared(rooms: Mapping[str, Told], same: dict[tuple[Required, ...], tuple[Required, ...]]) -> dict[RoomId, Told]:
    """Rooms with one object for what is wanted of all of them, as it was before it was stored."""
    return {
        RoomId(room_id): msgspec.structs.replace(
            told, held=tuple((same.setdefault(required, required), position) for required, position in told.held)
        )
        for room_id, told in rooms.items()
    }
