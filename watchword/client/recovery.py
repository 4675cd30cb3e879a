"""Setting up an identity, and getting it back: cross-signing, secret storage, key backup and the recovery key.

`bootstrap` makes everything and returns the recovery key, once. `recover` on another device opens the secret storage,
takes the private keys, signs that device and restores the room keys. The order makes a crash in between harmless: what
refers to something is written after it, the default key last.

Spec: client-server-api#recommended-client-behaviour
"""

from collections.abc import Mapping
from typing import Any

from watchword.base.entropy import Entropy
from watchword.base.errors import PeerError, RemoteProtocolError
from watchword.client.api import ClientApi
from watchword.client.courier import Courier
from watchword.client.crypto import backup, secret_storage
from watchword.client.crypto.cross_signing import SECRET_NAMES
from watchword.client.crypto.failures import WrongRecoveryKey
from watchword.client.crypto.machine import CryptoMachine
from watchword.client.crypto.secret_storage import StorageKey
from watchword.client.crypto.untrusted import object_at, text_at
from watchword.client.uia import Credentials


class Recovery:
    """The identity of one user, on the server."""

    def __init__(self, api: ClientApi, machine: CryptoMachine, courier: Courier, entropy: Entropy) -> None:
        self._api = api
        self._machine = machine
        self._courier = courier
        self._entropy = entropy

    async def bootstrap(self, password: str) -> str:
        """Make cross-signing keys, a key backup and a secret storage that holds them; the recovery key.

        Replaces whatever the user had. Raises PeerError.
        """
        machine = self._machine
        await self._refresh_own_keys()
        upload = machine.bootstrap_cross_signing()
        await self._courier.carry_interactively(upload, Credentials(machine.user_id, password))
        await self._refresh_own_keys()
        _raise(await self._courier.settle())
        await self._create_backup()
        recovery_key = await self._create_storage()
        _raise(await self._courier.settle())
        return recovery_key

    async def _refresh_own_keys(self) -> None:
        """Ask the server what it shows as our own devices and keys."""
        self._machine.receive_sync([], changed=[self._machine.user_id])
        _raise(await self._courier.settle())

    async def _create_backup(self) -> None:
        body, secret = self._machine.backup.create()
        version = await self._api.create_backup(body)
        used = self._machine.backup.use({**body, "version": version}, secret)
        assert used, version

    async def _create_storage(self) -> str:
        storage, description = secret_storage.create_storage(self._entropy)
        await self._put(secret_storage.description_type(storage.key_id), description)
        secrets = dict(self._machine.cross_signing.secrets())
        if self._machine.backup.secret is not None:
            secrets[backup.SECRET_NAME] = self._machine.backup.secret
        for name, secret in secrets.items():
            await self._put(name, secret_storage.encrypt_secret(storage, name, secret, self._entropy))
        await self._put(secret_storage.DEFAULT_KEY, {"key": storage.key_id})
        return secret_storage.encode_recovery_key(storage.key)

    async def _put(self, data_type: str, content: Mapping[str, Any]) -> None:
        await self._api.set_account_data(self._machine.user_id, data_type, content)

    async def recover(self, recovery_key: str) -> int:
        """Become a verified device, and read again what the backup holds; how many room keys are new.

        Raises WrongRecoveryKey, PeerError.
        """
        storage = await self._open(recovery_key)
        secrets = {name: await self._secret(storage, name) for name in SECRET_NAMES}
        await self._refresh_own_keys()
        if not self._machine.cross_signing.receive_secrets({name: text for name, text in secrets.items() if text}):
            raise WrongRecoveryKey("the stored keys are not those that the server shows as yours")
        _raise(await self._courier.settle())
        await self._refresh_own_keys()
        secret = await self._secret(storage, backup.SECRET_NAME)
        version_info = await self._api.backup_version()
        if secret is None or version_info is None or not self._machine.backup.use(version_info, secret):
            return 0
        count = await self.restore()
        _raise(await self._courier.settle())
        return count

    async def _open(self, recovery_key: str) -> StorageKey:
        user_id = self._machine.user_id
        default = await self._api.account_data(user_id, secret_storage.DEFAULT_KEY)
        key_id = text_at(default, "key")
        if key_id is None:
            raise WrongRecoveryKey("this account has no secret storage")
        description = await self._api.account_data(user_id, secret_storage.description_type(key_id))
        return secret_storage.open_storage(key_id, description or {}, recovery_key)

    async def _secret(self, storage: StorageKey, name: str) -> str | None:
        content = await self._api.account_data(self._machine.user_id, name)
        if content is None:
            return None
        try:
            return secret_storage.decrypt_secret(storage, name, content)
        except RemoteProtocolError:
            return None

    async def restore(self, room_id: str | None = None, session_id: str | None = None) -> int:
        """Fetch room keys from the backup: all, of one room, or one; how many are new. Raises PeerError."""
        version = self._machine.backup.version
        if version is None or self._machine.backup.secret is None:
            return 0
        answer = await self._api.backed_up_keys(version, room_id, session_id)
        return self._machine.backup.receive_keys(object_at(answer, "rooms"))

    async def join_backup(self) -> bool:
        """Begin to use the backup that the server has, if it is trustworthy; whether one is in use."""
        version_info = await self._api.backup_version()
        if version_info is None:
            return False
        return self._machine.backup.use(version_info)


def _raise(error: PeerError | None) -> None:
    if error is not None:
        raise error
