"""The rules of OAuth as Matrix uses it: values in, an answer or a refusal out. Nothing is looked up and nothing is kept.

Spec: client-server-api#oauth-20-api; RFC 6749, 7591, 7636, 8252, 8628
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

from watchword.base import limits
from watchword.protocol.ids import DeviceId, ServerName
from watchword.server.accounts.commands import Flows
from watchword.server.accounts.decide import DUMMY, REGISTRATION_TOKEN, TERMS
from watchword.server.oauth.commands import (
    AUTHORIZATION_CODE,
    DEVICE_CODE,
    GRANT_TYPES,
    PREFIX,
    REFRESH_TOKEN,
    AuthorizationRequest,
    Client,
    ClientMetadata,
    Code,
    DeviceGrant,
    DeviceGrantState,
    OAuthRefused,
    RefusedHere,
    RefusedThere,
    ReturnAddress,
    Scope,
)

USER_CODE_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
"""Neither vowels, so that no words come about, nor letters that look like digits."""
USER_CODE_LENGTH = 8

RESPONSE_MODES = ("query", "fragment")

# COMPAT(clients before v1.15, until 2028): the names of the proposal.
_API_SCOPES = ("urn:matrix:client:api:*", "urn:matrix:org.matrix.msc2967.client:api:*")
_DEVICE_SCOPES = ("urn:matrix:client:device:", "urn:matrix:org.matrix.msc2967.client:device:")
_DEVICE_ID = re.compile(rf"[A-Za-z0-9._~-]{{1,{limits.device_id_characters_max}}}")

_VISIBLE = re.compile(r"[\x21-\x5b\x5d-\x7e]+")
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_LOOPBACKS = ("localhost", "127.0.0.1", "::1")
_LOCALIZED = re.compile(r"(client_name|client_uri|logo_uri|tos_uri|policy_uri)#[A-Za-z0-9-]{1,35}")
_PAGE_STAGES = {REGISTRATION_TOKEN, TERMS, DUMMY}
_ONCE = ("response_type", "response_mode", "state", "scope", "code_challenge", "code_challenge_method", "prompt", "login_hint")

# Client registration


def client_metadata(body: Mapping[str, Any]) -> ClientMetadata | OAuthRefused:
    """What a client registers, checked; what is not known is left out. Spec: client-server-api#client-registration"""
    client_uri = body.get("client_uri")
    base = _web_address(client_uri)
    if base is None or not isinstance(client_uri, str):
        return _invalid("client_uri must be an https URL without user and password.")
    host = str(base.hostname)
    grants = _texts(body.get("grant_types", [AUTHORIZATION_CODE]))
    if grants is None or _texts(body.get("response_types", [])) is None:
        return _invalid("grant_types and response_types must be lists of strings.")
    if body.get("token_endpoint_auth_method", "none") != "none":
        return _invalid("Only public clients are known here: token_endpoint_auth_method must be none.")
    kind = body.get("application_type", "web")
    if kind not in ("web", "native"):
        return _invalid("application_type is web or native.")
    name = body.get("client_name")
    if name is not None and not (isinstance(name, str) and len(name) <= limits.oauth_name_characters_max):
        return _invalid("client_name must be a short text.")
    for key in ("tos_uri", "policy_uri", "logo_uri"):
        if body.get(key) is not None and not _is_of(body[key], host):
            return _invalid(f"{key} must be an https URL on the host of client_uri or a sub-domain of it.")
    granted = tuple(grant for grant in GRANT_TYPES if grant in grants)
    redirects = _texts(body.get("redirect_uris", []))
    if redirects is None or len(redirects) > limits.oauth_redirect_uris_max:
        return OAuthRefused("invalid_redirect_uri", "redirect_uris must be a short list of strings.")
    if AUTHORIZATION_CODE in granted and not redirects:
        return OAuthRefused("invalid_redirect_uri", "At least one redirect URI is needed.")
    for uri in redirects:
        if not is_redirect_uri(uri, host, native=kind == "native"):
            return OAuthRefused(
                "invalid_redirect_uri", f"This redirect URI is not one that a {kind} client of {host} may have."
            )
    return ClientMetadata(
        client_uri=client_uri,
        client_name=name or None,
        application_type=kind,
        redirect_uris=tuple(redirects),
        grant_types=granted,
        tos_uri=body.get("tos_uri"),
        policy_uri=body.get("policy_uri"),
        logo_uri=body.get("logo_uri"),
        localized=_localized(body, host),
    )


def _invalid(text: str) -> OAuthRefused:
    return OAuthRefused("invalid_client_metadata", text)


