"""Cross-signing keys and the signatures that users upload: gather, decide, commit."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from watchword.base.errors import BadRequest, Refused
from watchword.edge.request import Request
from watchword.edge.requester import Kind, Requester
from watchword.protocol import canonical_json
from watchword.protocol.ids import DeviceId, UserId
from watchword.server.changes import Change, CrossSigningChanged, DeviceListChanged
from watchword.server.e2ee import decide, tables
from watchword.server.e2ee.commands import KeysAnswer, Signature
from watchword.server.e2ee.keys import Keys
from watchword.server.e2ee.ports import Devices, InteractiveAuth
from watchword.storage.database import Database, ReadTx, Tx
from watchword.storage.log import Log

_TIMEOUT_MS = 10_000


@dataclass(frozen=True)
class CrossSigning:
    """A user's master, self-signing and user-signing keys, and what they sign."""

    database: Database
    log: Log[Change]
    devices: Devices
    auth: InteractiveAuth
    keys: Keys

    async def upload(self, request: Request, requester: Requester) -> None:
        """Publish cross-signing keys; new ones need the user's proof unless there is no master key yet.

        Raises Refusal M_MISSING_PARAM, M_INVALID_SIGNATURE, M_FORBIDDEN; the 401 of user-interactive authentication.
        Spec: client-server-api#post_matrixclientv3keysdevice_signingupload
        """
        user_id = requester.user_id
        device_ids = await self.devices.device_names(user_id)
        async with self.database.read() as view:
            stored = await _stored(view, user_id)
        changed = decide.cross_signing_upload(request.json, user_id, stored, device_ids)
        if isinstance(changed, Refused):
            raise changed.refusal()
        if not changed:
            return
        if decide.MASTER in stored and requester.kind is not Kind.APPSERVICE:
            await self.auth.authorise(request, requester, "keys/device_signing/upload", changed)
        async with self.database.write() as tx:
            # Decided again on what is stored now: another upload may have come between.
            again = decide.cross_signing_upload(request.json, user_id, await _stored(tx, user_id), device_ids)
            if isinstance(again, Refused):
                raise again.refusal()
            if again != changed:
                raise BadRequest("M_UNKNOWN", "The keys were changed at the same time by another request.")
            await self._store(tx, user_id, changed)

    async def _store(self, tx: Tx, user_id: UserId, changed: Mapping[str, Mapping[str, Any]]) -> None:
        if decide.MASTER in changed:
            # The old subkeys and signatures hang on the old master key and mean nothing any more.
            await tables.delete_cross_signing_keys(tx, user_id)
        if decide.MASTER in changed or decide.SELF_SIGNING in changed:
            await tables.delete_own_signatures(tx, user_id)
        for usage, key in changed.items():
            await tables.set_cross_signing_key(tx, user_id, usage, canonical_json.encode(key))
        await self.log.append(tx, CrossSigningChanged(user_id))

    async def upload_signatures(self, user_id: UserId, body: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
        """Store signatures on keys; return the failures by user and key ID.

        Spec: client-server-api#post_matrixclientv3keyssignaturesupload
        """
        failures: dict[str, dict[str, Any]] = {}
        good: list[Signature] = []
        own, others = await self._own_keys(user_id), await self._master_keys(user_id, body)
        for target_user, objects in body.items():
            if not isinstance(objects, dict):
                raise BadRequest("M_BAD_JSON", "The body must map users to key IDs to objects.")
            for key_id, offered in objects.items():
                if target_user == user_id:
                    found = own.signatures(user_id, key_id, offered)
                else:
                    found = self._on_other(user_id, own, (UserId(target_user), key_id), others, offered)
                if isinstance(found, Refused):
                    failures.setdefault(target_user, {})[key_id] = found.refusal().body()
                else:
                    good += found
        if good:
            await self._store_signatures(user_id, good)
        return failures

    @staticmethod
    def _on_other(
        user_id: UserId, own: "_OwnKeys", target: tuple[UserId, str], masters: Mapping[UserId, Any], offered: object
    ) -> Any:
        master = masters.get(target[0])
        if master is not None and decide.public_key(master) != target[1]:
            master = None
        user_signing = decide.public_key(own.cross_signing.get(decide.USER_SIGNING, {}))
        signers = {} if user_signing is None else {user_signing: user_signing}
        return decide.new_signatures(offered, master, target, (user_id, signers))

    async def _own_keys(self, user_id: UserId) -> "_OwnKeys":
        async with self.database.read() as view:
            devices = await tables.device_keys(view, user_id)
            return _OwnKeys(
                {device_id: orjson.loads(keys) for device_id, keys in devices.items()}, await _stored(view, user_id)
            )

    async def _master_keys(self, user_id: UserId, body: Mapping[str, Any]) -> Mapping[UserId, Any]:
        """The master keys of the other users in the body, from wherever they are."""
        others: dict[str, list[DeviceId]] = {name: [] for name in body if name != user_id}
        answer = await self.keys.query(user_id, others, _TIMEOUT_MS) if others else KeysAnswer()
        return answer.master_keys

    async def _store_signatures(self, user_id: UserId, good: list[Signature]) -> None:
        async with self.database.write() as tx:
            new = [signature for signature in good if await tables.add_signature(tx, signature)]
            devices = {DeviceId(row.target) for row in new if row.target_user_id == user_id}
            known = await tables.device_keys(tx, user_id) if devices else {}
            for device_id in sorted(devices & known.keys()):
                await self.log.append(tx, DeviceListChanged(user_id, device_id))
            others = {row.target_user_id for row in new if row.target_user_id != user_id}
            if others or devices - known.keys():
                position = await self.log.append(tx, CrossSigningChanged(user_id))
                for target in others:
                    await tables.note_signing(tx, user_id, target, position)


@dataclass(frozen=True)
class _OwnKeys:
    devices: Mapping[DeviceId, Mapping[str, Any]]
    cross_signing: Mapping[str, Mapping[str, Any]]

    def signatures(self, user_id: UserId, key_id: str, offered: object) -> Any:
        """Own devices are signed by the self-signing key, the own master key by own devices."""
        master = self.cross_signing.get(decide.MASTER)
        if master is not None and key_id == decide.public_key(master):
            signers = {str(device_id): _identity(device_id, keys) for device_id, keys in self.devices.items()}
            return decide.new_signatures(offered, master, (user_id, key_id), (user_id, signers))
        self_signing = decide.public_key(self.cross_signing.get(decide.SELF_SIGNING, {}))
        by_self = {} if self_signing is None else {self_signing: self_signing}
        return decide.new_signatures(offered, self.devices.get(DeviceId(key_id)), (user_id, key_id), (user_id, by_self))


def _identity(device_id: DeviceId, keys: Mapping[str, Any]) -> str:
    return str(keys.get("keys", {}).get(f"ed25519:{device_id}", ""))


async def _stored(tx: ReadTx, user_id: UserId) -> dict[str, dict[str, Any]]:
    return {usage: orjson.loads(raw) for usage, raw in (await tables.cross_signing_keys(tx, user_id)).items()}
