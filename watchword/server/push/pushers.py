"""Users' pushers: made, listed, removed. Whoever sends notifications hears of it through the log.

Spec: client-server-api#post_matrixclientv3pushersset
"""

from collections.abc import Sequence
from dataclasses import dataclass

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.errors import Forbidden
from watchword.protocol.ids import DeviceId, UserId
from watchword.server.accounts.stored_json import stored_json
from watchword.server.changes import Change, PushersChanged
from watchword.server.push import tables
from watchword.server.push.commands import JournalEntry, Pusher, PusherForm, PusherKey
from watchword.server.push.decide import form_refusal, key_refusal
from watchword.storage import Database, Log, Tx


@dataclass(frozen=True)
class Pushers:
    """Keeps pushers. plain_http: whether gateways may be without TLS; for test set-ups alone."""

    database: Database
    log: Log[Change]
    clock: Clock
    plain_http: bool = False

    async def of(self, user_id: UserId) -> Sequence[Pusher]:
        """A user's pushers, the oldest first."""
        async with self.database.read() as tx:
            return await tables.pushers_of(tx, user_id)

    async def journal(self, pusher_id: int) -> Sequence[JournalEntry]:
        """What became of a pusher's last notifications, the newest first."""
        async with self.database.read() as tx:
            return await tables.journal(tx, pusher_id, limits.push_journal_max)

    async def save(self, key: PusherKey, device_id: DeviceId | None, form: PusherForm, *, append: bool = False) -> None:
        """Make or change a pusher, which goes with the session of a device. append: leave other users' of that key alone.

        Raises BadRequest, and Forbidden if there are too many.
        """
        stored_json(form.data)
        refused = key_refusal(key) or form_refusal(form, plain_http=self.plain_http)
        if refused is not None:
            raise refused.error()
        async with self.database.write() as tx:
            if not append:
                await self._remove(tx, await tables.others_with_key(tx, key))
            own = await tables.pushers_of(tx, key.user_id)
            if all(pusher.key != key for pusher in own) and len(own) >= limits.pushers_per_user_max:
                raise Forbidden("You have too many pushers.", "M_RESOURCE_LIMIT_EXCEEDED")
            position = await self.log.append(tx, PushersChanged(key.user_id))
            await tables.save_pusher(tx, key, device_id, form, self.clock.now_ms(), position)

    async def delete(self, key: PusherKey) -> None:
        """Remove a pusher; harmless if there is none. Raises BadRequest."""
        refused = key_refusal(key)
        if refused is not None:
            raise refused.error()
        async with self.database.write() as tx:
            await self._remove(tx, [pusher for pusher in await tables.pushers_of(tx, key.user_id) if pusher.key == key])

    async def delete_of_session(self, user_id: UserId, device_id: DeviceId | None) -> None:
        """Remove what goes with a session that ended; with None, all of a user."""
        async with self.database.write() as tx:
            own = await tables.pushers_of(tx, user_id)
            await self._remove(tx, [pusher for pusher in own if device_id in (None, pusher.device_id)])

    async def _remove(self, tx: Tx, gone: Sequence[Pusher]) -> None:
        if gone:
            await tables.delete_pushers(tx, [pusher.pusher_id for pusher in gone])
        for user_id in sorted({pusher.key.user_id for pusher in gone}):
            await self.log.append(tx, PushersChanged(user_id))
