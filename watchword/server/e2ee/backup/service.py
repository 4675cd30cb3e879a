"""The key backup: gather, decide, commit."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from watchword.base import limits
from watchword.base.errors import BadRequest, NotFound, Refusal, Refused
from watchword.protocol.ids import UserId
from watchword.server.e2ee.backup import decide, tables
from watchword.server.e2ee.backup.decide import BackedUpKey, Sessions
from watchword.server.e2ee.backup.tables import Version
from watchword.storage.database import Database, ReadTx

T = TypeVar("T")


@dataclass(frozen=True)
class Totals:
    """What a write of keys leaves behind."""

    etag: int
    key_count: int


@dataclass(frozen=True)
class KeyBackup:
    """Versions of backups and their keys. A version is named as the client names it: a string."""

    database: Database

    async def create(self, user_id: UserId, algorithm: str, auth_data: Mapping[str, Any]) -> str:
        """Begin a new version; return its name."""
        encoded = _or_raise(decide.encoded_object(auth_data))
        async with self.database.write() as tx:
            return str(await tables.add(tx, user_id, algorithm, encoded))

    async def version(self, user_id: UserId, name: str | None) -> Version:
        """A version, or the newest if name is None. Raises NotFound."""
        async with self.database.read() as view:
            return await _existing(view, user_id, name)

    async def update(self, user_id: UserId, name: str, algorithm: str, auth_data: Mapping[str, Any]) -> None:
        """Replace the auth data of a version. Raises NotFound, and BadRequest for another algorithm."""
        encoded = _or_raise(decide.encoded_object(auth_data))
        async with self.database.write() as tx:
            found = await _existing(tx, user_id, name)
            if found.algorithm != algorithm:
                raise BadRequest("M_INVALID_PARAM", "The algorithm of a backup cannot be changed.")
            await tables.set_auth_data(tx, user_id, found.version, encoded)

    async def delete_version(self, user_id: UserId, name: str) -> None:
        """Delete a version with its keys; once more is no error. Raises NotFound if it never was."""
        number = _number(name)
        async with self.database.write() as tx:
            if number is None or await tables.version(tx, user_id, number) is None:
                raise NotFound("There is no such backup version.")
            await tables.delete(tx, user_id, number)

    async def put(self, user_id: UserId, name: str, offered: Sessions | Refused) -> Totals:
        """Store keys that are better than those stored.

        Raises BadRequest for malformed keys, NotFound without a backup, and 403 M_WRONG_ROOM_KEYS_VERSION (with
        current_version) unless the version is the newest.
        """
        sessions = _or_raise(offered)
        async with self.database.write() as tx:
            current = await tables.newest(tx, user_id)
            if current is None or await self._is_unknown(tx, user_id, name):
                raise NotFound("There is no such backup version.")
            if str(current.version) != name:
                raise Refusal(
                    "M_WRONG_ROOM_KEYS_VERSION",
                    "Keys can be stored in the newest backup version only.",
                    status=403,
                    extra={"current_version": str(current.version)},
                )
            better: dict[tuple[str, str], BackedUpKey] = {}
            added = 0
            for session_name, key in sessions.items():
                stored = await tables.session(tx, user_id, current.version, session_name)
                if decide.is_better(key, stored):
                    better[session_name] = key
                    added += stored is None
            if current.key_count + added > limits.backup_sessions_per_user_max:
                raise BadRequest("M_TOO_LARGE", "The backup holds too many keys.")
            if not better:
                return Totals(current.etag, current.key_count)
            await tables.set_sessions(tx, user_id, current.version, better)
            etag = await tables.set_totals(tx, user_id, current.version, current.key_count + added)
        return Totals(etag, current.key_count + added)

    async def keys(self, user_id: UserId, name: str, room_id: str | None) -> Mapping[str, Mapping[str, BackedUpKey]]:
        """Keys by room and session: all, or those of one room. Raises NotFound without the version."""
        found: dict[str, dict[str, BackedUpKey]] = {}
        async with self.database.read() as view:
            version = await _existing(view, user_id, name)
            for room, session_id, key in await tables.sessions(view, user_id, version.version, room_id):
                found.setdefault(room, {})[session_id] = key
        return found

    async def key(self, user_id: UserId, name: str, session: tuple[str, str]) -> BackedUpKey:
        """One key by (room ID, session ID). Raises NotFound."""
        async with self.database.read() as view:
            version = await _existing(view, user_id, name)
            found = await tables.session(view, user_id, version.version, session)
        if found is None:
            raise NotFound("The backup has no such key.")
        return found

    async def delete_keys(self, user_id: UserId, name: str, room_id: str | None, session_id: str | None) -> Totals:
        """Drop all keys of a version, those of one room, or one. Raises NotFound without the version."""
        async with self.database.write() as tx:
            version = await _existing(tx, user_id, name)
            dropped = await tables.delete_sessions(tx, user_id, version.version, room_id, session_id)
            if not dropped:
                return Totals(version.etag, version.key_count)
            etag = await tables.set_totals(tx, user_id, version.version, version.key_count - dropped)
        return Totals(etag, version.key_count - dropped)

    @staticmethod
    async def _is_unknown(tx: ReadTx, user_id: UserId, name: str) -> bool:
        number = _number(name)
        return number is None or await tables.version(tx, user_id, number) is None


async def _existing(tx: ReadTx, user_id: UserId, name: str | None) -> Version:
    if name is None:
        found = await tables.newest(tx, user_id)
    else:
        number = _number(name)
        found = None if number is None else await tables.version(tx, user_id, number)
    if found is None or found.is_deleted:
        raise NotFound("There is no such backup version.")
    return found


def _number(name: str) -> int | None:
    """The number in a version's name; None for a name we never give."""
    return int(name) if name.isascii() and name.isdigit() and len(name) < 16 and str(int(name)) == name else None


def _or_raise(value: T | Refused) -> T:
    if isinstance(value, Refused):
        raise value.refusal()
    return value
