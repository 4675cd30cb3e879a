"""The token endpoint and revocation: codes, refresh tokens and device codes become sessions of `accounts`.

A code that comes back after it was used was stolen: what was given for it ends. What becomes of refresh tokens that come
back is for `accounts` to say, as it is the same for every login.
"""

from dataclasses import dataclass

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.errors import Unauthenticated
from watchword.protocol.ids import UserId
from watchword.server.accounts.commands import OpenSession, Tokens
from watchword.server.accounts.reader import AccountReader
from watchword.server.accounts.sessions import Sessions
from watchword.server.accounts.tokens import token_hash
from watchword.server.oauth import tables
from watchword.server.oauth.clients import Clients, client_title
from watchword.server.oauth.commands import (
    AUTHORIZATION_CODE,
    REFRESH_TOKEN,
    Client,
    OAuthRefused,
    Scope,
)
from watchword.server.oauth.decide import code_refusal, device_refusal, grant_refusal, is_refreshable
from watchword.server.oauth.forms import Form
from watchword.storage import Database, Tx

_NOT_GOOD = OAuthRefused("invalid_grant", "This token is not known, was used, or has expired.")
_NO_ACCOUNT = OAuthRefused("invalid_grant", "This account is closed or locked.")


@dataclass(frozen=True, slots=True)
class Granted:
    """Tokens with what they are good for; scope None: the same as before."""

    tokens: Tokens
    scope: str | None

    def body(self) -> dict[str, object]:
        """What a client is told. Spec: none; RFC 6749 section 5.1"""
        found: dict[str, object] = {"access_token": self.tokens.access_token, "token_type": "Bearer"}
        if self.tokens.expires_in_ms is not None:
            found["expires_in"] = self.tokens.expires_in_ms // 1000
        if self.tokens.refresh_token is not None:
            found["refresh_token"] = self.tokens.refresh_token
        if self.scope is not None:
            found["scope"] = self.scope
        return found


@dataclass(frozen=True)
class Grants:
    """Gives and takes tokens."""

    database: Database
    clients: Clients
    accounts: AccountReader
    sessions: Sessions
    clock: Clock

    async def answer(self, form: Form) -> Granted:
        """A request at the token endpoint. Raises OAuthRefusal. Spec: client-server-api#oauth-20-api"""
        grant_type = form.required("grant_type")
        client = await self.clients.known(form.required("client_id"))
        refused = grant_refusal(grant_type, client.metadata)
        if refused is not None:
            raise refused.refusal()
        if grant_type == AUTHORIZATION_CODE:
            return await self._by_code(client, form)
        if grant_type == REFRESH_TOKEN:
            return await self._by_refresh_token(client, form)
        return await self._by_device_code(client, form)

    async def revoke(self, form: Form) -> None:
        """End the session of a token, whoever asks: a token that was leaked may be revoked by its finder.

        Raises OAuthRefusal if there is no token. Spec: client-server-api#token-revocation
        """
        await self.sessions.revoke(form.required("token"))

    async def _by_code(self, client: Client, form: Form) -> Granted:
        code_hash = token_hash(form.required("code"))
        redirect_uri, verifier = form.required("redirect_uri"), form.required("code_verifier")
        async with self.database.read() as view:
            seen = await tables.code(view, code_hash)
        if seen is not None:
            await self._require_account(seen.user_id)
        tokens: Tokens | None = None
        async with self.database.write() as tx:
            code = await tables.code(tx, code_hash)
            refused = code_refusal(code, client.client_id, redirect_uri, verifier, self.clock.now_ms())
            if refused is None:
                assert code is not None
                tokens = await self._open(tx, client, code.user_id, code.scope)
                await tables.spend_code(tx, code_hash, tokens.session_id)
            elif code is not None and code.session_id is not None:
                await self.sessions.end_session(tx, code.session_id)
        if tokens is None:
            assert refused is not None
            raise refused.refusal()
        assert code is not None
        return Granted(tokens, code.scope.text)

    async def _by_refresh_token(self, client: Client, form: Form) -> Granted:
        try:
            tokens = await self.sessions.refresh(form.required("refresh_token"), client.client_id)
        except Unauthenticated as error:
            refused = _NO_ACCOUNT if error.errcode == "M_USER_LOCKED" else _NOT_GOOD
            raise refused.refusal() from error
        return Granted(tokens, None)

    async def _by_device_code(self, client: Client, form: Form) -> Granted:
        code_hash = token_hash(form.required("device_code"))
        async with self.database.read() as view:
            seen = await tables.device_grant(view, code_hash)
        if seen is not None and seen.user_id is not None:
            await self._require_account(seen.user_id)
        tokens: Tokens | None = None
        async with self.database.write() as tx:
            now_ms = self.clock.now_ms()
            grant = await tables.device_grant(tx, code_hash)
            refused = device_refusal(grant, client.client_id, now_ms)
            if refused is None:
                assert grant is not None
                assert grant.user_id is not None
                tokens = await self._open(tx, client, grant.user_id, grant.scope)
                await tables.spend_device_grant(tx, code_hash)
            elif grant is not None:
                # Spec: none; RFC 8628 section 3.5: who asks too soon waits five seconds longer from then on.
                longer = limits.oauth_device_interval_ms if refused.error == "slow_down" else 0
                await tables.note_poll(tx, code_hash, now_ms, grant.interval_ms + longer)
        if tokens is None:
            assert refused is not None
            raise refused.refusal()
        assert grant is not None
        return Granted(tokens, grant.scope.text)

    async def _open(self, tx: Tx, client: Client, user_id: UserId, scope: Scope) -> Tokens:
        name = client_title(client)[: limits.device_display_name_characters_max]
        refreshable = is_refreshable(client.metadata)
        return await self.sessions.open(tx, OpenSession(user_id, scope.device_id, name, refreshable, client.client_id))

    async def _require_account(self, user_id: UserId) -> None:
        account = await self.accounts.account(user_id)
        if account is None or account.is_deactivated or account.is_locked:
            raise _NO_ACCOUNT.refusal()

    async def forget_old(self) -> None:
        """Forget codes and waiting devices that have expired; codes are kept for a while to know them when they return."""
        now_ms = self.clock.now_ms()
        async with self.database.write() as tx:
            await tables.delete_codes_before(tx, now_ms - limits.oauth_code_kept_ms)
            await tables.delete_device_grants_before(tx, now_ms - limits.oauth_device_grant_ms)
            await tables.delete_approvals_before(tx, now_ms)
