"""To-device messages: from local devices, from other servers, to both. Each receiver's bytes are encoded once."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.entropy import Entropy
from watchword.base.errors import BadRequest, ProtocolError, Refused, RemoteProtocolError
from watchword.protocol import canonical_json
from watchword.protocol.ids import DeviceId, ServerName, UserId
from watchword.server.changes import Change, ToDeviceOutgoing, ToDeviceQueued
from watchword.server.e2ee import decide, tables, to_device_tables
from watchword.server.e2ee.ports import Devices
from watchword.server.e2ee.reader import E2eeReader
from watchword.storage.database import Database, Tx
from watchword.storage.log import Log

Messages = Mapping[UserId, Mapping[str, Mapping[str, Any]]]
Letters = Mapping[tuple[UserId, DeviceId], bytes]


@dataclass(frozen=True)
class ToDevice:
    """Queues of messages for devices."""

    database: Database
    log: Log[Change]
    clock: Clock
    entropy: Entropy
    server_name: ServerName
    devices: Devices
    reader: E2eeReader

    async def send(self, sender: tuple[UserId, DeviceId | None], kind: str, txn_id: str, messages: object) -> None:
        """Queue a client's messages, once for each (device, type, transaction ID).

        Raises BadRequest M_BAD_JSON. Unknown devices are passed over.
        Spec: client-server-api#put_matrixclientv3sendtodeviceeventtypetxnid
        """
        checked = decide.to_device_messages(messages)
        if isinstance(checked, Refused):
            raise checked.refusal()
        user_id, device_id = sender
        local, remote = decide.split_by_server(self.server_name, checked)
        letters = await self._letters(user_id, kind, local)
        edus = []
        for server_name, by_user in remote.items():
            message_id = self.entropy.token(16)
            edus.append((server_name, message_id, _edu((user_id, kind, message_id), by_user)))
        async with self.database.write() as tx:
            device = await tables.make_device(tx, user_id, device_id or DeviceId(""))
            if not await to_device_tables.begin_transaction(tx, device, (kind, txn_id), self.clock.now_ms()):
                return
            await self._queue(tx, letters)
            for server_name, message_id, edu in edus:
                position = await self.log.append(tx, ToDeviceOutgoing(server_name, message_id))
                await to_device_tables.add_outgoing(tx, server_name, message_id, position, edu)

    async def receive(self, origin: ServerName, content: Mapping[str, Any]) -> None:
        """An m.direct_to_device of another server; one that was delivered before is passed over.

        Raises RemoteProtocolError. Spec: server-server-api#send-to-device-messaging
        """
        message = decide.direct_message(origin, content)
        if isinstance(message, Refused):
            raise RemoteProtocolError(message.text)
        try:
            letters = await self._letters(
                message.sender, message.type, decide.split_by_server(self.server_name, message.messages)[0]
            )
        except BadRequest as error:
            raise RemoteProtocolError(error.text) from error
        async with self.database.write() as tx:
            if await to_device_tables.begin_received(tx, origin, message.message_id, self.clock.now_ms()):
                await self._queue(tx, letters)

    async def forget_old(self) -> None:
        """Forget which requests and EDUs were done, and what overflows a device's queue. To be called now and then."""
        now_ms = self.clock.now_ms()
        async with self.database.write() as tx:
            await to_device_tables.forget_transactions(tx, now_ms - limits.to_device_transaction_kept_ms)
            await to_device_tables.forget_received(
                tx, now_ms - limits.to_device_received_kept_ms, limits.to_device_received_per_origin_max
            )
            for device, until in await to_device_tables.overfull(tx, limits.to_device_pending_max):
                await to_device_tables.delete(tx, device, until)

    async def _letters(self, sender: UserId, kind: str, messages: Messages) -> Letters:
        """Who gets which bytes. A content for all devices is encoded once; one for a named device goes before it."""
        letters: dict[tuple[UserId, DeviceId], bytes] = {}
        for user_id, by_device in messages.items():
            known = await self.devices.device_names(user_id)
            if "*" in by_device and known:
                encoded = _letter(sender, kind, by_device["*"])
                letters.update({(user_id, device_id): encoded for device_id in known})
            for name, content in by_device.items():
                if name != "*" and name in known:
                    letters[user_id, DeviceId(name)] = _letter(sender, kind, content)
        return letters

    async def _queue(self, tx: Tx, letters: Letters) -> None:
        if not letters:
            return
        position = await self.log.append(tx, ToDeviceQueued(sorted({user_id for user_id, _ in letters})))
        rows = []
        for (user_id, device_id), message in letters.items():
            rows.append((await tables.make_device(tx, user_id, device_id), message))
        await to_device_tables.add(tx, position, rows)

        def tell() -> None:
            for name in letters:
                self.reader.messages_added(name, position)

        tx.after_commit(tell)


def _edu(name: tuple[UserId, str, str], messages: Messages) -> bytes:
    sender, kind, message_id = name
    try:
        # What goes to another server is signed as canonical JSON, which has no floats.
        return canonical_json.encode({"sender": sender, "type": kind, "message_id": message_id, "messages": messages})
    except ProtocolError as error:
        raise BadRequest("M_BAD_JSON", "A message to another server is not canonical JSON.") from error


def _letter(sender: UserId, kind: str, content: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps({"content": content, "sender": sender, "type": kind})
    except TypeError as error:
        raise BadRequest("M_BAD_JSON", "A message cannot be encoded as JSON.") from error
