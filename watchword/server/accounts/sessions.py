"""Sessions and their tokens: opening, refreshing, ending. Tokens leave here once, in the clear; hashes stay.

Every method that takes a `Tx` works in the caller's transaction, and tells `TokenCache` once that is durable.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.entropy import Entropy
from watchword.protocol.ids import DeviceId, UserId
from watchword.server.accounts import tables
from watchword.server.accounts.commands import AccountSettings, OpenSession, Stage, Tokens
from watchword.server.accounts.tokens import TokenCache, locked_account, token_hash, unknown_token
from watchword.server.changes import Change, DeviceDeleted, DeviceListChanged
from watchword.storage import Database, Log, Tx


@dataclass(frozen=True)
class Sessions:
    """Opens, refreshes and ends sessions."""

    database: Database
    log: Log[Change]
    clock: Clock
    entropy: Entropy
    settings: AccountSettings
    cache: TokenCache

    async def open(self, tx: Tx, command: OpenSession) -> Tokens:
        """Log a device in; whatever tokens the device had are no longer valid."""
        device_id = command.device_id or DeviceId(self.entropy.letters(10))
        now_ms = self.clock.now_ms()
        if not await tables.insert_device(tx, command.user_id, device_id, command.display_name, now_ms):
            await tables.delete_session(tx, command.user_id, device_id)
            tx.after_commit(lambda: self.cache.forget(command.user_id))
        session_id = await tables.insert_session(tx, command.user_id, device_id, now_ms, command.oauth_client_id)
        return await self._issue(tx, session_id, command.user_id, device_id, Stage.CURRENT, refreshable=command.refreshable)

    async def _issue(
        self, tx: Tx, session_id: int, user_id: UserId, device_id: DeviceId, stage: Stage, *, refreshable: bool
    ) -> Tokens:
        settings = self.settings
        lifetime_ms = settings.refreshable_token_lifetime_ms if refreshable else settings.session_lifetime_ms
        access = f"wwa_{self.entropy.token()}"
        refresh = f"wwr_{self.entropy.token()}" if refreshable else None
        await tables.insert_pair(
            tx,
            session_id,
            token_hash(access),
            None if refresh is None else token_hash(refresh),
            stage=stage,
            expires_ts=None if lifetime_ms is None else self.clock.now_ms() + lifetime_ms,
        )
        return Tokens(user_id, device_id, access, refresh, lifetime_ms, session_id)

    async def refresh(self, refresh_token: str, oauth_client_id: str | None = None) -> Tokens:
        """Exchange a refresh token for a new pair.

        The old pair stays good until the new one is used; asking again before that replaces the new one. A refresh token
        that comes back after its successor was used was stolen or copied: every token of the session ends.
        oauth_client_id: who asks through OAuth; None asks through the legacy API. Only whoever got the token may use it.
        Raises Unauthenticated. Spec: client-server-api#refreshing-access-tokens
        """
        tokens: Tokens | None = None
        async with self.database.write() as tx:
            pair = await tables.pair_by_refresh(tx, token_hash(refresh_token))
            if pair is None or pair.oauth_client_id != oauth_client_id:
                raise unknown_token()
            if pair.account.is_locked:
                raise locked_account()
            if pair.stage is Stage.REVOKED:
                await tables.revoke_pairs(tx, pair.session_id)
            else:
                await tables.promote_pair(tx, pair.session_id, pair.pair_id)
                await tables.delete_fresh_pairs(tx, pair.session_id)
                await tables.prune_revoked_pairs(tx, pair.session_id, limits.revoked_token_pairs_kept_max)
                tokens = await self._issue(
                    tx, pair.session_id, pair.account.user_id, pair.device_id, Stage.FRESH, refreshable=True
                )
            tx.after_commit(lambda: self.cache.forget(pair.account.user_id))
        if tokens is None:
            raise unknown_token(session_survives=True)
        return tokens

    async def revoke(self, token: str) -> bool:
        """Log out whoever got this access or refresh token through OAuth; False if it is no such token.

        Spec: client-server-api#oauth-20-api
        """
        async with self.database.write() as tx:
            pair = await tables.pair_by_access(tx, token_hash(token)) or await tables.pair_by_refresh(tx, token_hash(token))
            if pair is None or pair.oauth_client_id is None:
                return False
            await self.end(tx, pair.account.user_id, [pair.device_id])
        return True

    async def end_session(self, tx: Tx, session_id: int) -> None:
        """Log out what was given as one session; harmless if it has ended, or its device has begun another."""
        found = await tables.session_device(tx, session_id)
        if found is not None:
            await self.end(tx, found[0], [found[1]])

    async def end(self, tx: Tx, user_id: UserId, device_ids: Iterable[DeviceId]) -> None:
        """Remove devices with everything that belongs to them; unknown ones are passed over."""
        for device_id in device_ids:
            if await tables.delete_device(tx, user_id, device_id):
                await self.log.append(tx, DeviceDeleted(user_id, device_id))
                await self.log.append(tx, DeviceListChanged(user_id, device_id, deleted=True))
        tx.after_commit(lambda: self.cache.forget(user_id))

    async def end_all(self, tx: Tx, user_id: UserId, *, keep: DeviceId | None = None) -> None:
        """Remove every device of a user but one."""
        devices = await tables.devices(tx, user_id)
        await self.end(tx, user_id, [device.device_id for device in devices if device.device_id != keep])
