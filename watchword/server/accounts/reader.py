"""What other features ask of accounts. Answers of the hot path come from memory; the log tells when they are stale."""

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import orjson

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.protocol import invite_permission
from watchword.protocol.ids import DeviceId, RoomId, UserId
from watchword.protocol.invite_permission import EVERYBODY, InvitePermission
from watchword.server.accounts import tables, tables_user_data
from watchword.server.accounts.commands import Account, AccountDataRow, Device
from watchword.server.accounts.decide import ignored_users_in
from watchword.server.accounts.ports import NoUnknownUsers, UnknownUsers
from watchword.server.accounts.tokens import token_hash
from watchword.server.changes import (
    AccountCreated,
    AccountDataChanged,
    AccountDeactivated,
    Change,
    ProfileChanged,
)
from watchword.storage import Database, Log, Logged, Position

IGNORED_USERS = "m.ignored_user_list"
INVITE_PERMISSION = (invite_permission.STABLE, invite_permission.UNSTABLE)
_FILTER_ID_DIGITS_MAX = 9

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class _Remembered(Generic[K, V]):
    """A bounded memory of look-ups; the oldest goes first. What was overtaken by a change is not kept."""

    def __init__(self, entries_max: int) -> None:
        self._entries_max = entries_max
        self._entries: dict[K, V] = {}
        self.generation = 0

    def get(self, key: K) -> V | None:
        return self._entries.get(key)

    def put(self, key: K, value: V, generation: int) -> None:
        if generation != self.generation:
            return
        if len(self._entries) >= self._entries_max:
            del self._entries[next(iter(self._entries))]
        self._entries[key] = value

    def forget(self, key: K) -> None:
        self.generation += 1
        self._entries.pop(key, None)


