"""All of e2ee behind one object: what its doors use, and what federation hands in."""

import logging
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Any

from watchword.base.clock import Clock
from watchword.base.entropy import Entropy
from watchword.base.errors import RemoteProtocolError
from watchword.protocol.ids import ServerName, UserId
from watchword.server.changes import Change
from watchword.server.e2ee.backup.service import KeyBackup
from watchword.server.e2ee.cross_signing import CrossSigning
from watchword.server.e2ee.dehydrated import Dehydrated
from watchword.server.e2ee.keys import Keys
from watchword.server.e2ee.ports import DeviceAccounts, Devices, InteractiveAuth, RemoteDevices, SharedRooms, SharingHistory
from watchword.server.e2ee.reader import E2eeReader
from watchword.server.e2ee.remote_lists import RemoteLists
from watchword.server.e2ee.to_device import ToDevice
from watchword.storage.database import Database
from watchword.storage.log import Log, Position

logger = logging.getLogger(__name__)

_MAINTENANCE_MS = 3_600_000


@dataclass(frozen=True)
class E2eePorts:
    """What others fit. sharing: None as long as nobody can tell how sharing changed; sync says it all the same."""

    devices: Devices
    auth: InteractiveAuth
    rooms: SharedRooms
    remote: RemoteDevices
    accounts: DeviceAccounts
    sharing: SharingHistory | None = None


class E2eeService:
    """End-to-end encryption, the server's part. Run `run` and `lists.run` once each."""

    def __init__(
        self,
        database: Database,
        log: Log[Change],
        clock: Clock,
        entropy: Entropy,
        server_name: ServerName,
        ports: E2eePorts,
        reader: E2eeReader,
    ) -> None:
        self.clock = clock
        self.server_name = server_name
        self.reader = reader
        self._ports = ports
        self.lists = RemoteLists(database, log, clock, server_name, ports.remote, ports.rooms)
        self.keys = Keys(database, log, clock, server_name, reader, ports.remote, self.lists)
        self.cross_signing = CrossSigning(database, log, ports.devices, ports.auth, self.keys)
        self.to_device = ToDevice(database, log, clock, entropy, server_name, ports.devices, reader)
        self.backup = KeyBackup(database)
        self.dehydrated = Dehydrated(database, log, reader, self.keys, ports.accounts)

    async def run(self) -> None:
        """Forget what is no longer needed, now and then, for ever."""
        while True:
            await self.to_device.forget_old()
            await self.clock.sleep(_MAINTENANCE_MS)

    async def device_list_changes(self, user_id: UserId, after: Position, until: Position) -> tuple[set[UserId], set[UserId]]:
        """Whose keys a user is to ask for again, and whose he needs no more.

        Spec: client-server-api#get_matrixclientv3keyschanges
        """
        visible = await self._ports.rooms.users_sharing_room_with(user_id) | {user_id}
        changed = {name for name, _ in await self.reader.device_list_changes(after, until)} & visible
        changed.update(await self.reader.users_signed(user_id, after, until))
        if self._ports.sharing is None:
            return changed, set()
        begun, ended = await self._ports.sharing.sharing_changes(user_id, after, until)
        return changed | begun, ended - begun

    async def user_devices(self, user_id: UserId) -> Mapping[str, Any] | None:
        """A local user's device list for another server; None if there is no such user here."""
        if not await self._ports.devices.local_user_exists(user_id):
            return None
        return await self.reader.user_devices(user_id)

    # EDUs. What is malformed or spoofed is dropped: its neighbours in the transaction must not suffer.

    async def receive_device_list_update(self, origin: ServerName, content: Mapping[str, Any]) -> None:
        """An m.device_list_update. Spec: server-server-api#device-management"""
        await _or_drop(self.lists.receive_update(origin, content), origin, "m.device_list_update")

    async def receive_signing_key_update(self, origin: ServerName, content: Mapping[str, Any]) -> None:
        """An m.signing_key_update. Spec: server-server-api#device-management"""
        await _or_drop(self.lists.receive_signing_keys(origin, content), origin, "m.signing_key_update")

    async def receive_direct_to_device(self, origin: ServerName, content: Mapping[str, Any]) -> None:
        """An m.direct_to_device. Spec: server-server-api#send-to-device-messaging"""
        await _or_drop(self.to_device.receive(origin, content), origin, "m.direct_to_device")


async def _or_drop(work: Awaitable[None], origin: ServerName, edu_type: str) -> None:
    try:
        await work
    except RemoteProtocolError:
        logger.info("An EDU was dropped: it is malformed or not its sender's.", extra={"origin": origin, "edu_type": edu_type})
