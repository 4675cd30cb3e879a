"""Users' pushers: made, listed, removed. Whoever sends notifications hears of it through the log.

Spec: client-server-api#post_matrixclientv3pushersset
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.errors import BadRequest, Forbidden
from watchword.protocol.ids import DeviceId, UserId
from watchword.server.accounts.stored_json import stored_json
from watchword.server.changes import Change, PushersChanged
from watchword.server.push import tables
from watchword.server.push.commands import EMAIL, Pusher, PusherForm, PusherKey, Removal, Removed
from watchword.server.push.decide import form_refusal, key_refusal
from watchword.server.push.ports import Addresses
from watchword.storage import Database, Log, Tx


@dataclass(frozen=True, slots=True)
class Setting:
    """What a session wants. append: leave other users' pushers of that key alone.

    moves: whether a pusher that exists already goes with this session from now on; else it stays with its own, which is
    how one session switches another's off. Spec: proposals/3881
    """

    device_id: DeviceId | None
    form: PusherForm
    append: bool = False
    moves: bool = True


@dataclass(frozen=True)
class Pushers:
    """Keeps pushers. plain_http: whether gateways may be without TLS; for test set-ups alone.

    addresses: whose e-mail addresses are whose; None where no mail is sent.
    """

    database: Database
    log: Log[Change]
    clock: Clock
    plain_http: bool = False
    addresses: Addresses | None = None

    async def of(self, user_id: UserId) -> Sequence[Pusher]:
        """A user's pushers, the oldest first."""
        async with self.database.read() as tx:
            return await tables.pushers_of(tx, user_id)

    async def save(self, key: PusherKey, wanted: Setting) -> None:
        """Make or change a pusher. Raises BadRequest, and Forbidden if there are too many."""
        form = wanted.form
        stored_json(form.data)
        refused = key_refusal(key) or form_refusal(form, plain_http=self.plain_http, mails=self.addresses is not None)
        if refused is not None:
            raise refused.error()
        if form.kind == EMAIL and not await self.is_own_address(key):
            raise BadRequest("M_THREEPID_NOT_FOUND", "Your account has no such e-mail address.")
        async with self.database.write() as tx:
            if not wanted.append:
                await self._remove(tx, await tables.others_with_key(tx, key), Removed.TAKEN_OVER)
            own = {pusher.key: pusher for pusher in await tables.pushers_of(tx, key.user_id)}
            old = own.get(key)
            if old is None and len(own) >= limits.pushers_per_user_max:
                raise Forbidden("You have too many pushers.", "M_RESOURCE_LIMIT_EXCEEDED")
            device_id = old.device_id if old is not None and not wanted.moves else wanted.device_id
            position = await self.log.append(tx, PushersChanged(key.user_id))
            now_ms = self.clock.now_ms()
            if old is not None and replace(old.form, enabled=form.enabled) == form:
                # Switching it on or off does not make the key any newer.
                now_ms = old.pushkey_ts
            await tables.save_pusher(tx, key, None if form.kind == EMAIL else device_id, form, now_ms, position)

    async def is_own_address(self, key: PusherKey) -> bool:
        """Whether the account of a pusher of the kind email has its address."""
        return self.addresses is not None and await self.addresses.has_email(key.user_id, key.pushkey)

    async def of_token(self, token: str) -> Pusher | None:
        """Whose digests this token ends."""
        async with self.database.read() as tx:
            return await tables.pusher_of_token(tx, token) if token else None

    async def delete(self, key: PusherKey, reason: Removed = Removed.DELETED) -> None:
        """Remove a pusher; harmless if there is none. Raises BadRequest."""
        refused = key_refusal(key)
        if refused is not None:
            raise refused.error()
        async with self.database.write() as tx:
            own = await tables.pushers_of(tx, key.user_id)
            await self._remove(tx, [pusher for pusher in own if pusher.key == key], reason)

    async def delete_of_session(self, user_id: UserId, device_id: DeviceId | None) -> None:
        """Remove what goes with a session that ended; with None, all of a user."""
        async with self.database.write() as tx:
            own = await tables.pushers_of(tx, user_id)
            gone = [pusher for pusher in own if device_id in (None, pusher.device_id)]
            await self._remove(tx, gone, Removed.SESSION_ENDED)

    async def _remove(self, tx: Tx, gone: Sequence[Pusher], reason: Removed) -> None:
        if gone:
            await tables.delete_pushers(tx, [pusher.pusher_id for pusher in gone])
        for pusher in gone:
            user_id, app_id = pusher.key.user_id, pusher.key.app_id
            removal = Removal(app_id, pusher.form.kind, pusher.device_id, self.clock.now_ms(), reason.value)
            await tables.write_removal(tx, user_id, removal, limits.push_removals_max)
        for user_id in sorted({pusher.key.user_id for pusher in gone}):
            await self.log.append(tx, PushersChanged(user_id))
