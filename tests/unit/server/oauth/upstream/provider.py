"""A provider of OpenID Connect on loopback: it signs with real keys, checks PKCE and secrets, and lies when told to."""

import base64
import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from aiohttp import web
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

from watchword.base.clock import Clock
from watchword.server.oauth.commands import ProviderSettings

CLIENT_ID, SECRET = "watchword", "s3cret/+"


class OpenIdProvider:
    """claims: of the user who signs in. Everything that a test may bend is an attribute."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.issuer = ""
        self.key: RSAKey | ECKey = ECKey.generate_key("P-256", {"kid": "one", "use": "sig"})
        self.published: list[Any] = [self.key]
        self.claims: dict[str, Any] = {"sub": "4711", "preferred_username": "alice", "name": "Alice Elsewhere"}
        self.id_token_claims: dict[str, Any] = {}
        self.userinfo: dict[str, Any] | None = None
        self.document: dict[str, Any] = {}
        self.token_answer: dict[str, Any] = {}
        self.algorithm = "ES256"
        self.secret_in_body = False
        self.keys_asked = 0
        self._codes: dict[str, Mapping[str, str]] = {}

    def settings(self, **changed: Any) -> ProviderSettings:
        return ProviderSettings(
            **{
                "provider_id": "idp",
                "name": "Elsewhere",
                "issuer": self.issuer,
                "client_id": CLIENT_ID,
                "client_secret": SECRET,
            }
            | changed
        )

    def signs_in(self, url: str) -> str:
        """What a browser is sent back with after its user signed in at this address: a path of ours."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        assert url.startswith(f"{self.issuer}/authorize?")
        assert asked["response_type"] == "code"
        assert "openid" in asked["scope"].split()
        assert asked["code_challenge_method"] == "S256"
        code = f"code-{len(self._codes)}"
        self._codes[code] = asked
        back = urlsplit(asked["redirect_uri"])
        return f"{back.path}?{urlencode({'code': code, 'state': asked['state'], 'iss': self.issuer})}"

    async def _discovery(self, request: web.Request) -> web.Response:
        document = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "token_endpoint_auth_methods_supported": ["client_secret_post" if self.secret_in_body else "client_secret_basic"],
        }
        if self.userinfo is not None:
            document["userinfo_endpoint"] = f"{self.issuer}/userinfo"
        return web.json_response({**document, **self.document})

    async def _keys(self, request: web.Request) -> web.Response:
        self.keys_asked += 1
        secret = OctKey.generate_key(256).as_dict()
        known = [key.as_dict(private=False) for key in self.published]
        return web.json_response({"keys": [secret, {**known[0], "use": "enc", "kid": "enc"}, *known]})

    async def _token(self, request: web.Request) -> web.Response:
        form = await request.post()
        asked = self._codes.pop(str(form.get("code")), None)
        if asked is None or not self._is_client(request, form):
            return web.json_response({"error": "invalid_grant"}, status=400)
        digest = hashlib.sha256(str(form["code_verifier"]).encode()).digest()
        assert base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == asked["code_challenge"]
        assert form["redirect_uri"] == asked["redirect_uri"]
        now = self._clock.now_ms() // 1000
        claims = {"iss": self.issuer, "aud": CLIENT_ID, "exp": now + 300, "iat": now, "nonce": asked["nonce"]}
        id_token = self.signed({**claims, **self.claims, **self.id_token_claims})
        return web.json_response({"access_token": "at", "token_type": "Bearer", "id_token": id_token, **self.token_answer})

    def signed(self, claims: Mapping[str, Any]) -> str:
        kept = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode({"alg": self.algorithm, "kid": self.key.kid}, kept, self.key, algorithms=[self.algorithm])

    def _is_client(self, request: web.Request, form: Any) -> bool:
        if self.secret_in_body:
            return (form.get("client_id"), form.get("client_secret")) == (CLIENT_ID, SECRET)
        wanted = base64.b64encode(b"watchword:s3cret%2F%2B").decode()
        return request.headers.get("authorization") == f"Basic {wanted}"

    async def _userinfo(self, request: web.Request) -> web.Response:
        assert request.headers["authorization"] == "Bearer at"
        return web.json_response(self.userinfo)


@asynccontextmanager
async def running(clock: Clock) -> AsyncIterator[OpenIdProvider]:
    """A provider that listens."""
    provider = OpenIdProvider(clock)
    app = web.Application()
    app.router.add_get("/.well-known/openid-configuration", provider._discovery)
    app.router.add_get("/keys", provider._keys)
    app.router.add_post("/token", provider._token)
    app.router.add_get("/userinfo", provider._userinfo)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert runner.addresses
    provider.issuer = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield provider
    finally:
        await runner.cleanup()