class AccountReader:
    """Reads accounts. Fits the port `Devices` of e2ee."""

    def __init__(self, database: Database, log: Log[Change], clock: Clock, unknown: UnknownUsers | None = None) -> None:
        self._unknown = unknown or NoUnknownUsers()
        self._database = database
        self._clock = clock
        self._profiles: _Remembered[UserId, Mapping[str, Any]] = _Remembered(limits.account_data_cache_max)
        self._ignored: _Remembered[UserId, frozenset[UserId]] = _Remembered(limits.account_data_cache_max)
        self._invite_permissions: _Remembered[UserId, InvitePermission] = _Remembered(limits.account_data_cache_max)
        self._exist: _Remembered[UserId, bool] = _Remembered(limits.account_data_cache_max)
        self._filters: _Remembered[tuple[UserId, int], bytes] = _Remembered(limits.account_data_cache_max)
        self.erased: set[UserId] = set()
        log.listen(self._heard)

    async def start(self) -> None:
        """Read who wants what he said to be forgotten."""
        async with self._database.read() as tx:
            self.erased.update(await tables.erased_users(tx))

    def _heard(self, logged: Logged[Change]) -> None:
        match logged.change:
            case AccountDataChanged(user_id=user_id, room_id=None, type=data_type) if data_type == IGNORED_USERS:
                self._ignored.forget(user_id)
            case AccountDataChanged(user_id=user_id, room_id=None, type=data_type) if data_type in INVITE_PERMISSION:
                self._invite_permissions.forget(user_id)
            case ProfileChanged(user_id=user_id):
                self._profiles.forget(user_id)
            case AccountCreated(user_id=user_id):
                self._exist.forget(user_id)
            case AccountDeactivated(user_id=user_id, erase=erase):
                if erase:
                    self.erased.add(user_id)
                self._exist.forget(user_id)
                self._profiles.forget(user_id)
                self._ignored.forget(user_id)
                self._invite_permissions.forget(user_id)
            case _:
                pass

    # Accounts

    async def account(self, user_id: UserId) -> Account | None:
        """The whole account, also of somebody deactivated."""
        async with self._database.read() as tx:
            return await tables.account(tx, user_id)

    async def exists(self, user_id: UserId) -> bool:
        """Whether somebody has this account now; a deactivated one does not exist."""
        return await self._cached(self._exist, user_id, self._exists)

    async def exists_or_made(self, user_id: UserId) -> bool:
        """`exists`, and if not, whether an application service makes him now. Asks over the network: hold no lock.

        Spec: application-service-api#querying
        """
        if await self.exists(user_id):
            return True
        return await self._unknown.make_user(user_id) and await self.exists(user_id)

    async def _exists(self, user_id: UserId) -> bool:
        account = await self.account(user_id)
        return account is not None and not account.is_deactivated

    async def guests_among(self, user_ids: Collection[UserId]) -> set[UserId]:
        """Those of some local users who are guests."""
        async with self._database.read() as tx:
            return await tables.guests_among(tx, user_ids)

    async def local_user_exists(self, user_id: UserId) -> bool:
        """Whether this server has, or had, the account."""
        return await self.account(user_id) is not None

    async def any_account(self) -> bool:
        """Whether anybody ever made an account here."""
        async with self._database.read() as tx:
            return await tables.any_account(tx)

    async def users_after(self, after: str, limit: int) -> Sequence[UserId]:
        """Users with an account of their own, in order of their ID, after one of them ('' to begin)."""
        async with self._database.read() as tx:
            return await tables.users_after(tx, after, limit)

    async def is_erased(self, user_id: UserId) -> bool:
        """Whether newcomers get redacted copies of what this user sent. Spec: client-server-api#account-deactivation"""
        account = await self.account(user_id)
        return account is not None and account.is_erased

    # Profiles

    async def profile(self, user_id: UserId) -> Mapping[str, Any]:
        """A local user's profile; {} if nothing is set. Do not change it."""
        return await self._cached(self._profiles, user_id, self._profile)

    async def _profile(self, user_id: UserId) -> Mapping[str, Any]:
        async with self._database.read() as tx:
            fields = await tables_user_data.profile(tx, user_id)
        return {field: orjson.loads(value) for field, value in fields.items()}

    # Devices

    async def devices(self, user_id: UserId) -> Sequence[Device]:
        """A local user's devices, by ID."""
        async with self._database.read() as tx:
            return await tables.devices(tx, user_id)

    async def device(self, user_id: UserId, device_id: DeviceId) -> Device | None:
        """One device."""
        async with self._database.read() as tx:
            return await tables.device(tx, user_id, device_id)

    async def device_names(self, user_id: UserId) -> Mapping[DeviceId, str | None]:
        """All devices of a local user with their display names."""
        return {device.device_id: device.display_name for device in await self.devices(user_id)}

    async def session_clients(self, user_id: UserId) -> Mapping[DeviceId, str]:
        """Which OAuth client holds the tokens of which of a user's devices."""
        async with self._database.read() as tx:
            return await tables.session_clients(tx, user_id)

    async def clients_with_sessions(self) -> Sequence[str]:
        """Every OAuth client that somebody is signed in with."""
        async with self._database.read() as tx:
            return await tables.clients_with_sessions(tx)

    # Account data and filters

    async def account_data(self, user_id: UserId, room_id: RoomId | None, data_type: str) -> bytes | None:
        """One piece of account data as JSON; room_id None is global."""
        async with self._database.read() as tx:
            return await tables_user_data.account_data(tx, user_id, room_id, data_type)

    async def account_data_since(self, user_id: UserId, after: Position) -> Sequence[AccountDataRow]:
        """What changed after a position, in order; 0 is everything."""
        async with self._database.read() as tx:
            return await tables_user_data.account_data_since(tx, user_id, after)

    async def ignored_users(self, user_id: UserId) -> frozenset[UserId]:
        """Whom a user ignores. Spec: client-server-api#ignoring-users"""
        return await self._cached(self._ignored, user_id, self._ignored_users)

    async def _ignored_users(self, user_id: UserId) -> frozenset[UserId]:
        content = await self.account_data(user_id, None, IGNORED_USERS)
        return frozenset() if content is None else ignored_users_in(orjson.loads(content))

    async def invite_permission(self, user_id: UserId) -> InvitePermission:
        """Whose invites a user takes. Spec: client-server-api#minvite_permission_config"""
        return await self._cached(self._invite_permissions, user_id, self._invite_permission)

    async def _invite_permission(self, user_id: UserId) -> InvitePermission:
        stable, unstable = [await self.account_data(user_id, None, kind) for kind in INVITE_PERMISSION]
        if stable is None and unstable is None:
            return EVERYBODY
        return InvitePermission.of(*(None if each is None else orjson.loads(each) for each in (stable, unstable)))

    async def hides_invite(self, user_id: UserId, sender: UserId) -> bool:
        """Whether a user is not to be shown a stored invite by that sender: he ignores him, or takes no invites from him."""
        if sender in await self.ignored_users(user_id):
            return True
        return (await self.invite_permission(user_id)).hides(sender)

    async def filter(self, user_id: UserId, filter_id: str) -> bytes | None:
        """A stored filter as JSON."""
        if not (filter_id.isascii() and filter_id.isdigit() and len(filter_id) <= _FILTER_ID_DIGITS_MAX):
            return None
        key = (user_id, int(filter_id))
        content = self._filters.get(key)
        if content is None:
            async with self._database.read() as tx:
                content = await tables_user_data.filter_content(tx, *key)
            if content is not None:
                # A filter never changes.
                self._filters.put(key, content, self._filters.generation)
        return content

    # OpenID

    async def openid_user(self, token: str) -> UserId | None:
        """Whose OpenID token this is, if it is good. Spec: server-server-api#openid"""
        async with self._database.read() as tx:
            return await tables_user_data.openid_user(tx, token_hash(token), self._clock.now_ms())

    async def _cached(self, memory: _Remembered[UserId, V], user_id: UserId, look_up: "Callable[[UserId], Any]") -> V:
        found = memory.get(user_id)
        if found is None:
            generation = memory.generation
            found = await look_up(user_id)
            memory.put(user_id, found, generation)
        assert found is not None
        return found
