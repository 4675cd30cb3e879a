"""Room versions as one table of flags. What differs between versions is here; code asks a flag, never a number.

Spec: rooms
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum


class EventIdFormat(Enum):
    """How an event gets its ID. Spec: rooms/v1#event-ids, rooms/v3#event-ids, rooms/v4#event-ids"""

    OPAQUE = "opaque"
    """`$local:domain`, chosen by the sender, inside the event; references are [event_id, hashes] pairs."""
    HASH = "hash"
    """The reference hash in standard base64."""
    URL_SAFE_HASH = "url-safe hash"
    """The reference hash in URL-safe base64."""


class StateResolution(Enum):
    """Which algorithm merges forks."""

    V1 = "1"
    V2 = "2"
    V2_1 = "2.1"


@dataclass(frozen=True)
class RoomVersion:
    """The rules of one room version. Flags are named for what is true in the later versions, or kept by redaction."""

    identifier: str
    event_id_format: EventIdFormat = EventIdFormat.OPAQUE
    state_resolution: StateResolution = StateResolution.V1
    room_id_is_create_hash: bool = False
    """Room ID is made from the create event, which carries none and is in nobody's auth_events (12)."""
    creator_in_content: bool = True
    """`content.creator` of m.room.create is required and is the creator (1-10); later the sender is."""
    privileged_creators: bool = False
    """Creators stand above every power level; additional_creators counts (12)."""
    redactions_in_auth_rules: bool = True
    """Redactions are authorised by an auth rule (1, 2); later by a check of their own."""
    redacts_in_content: bool = False
    """`redacts` is in content (11), before at top level."""
    aliases_auth_rule: bool = True
    """m.room.aliases has an authorisation rule of its own (1-5)."""
    strict_canonical_json: bool = False
    """Only canonical JSON is accepted: integers in range, no floats (6)."""
    key_validity_enforced: bool = False
    """Signing keys must be valid at origin_server_ts (5)."""
    notifications_in_power_levels: bool = False
    """Changes of `notifications` are authorised like other levels (6)."""
    integer_power_levels: bool = False
    """Power levels must be integers (10); before, strings and (1-5) floats are read leniently."""
    float_power_levels: bool = True
    """Floats are read as power levels, truncated (1-5)."""
    knocking: bool = False
    """Join rule `knock` and membership `knock` (7)."""
    restricted_joins: bool = False
    """Join rule `restricted` (8)."""
    knock_restricted_joins: bool = False
    """Join rule `knock_restricted` (10)."""
    redaction_keeps_origin: bool = True
    """Redaction keeps top-level origin, membership, prev_state (1-10)."""
    redaction_keeps_aliases: bool = True
    """Redaction keeps m.room.aliases content.aliases (1-5)."""
    redaction_keeps_join_rules_allow: bool = False
    """Redaction keeps m.room.join_rules content.allow (8)."""
    redaction_keeps_authorising_user: bool = False
    """Redaction keeps m.room.member content.join_authorised_via_users_server (9)."""
    redaction_keeps_create_content: bool = False
    """Redaction keeps all content of m.room.create, invite of power levels, redacts of redactions, and
    third_party_invite.signed of members (11)."""

    @property
    def event_ids_in_events(self) -> bool:
        """Events carry their own ID (1, 2)."""
        return self.event_id_format is EventIdFormat.OPAQUE


V1 = RoomVersion("1")
V2 = replace(V1, identifier="2", state_resolution=StateResolution.V2)
V3 = replace(V2, identifier="3", event_id_format=EventIdFormat.HASH, redactions_in_auth_rules=False)
V4 = replace(V3, identifier="4", event_id_format=EventIdFormat.URL_SAFE_HASH)
V5 = replace(V4, identifier="5", key_validity_enforced=True)
V6 = replace(
    V5,
    identifier="6",
    aliases_auth_rule=False,
    redaction_keeps_aliases=False,
    strict_canonical_json=True,
    float_power_levels=False,
    notifications_in_power_levels=True,
)
V7 = replace(V6, identifier="7", knocking=True)
V8 = replace(V7, identifier="8", restricted_joins=True, redaction_keeps_join_rules_allow=True)
V9 = replace(V8, identifier="9", redaction_keeps_authorising_user=True)
V10 = replace(V9, identifier="10", integer_power_levels=True, knock_restricted_joins=True)
V11 = replace(
    V10,
    identifier="11",
    creator_in_content=False,
    redacts_in_content=True,
    redaction_keeps_origin=False,
    redaction_keeps_create_content=True,
)
V12 = replace(
    V11,
    identifier="12",
    state_resolution=StateResolution.V2_1,
    room_id_is_create_hash=True,
    privileged_creators=True,
)

ROOM_VERSIONS: Mapping[str, RoomVersion] = {
    version.identifier: version for version in (V1, V2, V3, V4, V5, V6, V7, V8, V9, V10, V11, V12)
}
DEFAULT_ROOM_VERSION = "12"
