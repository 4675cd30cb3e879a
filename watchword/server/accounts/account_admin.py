"""The end and the standing of accounts: new passwords, deactivation, locks, suspensions, whois, OpenID tokens.

`also`, where a method takes it, is written in the same transaction: the entry of the audit log.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.entropy import Entropy
from watchword.base.errors import Forbidden
from watchword.edge.requester import Requester
from watchword.protocol.ids import DeviceId, UserId, domain_of
from watchword.server.accounts import tables, tables_user_data
from watchword.server.accounts.commands import Account, AccountSettings, Device
from watchword.server.accounts.decide import moderation_refusal
from watchword.server.accounts.last_seen import LastSeen
from watchword.server.accounts.passwords import Passwords
from watchword.server.accounts.reader import AccountReader
from watchword.server.accounts.sessions import Sessions
from watchword.server.accounts.threepids import tables as threepid_tables
from watchword.server.accounts.threepids.service import Threepids
from watchword.server.accounts.tokens import token_hash
from watchword.server.changes import AccountDeactivated, Change
from watchword.storage import Also, Database, Log


@dataclass(frozen=True)
class AccountAdmin:
    """Changes accounts as a whole. Who may was asked before, except where a method says otherwise."""

    database: Database
    log: Log[Change]
    clock: Clock
    entropy: Entropy
    settings: AccountSettings
    reader: AccountReader
    passwords: Passwords
    sessions: Sessions
    threepids: Threepids
    last_seen: LastSeen

    async def change_password(
        self, user_id: UserId, password: str, *, log_out: bool, keep: DeviceId | None, also: Also | None = None
    ) -> None:
        """Set a password that was checked. log_out: every device but `keep` goes.

        Spec: client-server-api#post_matrixclientv3accountpassword
        """
        password_hash = await self.passwords.hash(password)
        async with self.database.write() as tx:
            await tables.set_password(tx, user_id, password_hash)
            if log_out:
                await self.sessions.end_all(tx, user_id, keep=keep)
            if also is not None:
                await also(tx)

    async def deactivate(self, user_id: UserId, *, erase: bool, id_server: str | None = None, also: Also | None = None) -> bool:
        """End an account for ever: its devices, tokens, password and addresses go, its name stays taken.

        erase: its profile, account data and filters go too. id_server: where its addresses are taken back, instead of where
        they were published. Gives whether that worked everywhere, or there was nothing to do.
        Spec: client-server-api#post_matrixclientv3accountdeactivate
        """
        unbound = await self.threepids.unbind_all(user_id, id_server)
        async with self.database.write() as tx:
            if not await tables.deactivate(tx, user_id, erase):
                return unbound
            await threepid_tables.delete_threepids(tx, user_id)
            await self.sessions.end_all(tx, user_id)
            if erase:
                await tables_user_data.delete_profile(tx, user_id)
                await tables_user_data.delete_all_account_data(tx, user_id)
                await tables_user_data.delete_filters(tx, user_id)
            await self.log.append(tx, AccountDeactivated(user_id, erase))
            if also is not None:
                await also(tx)
        return unbound

    async def moderated(self, requester: Requester, user_id: UserId, *, changes: bool = False) -> Account:
        """An account whose lock or suspension the requester may see, or change. Raises Forbidden, BadRequest, NotFound."""
        is_local = domain_of(user_id) == self.settings.server_name
        # Nothing is looked up for those who may not ask.
        target = await self.reader.account(user_id) if requester.is_admin and is_local else None
        refused = moderation_refusal(
            by_admin=requester.is_admin,
            is_local=is_local,
            is_self=requester.user_id == user_id,
            target=target,
            changes=changes,
        )
        if refused is not None:
            raise refused.error()
        assert target is not None
        return target

    async def set_locked(self, requester: Requester, user_id: UserId, locked: bool, also: Also | None = None) -> None:
        """Lock or unlock. Spec: client-server-api#put_matrixclientv1adminlockuserid"""
        await self.moderated(requester, user_id, changes=True)
        async with self.database.write() as tx:
            await tables.set_locked(tx, user_id, locked)
            if also is not None:
                await also(tx)
            tx.after_commit(lambda: self.sessions.cache.forget(user_id))

    async def set_suspended(self, requester: Requester, user_id: UserId, suspended: bool, also: Also | None = None) -> None:
        """Suspend or restore. Spec: client-server-api#put_matrixclientv1adminsuspenduserid"""
        await self.moderated(requester, user_id, changes=True)
        async with self.database.write() as tx:
            await tables.set_suspended(tx, user_id, suspended)
            if also is not None:
                await also(tx)
            tx.after_commit(lambda: self.sessions.cache.forget(user_id))

    async def set_admin(self, user_id: UserId, admin: bool, also: Also | None = None) -> bool:
        """Make somebody an administrator, or not; False if there is no such account. For the operator's own tools."""
        async with self.database.write() as tx:
            changed = await tables.set_admin(tx, user_id, admin)
            if also is not None and changed:
                await also(tx)
            tx.after_commit(lambda: self.sessions.cache.forget(user_id))
        return changed == 1

    async def whois(self, requester: Requester, user_id: UserId) -> Mapping[str, object]:
        """Where a user was last seen: for himself and for administrators. Raises Forbidden.

        Spec: client-server-api#get_matrixclientv3adminwhoisuserid
        """
        if requester.user_id != user_id and not requester.is_admin:
            raise Forbidden("Only administrators of this server may do this.")
        await self.last_seen.save()
        devices = await self.reader.devices(user_id)
        return {"user_id": user_id, "devices": {device.device_id: _sessions_of(device) for device in devices}}

    async def openid_token(self, user_id: UserId) -> Mapping[str, object]:
        """A token that proves to third parties who this is. Spec: client-server-api#openid"""
        token = f"wwo_{self.entropy.token()}"
        now_ms = self.clock.now_ms()
        async with self.database.write() as tx:
            await tables_user_data.delete_expired_openid_tokens(tx, now_ms)
            await tables_user_data.insert_openid_token(tx, token_hash(token), user_id, now_ms + limits.openid_token_ms)
        return {
            "access_token": token,
            "token_type": "Bearer",
            "matrix_server_name": self.settings.server_name,
            "expires_in": limits.openid_token_ms // 1000,
        }


def _sessions_of(device: Device) -> Mapping[str, object]:
    if device.last_seen_ts is None:
        return {"sessions": [{"connections": []}]}
    connection = {
        "ip": device.last_seen_ip,
        "last_seen": device.last_seen_ts,
        "user_agent": device.last_seen_agent,
    }
    return {"sessions": [{"connections": [connection]}]}
