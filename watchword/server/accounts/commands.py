"""What is wanted of accounts, and the plain values that decisions are made from. No behaviour beyond conversion."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, IntEnum

from watchword.base import limits
from watchword.base.errors import BadRequest, Forbidden, NotFound, Refusal
from watchword.protocol.ids import DeviceId, RoomId, ServerName, UserId
from watchword.server.accounts.threepids.commands import Proof, ThreepidSettings

Flows = Sequence[Sequence[str]]
"""Ways through user-interactive authentication: any one of them, all of its stages."""


class RegistrationMode(Enum):
    """Who may make an account."""

    INVITATION = "invitation"
    OPEN = "open"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class PolicyText:
    """A policy in one language: what it is called, and where it stands."""

    name: str
    url: str


@dataclass(frozen=True, slots=True)
class Policy:
    """What newcomers agree to. texts: by language, such as `en`. Spec: client-server-api#terms-of-service-at-registration"""

    policy_id: str
    version: str
    texts: Mapping[str, PolicyText]


@dataclass(frozen=True, slots=True)
class CaptchaSettings:
    """A service that tells people from programs. site_key: for browsers; secret: for asking it.

    verify_url: where answers are checked. script_url: what the fallback page loads. css_class: where the script puts itself.
    """

    site_key: str
    secret: str = field(repr=False)
    verify_url: str
    script_url: str
    css_class: str = "g-recaptcha"


@dataclass(frozen=True, slots=True)
class IdentityProvider:
    """Where else somebody may prove who he is. icon: an mxc URI. brand: a common identifier such as `github`.

    Spec: client-server-api#mloginsso-flow-schema
    """

    provider_id: str
    name: str
    icon: str | None = None
    brand: str | None = None


@dataclass(frozen=True, slots=True)
class AccountSettings:
    """What an operator may choose.

    refreshable_token_lifetime_ms: of access tokens whose client can refresh them. session_lifetime_ms: of those whose
    client cannot; None is for ever. failed_logins_max: per user and address in five minutes; 0 switches the check off.
    shared_secret: None switches the administrative registration off. public_base_url: told to clients that log in.
    login_tokens: whether a device may ask for a token that logs another one in. identity_providers: for single sign-on.
    """

    server_name: ServerName
    registration: RegistrationMode = RegistrationMode.INVITATION
    guests: bool = False
    password_login: bool = True
    password_characters_min: int = 8
    argon2_memory_kibibytes: int = 19_456
    argon2_passes: int = 2
    argon2_lanes: int = 1
    password_workers: int = 1
    refreshable_token_lifetime_ms: int = 900_000
    session_lifetime_ms: int | None = None
    failed_logins_max: int = limits.failed_logins_max
    shared_secret: str | None = field(default=None, repr=False)
    presence: bool = True
    public_base_url: str | None = None
    threepids: ThreepidSettings = field(default_factory=ThreepidSettings)
    policies: Sequence[Policy] = ()
    captcha: CaptchaSettings | None = None
    login_tokens: bool = False
    identity_providers: Sequence[IdentityProvider] = ()

    @property
    def base_url(self) -> str:
        """Where browsers reach this server, without a slash at the end."""
        return (self.public_base_url or f"https://{self.server_name}").rstrip("/")


@dataclass(frozen=True, slots=True)
class Refused:
    """A decision's "no"."""

    errcode: str
    text: str
    status: int = 400

    def error(self) -> Refusal:
        """The same, to be raised at the door: BadRequest, Forbidden, NotFound, or what the status says."""
        match self.status:
            case 400:
                return BadRequest(self.errcode, self.text)
            case 403:
                return Forbidden(self.text, self.errcode)
            case 404:
                return NotFound(self.text, self.errcode)
            case _:
                return Refusal(self.errcode, self.text, status=self.status)


@dataclass(frozen=True, slots=True)
class Account:
    """A local account as it is stored. password_hash None: nobody can log in with a password."""

    user_id: UserId
    password_hash: str | None
    created_ts: int
    is_guest: bool = False
    is_admin: bool = False
    is_locked: bool = False
    is_suspended: bool = False
    is_deactivated: bool = False
    is_erased: bool = False
    invited_by: UserId | None = None
    appservice_id: str | None = None


