"""A client's memory on disk: one SQLite file, every row sealed.

The caller gives a key: 32 random bytes kept somewhere safe, or a passphrase (stretched with Argon2id and a stored salt).
From it come, by HKDF, a key for names, a key for values and a key for pickles. A row's name is an HMAC of its kind and
name, so the file tells neither users nor rooms; its value is AES-256-GCM with a random nonce, bound to that name, so rows
cannot be exchanged. What it does not hide is how many rows there are and how large.

Saving takes everything that changed in one transaction, the sync token with it: after `kill -9` either a sync with all the
keys it brought is there, or neither, and the server sends it again.

Deliberately absent: a record of messages. Spec: none (local storage).
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import argon2.low_level
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from watchword.base.entropy import Entropy
from watchword.base.errors import StorageError
from watchword.client import tables
from watchword.client.crypto.records import RecordKey, Records
from watchword.storage import Database, Schema, SqliteDatabase, migrate

SCHEMA = Schema("client", "watchword.client")

_PROBE = b"watchword client store"
_NONCE_BYTES = 12
_KEY_BYTES = 32


class WrongStoreKey(StorageError):
    """The key or passphrase does not open this store."""


class ClientStore:
    """An open store and the records in it. Make it with `open_store`."""

    def __init__(self, database: Database, keys: "StoreKeys", records: Records, entropy: Entropy) -> None:
        self._database = database
        self._keys = keys
        self._entropy = entropy
        self._saving = asyncio.Lock()
        self._wiped = False
        self.records = records

    @property
    def pickle_key(self) -> bytes:
        """The key for vodozemac's pickles."""
        return self._keys.pickle

    async def save(self) -> None:
        """Make everything changed so far durable; returns when it is. Raises StorageError; then it is still unsaved."""
        async with self._saving:
            if self._wiped or not self.records.has_unsaved:
                return
            changes = self.records.take()
            try:
                async with self._database.write() as tx:
                    await tables.put_records(tx, self._sealed(changes))
                    await tables.remove_records(tx, [self._keys.name_of(key) for key in changes if changes[key] is None])
            except BaseException:
                self.records.put_back(changes)
                raise

    async def wipe(self) -> None:
        """Forget everything, for ever; later saves do nothing."""
        async with self._saving:
            self._wiped = True
            async with self._database.write() as tx:
                await tables.remove_all(tx)

    def _sealed(self, changes: Mapping[RecordKey, bytes | None]) -> list[tuple[bytes, bytes]]:
        return [
            self._keys.seal(key, value, self._entropy.random_bytes(_NONCE_BYTES))
            for key, value in changes.items()
            if value is not None
        ]

    async def close(self) -> None:
        """Close the file. Idempotent."""
        await self._database.close()


class StoreKeys:
    """The three keys made from the one that the caller holds."""

    def __init__(self, key: bytes) -> None:
        derived = HKDF(SHA256(), 3 * _KEY_BYTES, salt=None, info=b"watchword client store 1").derive(key)
        self._name = derived[:_KEY_BYTES]
        self._value = AESGCM(derived[_KEY_BYTES : 2 * _KEY_BYTES])
        self.pickle = derived[2 * _KEY_BYTES :]

    def name_of(self, key: RecordKey) -> bytes:
        """The stored name of a row."""
        digest = HMAC(self._name, SHA256())
        digest.update("\0".join(key).encode("utf-8", "surrogatepass"))
        return digest.finalize()

    def seal(self, key: RecordKey, value: bytes, nonce: bytes) -> tuple[bytes, bytes]:
        """The stored name and value of a row; the value carries kind and name inside."""
        name = self.name_of(key)
        kind, label = (part.encode("utf-8", "surrogatepass") for part in key)
        plain = len(kind).to_bytes(2) + len(label).to_bytes(4) + kind + label + value
        return name, nonce + self._value.encrypt(nonce, plain, name)

    def unseal(self, name: bytes, sealed: bytes) -> tuple[RecordKey, bytes]:
        """Open a stored row. Raises WrongStoreKey."""
        try:
            plain = self._value.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], name)
        except (InvalidTag, ValueError) as error:
            raise WrongStoreKey("a row of the client's store cannot be opened") from error
        kind_end = 6 + int.from_bytes(plain[:2])
        label_end = kind_end + int.from_bytes(plain[2:6])
        kind, label = (part.decode("utf-8", "surrogatepass") for part in (plain[6:kind_end], plain[kind_end:label_end]))
        return (kind, label), plain[label_end:]


async def open_store(path: Path, key: bytes | str, entropy: Entropy) -> ClientStore:
    """Open or make a client's store. key: 32 random bytes, or a passphrase. Raises WrongStoreKey, StorageError."""
    database = _private_file(path)
    try:
        await migrate(database, [SCHEMA])
        async with database.read() as view:
            lock = await tables.lock(view)
        salt = entropy.random_bytes(16) if lock is None else lock[0]
        keys = StoreKeys(_stretched(key, salt))
        if lock is None:
            _, probe = keys.seal(("probe", ""), _PROBE, entropy.random_bytes(_NONCE_BYTES))
            async with database.write() as tx:
                await tables.add_lock(tx, salt, probe)
        else:
            keys.unseal(keys.name_of(("probe", "")), lock[1])
        async with database.read() as view:
            rows = dict(keys.unseal(name, value) for name, value in await tables.records(view))
    except BaseException:
        await database.close()
        raise
    return ClientStore(database, keys, Records(rows), entropy)


def _private_file(path: Path) -> SqliteDatabase:
    path.touch(mode=0o600)  # SQLite gives its neighbours the same mode.
    return SqliteDatabase(path, cache_kibibytes=1_024)


def _stretched(key: bytes | str, salt: bytes) -> bytes:
    if isinstance(key, bytes):
        if len(key) != _KEY_BYTES:
            raise WrongStoreKey("a store key is 32 bytes long")
        return key
    return argon2.low_level.hash_secret_raw(
        key.encode(), salt, time_cost=3, memory_cost=65_536, parallelism=1, hash_len=_KEY_BYTES, type=argon2.low_level.Type.ID
    )
