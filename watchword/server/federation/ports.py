"""What federation needs others to fit. `server/app.py` hands the fittings over.

`Egress` is fitted by `egress` over `edge/fetch`; the others by the features named at each.
"""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from watchword.protocol.ids import DeviceId, EventId, RoomAlias, RoomId, ServerName, UserId
from watchword.server.accounts.commands import PresenceState
from watchword.server.changes import EventAppended
from watchword.server.federation.discovery_rules import SrvRecord, Target
from watchword.server.rooms.commands import PromisedInvite
from watchword.server.rooms.ephemeral import Receipt
from watchword.storage import Position

# The way out


@dataclass(frozen=True, slots=True)
class PeerCall:
    """One HTTPS request to a resolved server. uri: path and query as they go on the wire."""

    target: Target
    method: str
    uri: str
    headers: Mapping[str, str]
    body: bytes | None
    timeout_ms: int


@dataclass(frozen=True, slots=True)
class WholeAnswer:
    """An answer read to its end. Header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class PeerAnswer(Protocol):
    """An answer whose head has arrived. Header names are lower-case."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]: ...

    async def read(self, bytes_max: int) -> bytes:
        """The body. Raises OSError if it is longer, or breaks off."""
        ...

    def pieces(self, bytes_max: int) -> AsyncIterator[bytes]:
        """The body as it comes. Raises OSError if it is longer, or breaks off."""
        ...


class Egress(Protocol):
    """Outgoing HTTPS and DNS with the guards of the house. Every failure is an OSError (TimeoutError is one)."""

    def call(self, call: PeerCall) -> AbstractAsyncContextManager[PeerAnswer]:
        """Send a request to a peer; redirects are not followed."""
        ...

    async def get(self, url: str, *, bytes_max: int, timeout_ms: int) -> WholeAnswer:
        """GET a public https URL, following a few redirects: for well-known files."""
        ...

    def stream(self, url: str, *, timeout_ms: int) -> AbstractAsyncContextManager[PeerAnswer]:
        """GET a public https URL in pieces, following a few redirects: for media that a peer keeps elsewhere."""
        ...

    async def srv(self, name: str) -> Sequence[SrvRecord]:
        """SRV records; empty if there are none. Raises OSError if DNS does not answer."""
        ...


# Rooms, going out (fitted by `rooms`)


class RoomServers(Protocol):
    """Which servers are concerned, and the bytes of events."""

    async def servers_in_room(self, room_id: RoomId) -> Collection[ServerName]:
        """Servers with a joined user now, with or without this one."""
        ...

    async def servers_at(self, room_id: RoomId, position: Position) -> Collection[ServerName]:
        """Servers with a joined user after the change at that position, with or without this one."""
        ...

    async def servers_at_event(self, room_id: RoomId, event_id: EventId, position: Position) -> Collection[ServerName]:
        """As `servers_at`, and the server of a user whose stay, invite or knock the event at that position ends."""
        ...

    async def servers_sharing_room_with(self, user_id: UserId) -> Collection[ServerName]:
        """Servers with a user joined to any room that this user is joined to."""
        ...

    async def pdu_bytes(self, event_ids: Sequence[EventId]) -> Mapping[EventId, bytes]:
        """Events as canonical JSON for other servers, without those that are not here."""
        ...


class StickyOut(Protocol):
    """Sticky events, which servers are sure to be told of (fitted by `rooms.sticky_for_servers.StickyForServers`)."""

    def is_sticky(self, event: EventAppended) -> bool:
        """Whether an event is sticky now. Costs a look-up in memory."""
        ...

    async def for_newcomer(self, join: EventAppended, position: Position) -> tuple[ServerName, Sequence[EventAppended]] | None:
        """Which server has just come with a join at a position, and the sticky events of ours from before, oldest first."""
        ...


class NothingSticky:
    """A server without sticky events."""

    def is_sticky(self, event: EventAppended) -> bool:
        return False

    async def for_newcomer(self, join: EventAppended, position: Position) -> tuple[ServerName, Sequence[EventAppended]] | None:
        return None


