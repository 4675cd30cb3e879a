"""Taking reports in: what users find inappropriate, kept until an administrator has dealt with it (`queue`).

Bounded in text, in number by reporter and day, and in all. Whoever reports a room or a user learns nothing of whether it
exists: every report of those is taken.
Deliberately absent: what is done about a report.

Spec: client-server-api#reporting-content
"""

from dataclasses import dataclass, replace

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.errors import LimitExceeded, NotFound
from watchword.protocol.ids import EventId, RoomId, UserId
from watchword.server.moderation import tables
from watchword.server.moderation.commands import Kind, NewReport
from watchword.server.moderation.queue import ReportQueue
from watchword.server.rooms.reader import RoomReader
from watchword.server.rooms.view import Reader
from watchword.storage import Database

_DAY_MS = 86_400_000
_SWEEP_EVERY = 100


@dataclass
class Reports:
    """Takes reports in. queue: where they wait."""

    database: Database
    rooms: RoomReader
    clock: Clock
    _until_sweep: int = _SWEEP_EVERY

    @property
    def queue(self) -> ReportQueue:
        """What administrators see of them."""
        return ReportQueue(self.database, self.clock)

    async def report_room(self, reporter: UserId, room_id: RoomId, reason: str) -> None:
        """Somebody finds a room inappropriate; he need not be in it. Raises LimitExceeded."""
        await self._take(NewReport(Kind.ROOM, reporter, reason, room_id))

    async def report_user(self, reporter: UserId, user_id: UserId, reason: str) -> None:
        """Somebody finds a user inappropriate; they need share no room. Raises LimitExceeded."""
        await self._take(NewReport(Kind.USER, reporter, reason, user_id=user_id))

    async def report_event(self, reader: Reader, room_id: RoomId, event_id: EventId, reason: str) -> None:
        """A member finds an event inappropriate that he may see. Raises NotFound, LimitExceeded."""
        row = await self.rooms.membership_of(reader.user_id, room_id)
        if row is None or row.membership != "join":
            raise NotFound("There is no such event, or you are not in the room.")
        view, event = await self.rooms.one_event(room_id, event_id, reader)
        shown = view.encode(event, self.clock.now_ms())
        await self._take(NewReport(Kind.EVENT, reader.user_id, reason, room_id, event_id, event.pdu.sender, shown))

    async def _take(self, what: NewReport) -> None:
        now_ms = self.clock.now_ms()
        what = replace(what, reason=what.reason[: limits.report_reason_characters_max])
        async with self.database.write() as tx:
            if await tables.reports_since(tx, what.reporter, now_ms - _DAY_MS) >= limits.reports_per_day_max:
                raise LimitExceeded(_DAY_MS, "You have reported much today. Ask an administrator directly.")
            await tables.save_report(tx, what, now_ms)
            self._until_sweep -= 1
            if self._until_sweep <= 0:
                self._until_sweep = _SWEEP_EVERY
                await tables.delete_oldest_reports(tx, limits.reports_kept_max)
