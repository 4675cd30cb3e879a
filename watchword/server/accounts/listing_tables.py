"""The SQL of lists of accounts, for administrators. Nothing but SQL and rows; these look at whole tables."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from watchword.protocol.ids import UserId
from watchword.server.accounts.commands import AccountQuery, Listed
from watchword.storage import ReadTx, Row, Value

_SHOWN = "COALESCE((SELECT CAST(p.value AS TEXT) FROM profile_fields AS p WHERE p.user_id = a.user_id AND p.field = {}), '')"
_SEEN = "COALESCE((SELECT MAX(d.last_seen_ts) FROM devices AS d WHERE d.user_id = a.user_id), 0)"
ORDERS = {
    "name": "a.user_id",
    "is_guest": "a.is_guest",
    "admin": "a.is_admin",
    "deactivated": "a.is_deactivated",
    "locked": "a.is_locked",
    "suspended": "a.is_suspended",
    "displayname": _SHOWN.format("'displayname'"),
    "avatar_url": _SHOWN.format("'avatar_url'"),
    "creation_ts": "a.created_ts",
    "last_seen_ts": _SEEN,
}
"""What a list may be ordered by."""


@dataclass(slots=True)
class _Where:
    conditions: list[str] = field(default_factory=lambda: ["1 = 1"])
    values: list[Value] = field(default_factory=list)

    def add(self, condition: str, *values: Value) -> None:
        self.conditions.append(condition)
        self.values += values

    @property
    def sql(self) -> str:
        return " AND ".join(self.conditions)


def _where(query: AccountQuery) -> _Where:
    where = _Where()
    for column, wanted in (
        ("is_guest", query.guests),
        ("is_admin", query.admins),
        ("is_deactivated", query.deactivated),
        ("is_locked", query.locked),
        ("is_suspended", query.suspended),
    ):
        if wanted is not None:
            where.add(f"a.{column} = ?", int(wanted))
    if query.user_id is not None:
        where.add("instr(lower(a.user_id), ?) > 0", query.user_id.lower())
    if query.name is not None:
        text = query.name.lower()
        localpart = "substr(a.user_id, 2, instr(a.user_id, ':') - 2)"
        where.add(f"(instr(lower({localpart}), ?) > 0 OR instr(lower({ORDERS['displayname']}), ?) > 0)", text, text)
    return where


def _listed(row: Row) -> Listed:
    return Listed(
        UserId(row[0]),
        row[1],
        bool(row[2]),
        bool(row[3]),
        bool(row[4]),
        bool(row[5]),
        bool(row[6]),
        bool(row[7]),
        row[8],
        row[9],
        row[10],
        row[11] or None,
    )


async def accounts(tx: ReadTx, query: AccountQuery) -> Sequence[Listed]:
    """A page."""
    where = _where(query)
    direction = "DESC" if query.backwards else "ASC"
    rows = await tx.fetch_all(
        "SELECT a.user_id, a.created_ts, a.is_guest, a.is_admin, a.is_locked, a.is_suspended, a.is_deactivated, "  # noqa: S608
        f"a.is_erased, a.appservice_id, {ORDERS['displayname']}, {ORDERS['avatar_url']}, {_SEEN} FROM accounts AS a "
        f"WHERE {where.sql} ORDER BY {ORDERS[query.order_by]} {direction}, a.user_id LIMIT ? OFFSET ?",
        *where.values,
        query.limit,
        query.start,
    )
    return [_listed(row) for row in rows]


async def count(tx: ReadTx, query: AccountQuery) -> int:
    """How many there are in all."""
    where = _where(query)
    row = await tx.fetch_one(f"SELECT COUNT(*) FROM accounts AS a WHERE {where.sql}", *where.values)  # noqa: S608
    assert row is not None
    return int(row[0])


async def active_since(tx: ReadTx, ts: int) -> int:
    """How many users had a device seen since."""
    row = await tx.fetch_one("SELECT COUNT(DISTINCT user_id) FROM devices WHERE last_seen_ts >= ?", ts)
    assert row is not None
    return int(row[0])
