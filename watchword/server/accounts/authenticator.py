"""Whose access token is this: fits `edge.authentication.ClientAuthenticator`. The warm path costs microseconds."""

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.edge.request import Request
from watchword.edge.requester import Kind, Requester
from watchword.server.accounts import tables
from watchword.server.accounts.commands import Stage, TokenPair
from watchword.server.accounts.last_seen import LastSeen
from watchword.server.accounts.ports import Appservices
from watchword.server.accounts.tokens import KnownToken, TokenCache, locked_account, token_hash, unknown_token
from watchword.storage import Database


class AccountAuthenticator:
    """Tokens of users from memory or the database, and of application services through their port."""

    def __init__(
        self, database: Database, clock: Clock, cache: TokenCache, last_seen: LastSeen, appservices: Appservices
    ) -> None:
        self._database = database
        self._clock = clock
        self._cache = cache
        self._last_seen = last_seen
        self._appservices = appservices

    async def client(self, request: Request, token: str, *, allow_locked: bool) -> Requester:
        """The owner of an access token. Raises Unauthenticated M_UNKNOWN_TOKEN (with soft_logout) or M_USER_LOCKED.

        Spec: client-server-api#using-access-tokens
        """
        access_hash = token_hash(token)
        known = self._cache.get(access_hash)
        if known is None:
            if self._appservices.id_of(token) is not None:
                return await self._appservices.requester(request, token)
            known = await self._looked_up(token, access_hash)
        now_ms = self._clock.now_ms()
        if known.expires_ts is not None and known.expires_ts <= now_ms:
            raise unknown_token(session_survives=True)
        if known.is_locked and not allow_locked:
            raise locked_account()
        if now_ms - known.noted_ms >= limits.last_seen_flush_ms:
            known.noted_ms = now_ms
            self._last_seen.note(known.requester, request, now_ms)
        return known.requester

    async def _looked_up(self, token: str, access_hash: bytes) -> KnownToken:
        if len(token) > limits.token_bytes_max:
            raise unknown_token()
        generation = self._cache.generation
        async with self._database.read() as tx:
            pair = await tables.pair_by_access(tx, access_hash)
        if pair is None or pair.account.is_deactivated:
            raise unknown_token()
        if pair.stage is Stage.REVOKED:
            raise unknown_token(session_survives=True)
        if pair.stage is Stage.FRESH:
            # An expired token is not used: the one before it stays good.
            if pair.expires_ts is not None and pair.expires_ts <= self._clock.now_ms():
                raise unknown_token(session_survives=True)
            await self._promote(pair)
            generation = self._cache.generation
            async with self._database.read() as tx:
                pair = await tables.pair_by_access(tx, access_hash)
            if pair is None or pair.stage is not Stage.CURRENT:
                raise unknown_token(session_survives=pair is not None)
        known = _known(pair)
        self._cache.put(access_hash, known, generation)
        return known

    async def _promote(self, pair: TokenPair) -> None:
        async with self._database.write() as tx:
            if await tables.promote_pair(tx, pair.session_id, pair.pair_id):
                tx.after_commit(lambda: self._cache.forget(pair.account.user_id))


def _kind(pair: TokenPair) -> Kind:
    if pair.oauth_client_id is not None:
        return Kind.OAUTH
    return Kind.GUEST if pair.account.is_guest else Kind.USER


def _known(pair: TokenPair) -> KnownToken:
    account = pair.account
    requester = Requester(
        user_id=account.user_id,
        device_id=pair.device_id,
        token_id=pair.session_id,
        kind=_kind(pair),
        is_admin=account.is_admin,
        is_suspended=account.is_suspended,
    )
    return KnownToken(requester, pair.expires_ts, account.is_locked)
