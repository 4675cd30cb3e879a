"""What an operator may set about federation. Built and validated by the configuration; read by everybody here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from watchword.base.errors import Forbidden, PeerError
from watchword.protocol.ids import ServerName


@dataclass(frozen=True, slots=True)
class FederationSettings:
    """The settings of one server.

    allow: globs of the servers to talk with; None: everybody. deny: globs of servers never to talk with; it wins.
    overrides: server name → `host:port` to connect to instead of discovery; Host header and certificate stay the server
        name's own.
    notaries: servers asked for the keys of a server that does not answer; none by default.
    old_keys: key ID → (public key in unpadded base64, expired_ts) of keys that this server has used before.
    """

    server_name: ServerName
    allow: tuple[str, ...] | None = None
    deny: tuple[str, ...] = ()
    overrides: Mapping[ServerName, str] = field(default_factory=dict)
    notaries: tuple[ServerName, ...] = ()
    old_keys: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    presence: bool = True
    request_timeout_ms: int = 30_000
    large_request_timeout_ms: int = 180_000
    backoff_first_ms: int = 2_000
    backoff_most_ms: int = 3_600_000
    give_up_ms: int = 30 * 86_400_000
    key_lifetime_ms: int = 86_400_000
    catch_up_pdus_max: int = 1_000

    def may_talk_with(self, server_name: str) -> bool:
        """Whether the lists let this server in. Compared without regard to case; ports count as part of the name."""
        name = server_name.lower()
        if any(fnmatchcase(name, glob.lower()) for glob in self.deny):
            return False
        return self.allow is None or any(fnmatchcase(name, glob.lower()) for glob in self.allow)

    def require_incoming(self, server_name: ServerName) -> None:
        """Raise Forbidden if this server may not ask anything here."""
        if not self.may_talk_with(server_name):
            raise Forbidden("This server does not talk with yours.")

    def require_outgoing(self, server_name: ServerName) -> None:
        """Raise PeerError if this server may not be asked."""
        if server_name == self.server_name:
            raise PeerError(server_name, "that is this server itself")
        if not self.may_talk_with(server_name):
            raise PeerError(server_name, "federation with this server is switched off")
