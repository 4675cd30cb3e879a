"""What is known of devices, keys and waiting messages, for this feature's shells and for `sync` and `federation`.

Counts of keys and the extent of each device's queue are kept in memory, so a sync that has nothing to learn here costs
no query. Writers in this feature say what they changed (`keys_changed`, `messages_added`, …) once it is durable.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import cachebox
import orjson

from watchword.base import limits
from watchword.protocol.ids import DeviceId, ServerName, UserId
from watchword.server.e2ee import decide, device_list_tables, tables, to_device_tables
from watchword.server.e2ee.commands import KeysAnswer
from watchword.server.e2ee.ports import Devices
from watchword.server.e2ee.recent_changes import RecentChanges
from watchword.storage.database import Database, ReadTx
from watchword.storage.log import Position

Counts = tuple[Mapping[str, int], Sequence[str]]
_NOTHING_WAITS = (Position(0), Position(0))
_NO_KEYS: Counts = ({"signed_curve25519": 0}, ())


class E2eeReader:
    """Reads of this feature. recent: to be given to `Log.listen` by whoever builds this."""

    def __init__(self, database: Database, devices: Devices, recent: RecentChanges) -> None:
        self._database = database
        self._devices = devices
        self._recent = recent
        self._numbers: cachebox.LRUCache[tuple[UserId, DeviceId], int | None] = cachebox.LRUCache(limits.key_counts_cached_max)
        self._counts: cachebox.LRUCache[tuple[UserId, DeviceId], Counts | None] = cachebox.LRUCache(
            limits.key_counts_cached_max
        )
        self._extents: cachebox.LRUCache[tuple[UserId, DeviceId], tuple[Position, Position] | None] = cachebox.LRUCache(
            limits.key_counts_cached_max
        )
        self._generation = 0

    # For sync

    async def to_device(
        self, user_id: UserId, device_id: DeviceId, after: Position, until: Position, limit: int
    ) -> tuple[Sequence[bytes], Position]:
        """Messages of a device after one position and not after another, oldest first, at most limit.

        Each is the encoded client form {"sender", "type", "content"}. The position is that of the last one given if more
        wait, else `until`.
        """
        _, newest = await self._extent(user_id, device_id)
        if newest <= after:
            return (), until
        async with self._database.read() as tx:
            number = await self._number(tx, user_id, device_id)
            rows = () if number is None else await to_device_tables.waiting(tx, number, after, until, limit + 1)
        if len(rows) <= limit:
            return [message for _, message in rows], until
        return [message for _, message in rows[:limit]], rows[limit - 1][0]

    async def has_to_device(self, user_id: UserId, device_id: DeviceId, after: Position) -> bool:
        """Whether a device has messages after a position."""
        _, newest = await self._extent(user_id, device_id)
        return newest > after

    async def delete_to_device(self, user_id: UserId, device_id: DeviceId, until: Position) -> None:
        """Drop a device's messages up to a position: its client has them. Not waited for; repeating it is harmless."""
        oldest, _ = await self._extent(user_id, device_id)
        if not oldest or oldest > until:
            return
        async with self._database.write(wait=False) as tx:
            number = await tables.device_number(tx, user_id, device_id)
            if number is not None:
                await to_device_tables.delete(tx, number, until)
                left = await to_device_tables.extent(tx, number)
                tx.after_commit(lambda: self._extent_known((user_id, device_id), left))

    async def key_counts(self, user_id: UserId, device_id: DeviceId) -> Counts:
        """One-time keys left by algorithm, and algorithms with an unused fallback key. signed_curve25519 is always there."""
        known = self._counts.get((user_id, device_id))
        if known is not None:
            return known
        generation = self._generation
        async with self._database.read() as tx:
            number = await self._number(tx, user_id, device_id)
            found = _NO_KEYS if number is None else await self.counts_of(tx, number)
        if generation == self._generation:
            self._counts[user_id, device_id] = found
        return found

    async def device_list_changes(self, after: Position, until: Position) -> Sequence[tuple[UserId, Position]]:
        """Whose devices or cross-signing keys changed after one position and not after another; each user once.

        Of a user who changed several times only the last changes are kept, so a range that ends before them may leave
        him out: the range that follows has him.
        """
        # Memory before table: a change moves from the one to the other and is never in neither.
        found = dict(self._recent.between(after, until))
        async with self._database.read() as tx:
            for user_id, position in await device_list_tables.changes(tx, after, until):
                found[user_id] = Position(max(position, found.get(user_id, 0)))
        return list(found.items())

    async def users_signed(self, user_id: UserId, after: Position, until: Position) -> Sequence[UserId]:
        """Whose master key this user signed between two positions: his own devices are to ask for those keys again."""
        async with self._database.read() as tx:
            return await tables.users_signed(tx, user_id, after, until)

    # For accounts

    async def is_cross_signing_key(self, user_id: UserId, name: str) -> bool:
        """Whether a public cross-signing key of this user has this name, so that no device may take it."""
        async with self._database.read() as tx:
            stored = await tables.cross_signing_keys(tx, user_id)
        return any(decide.public_key(orjson.loads(key)) == name for key in stored.values())

    # For federation

    async def device_list_edu(
        self, user_id: UserId, device_id: DeviceId | None, deleted: bool, position: Position | None = None
    ) -> Mapping[str, Any]:
        """The content of an m.device_list_update for a DeviceListChanged.

        position: that of the change; without it the device's last one. device_id None (the whole list) gives an update
        that follows nothing the peer has seen, so that it fetches the list.
        Spec: server-server-api#device-management
        """
        name = device_id or ""
        recent = position or self._recent.last(user_id, limits.canonical_integer_max, name)
        recent_before = self._recent.last(user_id, recent) if recent else Position(0)
        async with self._database.read() as tx:
            stream_id = recent or await device_list_tables.last_change_of_device(tx, user_id, name)
            previous = recent_before or await device_list_tables.last_change(tx, user_id, stream_id)
            keys = await self._keys(tx, user_id, viewer=None)
        if device_id is None:
            some_device = next(iter(sorted(keys)), DeviceId(""))
            return {"user_id": user_id, "device_id": some_device, "stream_id": stream_id, "prev_id": [stream_id + 1]}
        content: dict[str, Any] = {"user_id": user_id, "device_id": device_id, "stream_id": stream_id}
        content["prev_id"] = [previous] if previous else []
        if deleted:
            return {**content, "deleted": True}
        display_name = (await self._devices.device_names(user_id)).get(device_id)
        if display_name is not None:
            content["device_display_name"] = display_name
        if device_id in keys:
            content["keys"] = keys[device_id]
        return content

    async def signing_key_edu(self, user_id: UserId) -> Mapping[str, Any]:
        """The content of an m.signing_key_update. Spec: server-server-api#device-management"""
        async with self._database.read() as tx:
            keys = await self._cross_signing(tx, user_id, viewer=None)
        content: dict[str, Any] = {"user_id": user_id}
        for usage in (decide.MASTER, decide.SELF_SIGNING):
            if usage in keys:
                content[f"{usage}_key"] = keys[usage]
        return content

    async def user_devices(self, user_id: UserId) -> Mapping[str, Any]:
        """A local user's whole device list, as other servers ask for it.

        Spec: server-server-api#get_matrixfederationv1userdevicesuserid
        """
        names = await self._devices.device_names(user_id)
        recent = self._recent.last(user_id, limits.canonical_integer_max)
        async with self._database.read() as tx:
            stream_id = recent or await device_list_tables.last_change(tx, user_id, limits.canonical_integer_max)
            keys = await self._keys(tx, user_id, viewer=None)
        devices: list[dict[str, Any]] = []
        for device_id, content in keys.items():
            if device_id not in names:
                continue
            device: dict[str, Any] = {"device_id": device_id, "keys": content}
            if names.get(device_id) is not None:
                device["device_display_name"] = names[device_id]
            devices.append(device)
        return {**await self.signing_key_edu(user_id), "stream_id": stream_id, "devices": devices}

    async def outgoing_to_device(self, server_name: ServerName, message_id: str) -> Mapping[str, Any] | None:
        """The content of an m.direct_to_device for a ToDeviceOutgoing; None once it was acknowledged."""
        async with self._database.read() as tx:
            content = await to_device_tables.outgoing(tx, server_name, message_id)
        return None if content is None else orjson.loads(content)

    async def delete_outgoing_to_device(self, server_name: ServerName, until: Position) -> None:
        """Drop the EDUs of every ToDeviceOutgoing up to a position: the server has acknowledged them."""
        async with self._database.write(wait=False) as tx:
            await to_device_tables.delete_outgoing(tx, server_name, until)

    # For the shells of this feature

    async def add_local_keys(self, answer: KeysAnswer, user_id: UserId, wanted: Collection[str], viewer: UserId | None) -> None:
        """Add a local user's keys to an answer. wanted: device IDs, or empty for all; viewer None: another server."""
        names = await self._devices.device_names(user_id)
        async with self._database.read() as tx:
            keys = await self._keys(tx, user_id, viewer)
            cross_signing = await self._cross_signing(tx, user_id, viewer)
        shown = {}
        for device_id, content in keys.items():
            # A device that was just deleted keeps its rows until the follower has seen it.
            if device_id in names and (not wanted or device_id in wanted):
                name = names[device_id]
                shown[device_id] = content if name is None else {**content, "unsigned": {"device_display_name": name}}
        if shown or await self._devices.local_user_exists(user_id):
            answer.device_keys[user_id] = {str(device_id): content for device_id, content in shown.items()}
        self._add_cross_signing(answer, user_id, cross_signing, viewer)

    async def add_cached_keys(self, answer: KeysAnswer, user_id: UserId, wanted: Collection[str], viewer: UserId) -> bool:
        """Add the keys of another server's user from the cache; False if the cache cannot tell."""
        async with self._database.read() as tx:
            state = await device_list_tables.list_state(tx, user_id)
            if state is None or not state.is_fresh:
                return False
            devices = await device_list_tables.remote_devices(tx, user_id)
            cross_signing = await self._cross_signing(tx, user_id, viewer)
        shown: dict[str, Any] = {}
        for device in devices:
            if device.keys is not None and (not wanted or device.device_id in wanted):
                content = orjson.loads(device.keys)
                if device.display_name is not None:
                    content["unsigned"] = {"device_display_name": device.display_name}
                shown[device.device_id] = content
        answer.device_keys[user_id] = shown
        self._add_cross_signing(answer, user_id, cross_signing, viewer)
        return True

    async def add_own_signatures(self, answer: KeysAnswer, user_id: UserId, viewer: UserId) -> None:
        """Add the viewer's own signatures to a master key that another server just sent."""
        master = answer.master_keys.get(user_id)
        if master is None:
            return
        async with self._database.read() as tx:
            rows = await tables.signatures(tx, user_id, viewer)
        if rows:
            answer.master_keys[user_id] = decide.with_signatures(master, decide.public_key(master) or "", rows, viewer)

    async def number(self, user_id: UserId, device_id: DeviceId) -> int | None:
        """The number that rows carry for a device."""
        async with self._database.read() as tx:
            return await self._number(tx, user_id, device_id)

    async def counts_of(self, tx: ReadTx, number: int) -> Counts:
        """`key_counts` inside a transaction."""
        counts = await tables.one_time_key_counts(tx, number)
        counts.setdefault("signed_curve25519", 0)
        return counts, await tables.unused_fallback_algorithms(tx, number)

    def keys_changed(self, user_id: UserId, device_id: DeviceId) -> None:
        """Forget what was known of a device's key counts."""
        self._generation += 1
        self._counts.pop((user_id, device_id), None)

    def messages_added(self, name: tuple[UserId, DeviceId], position: Position) -> None:
        """A message for a device became durable at this position."""
        self._generation += 1
        known = self._extents.get(name)
        if known is not None:
            self._extents[name] = (known[0] or position, position)

    def device_gone(self, user_id: UserId, device_id: DeviceId) -> None:
        """Forget all that was known of a device."""
        self._generation += 1
        for known in (self._numbers, self._counts, self._extents):
            known.pop((user_id, device_id), None)

    def _extent_known(self, name: tuple[UserId, DeviceId], extent: tuple[Position, Position]) -> None:
        self._generation += 1
        self._extents[name] = extent

    async def _extent(self, user_id: UserId, device_id: DeviceId) -> tuple[Position, Position]:
        known = self._extents.get((user_id, device_id))
        if known is not None:
            return known
        generation = self._generation
        async with self._database.read() as tx:
            number = await self._number(tx, user_id, device_id)
            found = _NOTHING_WAITS if number is None else await to_device_tables.extent(tx, number)
        if generation == self._generation:
            self._extents[user_id, device_id] = found
        return found

    async def _number(self, tx: ReadTx, user_id: UserId, device_id: DeviceId) -> int | None:
        number = self._numbers.get((user_id, device_id))
        if number is None:
            generation = self._generation
            number = await tables.device_number(tx, user_id, device_id)
            if number is not None and generation == self._generation:
                self._numbers[user_id, device_id] = number
        return number

    async def _keys(self, tx: ReadTx, user_id: UserId, viewer: UserId | None) -> dict[DeviceId, dict[str, Any]]:
        stored = await tables.device_keys(tx, user_id)
        signatures = await tables.signatures(tx, user_id, viewer) if stored else ()
        return {
            device_id: decide.with_signatures(orjson.loads(content), device_id, signatures, viewer)
            for device_id, content in stored.items()
        }

    async def _cross_signing(self, tx: ReadTx, user_id: UserId, viewer: UserId | None) -> dict[str, dict[str, Any]]:
        stored = {usage: orjson.loads(raw) for usage, raw in (await tables.cross_signing_keys(tx, user_id)).items()}
        if decide.MASTER in stored:
            signatures = await tables.signatures(tx, user_id, viewer)
            public = decide.public_key(stored[decide.MASTER]) or ""
            stored[decide.MASTER] = decide.with_signatures(stored[decide.MASTER], public, signatures, viewer)
        return stored

    @staticmethod
    def _add_cross_signing(answer: KeysAnswer, user_id: UserId, keys: Mapping[str, Any], viewer: UserId | None) -> None:
        if decide.MASTER in keys:
            answer.master_keys[user_id] = keys[decide.MASTER]
        if decide.SELF_SIGNING in keys:
            answer.self_signing_keys[user_id] = keys[decide.SELF_SIGNING]
        # "The user-signing key of the user making the request": nobody else learns whom it may sign.
        if decide.USER_SIGNING in keys and viewer == user_id:
            answer.user_signing_keys[user_id] = keys[decide.USER_SIGNING]
