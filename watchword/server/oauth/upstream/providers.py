"""One provider of OpenID Connect, as a client sees it: discovery, the exchange of a code, and the ID token.

What was discovered, and the provider's keys, are kept for an hour; keys are fetched again when a token names another one.
Every failure is a PeerError: the caller shows a page, the log gets the reason.
"""

from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import urlencode

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.errors import PeerError
from watchword.edge.fetch import Outgoing
from watchword.server.oauth.commands import ProviderSettings
from watchword.server.oauth.upstream.decide import (
    SIGNATURES,
    Identity,
    ProviderMetadata,
    basic_authorization,
    identity,
    is_for_us,
    provider_metadata,
)

_LEEWAY_SECONDS = 60
_FORM = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}


class JsonFetcher(Protocol):
    """Fitted by `edge.fetch.Fetcher`."""

    async def fetch_json(self, outgoing: Outgoing) -> dict[str, Any]:
        """Ask for a JSON object. Raises PeerError."""
        ...


class Provider:
    """A provider that the operator configured."""

    def __init__(self, settings: ProviderSettings, fetcher: JsonFetcher, clock: Clock) -> None:
        self.settings = settings
        self._fetcher = fetcher
        self._clock = clock
        self._metadata: tuple[int, ProviderMetadata] | None = None
        self._keys: tuple[int, dict[str, Any]] | None = None

    async def metadata(self) -> ProviderMetadata:
        """What the provider says of itself. Raises PeerError."""
        now_ms = self._clock.monotonic_ms()
        if self._metadata is None or now_ms - self._metadata[0] >= limits.upstream_metadata_kept_ms:
            url = f"{self.settings.issuer.rstrip('/')}/.well-known/openid-configuration"
            found = provider_metadata(await self._get(url), self.settings.issuer)
            if found is None:
                raise self._failed("its discovery document is not what it should be")
            self._metadata = (now_ms, found)
        return self._metadata[1]

    async def identify(self, code: str, parameters: Mapping[str, str], nonce: str) -> Identity:
        """Who came back with this code. parameters: redirect_uri and code_verifier. Raises PeerError."""
        metadata = await self.metadata()
        answer = await self._exchange(metadata, {"grant_type": "authorization_code", "code": code, **parameters})
        id_token = answer.get("id_token")
        if not isinstance(id_token, str):
            raise self._failed("it gave no ID token")
        claims = await self._verified(metadata, id_token, nonce)
        found = identity(await self._completed(metadata, claims, answer.get("access_token")), self.settings)
        if found is None:
            raise self._failed("it does not say who that is")
        return found

    async def _exchange(self, metadata: ProviderMetadata, parameters: Mapping[str, str]) -> Mapping[str, Any]:
        settings, headers, form = self.settings, dict(_FORM), dict(parameters)
        if settings.client_secret is not None and metadata.takes_basic:
            headers["authorization"] = basic_authorization(settings.client_id, settings.client_secret)
        else:
            form["client_id"] = settings.client_id
            if settings.client_secret is not None:
                form["client_secret"] = settings.client_secret
        body = urlencode(form).encode()
        return await self._fetcher.fetch_json(self._outgoing("POST", metadata.token_endpoint, headers, body))

    async def _verified(self, metadata: ProviderMetadata, id_token: str, nonce: str) -> Mapping[str, Any]:
        claims = self._decoded(id_token, await self._key_set(metadata, fresh=False))
        if claims is None:
            # The provider may have changed its keys.
            claims = self._decoded(id_token, await self._key_set(metadata, fresh=True))
        if claims is None or not is_for_us(claims, self.settings.client_id, nonce):
            raise self._failed("its ID token is not good")
        return claims

    def _decoded(self, id_token: str, keys: dict[str, Any]) -> Mapping[str, Any] | None:
        # joserfc loads a good part of cryptography; a server without providers never needs it.
        from joserfc import jwt
        from joserfc.errors import JoseError
        from joserfc.jwk import KeySet

        try:
            token = jwt.decode(id_token, KeySet.import_key_set({"keys": keys["keys"]}), algorithms=list(SIGNATURES))
            wanted = jwt.JWTClaimsRegistry(
                now=self._clock.now_ms() // 1000,
                leeway=_LEEWAY_SECONDS,
                iss={"essential": True, "value": self.settings.issuer},
                sub={"essential": True},
                aud={"essential": True},
                exp={"essential": True},
                iat={"essential": True},
            )
            wanted.validate(token.claims)
        except (JoseError, ValueError, KeyError, TypeError):
            return None
        return token.claims

    async def _key_set(self, metadata: ProviderMetadata, *, fresh: bool) -> dict[str, Any]:
        now_ms = self._clock.monotonic_ms()
        if fresh or self._keys is None or now_ms - self._keys[0] >= limits.upstream_metadata_kept_ms:
            found = await self._get(metadata.jwks_uri)
            keys = found.get("keys")
            if not isinstance(keys, list):
                raise self._failed("its key set is not what it should be")
            # Keys for encryption, and secrets, sign nothing that we believe.
            usable = [
                key for key in keys if isinstance(key, dict) and key.get("kty") != "oct" and key.get("use", "sig") == "sig"
            ]
            self._keys = (now_ms, {"keys": usable})
        return self._keys[1]

    async def _completed(
        self, metadata: ProviderMetadata, claims: Mapping[str, Any], access_token: object
    ) -> Mapping[str, Any]:
        """The claims, with those of the userinfo endpoint where the ID token lacks the name."""
        if self.settings.localpart_claim in claims or metadata.userinfo_endpoint is None or not isinstance(access_token, str):
            return claims
        headers = {"authorization": f"Bearer {access_token}", "accept": "application/json"}
        more = await self._fetcher.fetch_json(self._outgoing("GET", metadata.userinfo_endpoint, headers))
        if more.get("sub") != claims.get("sub"):
            raise self._failed("its userinfo endpoint speaks of somebody else")
        return {**more, **claims}

    async def _get(self, url: str) -> Mapping[str, Any]:
        return await self._fetcher.fetch_json(self._outgoing("GET", url, {"accept": "application/json"}))

    def _outgoing(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None) -> Outgoing:
        return Outgoing(
            method,
            url,
            headers,
            body,
            timeout_ms=limits.upstream_timeout_ms,
            bytes_max=limits.upstream_answer_bytes_max,
            peer=self.settings.provider_id,
        )

    def _failed(self, reason: str) -> PeerError:
        return PeerError(self.settings.provider_id, reason)
