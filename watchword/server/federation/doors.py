"""What the doors of federation need, in one bundle; and the small readings of requests that they share."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.errors import BadRequest, Forbidden
from watchword.edge.requester import ServerRequester
from watchword.protocol.ids import ServerName, UserId, domain_of
from watchword.server.federation.incoming import TransactionReceiver
from watchword.server.federation.notary import KeyNotary
from watchword.server.federation.own_keys import OwnKeys
from watchword.server.federation.ports import LocalProfiles, OpenIdTokens, RoomsForServers


@dataclass(frozen=True, slots=True)
class FederationDoors:
    """Give this to `Router.mount` with `endpoints.ENDPOINTS`.

    version: this program's version, for `GET /_matrix/federation/v1/version`.
    """

    server_name: ServerName
    version: str
    clock: Clock
    own_keys: OwnKeys
    notary: KeyNotary
    transactions: TransactionReceiver
    rooms: RoomsForServers
    profiles: LocalProfiles
    openid: OpenIdTokens


def require_user_of(requester: ServerRequester, user_id: UserId) -> UserId:
    """Raise Forbidden unless the user belongs to the server that asks."""
    if domain_of(user_id) != requester.server_name:
        raise Forbidden("This user belongs to another server.")
    return user_id


def spliced(fields: Mapping[str, bytes | Iterable[bytes]]) -> bytes:
    """A JSON object from encoded values and lists of encoded values. Names must need no escaping."""
    parts = []
    for name, value in fields.items():
        encoded = value if isinstance(value, bytes) else b"[" + b",".join(value) + b"]"
        parts.append(b'"' + name.encode() + b'":' + encoded)
    return b"{" + b",".join(parts) + b"}"


def string_list(body: Mapping[str, Any], name: str, most: int = limits.backfill_page_max) -> list[str]:
    """An optional list of strings. Raises BadRequest M_BAD_JSON."""
    value = body.get(name, [])
    if not isinstance(value, list) or len(value) > most or not all(isinstance(each, str) for each in value):
        raise BadRequest("M_BAD_JSON", f"{name} must be a list of at most {most} strings.")
    return value
