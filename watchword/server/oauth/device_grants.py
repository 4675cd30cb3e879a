"""Devices without a browser: they show a short code, which their owner types at ours.

Spec: client-server-api#device-authorisation-grant; RFC 8628
"""

from dataclasses import dataclass

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.entropy import Entropy
from watchword.base.errors import LimitExceeded
from watchword.protocol.ids import UserId
from watchword.server.accounts.ports import CrossSigningKeys
from watchword.server.accounts.tokens import token_hash
from watchword.server.oauth import tables
from watchword.server.oauth.clients import Clients
from watchword.server.oauth.commands import PREFIX, Client, DeviceGrant, DeviceGrantState, OAuthRefused, OAuthSettings
from watchword.server.oauth.decide import (
    USER_CODE_LENGTH,
    USER_CODE_LETTERS,
    may_wait,
    scope_in,
    shown_user_code,
    user_code_in,
)
from watchword.server.oauth.forms import Form
from watchword.storage import Database

_DRAWS = 5


@dataclass(frozen=True, slots=True)
class Waiting:
    """A device that waits, as its owner sees it. user_code: as it is kept, without a hyphen."""

    user_code: str
    client: Client
    grant: DeviceGrant


@dataclass(frozen=True)
class DeviceGrants:
    """Lets devices wait, and lets them in."""

    database: Database
    clients: Clients
    cross_signing: CrossSigningKeys
    clock: Clock
    entropy: Entropy
    settings: OAuthSettings

    async def begin(self, form: Form) -> dict[str, object]:
        """What a device is to show. Raises OAuthRefusal, LimitExceeded."""
        client = await self.clients.known(form.required("client_id"))
        refused = may_wait(client.metadata)
        scope = scope_in(form.optional("scope") or "")
        if refused is not None:
            raise refused.refusal()
        if isinstance(scope, OAuthRefused):
            raise scope.refusal()
        device_code = f"wwd_{self.entropy.token()}"
        grant = DeviceGrant(
            client_id=client.client_id,
            scope=scope,
            state=DeviceGrantState.WAITING,
            user_id=None,
            interval_ms=limits.oauth_device_interval_ms,
            polled_ts=0,
            expires_ts=self.clock.now_ms() + limits.oauth_device_grant_ms,
        )
        shown = shown_user_code(await self._store(device_code, grant))
        page = self.settings.url(f"{PREFIX}/device")
        return {
            "device_code": device_code,
            "user_code": shown,
            "verification_uri": page,
            "verification_uri_complete": f"{page}?user_code={shown}",
            "expires_in": limits.oauth_device_grant_ms // 1000,
            "interval": limits.oauth_device_interval_ms // 1000,
        }

    async def _store(self, device_code: str, grant: DeviceGrant) -> str:
        async with self.database.write() as tx:
            if await tables.count_device_grants(tx) >= limits.oauth_device_grants_max:
                # Those whose time is over are kept only to be told so.
                await tables.delete_device_grants_before(tx, self.clock.now_ms())
                if await tables.count_device_grants(tx) >= limits.oauth_device_grants_max:
                    raise LimitExceeded(60_000, "Too many devices are waiting.")
            for _ in range(_DRAWS):
                user_code = self.entropy.letters(USER_CODE_LENGTH, USER_CODE_LETTERS)
                if await tables.insert_device_grant(tx, (token_hash(device_code), token_hash(user_code)), grant):
                    return user_code
        raise LimitExceeded(60_000, "Too many devices are waiting.")

    async def find(self, typed: str) -> Waiting | None:
        """The waiting device of a code that somebody typed; None if there is none."""
        user_code = user_code_in(typed)
        if user_code is None:
            return None
        async with self.database.read() as tx:
            grant = await tables.device_grant_by_user_code(tx, token_hash(user_code))
        if grant is None or grant.state is not DeviceGrantState.WAITING or grant.expires_ts <= self.clock.now_ms():
            return None
        client = await self.clients.find(grant.client_id)
        return None if client is None else Waiting(user_code, client, grant)

    async def answer(self, waiting: Waiting, user_id: UserId, *, allow: bool) -> bool:
        """Let a device in as a user's, or not; False if it waits no more, or may not have this name."""
        if allow and await self.cross_signing.is_cross_signing_key(user_id, waiting.grant.scope.device_id):
            return False
        state, now_ms = (DeviceGrantState.ALLOWED if allow else DeviceGrantState.DENIED), self.clock.now_ms()
        async with self.database.write() as tx:
            if allow:
                # Not before: to wait takes nobody's word, and clients in use are not forgotten for others.
                await tables.use_client(tx, waiting.grant.client_id, now_ms)
            return await tables.answer_device_grant(tx, token_hash(waiting.user_code), state, user_id, now_ms)
