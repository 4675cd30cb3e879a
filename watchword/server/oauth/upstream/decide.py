"""The rules of signing in elsewhere: values in, an answer or a refusal out."""

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from watchword.base import limits
from watchword.base.errors import ProtocolError
from watchword.protocol.ids import parse_new_localpart
from watchword.server.oauth.commands import PREFIX, ProviderSettings

CALLBACK = f"{PREFIX}/upstream/callback"
SIGNATURES = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Signatures that an ID token may bear: those that only the provider can make."""

_ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")
_VISIBLE = re.compile(r"[\x21-\x7e]+")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
_NO_CLIENTS = frozenset(
    {"javascript", "data", "vbscript", "file", "blob", "about", "filesystem", "view-source", "intent", "mailto", "tel", "sms"}
)


@dataclass(frozen=True, slots=True)
class ProviderMetadata:
    """What a provider says of itself. userinfo_endpoint: None if it has none."""

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None
    takes_basic: bool


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody, as a provider knows him. localpart: what he might be called here, "" if that says nothing.

    is_exact: whether localpart is what the provider calls him, to the letter.
    """

    subject: str
    localpart: str
    is_exact: bool
    display_name: str


def provider_metadata(document: Mapping[str, Any], issuer: str) -> ProviderMetadata | None:
    """What a discovery document says; None if it is not the provider's, or lacks what we need."""
    if document.get("issuer") != issuer:
        return None
    schemes = ("https://", "http://") if issuer.startswith("http://") else ("https://",)
    if not all(_is_url(document.get(name), schemes) for name in _ENDPOINTS):
        return None
    userinfo = document.get("userinfo_endpoint")
    methods = document.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
    return ProviderMetadata(
        authorization_endpoint=document["authorization_endpoint"],
        token_endpoint=document["token_endpoint"],
        jwks_uri=document["jwks_uri"],
        userinfo_endpoint=userinfo if _is_url(userinfo, schemes) else None,
        takes_basic=isinstance(methods, list) and "client_secret_basic" in methods,
    )


def _is_url(value: object, schemes: tuple[str, ...]) -> bool:
    return isinstance(value, str) and value.startswith(schemes) and _VISIBLE.fullmatch(value) is not None


def challenge_of(verifier: str) -> str:
    """The S256 code challenge of a verifier."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def departure_url(metadata: ProviderMetadata, provider: ProviderSettings, parameters: Mapping[str, str]) -> str:
    """Where to send a browser. parameters: redirect_uri, state, nonce, code_challenge and what else is wanted."""
    query = {
        "response_type": "code",
        "client_id": provider.client_id,
        "scope": " ".join(("openid", *(scope for scope in provider.scopes if scope != "openid"))),
        "code_challenge_method": "S256",
        **parameters,
    }
    joint = "&" if "?" in metadata.authorization_endpoint else "?"
    return f"{metadata.authorization_endpoint}{joint}{urlencode(query)}"


def basic_authorization(client_id: str, secret: str) -> str:
    """The header of a client with a secret. Spec: none; RFC 6749 section 2.3.1"""
    pair = f"{quote(client_id, safe='')}:{quote(secret, safe='')}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def is_for_us(claims: Mapping[str, Any], client_id: str, nonce: str) -> bool:
    """Whether a verified ID token was made for us and for this attempt. Spec: none; OpenID Connect Core section 3.1.3.7"""
    audience = claims.get("aud")
    audiences = [audience] if isinstance(audience, str) else audience
    if not isinstance(audiences, list) or client_id not in audiences or claims.get("nonce") != nonce:
        return False
    return claims.get("azp", client_id) == client_id and (len(audiences) == 1 or "azp" in claims)


def identity(claims: Mapping[str, Any], provider: ProviderSettings) -> Identity | None:
    """Who that is; None if the claims do not say. Claims of the wrong type count as absent."""
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= limits.upstream_claim_characters_max:
        return None
    name = _text(claims, provider.localpart_claim)
    localpart = wished_localpart(name)
    display_name = _text(claims, provider.displayname_claim)[: limits.displayname_characters_max]
    return Identity(subject, localpart, is_exact=bool(localpart) and localpart == name.lower(), display_name=display_name)


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    return value.strip() if isinstance(value, str) and len(value) <= limits.upstream_claim_characters_max else ""


def wished_localpart(name: str) -> str:
    """What somebody of this name elsewhere might be called here; "" if nothing can be made of it."""
    folded = name.partition("@")[0].lower()
    wished = "".join(character if re.fullmatch(r"[a-z0-9._=/+-]", character) else "_" for character in folded).strip("_")
    try:
        return parse_new_localpart(wished)
    except ProtocolError:
        return ""


# Clients of the legacy API


def is_client_address(url: str) -> bool:
    """Whether a browser may be sent to this address with a login token: a site, or an application's own scheme."""
    if len(url) > limits.oauth_uri_characters_max or _VISIBLE.fullmatch(url) is None or "\\" in url:
        return False
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    if _SCHEME.fullmatch(parts.scheme) is None or parts.scheme in _NO_CLIENTS or "@" in parts.netloc:
        return False
    return bool(host) or parts.scheme not in ("https", "http")


def with_login_token(url: str, token: str) -> str:
    """The client's address with a token in its query, instead of one that stands there already.

    Spec: client-server-api#handling-the-redirect-to-the-authentication-server
    """
    parts = urlsplit(url)
    others = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name != "loginToken"]
    return parts._replace(query=urlencode([*others, ("loginToken", token)])).geturl()
