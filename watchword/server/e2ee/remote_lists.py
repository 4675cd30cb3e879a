"""The device lists of other servers' users: kept while a room is shared, changed by EDUs, fetched again after a gap.

Theory of operation. A list is tracked from the first client query about a user who shares a room with somebody here; the
loop then fetches it whole, with its stream ID. Each m.device_list_update either follows it and is applied, or shows that
something was lost and marks it stale. A stale list answers nobody: queries go to the user's server until the loop has
fetched the list again. When the last shared room is left the list is dropped, for nobody tells us of changes any more.
"""

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.errors import PeerError, Refused, RemoteProtocolError
from watchword.protocol.ids import ServerName, UserId, domain_of
from watchword.server.changes import Change, CrossSigningChanged, DeviceListChanged
from watchword.server.e2ee import decide, device_list_tables, tables
from watchword.server.e2ee.commands import DeviceListUpdate, ListState, RemoteDevice, RemoteDeviceList
from watchword.server.e2ee.ports import RemoteDevices, SharedRooms
from watchword.storage.database import Database, Tx
from watchword.storage.log import Log

logger = logging.getLogger(__name__)

_RETRY_MS_LEAST = 30_000
_RETRY_MS_MOST = 3_600_000
_IDLE_MS = 3_600_000
_PAGE = 200


class RemoteLists:
    """Cached device lists. Start `run` once."""

    def __init__(
        self,
        database: Database,
        log: Log[Change],
        clock: Clock,
        server_name: ServerName,
        remote: RemoteDevices,
        rooms: SharedRooms,
    ) -> None:
        self._database = database
        self._log = log
        self._clock = clock
        self._server_name = server_name
        self._remote = remote
        self._rooms = rooms
        self._wake = asyncio.Event()

    async def track(self, user_ids: Sequence[UserId]) -> None:
        """Begin to keep the lists of those who share a room with somebody here."""
        wanted = [user_id for user_id in user_ids if await self._is_shared(user_id)]
        async with self._database.read() as view:
            new = [user_id for user_id in wanted if await device_list_tables.list_state(view, user_id) is None]
        if not new:
            return
        async with self._database.write(wait=False) as tx:
            for user_id in new:
                await device_list_tables.track(tx, user_id, domain_of(user_id))
        self._wake.set()

    async def forget_unshared(self, left: Collection[UserId] | None) -> int:
        """Drop the lists of users who share no room with anybody here; return how many.

        left: who left a room; None if that is not known. A local user who leaves may have been anybody's last link.
        """
        async with self._database.read() as view:
            tracked = await device_list_tables.tracked_users(view)
        if left is not None and not any(domain_of(user_id) == self._server_name for user_id in left):
            tracked = [user_id for user_id in tracked if user_id in left]
        gone = [user_id for user_id in tracked if not await self._is_shared(user_id)]
        if gone:
            async with self._database.write() as tx:
                for user_id in gone:
                    await _forget(tx, user_id)
        return len(gone)

    async def server_was_down(self, server_name: ServerName) -> None:
        """A server is back: what it changed meanwhile we may never have heard of."""
        async with self._database.write() as tx:
            await device_list_tables.mark_server_stale(tx, server_name)
        self._wake.set()

    async def receive_update(self, origin: ServerName, content: Mapping[str, Any]) -> None:
        """An m.device_list_update. Raises RemoteProtocolError."""
        update = decide.device_list_update(origin, content)
        if isinstance(update, Refused):
            raise RemoteProtocolError(update.text)
        if not await self._is_shared(update.user_id):
            return
        async with self._database.write() as tx:
            state = await device_list_tables.list_state(tx, update.user_id)
            if state is not None and not await self._advance(tx, update, state):
                return
            await self._log.append(tx, DeviceListChanged(update.user_id, update.device_id, update.is_deleted))
        self._wake.set()

    async def _advance(self, tx: Tx, update: DeviceListUpdate, state: ListState) -> bool:
        """Bring a tracked list up to an update; False if it had it already."""
        step = decide.next_step(state.stream_id, update.stream_id, update.prev_ids)
        if step is decide.Step.IGNORE and state.is_fresh:
            return False
        devices = await device_list_tables.count_remote_devices(tx, update.user_id)
        if step is not decide.Step.APPLY or not state.is_fresh or devices >= limits.devices_per_user_max:
            await device_list_tables.mark_stale(tx, update.user_id)
        else:
            await _apply(tx, update)
        return True

    async def receive_signing_keys(self, origin: ServerName, content: Mapping[str, Any]) -> None:
        """An m.signing_key_update. Raises RemoteProtocolError."""
        user_id = content.get("user_id")
        if not isinstance(user_id, str) or not user_id.startswith("@") or domain_of(user_id) != origin:
            raise RemoteProtocolError("The user belongs to another server.")
        user = UserId(user_id)
        if not await self._is_shared(user):
            return
        keys = decide.remote_cross_signing(user, content)
        async with self._database.write() as tx:
            is_tracked = await device_list_tables.list_state(tx, user) is not None
            stored = await tables.cross_signing_keys(tx, user) if is_tracked else {}
            if is_tracked and not await _set_cross_signing(tx, user, {**stored, **keys}):
                return
            await self._log.append(tx, CrossSigningChanged(user))

    async def run(self) -> None:
        """Fetch stale lists for ever."""
        while True:
            self._wake.clear()
            fetched = await self.fetch_due()
            if not fetched:
                await self._wait()

    async def fetch_due(self) -> int:
        """Fetch the lists whose time has come, several servers at once; return how many were tried."""
        async with self._database.read() as view:
            due = await device_list_tables.due_lists(view, self._clock.now_ms(), _PAGE)
        by_server: dict[ServerName, list[tuple[UserId, ListState]]] = {}
        for server_name, user_id, state in due:
            by_server.setdefault(server_name, []).append((user_id, state))
        turns = asyncio.Semaphore(limits.remote_lists_active_max)
        async with asyncio.TaskGroup() as group:
            for server_name, users in by_server.items():
                group.create_task(self._fetch_from(server_name, users, turns))
        return len(due)

    async def _fetch_from(
        self, server_name: ServerName, users: Sequence[tuple[UserId, ListState]], turns: asyncio.Semaphore
    ) -> None:
        async with turns:
            for user_id, state in users:
                try:
                    devices = decide.remote_device_list(user_id, await self._remote.user_devices(server_name, user_id))
                except PeerError as error:
                    if error.status != 404:
                        await self._postpone(server_name)
                        return
                    devices = Refused("M_NOT_FOUND", "The server does not know the user.")
                if isinstance(devices, Refused):
                    await self._forget(user_id)
                else:
                    await self._store(user_id, state, devices)

    async def _store(self, user_id: UserId, asked: ListState, found: RemoteDeviceList) -> None:
        async with self._database.write() as tx:
            state = await device_list_tables.list_state(tx, user_id)
            if state is None:
                return
            changed = await _replace(tx, user_id, found)
            if state.version == asked.version:
                await device_list_tables.set_fresh(tx, user_id, found.stream_id)
            else:
                # An update came in while we asked: the answer may be older than it.
                await device_list_tables.set_stream_id(tx, user_id, found.stream_id)
            if changed:
                await self._log.append(tx, DeviceListChanged(user_id, None))

    async def _forget(self, user_id: UserId) -> None:
        async with self._database.write() as tx:
            await _forget(tx, user_id)

    async def _postpone(self, server_name: ServerName) -> None:
        async with self._database.write() as tx:
            failures = await device_list_tables.failures(tx, server_name) + 1
            wait_ms = min(_RETRY_MS_LEAST << min(failures - 1, 10), _RETRY_MS_MOST)
            await device_list_tables.postpone_server(tx, server_name, failures, self._clock.now_ms() + wait_ms)
        logger.info("A server's device lists could not be fetched.", extra={"server_name": server_name, "wait_ms": wait_ms})

    async def _wait(self) -> None:
        async with self._database.read() as view:
            retry_ts = await device_list_tables.next_retry_ts(view)
        wait_ms = _IDLE_MS if retry_ts is None else min(_IDLE_MS, retry_ts - self._clock.now_ms())
        async with asyncio.TaskGroup() as group:
            waits = {group.create_task(self._wake.wait()), group.create_task(self._clock.sleep(wait_ms))}
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for task in waits:
                task.cancel()

    async def _is_shared(self, user_id: UserId) -> bool:
        return self._server_name in await self._rooms.servers_sharing_room_with(user_id)


