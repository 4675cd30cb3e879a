"""A delayed event is sent once or called off, never both, never neither: whenever the server dies.

The files of a server are copied as a transaction begins or ends, as `kill -9` would leave them; the server does nothing any
more, and the next one starts on the copy.
"""

import asyncio
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.server.delayed.world import ALICE, DelayedWorld, settled
from watchword.base.clock import ManualClock
from watchword.base.errors import Refusal, StorageError
from watchword.edge.requester import Requester
from watchword.protocol.ids import RoomId
from watchword.server.delayed.commands import Action, DelaySettings, Outcome
from watchword.server.rooms.commands import LaterEvent
from watchword.storage import Database, ReadTx, Tx

_STEPS = st.sampled_from(("schedule", "schedule", "send", "cancel", "restart", "wait"))


@dataclass
class _Known:
    """What the client was told. scheduled: delay_id → text. cancelled, sent: acknowledged."""

    scheduled: dict[str, str] = field(default_factory=dict)
    cancelled: set[str] = field(default_factory=set)
    sent: set[str] = field(default_factory=set)


class _Mortal:
    """A database that ends its server's life when it is used for the n-th time."""

    def __init__(self, inner: Database, folder: Path) -> None:
        self._inner = inner
        self._folder = folder
        self.left = -1
        self.remains: Path | None = None

    def _age(self) -> None:
        if self.left > 0:
            self.left -= 1
            if self.left == 0:
                self.die()
        if self.remains is not None:
            raise StorageError("the server is dead")

    def die(self) -> None:
        """Leave behind what is on the disk now."""
        if self.remains is None:
            self.remains = self._folder.with_name(f"{self._folder.name}+")
            self.remains.mkdir()
            for name in ("server.db", "server.db-wal"):
                if (self._folder / name).exists():
                    shutil.copyfile(self._folder / name, self.remains / name)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[ReadTx]:
        if self.remains is not None:
            raise StorageError("the server is dead")
        async with self._inner.read() as tx:
            yield tx

    @asynccontextmanager
    async def write(self, *, wait: bool = True) -> AsyncIterator[Tx]:
        self._age()
        async with self._inner.write(wait=wait) as tx:
            yield tx
        self._age()

    async def close(self) -> None:
        await self._inner.close()


class _Town(DelayedWorld):
    settings = DelaySettings(delay_ms_max=3_600_000, scheduled_max=1_000)
    database: _Mortal


async def _open(folder: Path, clock: ManualClock) -> _Town:
    world = _Town(folder, clock=clock, wrap=lambda inner: _Mortal(inner, folder))
    world.limiter._allowances.clear()
    await world.start()
    return world


async def _do(world: _Town, room_id: RoomId, steps: Sequence[tuple[str, int]], known: _Known, life: int) -> None:
    """What a client does, until it is cut off."""
    service = world.delayed.service
    for number, (step, choice) in enumerate(steps):
        ids = list(known.scheduled)
        if step == "wait":
            world.clock.advance(choice)
            await asyncio.sleep(0.001)
        elif step == "schedule" or not ids:
            text = f"{life}.{number}"
            later = LaterEvent(room_id, "m.room.message", {"body": text}, 1 + choice)
            delay_id = await service.schedule(Requester(ALICE, None, 1), later)
            known.scheduled[delay_id] = text
        else:
            delay_id = ids[choice % len(ids)]
            with suppress(Refusal):
                await service.act(delay_id, Action(step))
                if step == "cancel":
                    known.cancelled.add(delay_id)
                elif step == "send":
                    known.sent.add(delay_id)


async def _live(root: Path, steps: Sequence[tuple[str, int]], deaths: Sequence[int]) -> None:
    clock, known = ManualClock(), _Known()
    folder = root / "0"
    folder.mkdir()
    world = await _open(folder, clock)
    await world.users(ALICE)
    room_id = await world.public_room()
    for life, death in enumerate(deaths):
        world.database.left = death
        with suppress(StorageError):
            await _do(world, room_id, steps, known, life)
            clock.advance(5)
            await settled()
        world.database.die()
        with suppress(BaseExceptionGroup, StorageError):
            await world.close()
        assert world.database.remains is not None
        world = await _open(world.database.remains, clock)
    clock.advance(3_600_000)
    try:
        for _ in range(20):
            await settled()
            if not await _waiting(world):
                break
        said = Counter(await world.said(room_id))
        assert max(said.values(), default=1) == 1, said
        for delay_id, text in known.scheduled.items():
            end = (await world.delayed.service.one(ALICE, delay_id)).finalised
            assert end is not None, text
            assert (end.outcome is Outcome.SEND, end.event_id is not None) == (said[text] == 1, said[text] == 1)
            assert not (delay_id in known.cancelled and said[text]), text
            assert not (delay_id in known.sent and not said[text]), text
            # Nobody called it off, and a cancellation under way when the server died may have been heard.
            assert said[text] or end.outcome is Outcome.CANCEL, end
    finally:
        await world.close()


async def _waiting(world: _Town) -> int:
    async with world.database.read() as tx:
        row = await tx.fetch_one("SELECT COUNT(*) FROM delayed_events WHERE outcome IS NULL")
    return 0 if row is None else int(row[0])


@given(
    st.lists(st.tuples(_STEPS, st.integers(0, 20)), min_size=1, max_size=12),
    st.lists(st.integers(1, 40), min_size=1, max_size=2),
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_whenever_the_server_dies_each_event_is_sent_once_or_called_off(
    tmp_path_factory: object, steps: list[tuple[str, int]], deaths: list[int]
) -> None:
    root = tmp_path_factory.mktemp("delayed")  # type: ignore[attr-defined]
    try:
        asyncio.run(_live(root, steps, deaths))
    finally:
        shutil.rmtree(root, ignore_errors=True)
