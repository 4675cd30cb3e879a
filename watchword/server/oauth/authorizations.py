"""The authorisation endpoint's part that is not a page: reading a request, and making a code once the user said yes."""

from dataclasses import dataclass

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.entropy import Entropy
from watchword.edge.request import Request
from watchword.protocol.ids import UserId
from watchword.server.accounts.ports import CrossSigningKeys
from watchword.server.accounts.tokens import token_hash
from watchword.server.oauth import tables
from watchword.server.oauth.clients import Clients
from watchword.server.oauth.commands import (
    AuthorizationRequest,
    Code,
    OAuthSettings,
    RefusedHere,
    RefusedThere,
    ReturnAddress,
)
from watchword.server.oauth.decide import authorization_request, return_url
from watchword.storage import Database


@dataclass(frozen=True)
class Authorizations:
    """Reads requests and answers them at the client's address."""

    database: Database
    clients: Clients
    cross_signing: CrossSigningKeys
    clock: Clock
    entropy: Entropy
    settings: OAuthSettings

    async def read(self, query_string: str) -> AuthorizationRequest | RefusedHere | RefusedThere:
        """The request in a query string, or why it is none. Spec: client-server-api#authorisation-code-grant"""
        query = Request("GET", "", query_string).query
        named = query.get("client_id", ())
        client = await self.clients.find(named[0] if named else None)
        return authorization_request(query, client)

    async def allow(self, wish: AuthorizationRequest, user_id: UserId) -> str:
        """The address to send the browser to, with a code that is good for a short time."""
        if await self.cross_signing.is_cross_signing_key(user_id, wish.scope.device_id):
            return self.error(wish.back, "invalid_scope", "This device ID is the name of a cross-signing key.")
        code = f"wwc_{self.entropy.token()}"
        now_ms = self.clock.now_ms()
        kept = Code(
            client_id=wish.client.client_id,
            user_id=user_id,
            scope=wish.scope,
            redirect_uri=wish.back.redirect_uri,
            code_challenge=wish.code_challenge,
            expires_ts=now_ms + limits.oauth_code_ms,
        )
        async with self.database.write() as tx:
            await tables.insert_code(tx, token_hash(code), kept)
            await tables.use_client(tx, wish.client.client_id, now_ms)
        return return_url(wish.back, {"code": code, "iss": f"{self.settings.base_url}/"})

    def deny(self, wish: AuthorizationRequest) -> str:
        """The address to send the browser to after a no."""
        return self.error(wish.back, "access_denied", "The user said no.")

    def error(self, back: ReturnAddress, error: str, text: str) -> str:
        """The address to send the browser to with an error. Spec: none; RFC 6749 section 4.1.2.1, RFC 9207"""
        answer = {"error": error, "error_description": text, "iss": f"{self.settings.base_url}/"}
        return return_url(back, answer)