@dataclass(frozen=True, slots=True)
class Device:
    """A device of a local user."""

    device_id: DeviceId
    display_name: str | None
    last_seen_ts: int | None = None
    last_seen_ip: str | None = None
    last_seen_agent: str | None = None


class Stage(IntEnum):
    """The life of a pair of tokens."""

    FRESH = 0
    """Given out by a refresh and not used yet: the pair before it is still good."""
    CURRENT = 1
    REVOKED = 2
    """Followed by another pair that has been used. Its refresh token must never come back."""


@dataclass(frozen=True, slots=True)
class TokenPair:
    """An access token and its refresh token, with the session and the account that they belong to.

    oauth_client_id: the OAuth client that holds them; None after a legacy login.
    """

    pair_id: int
    session_id: int
    stage: Stage
    expires_ts: int | None
    device_id: DeviceId
    account: Account
    oauth_client_id: str | None = None


@dataclass(frozen=True, slots=True)
class Invitation:
    """A registration token without its secret. uses_allowed None: any number. uses_pending: registrations under way."""

    invitation_id: int
    uses_allowed: int | None
    uses_completed: int
    created_ts: int
    expires_ts: int | None
    revoked_ts: int | None
    created_by: UserId | None
    label: str
    invite_to: Sequence[RoomId]
    grants_admin: bool = False
    uses_pending: int = 0


@dataclass(frozen=True, slots=True)
class CreateInvitation:
    """Make a registration token. token: one of the operator's choosing, else a random one."""

    created_by: UserId | None = None
    uses_allowed: int | None = 1
    expires_ts: int | None = None
    label: str = ""
    invite_to: Sequence[RoomId] = ()
    grants_admin: bool = False
    token: str | None = None


@dataclass(frozen=True, slots=True)
class OpenSession:
    """Log a device in. device_id None: a new one. display_name counts for a device that is new.

    oauth_client_id: whom the tokens are given to through OAuth; None for a legacy login.
    """

    user_id: UserId
    device_id: DeviceId | None
    display_name: str | None
    refreshable: bool
    oauth_client_id: str | None = None


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a client is given, once, in the clear. session_id stays with us: it names what was given."""

    user_id: UserId
    device_id: DeviceId
    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    expires_in_ms: int | None
    session_id: int = 0


@dataclass(frozen=True, slots=True)
class CreateAccount:
    """Make an account. password_hash None: it has none.

    proofs: of addresses that become the account's. policies: (name, version) of what the newcomer agreed to.
    replaces_guest: the account is a guest's, who stays who he is and becomes a user.
    """

    user_id: UserId
    password_hash: str | None
    is_guest: bool = False
    is_admin: bool = False
    appservice_id: str | None = None
    invitation_id: int | None = None
    proofs: Sequence[Proof] = ()
    policies: Sequence[tuple[str, str]] = ()
    replaces_guest: bool = False


@dataclass(frozen=True, slots=True)
class AccountDataRow:
    """One piece of account data; content is JSON."""

    room_id: RoomId | None
    type: str
    content: bytes
    position: int


@dataclass(frozen=True, slots=True)
class PresenceState:
    """What others may see of a user's presence."""

    presence: str
    status_msg: str | None
    last_active_ts: int
    currently_active: bool


@dataclass(frozen=True, slots=True)
class AccountQuery:
    """Which accounts, in which order. name: a part of the localpart or of the display name, whatever its case.

    user_id: a part of the user ID. The flags: None for both. start: how many of the first ones to pass over.
    """

    name: str | None = None
    user_id: str | None = None
    guests: bool | None = None
    admins: bool | None = None
    deactivated: bool | None = None
    locked: bool | None = None
    suspended: bool | None = None
    order_by: str = "name"
    backwards: bool = False
    start: int = 0
    limit: int = 100


@dataclass(frozen=True, slots=True)
class Listed:
    """An account as a list shows it. displayname, avatar_url: JSON, "" if there is none."""

    user_id: UserId
    created_ts: int
    is_guest: bool
    is_admin: bool
    is_locked: bool
    is_suspended: bool
    is_deactivated: bool
    is_erased: bool
    appservice_id: str | None
    displayname: str
    avatar_url: str
    last_seen_ts: int | None
