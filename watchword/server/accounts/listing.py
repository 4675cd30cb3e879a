"""Lists of accounts, for whoever administers them. Who may see them is asked upstairs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import orjson

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.errors import BadRequest
from watchword.server.accounts import listing_tables
from watchword.server.accounts.commands import AccountQuery, Listed
from watchword.storage import Database

_DAY_MS = 86_400_000
_MONTH_DAYS = 30


@dataclass(frozen=True, slots=True)
class AccountCounts:
    """How many users of their own there are: not guests, not deactivated. active: seen within a day, within 30 days."""

    users: int
    guests: int
    deactivated: int
    active_of_day: int
    active_of_month: int


@dataclass(frozen=True)
class AccountListing:
    """Lists and counts."""

    database: Database
    clock: Clock

    async def page(self, query: AccountQuery) -> tuple[Sequence[Listed], int]:
        """A page, and how many fit in all. Raises BadRequest for an unknown order."""
        if query.order_by not in listing_tables.ORDERS:
            raise BadRequest("M_INVALID_PARAM", "Accounts cannot be ordered by this.")
        query = replace(query, limit=min(query.limit, limits.admin_page_max))
        async with self.database.read() as tx:
            return await listing_tables.accounts(tx, query), await listing_tables.count(tx, query)

    async def counts(self) -> AccountCounts:
        """How many there are."""
        now_ms = self.clock.now_ms()
        async with self.database.read() as tx:
            return AccountCounts(
                await listing_tables.count(tx, AccountQuery(guests=False, deactivated=False)),
                await listing_tables.count(tx, AccountQuery(guests=True, deactivated=False)),
                await listing_tables.count(tx, AccountQuery(deactivated=True)),
                await listing_tables.active_since(tx, now_ms - _DAY_MS),
                await listing_tables.active_since(tx, now_ms - _MONTH_DAYS * _DAY_MS),
            )


def shown_text(encoded: str) -> str | None:
    """A profile field as a list shows it: text, or nothing."""
    value = orjson.loads(encoded) if encoded else None
    return value if isinstance(value, str) else None
