"""OAuth put together: the one object that the doors are mounted with."""

from dataclasses import dataclass

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.entropy import Entropy
from watchword.edge.rate_limits import RateLimiter
from watchword.server.accounts.assembly import Accounts
from watchword.server.oauth.approvals import Approvals
from watchword.server.oauth.authorizations import Authorizations
from watchword.server.oauth.browsers import Browsers
from watchword.server.oauth.clients import Clients
from watchword.server.oauth.commands import OAuthSettings
from watchword.server.oauth.device_grants import DeviceGrants
from watchword.server.oauth.grants import Grants
from watchword.server.oauth.pages import Pages
from watchword.server.oauth.sign_in import SignIn
from watchword.server.oauth.upstream.providers import JsonFetcher
from watchword.server.oauth.upstream.service import Upstream
from watchword.storage import Database

_MAINTENANCE_MS = limits.oauth_code_kept_ms


@dataclass(frozen=True, slots=True)
class OAuthPorts:
    """limiter: the door's, as its refusals are pages here. fetcher: the way to providers."""

    limiter: RateLimiter
    fetcher: JsonFetcher


@dataclass(frozen=True, slots=True)
class OAuth:
    """The parts. approvals fits the `InteractiveAuth` of e2ee; `run()` is for the server's task group."""

    settings: OAuthSettings
    accounts: Accounts
    clients: Clients
    authorizations: Authorizations
    grants: Grants
    device_grants: DeviceGrants
    approvals: Approvals
    browsers: Browsers
    sign_in: SignIn
    upstream: Upstream
    pages: Pages
    limiter: RateLimiter
    clock: Clock

    async def run(self) -> None:
        """Forget what has expired, now and then, for ever."""
        while True:
            await self.grants.forget_old()
            await self.browsers.forget_old()
            await self.clients.forget_unused()
            await self.clock.sleep(_MAINTENANCE_MS)


def assemble_oauth(
    settings: OAuthSettings, database: Database, clock: Clock, entropy: Entropy, accounts: Accounts, ports: OAuthPorts
) -> OAuth:
    """Build everything of this feature."""
    cross_signing = accounts.logins.cross_signing
    browsers = Browsers(database, accounts.reader, clock, entropy, settings)
    sign_in = SignIn(accounts, entropy)
    clients = Clients(database, accounts.reader, clock, entropy)
    return OAuth(
        settings=settings,
        accounts=accounts,
        clients=clients,
        authorizations=Authorizations(database, clients, cross_signing, clock, entropy, settings),
        grants=Grants(database, clients, accounts.reader, accounts.sessions, clock),
        device_grants=DeviceGrants(database, clients, cross_signing, clock, entropy, settings),
        approvals=Approvals(database, accounts.uia, clock, entropy, settings),
        browsers=browsers,
        sign_in=sign_in,
        upstream=Upstream(settings, database, clock, entropy, sign_in, ports.fetcher),
        pages=Pages(settings, browsers),
        limiter=ports.limiter,
        clock=clock,
    )
