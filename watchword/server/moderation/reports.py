"""The queue of reports: what users find inappropriate, kept until an administrator has dealt with it.

Bounded in text, in number by reporter and day, and in all. Whoever reports a room or a user learns nothing of whether it
exists: every report of those is taken.
Deliberately absent: what is done about a report.

Spec: client-server-api#reporting-content
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.errors import LimitExceeded, NotFound
from watchword.protocol.ids import EventId, RoomId, UserId
from watchword.server.moderation import tables
from watchword.server.moderation.commands import Kind, NewReport, Report, ReportQuery
from watchword.server.rooms.reader import RoomReader
from watchword.server.rooms.view import Reader
from watchword.storage import Also, Database

_DAY_MS = 86_400_000
_SWEEP_EVERY = 100


@dataclass
class Reports:
    """Takes reports in, and shows them."""

    database: Database
    rooms: RoomReader
    clock: Clock
    _until_sweep: int = _SWEEP_EVERY

    # What users do

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

    # What administrators do

    async def page(self, *, handled: bool = False, after: int = 0, limit: int = 100) -> Sequence[Report]:
        """Reports, oldest first. after: the last report_id of the page before."""
        async with self.database.read() as tx:
            return await tables.reports(tx, handled=handled, after=after, limit=min(limit, limits.messages_page_max))

    async def count(self, *, handled: bool = False) -> int:
        """How many there are."""
        async with self.database.read() as tx:
            return await tables.count_reports(tx, handled=handled)

    async def one(self, report_id: int) -> Report | None:
        """One report."""
        async with self.database.read() as tx:
            return await tables.report(tx, report_id)

    async def newest(self, query: ReportQuery) -> tuple[Sequence[Report], int]:
        """A page of reports by age, and how many fit in all."""
        async with self.database.read() as tx:
            query = replace(query, limit=min(query.limit, limits.admin_page_max))
            return await tables.reports_by_age(tx, query), await tables.count_fitting(tx, query)

    async def handle(self, report_id: int, by: UserId, also: Also | None = None) -> bool:
        """Mark as dealt with; whether it was open. What was copied of a reported event is dropped.

        also: what else is written in the same transaction, if it was open.
        """
        async with self.database.write() as tx:
            handled = await tables.handle_report(tx, report_id, by, self.clock.now_ms())
            if handled and also is not None:
                await also(tx)
        return handled

    async def delete(self, report_id: int, also: Also | None = None) -> bool:
        """Drop a report; whether it was there. also: what else is written in the same transaction, if it was."""
        async with self.database.write() as tx:
            deleted = await tables.delete_report(tx, report_id)
            if deleted and also is not None:
                await also(tx)
        return deleted
