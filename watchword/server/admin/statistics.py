"""How the server is: version, uptime, how much there is of what, how far the work behind the log has come."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from watchword.base.clock import Clock
from watchword.server.accounts.listing import AccountListing
from watchword.server.changes import Change
from watchword.server.media.inventory import Inventory
from watchword.server.moderation.queue import ReportQueue
from watchword.server.rooms.estate import Estate
from watchword.storage import Database, Log

_FILES = ("", "-wal", "-shm")


@dataclass(frozen=True)
class Statistics:
    """Counts. database_path: None for a server that keeps its database nowhere."""

    version: str
    clock: Clock
    database: Database
    log: Log[Change]
    accounts: AccountListing
    estate: Estate
    inventory: Inventory
    reports: ReportQueue
    database_path: Path | None
    began_ms: int = field(default=0)

    async def shown(self) -> Mapping[str, Any]:
        """All of it, as JSON has it. Sizes in bytes, times in milliseconds."""
        counts, media = await self.accounts.counts(), await self.inventory.totals()
        return {
            "version": self.version,
            "uptime_ms": self.clock.monotonic_ms() - self.began_ms,
            "users": {
                "active": counts.users,
                "guests": counts.guests,
                "deactivated": counts.deactivated,
                "seen_within_a_day": counts.active_of_day,
                "seen_within_30_days": counts.active_of_month,
            },
            "rooms": await self.estate.count(),
            "media": {
                "files": media.files,
                "bytes": media.bytes,
                "copied_files": media.copied_files,
                "copied_bytes": media.copied_bytes,
            },
            "open_reports": await self.reports.count(handled=False),
            "database": self._sizes(),
            "log_position": self.log.position,
            "behind": await self.behind(),
        }

    async def behind(self) -> Mapping[str, int]:
        """How many changes each follower has not noted yet. One that nothing concerns notes only now and then."""
        async with self.database.read() as tx:
            names = await self.log.cursors(tx, "")
            return {name: max(0, self.log.position - await self.log.cursor(tx, name)) for name in sorted(names)}

    def _sizes(self) -> Mapping[str, int]:
        if self.database_path is None or not self.database_path.exists():
            return {}
        files = [self.database_path.with_name(self.database_path.name + suffix) for suffix in _FILES]
        return {
            "bytes": sum(file.stat().st_size for file in files if file.exists()),
            "disk_free_bytes": shutil.disk_usage(self.database_path.parent).free,
        }
