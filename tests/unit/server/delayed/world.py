"""A server whose rooms send later what they are told to."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.unit.server.rooms.world import ALICE, BOB, PHONE, World
from watchword.base.clock import ManualClock
from watchword.edge.endpoint import Rate
from watchword.edge.rate_limits import Allowance, RateLimiter
from watchword.protocol.ids import RoomId, UserId
from watchword.server.delayed import SCHEMA
from watchword.server.delayed import endpoints as delayed_doors
from watchword.server.delayed.assembly import Delayed, DelayGround, assemble_delayed
from watchword.server.delayed.commands import DelaySettings
from watchword.storage import Schema, migrate

__all__ = ["ALICE", "BOB", "PHONE", "UNSTABLE", "DelayedWorld", "open_delayed_world", "settled"]

UNSTABLE = "/_matrix/client/unstable/org.matrix.msc4140"


class DelayedWorld(World):
    """The world of rooms, and delayed events."""

    delayed: Delayed
    settings = DelaySettings(delay_ms_max=3_600_000, scheduled_max=5)
    running: asyncio.Task[None] | None = None

    def _build_rooms(self, rooms_max: int, events_max: int) -> None:
        super()._build_rooms(rooms_max, events_max)
        self.limiter = RateLimiter({Rate.MESSAGE: Allowance(1, 4)}, self.clock)
        self.delayed = assemble_delayed(
            DelayGround(self.database, self.log, self.clock, self.entropy),
            self.settings,
            self.doors.posting,
            self.accounts.reader,
            self.limiter,
        )
        self.doors = replace(self.doors, delays=self.delayed.service)

    async def start(self) -> "DelayedWorld":
        await migrate(self.database, [Schema("storage", "watchword.storage"), SCHEMA])
        for endpoint in delayed_doors.ENDPOINTS:
            self._table.add(endpoint.method, endpoint.path, (endpoint, self.delayed.service))
        await super().start()
        self.running = asyncio.ensure_future(self.delayed.timer.run())
        return self

    async def stop_timer(self) -> None:
        if self.running is not None:
            self.running.cancel()
            with suppress(asyncio.CancelledError):
                await self.running
            self.running = None

    async def close(self) -> None:
        await self.stop_timer()
        await super().close()

    # Shorthands

    async def later(
        self, user_id: UserId, room_id: RoomId, text: str = "later", delay: int = 1_000, txn_id: str | None = None, **query: Any
    ) -> str:
        """Schedule a message."""
        path = f"{UNSTABLE}/rooms/{room_id}/delayed_event/m.room.message/{txn_id or text}"
        body = {"delay": delay, "content": {"msgtype": "m.text", "body": text}}
        return str((await self.ask(user_id, "PUT", path, body, **query))["delay_id"])

    async def later_state(self, user_id: UserId, room_id: RoomId, kind: str, content: object, delay: int = 1_000) -> str:
        """Schedule state with an empty state key, as older clients do."""
        query: dict[str, Any] = {"org.matrix.msc4140.delay": delay}
        return str((await self.ask(user_id, "PUT", f"rooms/{room_id}/state/{kind}", content, **query))["delay_id"])  # type: ignore[arg-type]

    async def act(self, delay_id: str, action: str) -> tuple[int, Any]:
        status, body = await self.tried(ALICE, "POST", f"{UNSTABLE}/delayed_events/{delay_id}/{action}")
        return status, body.get("errcode")

    async def told(self, delay_id: str, user_id: UserId = ALICE) -> Any:
        return await self.ask(user_id, "GET", f"{UNSTABLE}/delayed_events/{delay_id}")

    async def said(self, room_id: RoomId) -> list[str]:
        """The texts of a room's messages, oldest first."""
        return [event["content"]["body"] for event in await self.timeline(room_id) if event["type"] == "m.room.message"]

    async def pass_time(self, duration_ms: int) -> None:
        """Let time pass, and everything happen that was waiting for it."""
        self.clock.advance(duration_ms)
        await settled()


async def settled() -> None:
    """Let whatever goes on go on; commits take real time."""
    for _ in range(30):
        await asyncio.sleep(0.001)


@asynccontextmanager
async def open_delayed_world(folder: Path, clock: ManualClock | None = None) -> AsyncIterator[DelayedWorld]:
    world = await DelayedWorld(folder, clock=clock).start()
    try:
        if not await world.accounts.reader.exists(ALICE):
            await world.users(ALICE, BOB)
        await settled()
        yield world
    finally:
        await world.close()
