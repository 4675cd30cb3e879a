"""The words of addresses outside of Matrix. No behaviour beyond asking a setting."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from watchword.protocol.ids import UserId

EMAIL = "email"
MSISDN = "msisdn"


class Purpose(Enum):
    """What an address is proved for. A proof for one thing counts for no other."""

    ADD = "add"
    REGISTER = "register"
    RESET = "reset"


class Wanted(Enum):
    """Whether newcomers give an address."""

    OFF = "off"
    OPTIONAL = "optional"
    REQUIRED = "required"


@dataclass(frozen=True, slots=True)
class Threepid:
    """An address in its canonical form. medium: `email` or `msisdn`."""

    medium: str
    address: str


@dataclass(frozen=True, slots=True)
class OwnThreepid:
    """An address of a local user."""

    threepid: Threepid
    validated_ts: int
    added_ts: int


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a client shows for a proof."""

    sid: str
    client_secret: str


@dataclass(frozen=True, slots=True)
class AskProof:
    """Send a message to an address. attempt: send again only if it grew. next_link: where the browser goes afterwards."""

    purpose: Purpose
    threepid: Threepid
    client_secret: str
    attempt: int
    next_link: str | None


@dataclass(frozen=True, slots=True)
class Validation:
    """A proof under way, as it is stored. user_id: whose address it was when the proof was asked for.

    token_hashes: of the tokens sent, the newest last. is_decoy: it can never succeed.
    """

    sid: str
    purpose: Purpose
    threepid: Threepid
    secret_hash: bytes
    token_hashes: Sequence[bytes]
    attempt: int
    next_link: str | None
    user_id: UserId | None
    is_decoy: bool
    created_ts: int
    expires_ts: int
    validated_ts: int | None = None
    failures: int = 0
    remote_sid: str | None = None
    remote_secret: str | None = None


@dataclass(frozen=True, slots=True)
class Proof:
    """An address that somebody showed to be his. user_id: whose account it belonged to then."""

    sid: str
    threepid: Threepid
    validated_ts: int
    user_id: UserId | None


@dataclass(frozen=True, slots=True)
class ThreepidSettings:
    """What an operator may choose. Without email and msisdn nothing can be proved here.

    email, msisdn: whether messages can be sent. changes: whether users may add addresses themselves.
    next_link_hosts: where a browser is sent without asking. identity_servers: name → base URL, those that are trusted.
    """

    email: bool = False
    msisdn: bool = False
    changes: bool = True
    email_at_registration: Wanted = Wanted.OFF
    msisdn_at_registration: Wanted = Wanted.OFF
    email_allowed: Sequence[str] = ("*",)
    msisdn_allowed: Sequence[str] = ("*",)
    next_link_hosts: frozenset[str] = frozenset()
    identity_servers: Mapping[str, str] = field(default_factory=dict)

    def sends_to(self, medium: str) -> bool:
        """Whether messages can be sent to addresses of this kind."""
        return self.email if medium == EMAIL else self.msisdn and medium == MSISDN

    def at_registration(self, medium: str) -> Wanted:
        """Whether newcomers give such an address; never where it could not be proved."""
        if not self.sends_to(medium):
            return Wanted.OFF
        return self.email_at_registration if medium == EMAIL else self.msisdn_at_registration
