"""Pure decisions of sliding sync: which state is wanted, which rooms a filter lets through.

Definition: MSC4186.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from watchword.protocol import event_types
from watchword.protocol.events import StateKey
from watchword.protocol.ids import EventId, RoomId
from watchword.server.sync.sliding.commands import Pattern, Required, RoomConfig, RoomFilter


def wants(required: Required, key: StateKey) -> bool:
    """Whether state at an address is wanted. Members who are told as they appear are not: not by a wildcard for types."""
    kind, state_key = key
    if any(_fits(pattern, kind, state_key) for pattern in required.exclude):
        return False
    for pattern in required.include:
        if _fits(pattern, kind, state_key) and not (
            # "Typically […] you want to retrieve all state events except for m.room.member": `{}` with lazy_members.
            required.lazy and pattern[0] is None and kind == event_types.MEMBER
        ):
            return True
    return False


def _fits(pattern: Pattern, kind: str, state_key: str) -> bool:
    return (pattern[0] is None or pattern[0] == kind) and (pattern[1] is None or pattern[1] == state_key)


def any_wants(required: Iterable[Required], key: StateKey) -> bool:
    """Whether one of several wants state at an address."""
    return any(wants(one, key) for one in required)


def wanted_state(config: RoomConfig, state: Mapping[StateKey, EventId]) -> dict[StateKey, EventId]:
    """The part of a room's state that is wanted. Without wildcards it costs the addresses asked for, not the state."""
    if config.addresses is None:
        return {key: event_id for key, event_id in state.items() if any_wants(config.required, key)}
    return {key: state[key] for key in config.addresses if key in state}


def combined(configs: Sequence[RoomConfig]) -> RoomConfig:
    """The superset of what the rules that match a room ask."""
    if len(configs) == 1:
        return configs[0]
    required = tuple(dict.fromkeys(one for config in configs for one in config.required))
    return RoomConfig(max(config.timeline_limit for config in configs), required)


@dataclass(frozen=True, slots=True)
class Facts:
    """What filters ask of a room. is_known False: of a room that we are not in, and nobody told."""

    room_type: str | None = None
    is_encrypted: bool = False
    name: str | None = None
    is_known: bool = True


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What filters ask beside a room's own facts. children: rooms in the spaces that the filter names."""

    directs: Collection[RoomId] = frozenset()
    tags: Mapping[RoomId, Collection[str]] | None = None
    children: Collection[RoomId] = frozenset()


def passes(wanted: RoomFilter, room_id: RoomId, membership: str, facts: Facts | None, around: Surroundings) -> bool:
    """Whether a filter lets a room through. facts: at least where `wanted.needs_facts`."""
    if wanted.is_dm is not None and (room_id in around.directs) != wanted.is_dm:
        return False
    if wanted.is_invited is not None and (membership == "invite") != wanted.is_invited:
        return False
    if wanted.spaces is not None and room_id not in around.children:
        return False
    if wanted.needs_tags and not _passes_tags(wanted, (around.tags or {}).get(room_id, ())):
        return False
    return not wanted.needs_facts or (facts is not None and _passes_facts(wanted, facts))


def _passes_tags(wanted: RoomFilter, tags: Collection[str]) -> bool:
    # "Takes priority over `tags`."
    if any(tag in tags for tag in wanted.not_tags):
        return False
    return wanted.tags is None or any(tag in tags for tag in wanted.tags)


def _passes_facts(wanted: RoomFilter, facts: Facts) -> bool:
    asks_state = wanted.is_encrypted is not None or wanted.room_types is not None or bool(wanted.not_room_types)
    if asks_state and not facts.is_known:
        return False
    if wanted.is_encrypted is not None and facts.is_encrypted != wanted.is_encrypted:
        return False
    # "If a type is in both, not_room_types wins."
    if facts.room_type in wanted.not_room_types:
        return False
    if wanted.room_types is not None and facts.room_type not in wanted.room_types:
        return False
    if wanted.room_name_like is not None:
        return facts.name is not None and wanted.room_name_like.casefold() in facts.name.casefold()
    return True
