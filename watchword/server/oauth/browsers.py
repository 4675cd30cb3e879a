"""Who sits at the browser: the cookie, the session behind it, and the token that proves a form to be ours.

Every browser that sees a form gets a random token in a cookie. Signing in gives it another one, whose hash is stored with
the user; a token from before the sign-in is worth nothing afterwards. The token of a form is derived from the cookie by
HMAC: another site can make a browser send our cookie, but can neither read it nor derive from it.
"""

import hashlib
import hmac
from dataclasses import dataclass

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.entropy import Entropy
from watchword.base.errors import Forbidden
from watchword.edge.request import Request
from watchword.protocol.ids import UserId
from watchword.server.accounts.commands import Account
from watchword.server.accounts.reader import AccountReader
from watchword.server.accounts.tokens import token_hash
from watchword.server.oauth import tables
from watchword.server.oauth.commands import BrowserSession, OAuthSettings
from watchword.server.oauth.forms import Form
from watchword.storage import Database

_TOKEN_LENGTH = 43


@dataclass(frozen=True, slots=True)
class Visit:
    """A browser at one request. account: who is signed in. is_new: the browser does not have the token yet."""

    token: str
    is_new: bool
    account: Account | None = None
    authenticated_ts: int = 0

    @property
    def form_token(self) -> str:
        """What our forms carry and nobody else can write."""
        return hmac.new(self.token.encode(), b"form", "sha256").hexdigest()

    @property
    def browser_hash(self) -> bytes:
        """Names this browser to what it begins and somebody else finishes."""
        return token_hash(self.token)

    def check(self, request: Request, form: Form) -> None:
        """Raises Forbidden if the form is not ours, or was made for another browser or before a sign-in."""
        is_foreign = request.headers.get("sec-fetch-site", "same-origin") in ("cross-site", "same-site")
        given = form.get("form_token").encode("utf-8", "surrogatepass")
        if is_foreign or not hmac.compare_digest(self.form_token.encode(), given):
            raise Forbidden("This page was open for too long, or the form came from elsewhere. Please go back and try again.")


def password_digest(account: Account) -> bytes:
    """Changes when the password does."""
    return hashlib.sha256((account.password_hash or "").encode()).digest()


@dataclass(frozen=True)
class Browsers:
    """Knows browsers, signs them in and out."""

    database: Database
    accounts: AccountReader
    clock: Clock
    entropy: Entropy
    settings: OAuthSettings

    @property
    def _cookie_name(self) -> str:
        return "__Host-watchword" if self._is_secure else "watchword"

    @property
    def _is_secure(self) -> bool:
        return self.settings.base_url.startswith("https:")

    async def visit(self, request: Request) -> Visit:
        """Who makes this request."""
        token = self._token_in(request)
        if token is None:
            return Visit(self.entropy.token(), is_new=True)
        async with self.database.read() as tx:
            session = await tables.browser(tx, token_hash(token))
        if session is None or session.expires_ts <= self.clock.now_ms():
            return Visit(token, is_new=False)
        account = await self.accounts.account(session.user_id)
        is_good = account is not None and not account.is_deactivated and not account.is_locked
        if account is None or not is_good or password_digest(account) != session.password_digest:
            return Visit(token, is_new=False)
        return Visit(token, is_new=False, account=account, authenticated_ts=session.authenticated_ts)

    def _token_in(self, request: Request) -> str | None:
        for header in request.header_values("cookie"):
            for cookie in header.split(";"):
                name, _, value = cookie.strip().partition("=")
                if name == self._cookie_name and len(value) == _TOKEN_LENGTH and value.isascii():
                    return value
        return None

    async def sign_in(self, visit: Visit, account: Account) -> Visit:
        """Sign a browser in as somebody who proved himself; what it was before ends."""
        token = self.entropy.token()
        now_ms = self.clock.now_ms()
        session = BrowserSession(account.user_id, password_digest(account), now_ms, now_ms + limits.browser_session_ms)
        async with self.database.write() as tx:
            await tables.delete_browser(tx, token_hash(visit.token))
            await tables.insert_browser(tx, token_hash(token), session)
            await tables.keep_newest_browsers(tx, account.user_id, limits.browser_sessions_per_user_max)
        return Visit(token, is_new=True, account=account, authenticated_ts=now_ms)

    async def sign_out(self, visit: Visit) -> Visit:
        """End a browser's session; it gets a new token."""
        async with self.database.write() as tx:
            await tables.delete_browser(tx, token_hash(visit.token))
        return Visit(self.entropy.token(), is_new=True)

    async def sign_out_everywhere(self, user_id: UserId) -> None:
        """End every browser's session of a user."""
        async with self.database.write() as tx:
            await tables.keep_newest_browsers(tx, user_id, 0)

    def is_fresh(self, visit: Visit) -> bool:
        """Whether whoever is signed in proved himself a short while ago."""
        return visit.account is not None and self.clock.now_ms() - visit.authenticated_ts < limits.fresh_sign_in_ms

    def cookie(self, visit: Visit) -> str:
        """The header that gives a browser its token. Lax: it comes with links from clients, not with foreign forms."""
        age = f"; Max-Age={limits.browser_session_ms // 1000}" if visit.account is not None else ""
        secure = "; Secure" if self._is_secure else ""
        return f"{self._cookie_name}={visit.token}; Path=/; HttpOnly; SameSite=Lax{secure}{age}"

    async def forget_old(self) -> None:
        """Forget sessions that have expired."""
        async with self.database.write() as tx:
            await tables.delete_browsers_before(tx, self.clock.now_ms())
