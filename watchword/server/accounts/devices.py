"""Devices: naming and deleting them. Who may delete is asked at the door, through interactive authentication."""

from collections.abc import Sequence
from dataclasses import dataclass

from watchword.base.clock import Clock
from watchword.base.errors import NotFound
from watchword.edge.requester import Requester
from watchword.protocol.ids import DeviceId, UserId
from watchword.server.accounts import tables
from watchword.server.accounts.decide import device_name_refusal
from watchword.server.accounts.sessions import Sessions
from watchword.server.changes import Change, DeviceListChanged
from watchword.storage import Database, Log, Tx


@dataclass(frozen=True)
class Devices:
    """Changes devices of the requester."""

    database: Database
    log: Log[Change]
    clock: Clock
    sessions: Sessions

    async def rename(self, requester: Requester, device_id: DeviceId, display_name: str | None) -> bool:
        """Give a device a name; None leaves it. True if an application service made the device by this.

        Names are public through key queries: a real change is news. Raises NotFound, BadRequest.
        Spec: client-server-api#put_matrixclientv3devicesdeviceid
        """
        refused = device_name_refusal(display_name)
        if refused is not None:
            raise refused.error()
        user_id = requester.user_id
        async with self.database.write() as tx:
            device = await tables.device(tx, user_id, device_id)
            if device is None:
                if requester.appservice_id is None:
                    raise NotFound("You have no such device.")
                await tables.insert_device(tx, user_id, device_id, display_name, self.clock.now_ms())
                await self.log.append(tx, DeviceListChanged(user_id, device_id))
                return True
            if display_name is not None and display_name != device.display_name:
                await tables.rename_device(tx, user_id, device_id, display_name)
                await self.log.append(tx, DeviceListChanged(user_id, device_id))
        return False

    async def make(self, tx: Tx, user_id: UserId, device_id: DeviceId, display_name: str | None) -> bool:
        """Add a device that nobody is logged in to; False if the user has one of that ID. Raises BadRequest."""
        refused = device_name_refusal(display_name)
        if refused is not None:
            raise refused.error()
        if not await tables.insert_device(tx, user_id, device_id, display_name, self.clock.now_ms()):
            return False
        await self.log.append(tx, DeviceListChanged(user_id, device_id))
        return True

    async def end(self, tx: Tx, user_id: UserId, device_ids: Sequence[DeviceId]) -> None:
        """Remove devices in the caller's transaction; those that are gone already are passed over."""
        await self.sessions.end(tx, user_id, device_ids)

    async def delete(self, requester: Requester, device_ids: Sequence[DeviceId]) -> None:
        """Delete devices with their tokens; those that are gone already are passed over.

        Spec: client-server-api#post_matrixclientv3delete_devices
        """
        async with self.database.write() as tx:
            await self.sessions.end(tx, requester.user_id, device_ids)
