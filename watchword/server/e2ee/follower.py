"""Follows the log: copies device-list changes into their table, and clears up after devices, accounts and leaves.

Effects are idempotent. The cursor moves with them, and otherwise only now and then: a busy room costs nothing here.
"""

import asyncio
from collections.abc import Sequence

from watchword.base import limits
from watchword.protocol import event_types
from watchword.protocol.ids import UserId
from watchword.server.changes import (
    AccountDeactivated,
    Change,
    CrossSigningChanged,
    DeviceDeleted,
    DeviceListChanged,
    EventAppended,
    StateChanged,
)
from watchword.server.e2ee import dehydrated_tables, device_list_tables, tables, to_device_tables
from watchword.server.e2ee.backup import tables as backup_tables
from watchword.server.e2ee.reader import E2eeReader
from watchword.server.e2ee.recent_changes import RecentChanges
from watchword.server.e2ee.remote_lists import RemoteLists
from watchword.storage.database import Database, Tx
from watchword.storage.log import Log, Logged, Position

NAME = "e2ee"
_PAGE = 500
_CURSOR_LAG_MAX = 5_000


class E2eeFollower:
    """The follower of this feature. Call `start` before the first request, then run `run` once."""

    def __init__(
        self, database: Database, log: Log[Change], reader: E2eeReader, recent: RecentChanges, lists: RemoteLists
    ) -> None:
        self._database = database
        self._log = log
        self._reader = reader
        self._recent = recent
        self._lists = lists
        self._at = Position(0)
        self._saved = Position(0)
        self._wake = asyncio.Event()

    async def start(self) -> None:
        """Listen from now on, and act on everything that is in the log already."""
        self._log.listen(self._heard)
        async with self._database.read() as view:
            self._at = self._saved = await self._log.cursor(view, NAME)
        await self.catch_up()

    async def run(self) -> None:
        """Act on what comes, for ever."""
        while True:
            await self._wake.wait()
            await self.catch_up()

    async def catch_up(self) -> None:
        """Act on everything up to the end of the log."""
        self._wake.clear()
        while batch := await self._log.read(self._at, _PAGE):
            await self._act(batch)

    def _heard(self, logged: Logged[Change]) -> None:
        self._recent.listen(logged)
        if _concerns_us(logged.change) or logged.position - self._saved >= _CURSOR_LAG_MAX:
            self._wake.set()

    async def _act(self, batch: Sequence[Logged[Change]]) -> None:
        last = batch[-1].position
        concerning = [logged for logged in batch if _concerns_us(logged.change)]
        ending = [logged.change for logged in concerning if _may_end_sharing(logged.change)]
        if ending:
            await self._lists.forget_unshared(_who_left(ending))
        if concerning or last - self._saved >= _CURSOR_LAG_MAX:
            async with self._database.write() as tx:
                for logged in concerning:
                    await self._act_on(tx, logged)
                await self._log.move_cursor(tx, NAME, last)
            self._saved = last
            self._recent.drop(last)
        self._at = last

    async def _act_on(self, tx: Tx, logged: Logged[Change]) -> None:
        match logged.change:
            case DeviceListChanged(user_id=user_id, device_id=device_id):
                previous = await device_list_tables.last_change(tx, user_id, logged.position)
                await device_list_tables.add_change(tx, logged.position, user_id, device_id or "", previous)
                await device_list_tables.forget_changes(tx, user_id, limits.device_list_changes_per_user_max)
            case CrossSigningChanged(user_id=user_id):
                await device_list_tables.add_change(tx, logged.position, user_id, "", None)
                await device_list_tables.forget_changes(tx, user_id, limits.device_list_changes_per_user_max)
            case DeviceDeleted(user_id=user_id, device_id=device_id):
                await dehydrated_tables.delete_dehydrated(tx, user_id, device_id)
                number = await tables.device_number(tx, user_id, device_id)
                if number is not None:
                    await to_device_tables.delete_of_device(tx, number)
                    await tables.delete_device(tx, number)
                    await tables.delete_signatures_on(tx, user_id, device_id)
                tx.after_commit(lambda: self._reader.device_gone(user_id, device_id))
            case AccountDeactivated(user_id=user_id):
                await tables.delete_cross_signing_keys(tx, user_id)
                await tables.delete_own_signatures(tx, user_id)
                await backup_tables.delete_of_user(tx, user_id)
            case _:
                return


def _concerns_us(change: Change) -> bool:
    kinds = DeviceListChanged | CrossSigningChanged | DeviceDeleted | AccountDeactivated
    return isinstance(change, kinds) or _may_end_sharing(change)


def _may_end_sharing(change: Change) -> bool:
    if isinstance(change, EventAppended):
        return change.type == event_types.MEMBER and change.membership in ("leave", "ban")
    return isinstance(change, StateChanged)


def _who_left(ending: Sequence[Change]) -> frozenset[UserId] | None:
    """Who left rooms by these changes; None if they do not say."""
    left = set()
    for change in ending:
        if not isinstance(change, EventAppended):
            return None
        left.add(UserId(change.state_key or ""))
    return frozenset(left)
