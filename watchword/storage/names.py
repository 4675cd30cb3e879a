"""Names that indexes carry as numbers: users, rooms, event types, state keys. One table, one bounded cache.

A name never changes its number and is never deleted, so a cached number stays true.
"""

from collections.abc import Iterable
from functools import partial

import cachebox

from watchword.base import limits
from watchword.storage.database import ReadTx, Tx


class Names:
    """Numbers for names."""

    def __init__(self, names_max: int = limits.interned_names_max) -> None:
        self._numbers: cachebox.LRUCache[str, int | None] = cachebox.LRUCache(names_max)

    async def find(self, tx: ReadTx, name: str) -> int | None:
        """The number of a name, or None if it never got one."""
        number = self._numbers.get(name, None)
        if number is None:
            row = await tx.fetch_one("SELECT id FROM names WHERE name = ?", name)
            if row is None:
                return None
            number = int(row[0])
            self._numbers[name] = number
        return number

    async def number(self, tx: Tx, name: str) -> int:
        """The number of a name, given now if need be."""
        number = self._numbers.get(name, None)
        if number is not None:
            return number
        row = await tx.fetch_one("SELECT id FROM names WHERE name = ?", name)
        if row is None:
            row = await tx.fetch_one("INSERT INTO names (name) VALUES (?) RETURNING id", name)
            assert row is not None
            given = int(row[0])
            # Another transaction must not see a number that may yet be rolled back.
            tx.after_commit(partial(self._numbers.__setitem__, name, given))
            return given
        number = int(row[0])
        tx.after_commit(partial(self._numbers.__setitem__, name, number))
        return number

    async def numbers(self, tx: Tx, names: Iterable[str]) -> dict[str, int]:
        """The numbers of several names."""
        return {name: await self.number(tx, name) for name in names}
