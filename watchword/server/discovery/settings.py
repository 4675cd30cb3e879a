"""What an operator, and the composition root, say about the server."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from watchword.protocol.room_versions import DEFAULT_ROOM_VERSION


@dataclass(frozen=True, slots=True)
class Contact:
    """Whom to write to. At least one of matrix_id and email_address.

    role: m.role.admin, m.role.security, or a namespaced name.
    """

    role: str
    matrix_id: str | None = None
    email_address: str | None = None


@dataclass(frozen=True, slots=True)
class DiscoverySettings:
    """None, or an empty sequence, means: not announced, and answered 404 where it has a path of its own.

    client_base_url: `m.homeserver.base_url`. server_delegation: `m.server`, host and port. policy_server_key: of the
    policy server under this name, Ed25519 in unpadded base64.
    unstable_features: exactly those that are served. delayed_events: the longest delay in milliseconds, and how many of one
    user may wait; None where events are not sent later. may_lock, may_suspend: what administrators may do.
    """

    client_base_url: str | None = None
    identity_base_url: str | None = None
    client_extra: Mapping[str, object] = field(default_factory=dict)
    server_delegation: str | None = None
    policy_server_key: str | None = None
    support_contacts: Sequence[Contact] = ()
    support_page: str | None = None
    unstable_features: Mapping[str, bool] = field(default_factory=dict)
    default_room_version: str = DEFAULT_ROOM_VERSION
    may_change_password: bool = True
    may_change_threepids: bool = False
    may_get_login_token: bool = False
    forgets_rooms_left: bool = False
    url_previews: bool = False
    reply_rule: bool = False
    delayed_events: tuple[int, int] | None = None
    may_lock: bool = True
    may_suspend: bool = True
