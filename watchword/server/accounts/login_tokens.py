"""Tokens that are good for one login (`m.login.token`): asked for by a device for another, or handed out after single sign-on.

Kept hashed, for seconds or minutes, a few per user. Spec: client-server-api#token-based-user-login
"""

from collections import OrderedDict
from dataclasses import dataclass, field

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.entropy import Entropy
from watchword.base.errors import Forbidden, LimitExceeded, NotFound
from watchword.edge.request import Request
from watchword.edge.requester import Kind, Requester
from watchword.protocol.ids import UserId
from watchword.server.accounts import login_token_tables
from watchword.server.accounts.commands import AccountSettings
from watchword.server.accounts.tokens import token_hash
from watchword.server.accounts.uia import InteractiveAuthentication
from watchword.storage import Database

_ACTION = "login/get_token"
_INTERVALS_KEPT_MAX = 10_000


@dataclass(frozen=True)
class LoginTokens:
    """Gives and takes login tokens."""

    database: Database
    clock: Clock
    entropy: Entropy
    settings: AccountSettings
    uia: InteractiveAuthentication
    _given: "OrderedDict[UserId, int]" = field(default_factory=OrderedDict)

    async def ask(self, request: Request, requester: Requester) -> tuple[str, int]:
        """A token for another device of the requester, and its life in milliseconds.

        The proof is spent: each token needs its own. Raises Challenge 401, Forbidden, NotFound where this is off,
        LimitExceeded. Spec: client-server-api#post_matrixclientv1loginget_token
        """
        if not self.settings.login_tokens:
            raise NotFound("This server does not give out such tokens.", "M_UNRECOGNIZED")
        if requester.kind is not Kind.USER:
            raise Forbidden("This cannot be done with such an access token.")
        flows = self.uia.own_flows(requester.user_id)
        session = await self.uia.passed(request, requester.user_id, _ACTION, None, flows)
        self._limit(requester.user_id)
        self.uia.take(session)
        self.uia.finish(session)
        return await self.give(requester.user_id, limits.login_token_ms), limits.login_token_ms

    def _limit(self, user_id: UserId) -> None:
        now_ms = self.clock.monotonic_ms()
        left_ms = self._given.get(user_id, -limits.login_token_interval_ms) + limits.login_token_interval_ms - now_ms
        if left_ms > 0:
            raise LimitExceeded(left_ms, "One such token a minute is enough.")
        self._given[user_id] = now_ms
        self._given.move_to_end(user_id)
        if len(self._given) > _INTERVALS_KEPT_MAX:
            self._given.popitem(last=False)

    async def give(self, user_id: UserId, lifetime_ms: int) -> str:
        """A token for somebody who proved himself."""
        token = f"wwl_{self.entropy.token()}"
        now_ms = self.clock.now_ms()
        async with self.database.write() as tx:
            await login_token_tables.delete_login_tokens_before(tx, now_ms)
            await login_token_tables.insert_login_token(tx, token_hash(token), user_id, now_ms + lifetime_ms)
            await login_token_tables.keep_newest_login_tokens(tx, user_id, limits.login_tokens_per_user_max)
        return token

    async def take(self, token: str) -> UserId | None:
        """Whose token this is; it is good no more."""
        async with self.database.write() as tx:
            return await login_token_tables.take_login_token(tx, token_hash(token), self.clock.now_ms())
