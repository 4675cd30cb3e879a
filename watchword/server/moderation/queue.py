"""The queue of reports, as administrators see it and deal with it. Who may is asked upstairs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.protocol.ids import UserId
from watchword.server.moderation import tables
from watchword.server.moderation.commands import Report, ReportQuery
from watchword.storage import Also, Database


@dataclass(frozen=True)
class ReportQueue:
    """Shows reports and ends them."""

    database: Database
    clock: Clock

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