def _texts(value: object) -> Sequence[str] | None:
    return value if isinstance(value, list) and all(isinstance(item, str) for item in value) else None


def _localized(body: Mapping[str, Any], host: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in body.items():
        if _LOCALIZED.fullmatch(key) is None or not isinstance(value, str) or len(found) >= limits.oauth_localized_max:
            continue
        if _is_of(value, host) if "_uri#" in key else len(value) <= limits.oauth_name_characters_max:
            found[key] = value
    return found


def _split(uri: object) -> SplitResult | None:
    if not isinstance(uri, str) or len(uri) > limits.oauth_uri_characters_max or _VISIBLE.fullmatch(uri) is None:
        return None
    try:
        parts = urlsplit(uri)
        # Reading the port is what finds a wrong one.
        return parts if parts.port is None or parts.port else None
    except ValueError:
        return None


def _web_address(uri: object) -> SplitResult | None:
    parts = _split(uri)
    if parts is None or parts.scheme != "https" or not parts.hostname or "@" in parts.netloc:
        return None
    return parts


def _is_of(uri: object, host: str) -> bool:
    parts = _web_address(uri)
    return parts is not None and (parts.hostname == host or str(parts.hostname).endswith(f".{host}"))


def is_redirect_uri(uri: str, client_host: str, *, native: bool) -> bool:
    """Whether a client of this host may register this address. Spec: client-server-api#redirect-uri-validation"""
    parts = _split(uri)
    if parts is None or "#" in uri:
        return False
    if parts.scheme == "https":
        return _is_of(uri, client_host)
    if not native:
        return False
    if parts.scheme == "http":
        return parts.hostname in _LOOPBACKS and parts.port is None and "@" not in parts.netloc
    reverse = ".".join(reversed(client_host.split(".")))
    is_own = parts.scheme == reverse or parts.scheme.startswith(f"{reverse}.")
    return is_own and "." in reverse and not uri[len(parts.scheme) + 1 :].startswith("//")


def is_registered(uri: str, metadata: ClientMetadata) -> bool:
    """Whether a request may name this address: one that was registered, to the letter.

    A loopback address of a native client may add any port. Spec: client-server-api#redirect-uri-validation
    """
    if uri in metadata.redirect_uris:
        return True
    parts = _split(uri)
    if parts is None or parts.scheme != "http" or metadata.application_type != "native" or "#" in uri:
        return False
    if parts.hostname not in _LOOPBACKS or parts.port is None:
        return False
    return parts._replace(netloc=parts.netloc.removesuffix(f":{parts.port}")).geturl() in metadata.redirect_uris


# Scopes


def scope_in(text: str) -> Scope | OAuthRefused:
    """The scopes of a request: the whole API and exactly one device; what is not known is passed over.

    Spec: client-server-api#scope
    """
    scopes = text.split(" ")
    api = [scope for scope in scopes if scope in _API_SCOPES]
    devices = list(dict.fromkeys(scope for scope in scopes if scope.startswith(_DEVICE_SCOPES)))
    names = {scope.partition(":device:")[2] for scope in devices}
    if not api or len(names) != 1:
        return OAuthRefused("invalid_scope", "The scope must name the client-server API and exactly one device.")
    name = names.pop()
    if _DEVICE_ID.fullmatch(name) is None:
        return OAuthRefused("invalid_scope", "A device ID consists of letters, digits and . _ ~ -")
    return Scope(DeviceId(name), " ".join((*dict.fromkeys(api), *devices)))


# The authorisation endpoint


def authorization_request(
    query: Mapping[str, Sequence[str]], client: Client | None
) -> AuthorizationRequest | RefusedHere | RefusedThere:
    """A request at the authorisation endpoint. client: the one that it names, if there is such a client.

    Spec: client-server-api#authorisation-code-grant
    """
    if client is None or len(query["client_id"]) != 1:
        return RefusedHere(
            "This application is not known here. It may have registered too long ago: please start again from it."
        )
    addresses = query.get("redirect_uri", ())
    if len(addresses) != 1 or not is_registered(addresses[0], client.metadata):
        return RefusedHere("The application asks to send you to an address that it did not register. You stay here.")
    one = {name: values[0] for name, values in query.items()}
    mode = one.get("response_mode", "query")
    back = ReturnAddress(addresses[0], mode if mode in RESPONSE_MODES else "query", one.get("state"))
    refused = _request_refusal(query, one, client.metadata)
    if refused is not None:
        return RefusedThere(back, refused.error, refused.text)
    scope = scope_in(one.get("scope", ""))
    if isinstance(scope, OAuthRefused):
        return RefusedThere(back, scope.error, scope.text)
    return AuthorizationRequest(
        client=client,
        back=back,
        scope=scope,
        code_challenge=one["code_challenge"],
        prompts=frozenset(one.get("prompt", "").split()),
        login_hint=one.get("login_hint"),
    )


def _request_refusal(
    query: Mapping[str, Sequence[str]], one: Mapping[str, str], metadata: ClientMetadata
) -> OAuthRefused | None:
    if any(len(query.get(name, ())) > 1 for name in _ONCE):
        return OAuthRefused("invalid_request", "A parameter is given twice.")
    if "request" in one or "request_uri" in one:
        return OAuthRefused("request_not_supported", "Request objects are not supported.")
    if one.get("response_type") != "code":
        return OAuthRefused("unsupported_response_type", "response_type must be code.")
    if one.get("response_mode", "query") not in RESPONSE_MODES:
        return OAuthRefused("invalid_request", "response_mode is query or fragment.")
    if AUTHORIZATION_CODE not in metadata.grant_types:
        return OAuthRefused("unauthorized_client", "This client did not register for authorisation codes.")
    if one.get("code_challenge_method") != "S256" or _CHALLENGE.fullmatch(one.get("code_challenge", "")) is None:
        return OAuthRefused("invalid_request", "A code_challenge with the method S256 is needed.")
    if len(one.get("state", "")) > limits.oauth_uri_characters_max:
        return OAuthRefused("invalid_request", "state is too long.")
    return None


def return_url(back: ReturnAddress, answer: Mapping[str, str]) -> str:
    """The address of the client with our answer in its query or fragment. Spec: client-server-api#authorisation-code-grant"""
    state = {} if back.state is None else {"state": back.state}
    added = urlencode({**answer, **state})
    if back.mode == "fragment":
        return f"{back.redirect_uri}#{added}"
    return f"{back.redirect_uri}{'&' if '?' in back.redirect_uri else '?'}{added}"


def form_target(uri: str) -> str:
    """What a content security policy must allow for a form whose answer leads to this address."""
    parts = urlsplit(uri)
    # A policy has no way to write an IPv6 address, and a scheme of an application has no host.
    is_host = parts.scheme in ("https", "http") and ":" not in str(parts.hostname)
    return f"{parts.scheme}://{parts.netloc}" if is_host else f"{parts.scheme}:"


def hinted_user(login_hint: str | None, server_name: ServerName) -> str:
    """The name to write into the sign-in form for a client: a localpart, "" if the hint is of no use."""
    if login_hint is None or len(login_hint) > limits.identifier_bytes_max:
        return ""
    localpart, _, domain = login_hint.removeprefix("mxid:").removeprefix("@").partition(":")
    return localpart if domain in ("", server_name) else ""


# The token endpoint


def challenge_matches(challenge: str, verifier: str) -> bool:
    """Whether the client that asks is the one that began. Spec: none; RFC 7636 section 4.6"""
    if _VERIFIER.fullmatch(verifier) is None:
        return False
    digest = hashlib.sha256(verifier.encode()).digest()
    return hmac.compare_digest(base64.urlsafe_b64encode(digest).rstrip(b"=").decode(), challenge)


def code_refusal(code: Code | None, client_id: str, redirect_uri: str, verifier: str, now_ms: int) -> OAuthRefused | None:
    """Why a code gives no tokens. That it was used before is for the caller to see first. Spec: none; RFC 6749 section 4.1.3"""
    if code is None or code.expires_ts <= now_ms or code.session_id is not None:
        return OAuthRefused("invalid_grant", "This code is not known, was used, or has expired.")
    if code.client_id != client_id:
        return OAuthRefused("invalid_grant", "This code was given to another client.")
    if code.redirect_uri != redirect_uri:
        return OAuthRefused("invalid_grant", "redirect_uri is not the one of the authorisation request.")
    if not challenge_matches(code.code_challenge, verifier):
        return OAuthRefused("invalid_grant", "code_verifier does not match the code_challenge.")
    return None


def grant_refusal(grant_type: str, metadata: ClientMetadata) -> OAuthRefused | None:
    """Why a client may not use a grant."""
    if grant_type not in GRANT_TYPES:
        return OAuthRefused("unsupported_grant_type", "This grant is not known here.")
    if grant_type not in metadata.grant_types:
        return OAuthRefused("unauthorized_client", "This client did not register for this grant.")
    return None


def is_refreshable(metadata: ClientMetadata) -> bool:
    """Whether a client gets refresh tokens, and so access tokens of short life."""
    return REFRESH_TOKEN in metadata.grant_types


# Devices without a browser


def user_code_in(text: str) -> str | None:
    """A code as it was typed, without what people add to it; None if it cannot be one."""
    letters = "".join(character for character in text.upper() if character not in " -.\t")
    is_code = len(letters) == USER_CODE_LENGTH and all(letter in USER_CODE_LETTERS for letter in letters)
    return letters if is_code else None


def shown_user_code(code: str) -> str:
    """A code as people read it."""
    return f"{code[:4]}-{code[4:]}"


def device_refusal(grant: DeviceGrant | None, client_id: str, now_ms: int) -> OAuthRefused | None:
    """Why a device that asks gets no tokens now. Spec: none; RFC 8628 section 3.5"""
    if grant is None or grant.client_id != client_id or grant.state is DeviceGrantState.SPENT:
        return OAuthRefused("invalid_grant", "This device code is not known, or was used.")
    if grant.expires_ts <= now_ms:
        return OAuthRefused("expired_token", "This device code has expired.")
    if grant.state is DeviceGrantState.DENIED:
        return OAuthRefused("access_denied", "The user said no.")
    if now_ms - grant.polled_ts < grant.interval_ms:
        return OAuthRefused("slow_down", "Wait longer between two questions.")
    if grant.state is DeviceGrantState.WAITING:
        return OAuthRefused("authorization_pending", "The user has not answered yet.")
    return None


def may_wait(metadata: ClientMetadata) -> OAuthRefused | None:
    """Why a client may not begin a device grant."""
    return grant_refusal(DEVICE_CODE, metadata)


# Our own pages


@dataclass(frozen=True, slots=True)
class NewcomerRules:
    """What our page asks of newcomers."""

    needs_invitation: bool


def newcomer_rules(flows: Flows) -> NewcomerRules | None:
    """What of the ways to register our page can go; None if there is none: some ask for more than it can."""
    ours = [flow for flow in flows if set(flow) <= _PAGE_STAGES]
    return NewcomerRules(all(REGISTRATION_TOKEN in flow for flow in ours)) if ours else None


def next_path(text: str | None) -> str | None:
    """A path of ours to go on with; None for anything else, so that nobody is sent elsewhere by a link to us."""
    if text is None or len(text) > limits.oauth_next_characters_max or _VISIBLE.fullmatch(text) is None:
        return None
    path = text.partition("?")[0]
    is_plain = "%" not in path and "//" not in path and ".." not in path and "#" not in text
    return text if is_plain and path.startswith(f"{PREFIX}/") else None


def without_prompt(query_string: str) -> str:
    """The query of an authorisation request once its prompt has been obeyed."""
    pairs = parse_qsl(query_string, keep_blank_values=True)
    return urlencode([(name, value) for name, value in pairs if name != "prompt"])


ACCOUNT_ACTIONS = {
    "org.matrix.profile": f"{PREFIX}/account",
    "org.matrix.devices_list": f"{PREFIX}/account/devices",
    "org.matrix.device_view": f"{PREFIX}/account/device",
    "org.matrix.device_delete": f"{PREFIX}/account/device/sign-out",
    "org.matrix.account_deactivate": f"{PREFIX}/account/deactivate",
    "org.matrix.cross_signing_reset": f"{PREFIX}/account/reset-identity",
}
"""Which page an action of the account management URL leads to. Spec: client-server-api#oauth-20-account-management"""

# COMPAT(clients before v1.18, until 2028): the names of the proposal.
OLD_ACCOUNT_ACTIONS = {
    "org.matrix.sessions_list": "org.matrix.devices_list",
    "org.matrix.session_view": "org.matrix.device_view",
    "org.matrix.session_end": "org.matrix.device_delete",
    "profile": "org.matrix.profile",
    "sessions_list": "org.matrix.devices_list",
    "session_view": "org.matrix.device_view",
    "session_end": "org.matrix.device_delete",
}


def account_page(action: str | None, device_id: str | None) -> str | None:
    """The page of an action, with its device; None for the overview. An action that is not known leads there too."""
    name = OLD_ACCOUNT_ACTIONS.get(action or "", action or "")
    page = ACCOUNT_ACTIONS.get(name)
    if page is None or name == "org.matrix.profile":
        return None
    if device_id is None:
        return ACCOUNT_ACTIONS["org.matrix.devices_list"] if "/device" in page else page
    return f"{page}?{urlencode({'device_id': device_id})}"
