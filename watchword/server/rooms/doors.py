"""What the doors of rooms share: the services behind them, and the parsing that several of them need."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.errors import BadRequest, ProtocolError
from watchword.edge.auditing import NO_AUDIT, Audit
from watchword.edge.request import Request
from watchword.edge.requester import Requester
from watchword.protocol.ids import RoomId, ServerName, UserId, parse_room_alias, parse_room_id, parse_server_name
from watchword.protocol.room_versions import DEFAULT_ROOM_VERSION
from watchword.protocol.sticky import DURATION_MS_MAX, IN_USE, STABLE, Sticky
from watchword.server.accounts.user_data import UserData
from watchword.server.rooms.commands import InviteAddress, Transaction
from watchword.server.rooms.directory import Directory
from watchword.server.rooms.ephemeral import Ephemeral
from watchword.server.rooms.membership import VIA_MAX, Membership
from watchword.server.rooms.pages import Pages
from watchword.server.rooms.ports import NO_DELAYS, DelayedSends
from watchword.server.rooms.posting import Posting
from watchword.server.rooms.read_markers import ReadMarkers
from watchword.server.rooms.reader import RoomReader
from watchword.server.rooms.relations_assembly import Relations
from watchword.server.rooms.third_party_invites import ThirdPartyInvites
from watchword.server.rooms.upgrade import RoomUpgrader
from watchword.server.rooms.view import Reader
from watchword.server.rooms.writer import RoomWriter

DELAY = "org.matrix.msc4140.delay"


@dataclass(frozen=True)
class RoomDoors:
    """The services that the endpoints of rooms call."""

    writer: RoomWriter
    reader: RoomReader
    membership: Membership
    pages: Pages
    ephemeral: Ephemeral
    directory: Directory
    user_data: UserData
    relations: Relations
    upgrader: RoomUpgrader
    addresses: ThirdPartyInvites
    clock: Clock
    server_name: ServerName
    default_room_version: str = DEFAULT_ROOM_VERSION
    delays: DelayedSends = NO_DELAYS
    audit: Audit = NO_AUDIT
    event_levels: Mapping[str, int] = field(default_factory=dict)

    @property
    def posting(self) -> Posting:
        """Sends state."""
        return Posting(self.writer, self.reader, self.membership, self.directory)

    @property
    def markers(self) -> ReadMarkers:
        """Moves read markers."""
        return ReadMarkers(self.reader, self.reader.bundles.accounts, self.user_data)


def reader_of(requester: Requester) -> Reader:
    """The requester as somebody who reads rooms."""
    return Reader(requester.user_id, requester.device_id)


def transaction_of(request: Requester, endpoint: str, txn_id: str) -> Transaction:
    """Identify a request by device and endpoint. Spec: client-server-api#transaction-identifiers"""
    if len(txn_id) > limits.identifier_bytes_max:
        raise BadRequest("M_INVALID_PARAM", "The transaction ID is too long.")
    return Transaction(request.user_id, request.device_id or "", endpoint, txn_id)


def room_id_or_alias(text: str) -> str:
    """A parser for path parameters that take either."""
    return parse_room_alias(text) if text.startswith("#") else parse_room_id(text)


def via_of(request: Request) -> Sequence[ServerName]:
    """Servers to go through: `via`, and `server_name` of older clients. Raises BadRequest."""
    names = [*request.query.get("via", ()), *request.query.get("server_name", ())][:VIA_MAX]
    try:
        return [parse_server_name(name) for name in names]
    except ProtocolError as error:
        raise BadRequest("M_INVALID_PARAM", "via must be server names.") from error


def room_of(request: Request) -> RoomId:
    """The room of the path."""
    return request.param("roomId", parse_room_id)


def sticky_of(request: Request) -> Sticky | None:
    """For how long a client wants its event to be sticky. Raises BadRequest. Spec: proposals/4354"""
    for naming in (STABLE, IN_USE):
        if naming.query in request.query:
            duration_ms = request.query_int(naming.query, 0)
            if duration_ms > DURATION_MS_MAX:
                raise BadRequest("M_INVALID_PARAM", f"{naming.query} must be at most {DURATION_MS_MAX}.")
            return Sticky(duration_ms, naming)
    return None


def asked_of(request: Request) -> tuple[Sticky | None, int | None]:
    """Whether an event is to be sticky, and after how many milliseconds it is to be sent, if not now. Raises BadRequest.

    Spec: proposals/4140, as it was before delayed events had a path of their own
    """
    delay_ms = request.query_int(DELAY, 0, least=1) if DELAY in request.query else None
    return sticky_of(request), delay_ms


def address_of(body: Mapping[str, Any], room_id: RoomId, sender: UserId) -> InviteAddress:
    """An invite by address from a request's body. Raises BadRequest.

    Spec: client-server-api#post_matrixclientv3roomsroomidinvite
    """
    names = ("medium", "address", "id_server", "id_access_token")
    for name in names:
        if name not in body:
            raise BadRequest("M_MISSING_PARAM", f"{name} is missing.")
        if not isinstance(body[name], str):
            raise BadRequest("M_BAD_JSON", f"{name} must be a string.")
    return InviteAddress(room_id, sender, *(body[name] for name in names))


def object_of(value: object, name: str) -> Mapping[str, Any]:
    """A JSON object, or BadRequest M_BAD_JSON."""
    if not isinstance(value, dict):
        raise BadRequest("M_BAD_JSON", f"{name} must be an object.")
    return value
