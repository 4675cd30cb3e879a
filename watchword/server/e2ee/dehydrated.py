"""Dehydrated devices: a device without a session, which takes in room keys while all others are logged out.

It is a device like others to those who send to it; only its secret half lies here too, encrypted by its owner. Its
messages stay until the device goes: whoever rehydrates it may fail half way, and begin again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from watchword.base import limits
from watchword.base.errors import BadRequest, Forbidden, NotFound, Refused
from watchword.protocol.ids import DeviceId, UserId
from watchword.server.changes import Change
from watchword.server.e2ee import decide, dehydrated_tables
from watchword.server.e2ee.keys import Keys
from watchword.server.e2ee.ports import DeviceAccounts
from watchword.server.e2ee.reader import E2eeReader
from watchword.storage.database import Database
from watchword.storage.log import Log, Position


@dataclass(frozen=True)
class Dehydrated:
    """Keeps at most one dehydrated device a user."""

    database: Database
    log: Log[Change]
    reader: E2eeReader
    keys: Keys
    accounts: DeviceAccounts

    async def put(
        self, user_id: UserId, device_id: DeviceId, device_data: Mapping[str, Any], name: str | None, body: Mapping[str, Any]
    ) -> None:
        """Make a user's dehydrated device, in place of the one before.

        device_data: what only its owner can read. body: device_keys, one_time_keys and fallback_keys as in `keys/upload`.
        Raises BadRequest, also if a device with a session has this ID. Spec: proposals/3814
        """
        upload = decide.keys_upload(body, user_id, device_id)
        if isinstance(upload, Refused):
            raise upload.refusal()
        if upload.device_keys is None:
            raise BadRequest("M_MISSING_PARAM", "device_keys is missing: a device without keys receives nothing.")
        data = decide.encoded(device_data)
        if data is None or not isinstance(device_data.get("algorithm"), str):
            raise BadRequest("M_BAD_JSON", "device_data must be canonical JSON with an algorithm.")
        async with self.database.write() as tx:
            stored = await dehydrated_tables.dehydrated(tx, user_id)
            if stored is None or stored[0] != device_id:
                if not await self.accounts.make(tx, user_id, device_id, name):
                    raise BadRequest("M_INVALID_PARAM", "A device with this ID exists already.")
                if stored is not None:
                    await self.accounts.end(tx, user_id, [stored[0]])
            await self.keys.store(tx, user_id, device_id, upload)
            await dehydrated_tables.set_dehydrated(tx, user_id, device_id, data)

    async def get(self, user_id: UserId) -> tuple[DeviceId, Mapping[str, Any]]:
        """(device ID, device data). Raises NotFound."""
        async with self.database.read() as tx:
            stored = await dehydrated_tables.dehydrated(tx, user_id)
        if stored is None:
            raise NotFound("You have no dehydrated device.")
        return stored[0], orjson.loads(stored[1])

    async def delete(self, user_id: UserId) -> DeviceId:
        """Drop it with all that waits for it. Raises NotFound."""
        device_id, _ = await self.get(user_id)
        async with self.database.write() as tx:
            await dehydrated_tables.delete_dehydrated(tx, user_id, device_id)
            await self.accounts.end(tx, user_id, [device_id])
        return device_id

    async def events(self, user_id: UserId, device_id: DeviceId, after: Position) -> tuple[Sequence[bytes], Position]:
        """To-device messages that wait for it after a position, encoded, and the position to go on from.

        Asking deletes nothing. Raises Forbidden if the device is not the dehydrated one. Spec: proposals/3814
        """
        async with self.database.read() as tx:
            stored = await dehydrated_tables.dehydrated(tx, user_id)
        if stored is None or stored[0] != device_id:
            raise Forbidden("This is not your dehydrated device.")
        # Never more than is durable: what comes later takes a later position.
        until = Position(max(after, self.log.position))
        return await self.reader.to_device(user_id, device_id, after, until, limits.to_device_page_max)