NOTHING_STICKY = NothingSticky()


class OutgoingE2ee(Protocol):
    """Contents of EDUs about devices (fitted by `e2ee.reader.E2eeReader`)."""

    async def device_list_edu(
        self, user_id: UserId, device_id: DeviceId | None, deleted: bool, position: Position | None = None
    ) -> Mapping[str, Any]:
        """Content of m.device_list_update for the DeviceListChanged at that position."""
        ...

    async def signing_key_edu(self, user_id: UserId) -> Mapping[str, Any]:
        """Content of m.signing_key_update."""
        ...

    async def outgoing_to_device(self, server_name: ServerName, message_id: str) -> Mapping[str, Any] | None:
        """Content of m.direct_to_device; None once it was acknowledged."""
        ...

    async def delete_outgoing_to_device(self, server_name: ServerName, until: Position) -> None:
        """Every ToDeviceOutgoing for that server up to that position was acknowledged."""
        ...


# Coming in


class Receiver(Protocol):
    """Takes events from other servers (fitted by `rooms`)."""

    async def receive_pdus(self, origin: ServerName, raws: Sequence[dict[str, Any]]) -> Mapping[str, str | None]:
        """Check and store the events of one transaction; event ID → None, or why it was refused. One harms no other."""
        ...


class RoomEdus(Protocol):
    """Takes typing and receipts (fitted by `rooms.ephemeral.Ephemeral`). The user belongs to the origin."""

    async def receive_typing(self, room_id: RoomId, user_id: UserId, timeout_ms: int) -> None:
        """A remote user types for that long, or stopped (0)."""
        ...

    async def receive_receipt(self, receipt: Receipt, ts: int) -> None:
        """A remote user's public read receipt moved."""
        ...


class RoomAcls(Protocol):
    """Server access control (fitted by `rooms`)."""

    async def may_take_part(self, room_id: RoomId, server_name: ServerName) -> bool:
        """Whether the room's m.room.server_acl lets that server in; False for rooms that are not here."""
        ...


class IncomingE2ee(Protocol):
    """Takes EDUs about devices (fitted by `e2ee.service.E2eeService`). The user named belongs to the origin."""

    async def receive_device_list_update(self, origin: ServerName, content: Mapping[str, Any]) -> None: ...

    async def receive_signing_key_update(self, origin: ServerName, content: Mapping[str, Any]) -> None: ...

    async def receive_direct_to_device(self, origin: ServerName, content: Mapping[str, Any]) -> None: ...


class Presence(Protocol):
    """Presence of everybody (fitted by `accounts.presence.PresenceBook`)."""

    def content(self, user_id: UserId) -> Mapping[str, object] | None:
        """The content of an m.presence event; None if nothing is known."""
        ...

    async def receive(self, user_id: UserId, state: PresenceState) -> None:
        """What another server says of its user."""
        ...


class LocalProfiles(Protocol):
    """Profiles of local users (fitted by `accounts.reader.AccountReader`)."""

    async def exists(self, user_id: UserId) -> bool: ...

    async def profile(self, user_id: UserId) -> Mapping[str, Any]: ...


class OpenIdTokens(Protocol):
    """OpenID tokens of local users (fitted by `accounts.reader.AccountReader`)."""

    async def openid_user(self, token: str) -> UserId | None:
        """Whose token this is; None if nobody's or expired."""
        ...


@dataclass(frozen=True, slots=True)
class IncomingInvite:
    """An invite to sign. room_version is the peer's word; "" if an invite of the first form did not say."""

    room_id: RoomId
    event_id: EventId
    room_version: str
    event: Mapping[str, Any]
    invite_room_state: Sequence[Mapping[str, Any]]


