"""A room in memory: what its next event needs to know, so that a send asks the database nothing.

Loaded on demand, bounded in number, evicted whole. The writer changes it inside the room's lock, right after the rows are
written; whoever only reads sees the newest state. If the commit fails, the room is evicted and loaded again.
"""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from watchword.protocol import event_types
from watchword.protocol.auth_state import AuthState
from watchword.protocol.events import Pdu, StateKey
from watchword.protocol.ids import EventId, RoomId, ServerName, UserId, domain_of
from watchword.protocol.policy_servers import POLICY_TYPES, PolicyServer, policy_server_of
from watchword.protocol.power_levels import PowerLevels, creators_of
from watchword.protocol.room_versions import RoomVersion
from watchword.server.rooms.retention_policy import RETENTION
from watchword.server.rooms.stored import StoredEvent
from watchword.server.rooms.visibility import History, Sight, visibility_of

_RECENT_MAX = 64
_UNRELATED_MAX = 512

KEY_TYPES = (event_types.CREATE, event_types.POWER_LEVELS, event_types.JOIN_RULES, event_types.HISTORY_VISIBILITY)
"""State that every decision reads: always at hand."""

LOADED_TYPES = (*KEY_TYPES, *POLICY_TYPES, RETENTION)
"""The same, and what only some rooms have."""

KEPT_TYPES = (*LOADED_TYPES, event_types.THIRD_PARTY_INVITE, event_types.SERVER_ACL)


@dataclass(slots=True)
class Members:
    """Who is in the room: joined and invited users, and how many are joined per server.

    has_strangers: whether a user of another server has, or had (as far as memory goes), a membership of any kind.
    """

    local_server: ServerName
    membership: dict[UserId, str] = field(default_factory=dict)
    joined: set[UserId] = field(default_factory=set)
    joined_local: set[UserId] = field(default_factory=set)
    invited: set[UserId] = field(default_factory=set)
    servers: dict[ServerName, int] = field(default_factory=dict)
    has_strangers: bool = field(default=False, compare=False)

    def set(self, user_id: UserId, membership: str | None) -> None:
        """Take a membership over; None removes it."""
        old = self.membership.get(user_id)
        if old == membership:
            return
        if old == "join":
            self._count(user_id, -1)
        elif old == "invite":
            self.invited.discard(user_id)
        if membership is None:
            del self.membership[user_id]
            return
        self.membership[user_id] = membership
        if old is None and not self.has_strangers:
            self.has_strangers = domain_of(user_id) != self.local_server
        if membership == "join":
            self._count(user_id, 1)
        elif membership == "invite":
            self.invited.add(user_id)

    def _count(self, user_id: UserId, step: int) -> None:
        server = domain_of(user_id)
        count = self.servers.get(server, 0) + step
        if count > 0:
            self.servers[server] = count
        else:
            self.servers.pop(server, None)
        change = set.add if step > 0 else set.discard
        change(self.joined, user_id)
        if server == self.local_server:
            change(self.joined_local, user_id)


@dataclass(frozen=True, slots=True)
class ServersThen:
    """The servers with a joined user while begin <= position < end."""

    begin: int
    end: int
    servers: frozenset[ServerName]


