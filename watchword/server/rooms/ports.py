"""What `rooms` needs others to fit: other servers, and the checking of signatures. `federation` fits both.

Every method of `RemoteServers` that waits for another server raises PeerError when that server cannot be reached, is
being left alone for a while (back-off), refuses, or answers out of shape. What comes back has its envelope checked and
nothing else: events are decoded JSON objects (`canonical_json.decode`, not strict: a number that canonical JSON forbids
is still in them), unverified, and may be anything that the other server wished. Checking them is `rooms`' work.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from watchword.base.errors import BadRequest
from watchword.edge.requester import Requester
from watchword.protocol.ids import EventId, RoomAlias, RoomId, ServerName, UserId
from watchword.protocol.room_versions import RoomVersion
from watchword.server.rooms.commands import ChangeMembership, LaterEvent


@dataclass(frozen=True, slots=True)
class Template:
    """What another server proposes as our member event. Never signed as it is: rebuild it from what we asked for.

    room_version: "1" if the other server did not say.
    """

    event: dict[str, Any]
    room_version: str


@dataclass(frozen=True, slots=True)
class SendJoinAnswer:
    """What the resident server answered to our join.

    event: the join as the resident signed it, None if it did not say.
    state: the state before the join; without most member events if members_omitted.
    servers_in_room: the servers joined before us; None unless the resident said.
    """

    event: dict[str, Any] | None
    state: list[dict[str, Any]]
    auth_chain: list[dict[str, Any]]
    servers_in_room: list[ServerName] | None
    members_omitted: bool


class PolicySigner(Protocol):
    """Policy servers. Fitted by `federation.client.FederationClient`. Spec: server-server-api#policy-servers"""

    async def policy_sign(self, server: ServerName, event: Mapping[str, Any], *, is_unstable: bool) -> dict[str, Any]:
        """Ask for the signature of an event: server → key ID → signature. PeerError carries its refusal.

        is_unstable: under the path from before it was specified.
        """
        ...


class InviteExchange(Protocol):
    """Servers that make promised invites. Fitted by `federation.client.FederationClient`."""

    async def exchange_third_party_invite(self, server: ServerName, room_id: RoomId, event: Mapping[str, Any]) -> None:
        """Ask a server in a room to make the invite that an identity server has signed; event: a member event in part."""
        ...