class RoomsForServers(Protocol):
    """Rooms here, for other servers (fitted by `rooms`). Each checks that origin may ask (joined, not denied by ACL)
    and raises the Refusal that the specification names: Forbidden, NotFound, BadRequest. Bytes are an encoded JSON body.

    Handed over checked: identifiers are well formed, the user of make_* belongs to origin. Events are not checked.
    """

    async def make_join(self, origin: ServerName, room_id: RoomId, user_id: UserId, versions: Sequence[str]) -> bytes:
        """`{"event": …, "room_version": …}`"""
        ...

    async def make_leave(self, origin: ServerName, room_id: RoomId, user_id: UserId) -> bytes:
        """`{"event": …, "room_version": …}`"""
        ...

    async def make_knock(self, origin: ServerName, room_id: RoomId, user_id: UserId, versions: Sequence[str]) -> bytes:
        """`{"event": …, "room_version": …}`"""
        ...

    async def send_join(
        self, origin: ServerName, room_id: RoomId, event_id: EventId, event: Mapping[str, Any], omit_members: bool
    ) -> bytes:
        """`{"origin", "event", "state", "auth_chain", "members_omitted", "servers_in_room"}`"""
        ...

    async def send_leave(self, origin: ServerName, room_id: RoomId, event_id: EventId, event: Mapping[str, Any]) -> None: ...

    async def send_knock(self, origin: ServerName, room_id: RoomId, event_id: EventId, event: Mapping[str, Any]) -> bytes:
        """`{"knock_room_state": […]}`"""
        ...

    async def invite(self, origin: ServerName, invite: IncomingInvite) -> bytes:
        """The event alone with this server's signature added."""
        ...

    async def backfill(self, origin: ServerName, room_id: RoomId, event_ids: Sequence[EventId], limit: int) -> Sequence[bytes]:
        """Encoded PDUs, newest first, including the given ones."""
        ...

    async def missing_events(self, origin: ServerName, room_id: RoomId, wanted: "MissingEvents") -> Sequence[bytes]:
        """Encoded PDUs, oldest first."""
        ...

    async def state(self, origin: ServerName, room_id: RoomId, event_id: EventId) -> tuple[Sequence[bytes], Sequence[bytes]]:
        """Encoded PDUs: state before the event, and its auth chain."""
        ...

    async def state_ids(
        self, origin: ServerName, room_id: RoomId, event_id: EventId
    ) -> tuple[Sequence[EventId], Sequence[EventId]]:
        """IDs: state before the event, and its auth chain."""
        ...

    async def event(self, origin: ServerName, event_id: EventId) -> bytes:
        """One encoded PDU."""
        ...

    async def event_auth(self, origin: ServerName, room_id: RoomId, event_id: EventId) -> Sequence[bytes]:
        """Encoded PDUs: the whole auth chain."""
        ...

    async def resolve_alias(self, alias: RoomAlias) -> tuple[RoomId, Sequence[ServerName]] | None:
        """A local alias: its room and servers to join it through."""
        ...

    async def public_rooms(self, origin: ServerName, query: "PublicRoomsQuery") -> Mapping[str, Any]:
        """`{"chunk", "next_batch", "prev_batch", "total_room_count_estimate"}`"""
        ...


class PromisedInvites(Protocol):
    """Invites that waited for an address (fitted by `rooms.third_party_invites.ThirdPartyInvites`)."""

    async def bound(self, user_id: UserId, invites: Sequence[PromisedInvite]) -> None:
        """A user has shown that an address is his."""
        ...

    async def exchange(self, invite: PromisedInvite) -> None:
        """Make the invite of another server's user. Raises Refusal."""
        ...


@dataclass(frozen=True, slots=True)
class MissingEvents:
    """Walk back from latest (exclusive), not past earliest, breadth first."""

    earliest: Sequence[EventId]
    latest: Sequence[EventId]
    limit: int
    min_depth: int


@dataclass(frozen=True, slots=True)
class PublicRoomsQuery:
    """A page of the directory of published rooms. limit 0: no limit. search, room_types: None for no filter.

    network_id: the list of one network of an application service. all_networks: all of these lists, too.
    """

    limit: int
    since: str | None
    search: str | None
    room_types: Sequence[str | None] | None
    network_id: str | None = None
    all_networks: bool = False
