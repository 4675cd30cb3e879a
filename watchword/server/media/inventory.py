"""What there is in the repository, for whoever administers it. Who may see it is asked upstairs."""

from collections.abc import Sequence
from dataclasses import dataclass

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.errors import BadRequest
from watchword.protocol.ids import ServerName, UserId
from watchword.server.media import inventory_tables, tables
from watchword.server.media.commands import Upload, Usage
from watchword.storage.database import Database

_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class UploadQuery:
    """Which files of a user, in which order. start: how many of the first ones to pass over."""

    user_id: UserId
    order_by: str = "created_ts"
    backwards: bool = True
    start: int = 0
    limit: int = 100


@dataclass(frozen=True, slots=True)
class Totals:
    """What is stored: of users of this server, and copies of what is elsewhere."""

    files: int
    bytes: int
    copied_files: int
    copied_bytes: int


@dataclass(frozen=True)
class Inventory:
    """Lists and counts."""

    database: Database
    clock: Clock
    server_name: ServerName

    async def uploads(self, query: UploadQuery) -> tuple[Sequence[Upload], int]:
        """A page of a user's files, and how many he has. Raises BadRequest for an unknown order."""
        if query.order_by not in inventory_tables.ORDERS:
            raise BadRequest("M_INVALID_PARAM", "Files cannot be ordered by this.")
        async with self.database.read() as view:
            page = await inventory_tables.uploads_of(
                view,
                query.user_id,
                query.order_by,
                backwards=query.backwards,
                start=query.start,
                limit=min(query.limit, limits.admin_page_max),
            )
        return page, (await self.usage(query.user_id)).files

    async def usage(self, user_id: UserId) -> Usage:
        """What a user has stored."""
        async with self.database.read() as view:
            return await tables.usage(view, user_id, self.clock.now_ms() - _DAY_MS)

    async def ranking(self, start: int, limit: int) -> tuple[Sequence[tuple[UserId, int, int]], int]:
        """(user, files, bytes), those with most first; and how many users there are in it."""
        async with self.database.read() as view:
            page = await inventory_tables.usage_by_user(view, start, min(limit, limits.admin_page_max))
            return page, await inventory_tables.users(view)

    async def totals(self) -> Totals:
        """What is stored in all."""
        async with self.database.read() as view:
            return Totals(*await inventory_tables.total(view, own=True), *await inventory_tables.total(view, own=False))