class RemoteServers(PolicySigner, InviteExchange, Protocol):
    """Rooms on other servers. Fitted by `federation.client.FederationClient`. Spec: server-server-api"""

    async def make_join(self, server: ServerName, room_id: RoomId, user_id: UserId, versions: Sequence[str]) -> Template:
        """A template of a join. PeerError carries errcode M_INCOMPATIBLE_ROOM_VERSION, M_UNABLE_TO_AUTHORISE_JOIN, …"""
        ...

    async def make_leave(self, server: ServerName, room_id: RoomId, user_id: UserId) -> Template:
        """A template of a leave: of a room, an invite or a knock."""
        ...

    async def make_knock(self, server: ServerName, room_id: RoomId, user_id: UserId, versions: Sequence[str]) -> Template:
        """A template of a knock."""
        ...

    async def send_join(
        self, server: ServerName, room_id: RoomId, event_id: EventId, event: Mapping[str, Any]
    ) -> SendJoinAnswer:
        """Hand over our signed join; the answer may be large."""
        ...

    async def send_leave(self, server: ServerName, room_id: RoomId, event_id: EventId, event: Mapping[str, Any]) -> None:
        """Hand over our signed leave."""
        ...

    async def send_knock(
        self, server: ServerName, room_id: RoomId, event_id: EventId, event: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """Hand over our signed knock; gives `knock_room_state`."""
        ...

    async def invite(
        self,
        server: ServerName,
        room_id: RoomId,
        event_id: EventId,
        event: Mapping[str, Any],
        room_version: str,
        invite_room_state: Sequence[Mapping[str, Any]],
    ) -> dict[str, Any]:
        """Ask the invited user's server to sign an invite; gives the event as that server signed it."""
        ...

    async def backfill(
        self, server: ServerName, room_id: RoomId, from_event_ids: Sequence[EventId], limit: int
    ) -> list[dict[str, Any]]:
        """Up to limit events at and before the given ones."""
        ...

    async def get_missing_events(
        self,
        server: ServerName,
        room_id: RoomId,
        earliest: Sequence[EventId],
        latest: Sequence[EventId],
        limit: int,
        min_depth: int,
    ) -> list[dict[str, Any]]:
        """Events between latest (exclusive) and earliest (exclusive)."""
        ...

    async def state_ids(self, server: ServerName, room_id: RoomId, event_id: EventId) -> tuple[list[EventId], list[EventId]]:
        """IDs of the state before an event, and of the auth chain of that state."""
        ...

    async def state(
        self, server: ServerName, room_id: RoomId, event_id: EventId
    ) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """The state before an event, and the auth chain of that state."""
        ...

    async def event(self, server: ServerName, event_id: EventId) -> dict[str, Any]:
        """One event."""
        ...

    async def event_auth(self, server: ServerName, room_id: RoomId, event_id: EventId) -> list[dict[str, Any]]:
        """The whole auth chain of an event."""
        ...

    async def query_directory(self, server: ServerName, alias: RoomAlias) -> tuple[RoomId, list[ServerName]]:
        """Which room an alias of that server names, and servers that are in it. PeerError with status 404: none."""
        ...


class InvitationServers(Protocol):
    """Identity servers. Fitted by `accounts.threepids.lookups.IdentityLookups`. Spec: identity-service-api"""

    @property
    def enabled(self) -> bool:
        """Whether any is trusted."""
        ...

    def read_address(self, medium: str, address: str) -> tuple[str, str]:
        """(medium, address) in canonical form. Raises BadRequest."""
        ...

    async def lookup(self, name: str, access_token: str, address: tuple[str, str]) -> UserId | None:
        """Whose an address is. Raises Refusal."""
        ...

    async def store_invite(self, name: str, access_token: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Have an invite kept; the answer is as it came. Raises Refusal."""
        ...

    async def is_key_valid(self, url: str, public_key: str) -> bool:
        """Whether the server behind this URL still vouches for a key."""
        ...


class NoInvitationServers:
    """A server that trusts no identity server."""

    enabled = False

    def read_address(self, medium: str, address: str) -> tuple[str, str]:
        raise AssertionError("nobody is asked")

    async def lookup(self, name: str, access_token: str, address: tuple[str, str]) -> UserId | None:
        raise AssertionError("nobody is asked")

    async def store_invite(self, name: str, access_token: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        raise AssertionError("nobody is asked")

    async def is_key_valid(self, url: str, public_key: str) -> bool:
        return False


NO_INVITATION_SERVERS = NoInvitationServers()


class KeyLacking(str):
    """Why a signature could not be checked yet: the signer's keys could not be had. Any other reason is for good."""


class EventSignatures(Protocol):
    """Checks signatures of events, fetching keys as needed. Fitted by `federation.keys.KeyRing`."""

    async def check_events(self, raws: Sequence[Mapping[str, Any]], version: RoomVersion) -> list[str | None]:
        """One answer per event, in order: None if every required signature is valid, else the reason, for the log.

        The reason is a `KeyLacking` if the event may yet prove to be signed.

        Never raises for what is inside an event. Required signers: `protocol.signatures.required_signers`.
        Spec: server-server-api#validating-hashes-and-signatures-on-received-events
        """
        ...


class StandingBans(Protocol):
    """Whom, which servers and which rooms this server bans as a whole. Fitted by `moderation.bans.BanList`; costs no query."""

    def bans_user(self, user_id: UserId) -> bool:
        """Whether a user is banned, or his server."""
        ...

    def bans_server(self, server_name: ServerName) -> bool:
        """Whether a server is banned."""
        ...

    def bans_room(self, room_id: RoomId) -> bool:
        """Whether a room is banned."""
        ...


class NoBans:
    """A server that bans nobody."""

    def bans_user(self, user_id: UserId) -> bool:
        return False

    def bans_server(self, server_name: ServerName) -> bool:
        return False

    def bans_room(self, room_id: RoomId) -> bool:
        return False


NO_BANS = NoBans()


class RoomPushRules(Protocol):
    """What `rooms` asks of push rules. Fitted by `push.rules.PushRules`."""

    async def copy_room_rules(self, user_id: UserId, old: RoomId, new: RoomId) -> None:
        """Give a user's rules about one room to the room that replaces it; harmless if they are there already."""
        ...


class NoPushRules:
    """A server without push rules."""

    async def copy_room_rules(self, user_id: UserId, old: RoomId, new: RoomId) -> None:
        return None


NO_PUSH_RULES = NoPushRules()


class DelayedSends(Protocol):
    """Events that are to be sent later. Fitted by `delayed.service.DelayedEvents`."""

    async def schedule(self, requester: Requester, later: LaterEvent) -> str:
        """Keep an event until its time; its ID as long as it waits. Raises Refusal."""
        ...


class NoDelays:
    """A server that sends everything at once."""

    async def schedule(self, requester: Requester, later: LaterEvent) -> str:
        raise BadRequest("M_UNKNOWN", "This server sends no event later.")


NO_DELAYS = NoDelays()


class InviteToSign(Protocol):
    """An invite that another server asks us to sign. Fitted by `federation.ports.IncomingInvite`."""

    @property
    def room_id(self) -> RoomId: ...
    @property
    def event_id(self) -> EventId: ...
    @property
    def room_version(self) -> str: ...
    @property
    def event(self) -> Mapping[str, Any]: ...
    @property
    def invite_room_state(self) -> Sequence[Mapping[str, Any]]: ...


class WalkBack(Protocol):
    """Which earlier events another server lacks. Fitted by `federation.ports.MissingEvents`."""

    @property
    def earliest(self) -> Sequence[EventId]: ...
    @property
    def latest(self) -> Sequence[EventId]: ...
    @property
    def limit(self) -> int: ...
    @property
    def min_depth(self) -> int: ...


class DirectoryPage(Protocol):
    """A page of the directory for another server. Fitted by `federation.ports.PublicRoomsQuery`."""

    @property
    def limit(self) -> int: ...
    @property
    def since(self) -> str | None: ...
    @property
    def search(self) -> str | None: ...
    @property
    def room_types(self) -> Sequence[str | None] | None: ...
    @property
    def network_id(self) -> str | None: ...
    @property
    def all_networks(self) -> bool: ...


class RemoteRooms(Protocol):
    """Memberships that need another server's word. Fitted by `remote.RemoteMemberships` in this feature.

    Every method returns once its effect is durable here, and raises Refusal if no server helped.
    """

    async def resolve_alias(self, alias: RoomAlias) -> tuple[RoomId, Sequence[ServerName]] | None:
        """What another server's alias stands for; None if it names nothing."""
        ...

    async def join(self, command: ChangeMembership, via: Sequence[ServerName]) -> None:
        """Join through one of these servers: a room that no local user is in."""
        ...

    async def invite(self, command: ChangeMembership) -> EventId:
        """Invite a user of another server into a room that we are in: his server signs first."""
        ...

    async def invite_here(self, command: ChangeMembership) -> EventId:
        """Invite a local user in the name of whoever promised it to his address."""
        ...

    async def leave(self, command: ChangeMembership, via: Sequence[ServerName]) -> None:
        """Reject an invite or retract a knock in a room that we are not in; even if no server can be reached."""
        ...

    async def knock(self, command: ChangeMembership, via: Sequence[ServerName]) -> None:
        """Knock through one of these servers."""
        ...


class AliasOwners(Protocol):
    """Who has aliases of this server to himself, and rooms that exist only once somebody asks. Fitted by appservices."""

    def may_name(self, alias: RoomAlias, appservice_id: str | None) -> bool:
        """Whether somebody may take an alias. appservice_id: the application service that asks, if one does."""
        ...

    async def make_alias(self, alias: RoomAlias) -> bool:
        """Ask, over the network, for a room of an alias that names none; True if there is one now."""
        ...


class NobodyOwnsAliases:
    """A server where aliases are everybody's."""

    def may_name(self, alias: RoomAlias, appservice_id: str | None) -> bool:
        return True

    async def make_alias(self, alias: RoomAlias) -> bool:
        return False


NOBODY_OWNS_ALIASES = NobodyOwnsAliases()