async def _apply(tx: Tx, update: DeviceListUpdate) -> None:
    if update.is_deleted:
        await device_list_tables.delete_remote_device(tx, update.user_id, update.device_id)
    else:
        device = RemoteDevice(update.device_id, update.keys, update.display_name)
        await device_list_tables.set_remote_device(tx, update.user_id, device)
    await device_list_tables.set_stream_id(tx, update.user_id, update.stream_id)


async def _replace(tx: Tx, user_id: UserId, found: RemoteDeviceList) -> int:
    """Put a fetched list in the place of what was known; return how much that changed."""
    kept = {device.device_id for device in found.devices}
    changed = 0
    for device in await device_list_tables.remote_devices(tx, user_id):
        if device.device_id not in kept:
            await device_list_tables.delete_remote_device(tx, user_id, device.device_id)
            changed += 1
    for device in found.devices:
        changed += await device_list_tables.set_remote_device(tx, user_id, device)
    return changed + await _set_cross_signing(tx, user_id, found.cross_signing)


async def _set_cross_signing(tx: Tx, user_id: UserId, keys: Mapping[str, bytes]) -> int:
    """Replace all cross-signing keys of a user; return 0 if they were these."""
    if await tables.cross_signing_keys(tx, user_id) == keys:
        return 0
    await tables.delete_cross_signing_keys(tx, user_id)
    for usage, content in keys.items():
        await tables.set_cross_signing_key(tx, user_id, usage, content)
    return 1


async def _forget(tx: Tx, user_id: UserId) -> None:
    await device_list_tables.forget_list(tx, user_id)
    await tables.delete_cross_signing_keys(tx, user_id)
