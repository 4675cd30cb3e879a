"""Signing in elsewhere: sending a browser away, and knowing who comes back.

Somebody whom we know by a link signs in. Somebody new gets the account that has his name, where the operator trusts the
provider that far; else an account of his own, where that is allowed. The network is never awaited with a transaction open.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from watchword.base.clock import Clock
from watchword.base.entropy import Entropy
from watchword.base.errors import Forbidden, NotFound, PeerError, Refusal
from watchword.protocol.ids import UserId
from watchword.server.accounts.commands import Account, RegistrationMode
from watchword.server.accounts.reader import AccountReader
from watchword.server.oauth import tables
from watchword.server.oauth.browsers import Visit
from watchword.server.oauth.commands import OAuthSettings
from watchword.server.oauth.sign_in import Newcomer, SignIn, require_open
from watchword.server.oauth.upstream.attempts import Attempt, Kept, Stranger
from watchword.server.oauth.upstream.decide import CALLBACK, Identity, challenge_of, departure_url
from watchword.server.oauth.upstream.providers import JsonFetcher, Provider
from watchword.storage import Database

logger = logging.getLogger(__name__)

_TOO_LATE = "This took too long, or began in another browser. Please start again."


@dataclass(frozen=True, slots=True)
class CameBack:
    """Somebody who proved himself at a provider. account None: he is new here, and stranger_id is what he goes on with."""

    next: str | None
    account: Account | None = None
    stranger_id: str = ""


class Upstream:
    """The providers, and who is on his way to or from them."""

    def __init__(
        self,
        settings: OAuthSettings,
        database: Database,
        clock: Clock,
        entropy: Entropy,
        sign_in: SignIn,
        fetcher: JsonFetcher,
    ) -> None:
        self._database = database
        self._clock = clock
        self._entropy = entropy
        self._sign_in = sign_in
        self._accounts: AccountReader = sign_in.accounts.reader
        self._settings = settings
        self._providers = {each.provider_id: Provider(each, fetcher, clock) for each in settings.providers}
        self._attempts: Kept[Attempt] = Kept(clock)
        self._strangers: Kept[Stranger] = Kept(clock)

    @property
    def names(self) -> Sequence[tuple[str, str]]:
        """(ID, name) of every provider, in the operator's order."""
        return [(each.provider_id, each.name) for each in self._settings.providers]

    def provider(self, provider_id: str) -> Provider:
        """A provider. Raises NotFound."""
        found = self._providers.get(provider_id)
        if found is None:
            raise NotFound("This server does not know this way to sign in.")
        return found

    async def depart(self, provider_id: str, visit: Visit, next_path: str | None, *, again: bool) -> str:
        """Where to send a browser. again: the provider is to ask even those whom it knows. Raises NotFound, Refusal."""
        provider = self.provider(provider_id)
        try:
            metadata = await provider.metadata()
        except PeerError as error:
            raise _unreachable(error) from error
        state, nonce, verifier = self._entropy.token(), self._entropy.token(), self._entropy.token(48)
        self._attempts.keep(state, Attempt(provider_id, nonce, verifier, next_path, visit.browser_hash))
        parameters = {
            "redirect_uri": self._settings.url(CALLBACK),
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge_of(verifier),
            **({"prompt": "login"} if again else {}),
        }
        return departure_url(metadata, provider.settings, parameters)

    async def arrive(self, query: Mapping[str, str], visit: Visit) -> CameBack:
        """Who came back. Raises Forbidden, or Refusal 502 if the provider does not play its part."""
        attempt = self._attempts.take(query.get("state", ""))
        if attempt is None or attempt.browser_hash != visit.browser_hash:
            raise Forbidden(_TOO_LATE)
        provider = self.provider(attempt.provider_id)
        # Spec: none; RFC 9207: an answer of another provider must not be taken for this one's.
        is_mixed_up = query.get("iss", provider.settings.issuer) != provider.settings.issuer
        if is_mixed_up or "error" in query or "code" not in query:
            raise Forbidden(f"{provider.settings.name} did not sign you in.")
        parameters = {"redirect_uri": self._settings.url(CALLBACK), "code_verifier": attempt.verifier}
        try:
            identity = await provider.identify(query["code"], parameters, attempt.nonce)
        except PeerError as error:
            raise _unreachable(error) from error
        account = await self._known(provider, identity)
        if account is not None:
            return CameBack(attempt.next, account=require_open(account))
        if provider.settings.registration is RegistrationMode.CLOSED:
            raise Forbidden(f"Nobody here belongs to your account at {provider.settings.name}.")
        stranger_id = self._entropy.token()
        self._strangers.keep(stranger_id, Stranger(attempt.provider_id, identity, attempt.next, attempt.browser_hash))
        return CameBack(attempt.next, stranger_id=stranger_id)

    async def _known(self, provider: Provider, identity: Identity) -> Account | None:
        provider_id = provider.settings.provider_id
        async with self._database.read() as tx:
            user_id = await tables.linked_user(tx, provider_id, identity.subject)
        if user_id is not None:
            return await self._accounts.account(user_id)
        if not provider.settings.adopts_accounts or not identity.is_exact:
            return None
        account = await self._accounts.account(UserId(f"@{identity.localpart}:{self._settings.server_name}"))
        if account is None or account.is_deactivated or account.is_guest or account.appservice_id is not None:
            return None
        async with self._database.read() as tx:
            # Names elsewhere change hands: who has come by this provider before is known by his subject alone.
            if provider_id in await tables.links_of(tx, account.user_id):
                return None
        await self._link(provider_id, identity.subject, account.user_id)
        return account

    async def _link(self, provider_id: str, subject: str, user_id: UserId) -> None:
        async with self._database.write() as tx:
            await tables.insert_link(tx, provider_id, subject, user_id, self._clock.now_ms())

    def stranger(self, stranger_id: str, visit: Visit) -> tuple[Stranger, Provider]:
        """Somebody new who came back a while ago, with his provider. Raises Forbidden."""
        found = self._strangers.look(stranger_id)
        if found is None or found.browser_hash != visit.browser_hash:
            raise Forbidden(_TOO_LATE)
        return found, self.provider(found.provider_id)

    async def welcome(self, stranger_id: str, visit: Visit, newcomer: Newcomer) -> Account:
        """Make somebody new an account. Raises Refusal with a sentence to show; he may try again."""
        found, provider = self.stranger(stranger_id, visit)
        account = await self._sign_in.register(newcomer, provider.settings.registration)
        self._strangers.take(stranger_id)
        await self._link(found.provider_id, found.identity.subject, account.user_id)
        return account

    async def providers_of(self, user_id: UserId) -> Sequence[str]:
        """The names of the providers that a user may come from."""
        async with self._database.read() as tx:
            links = await tables.links_of(tx, user_id)
        return [name for provider_id, name in self.names if provider_id in links]


def _unreachable(error: PeerError) -> Refusal:
    logger.warning("A provider did not sign a user in.", extra={"provider_id": error.server_name, "cause": error.reason})
    return Refusal("M_UNKNOWN", "The other side could not be reached, or did not answer as it should.", status=502)
