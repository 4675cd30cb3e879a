"""The words of OAuth: what a client registers and asks for, what we keep of it, and what refuses it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from watchword.base.errors import Refusal
from watchword.protocol.ids import DeviceId, ServerName, UserId
from watchword.server.accounts.commands import RegistrationMode

AUTHORIZATION_CODE = "authorization_code"
REFRESH_TOKEN = "refresh_token"  # noqa: S105 (the name of a grant)
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
GRANT_TYPES = (AUTHORIZATION_CODE, REFRESH_TOKEN, DEVICE_CODE)

PREFIX = "/_watchword"
"""Where our pages are."""


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """A provider of OpenID Connect. client_secret None: we are a public client there.

    registration: whether somebody new to us gets an account. adopts_accounts: whether he gets the one that has his name.
    """

    provider_id: str
    name: str
    issuer: str
    client_id: str
    client_secret: str | None = field(default=None, repr=False)
    scopes: Sequence[str] = ("profile",)
    localpart_claim: str = "preferred_username"
    displayname_claim: str = "name"
    registration: RegistrationMode = RegistrationMode.INVITATION
    adopts_accounts: bool = False


@dataclass(frozen=True, slots=True)
class OAuthSettings:
    """Where we are found, and where else users may prove who they are. base_url: without a slash at the end."""

    server_name: ServerName
    base_url: str
    providers: Sequence[ProviderSettings] = ()

    def url(self, path: str) -> str:
        """The absolute form of one of our paths."""
        return f"{self.base_url}{path}"


@dataclass(frozen=True, slots=True)
class OAuthRefused:
    """A decision's "no", in the words of OAuth. error is for the client, text for its developer."""

    error: str
    text: str
    status: int = 400

    def refusal(self) -> "OAuthRefusal":
        """As the door shows it."""
        return OAuthRefusal(self)


class OAuthRefusal(Refusal):
    """The error body of OAuth instead of Matrix's. Spec: none; RFC 6749 section 5.2"""

    def __init__(self, refused: OAuthRefused) -> None:
        super().__init__(refused.error, refused.text, status=refused.status, headers={"cache-control": "no-store"})

    def body(self) -> dict[str, object]:
        return {"error": self.errcode, "error_description": self.text}


@dataclass(frozen=True, slots=True)
class ClientMetadata:
    """What a client says of itself, checked. localized: `client_name#fr` and the like, for whoever shows them."""

    client_uri: str
    client_name: str | None
    application_type: str
    redirect_uris: Sequence[str]
    grant_types: Sequence[str]
    tos_uri: str | None = None
    policy_uri: str | None = None
    logo_uri: str | None = None
    localized: Mapping[str, str] = field(default_factory=dict)

    def json(self) -> dict[str, object]:
        """The registered metadata in the form of RFC 7591."""
        found: dict[str, object] = {
            "client_uri": self.client_uri,
            "client_name": self.client_name,
            "application_type": self.application_type,
            "redirect_uris": list(self.redirect_uris),
            "grant_types": list(self.grant_types),
            "response_types": ["code"] if AUTHORIZATION_CODE in self.grant_types else [],
            "token_endpoint_auth_method": "none",
            "tos_uri": self.tos_uri,
            "policy_uri": self.policy_uri,
            "logo_uri": self.logo_uri,
            **self.localized,
        }
        return {name: value for name, value in found.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Client:
    """A registered client."""

    client_id: str
    metadata: ClientMetadata
    created_ts: int


@dataclass(frozen=True, slots=True)
class Scope:
    """The access that a client asks for: everything that the client-server API offers, as one device.

    text: the scopes that are granted, as the client spelled them.
    """

    device_id: DeviceId
    text: str


@dataclass(frozen=True, slots=True)
class ReturnAddress:
    """Where the browser goes back to. mode: query or fragment."""

    redirect_uri: str
    mode: str
    state: str | None


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """A client's wish to act as a device of whoever sits at the browser."""

    client: Client
    back: ReturnAddress
    scope: Scope
    code_challenge: str
    prompts: frozenset[str] = frozenset()
    login_hint: str | None = None


@dataclass(frozen=True, slots=True)
class RefusedThere:
    """A request that is answered with an error at the client's own address."""

    back: ReturnAddress
    error: str
    text: str


@dataclass(frozen=True, slots=True)
class RefusedHere:
    """A request that nobody may be sent back with: the address is not the client's. Said on a page of ours."""

    text: str


@dataclass(frozen=True, slots=True)
class Code:
    """An authorisation code as it is kept. session_id: what was given for it, once it was."""

    client_id: str
    user_id: UserId
    scope: Scope
    redirect_uri: str
    code_challenge: str
    expires_ts: int
    session_id: int | None = None


class DeviceGrantState(IntEnum):
    """The life of a device that waits to be let in."""

    WAITING = 0
    ALLOWED = 1
    DENIED = 2
    SPENT = 3


@dataclass(frozen=True, slots=True)
class DeviceGrant:
    """A device without a browser that waits to be let in. interval_ms: how long it must wait between two questions."""

    client_id: str
    scope: Scope
    state: DeviceGrantState
    user_id: UserId | None
    interval_ms: int
    polled_ts: int
    expires_ts: int


@dataclass(frozen=True, slots=True)
class BrowserSession:
    """A browser that is signed in to our pages."""

    user_id: UserId
    password_digest: bytes
    authenticated_ts: int
    expires_ts: int