@dataclass(slots=True)
class Room:
    """One room.

    state: the resolved current state. pdus: the events of the state that decisions read (KEY_TYPES always).
    extremities: event_id → depth. forks: the state after each extremity while there are several.
    follows_newest: the database knows that the extremity is the newest event.
    last_position: of the newest live event. last_state_position: where the line last changed.
    receipts_position: where a receipt last moved. recent: every shown event above the ordering recent_floor, oldest first.
    visibility, joined_since, sights: what views read, worked out on demand (joined_since: start of the present stretch;
    sights: of joined users who may see everything). servers_then: what a late follower asked last.
    unrelated: events to which nothing relates, of those that somebody asked about.
    """

    room_id: RoomId
    room_nid: int
    version: RoomVersion
    members: Members
    state: dict[StateKey, EventId] = field(default_factory=dict)
    extremities: dict[EventId, int] = field(default_factory=dict)
    pdus: dict[EventId, Pdu] = field(default_factory=dict)
    follows_newest: bool = False
    forks: dict[EventId, Mapping[StateKey, EventId]] = field(default_factory=dict)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    receiving: asyncio.Lock = field(default_factory=asyncio.Lock)
    is_public: bool = False
    evicted: bool = False
    last_position: int = 0
    last_state_position: int = 0
    receipts_position: int = 0
    recent: list[StoredEvent] = field(default_factory=list)
    recent_floor: int = 0
    visibility: History | None = None
    joined_since: dict[UserId, int] = field(default_factory=dict)
    sights: dict[UserId, Sight] = field(default_factory=dict)
    unrelated: set[EventId] = field(default_factory=set)
    servers_then: ServersThen | None = None
    _auth_state: AuthState | None = None

    @property
    def is_alive(self) -> bool:
        """Whether this server takes part: it has joined users and something to cite."""
        return bool(self.members.joined_local) and bool(self.extremities)

    def current(self, kind: str, state_key: str = "") -> Pdu | None:
        """A state event that decisions read, if the room has it and it is loaded."""
        event_id = self.state.get((kind, state_key))
        return None if event_id is None else self.pdus.get(event_id)

    def content(self, kind: str) -> Mapping[str, object]:
        """The content of one of KEY_TYPES; {} if there is none."""
        pdu = self.current(kind)
        return {} if pdu is None else pdu.content

    @property
    def join_rule(self) -> str:
        """The current join rule; `invite` if there is none. Spec: client-server-api#mroomjoin_rules"""
        rule = self.content(event_types.JOIN_RULES).get("join_rule")
        return rule if isinstance(rule, str) else "invite"

    @property
    def history_visibility(self) -> str:
        """The current history visibility; `shared` if unset or unknown."""
        return visibility_of(self.content(event_types.HISTORY_VISIBILITY))

    @property
    def creators(self) -> frozenset[UserId]:
        """Who made the room; in room version 12 they stand above all power levels."""
        create = self.current(event_types.CREATE)
        return frozenset(() if create is None else creators_of(create, self.version))

    @property
    def policy_server(self) -> PolicyServer | None:
        """The policy server in use: the room names one, and somebody of it is in the room.

        Spec: server-server-api#determining-if-a-policy-server-is-enabled-in-a-room
        """
        for kind in POLICY_TYPES:
            pdu = self.current(kind)
            server = None if pdu is None else policy_server_of(kind, pdu.content)
            if server is not None and server.via in self.members.servers:
                return server
        return None

    def auth_state(self) -> AuthState:
        """What the authorisation rules read, parsed once per change of the few events that matter."""
        if self._auth_state is None:
            self._auth_state = AuthState.build(
                self.version,
                self.current(event_types.CREATE),
                self.current(event_types.POWER_LEVELS),
                self.current(event_types.JOIN_RULES),
                self.members.membership.get,
                lambda token: self.current(event_types.THIRD_PARTY_INVITE, token),
            )
        return self._auth_state

    def levels(self) -> PowerLevels:
        """The current power levels."""
        return self.auth_state().power_levels

    def remember(self, event: StoredEvent) -> None:
        """Keep an event that was just appended at hand for those who are waiting for it."""
        self.recent.append(event)
        if len(self.recent) > 2 * _RECENT_MAX:
            self.forget_recent(len(self.recent) - _RECENT_MAX)

    def forget_recent(self, count: int | None = None) -> None:
        """Drop the oldest recent events, or all."""
        dropped = self.recent[:count]
        if dropped:
            self.recent_floor = dropped[-1].ordering or self.recent_floor
            self.recent = self.recent[len(dropped) :]

    def note_unrelated(self, event_ids: Collection[EventId]) -> None:
        """Remember (bounded) to which events nothing relates; the index takes out those to which something does."""
        if len(self.unrelated) + len(event_ids) > _UNRELATED_MAX:
            self.unrelated.clear()
        self.unrelated.update(event_ids)

    def forget_history(self) -> None:
        """Work out anew what views read of the history."""
        self.visibility = None
        self.joined_since.clear()
        self.sights.clear()

    def apply_state(self, changes: Mapping[StateKey, EventId | None], pdus: Mapping[EventId, Pdu]) -> None:
        """Take changes of the current state over. pdus: the events among them that are at hand."""
        for key, event_id in changes.items():
            old = self.state.get(key)
            if old is not None:
                self.pdus.pop(old, None)
            if event_id is None:
                self.state.pop(key, None)
            else:
                self.state[key] = event_id
                if event_id in pdus and key[0] in KEPT_TYPES:
                    self.pdus[event_id] = pdus[event_id]
            if key[0] in KEY_TYPES:
                self._auth_state = None
                if key[0] == event_types.HISTORY_VISIBILITY:
                    self.visibility = None

    def prune(self, pdu: Pdu) -> None:
        """An event was redacted. State stays where it is; what decisions read of it is what redaction left."""
        if pdu.event_id in self.pdus:
            self.pdus[pdu.event_id] = pdu
            self._auth_state = None
            self.visibility = None
