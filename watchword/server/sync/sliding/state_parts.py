"""What of a room's state one response tells: what is wanted and not known yet, members who appear, what was taken away.

Definition: MSC4186, `required_state`, "Lazy loaded memberships" and "Changes to `required_state`".
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from watchword.base import limits
from watchword.protocol import event_types
from watchword.protocol.events import StateKey
from watchword.protocol.ids import EventId
from watchword.server.rooms.facts import FactsReader
from watchword.server.rooms.reader import RoomReader
from watchword.server.rooms.room import Room
from watchword.server.rooms.stored import StoredEvent
from watchword.server.sync.sliding.commands import Required, RoomConfig
from watchword.server.sync.sliding.connections import Told
from watchword.server.sync.sliding.decide import any_wants, wanted_state
from watchword.storage import Position, ReadTx

_HELD_MAX = 2

Held = tuple[tuple[tuple[Required, ...], int], ...]


class StateSpan(msgspec.Struct, frozen=True):
    """Whose state: told None for all of it; position: the end, at which the state is as the reader may see it."""

    room: Room
    config: RoomConfig
    told: Told | None
    position: int


class StatePart(msgspec.Struct, frozen=True):
    """State to tell.

    now: the whole state at the end. changed: what is new there since the room was told, wanted or not; None: told all.
    ids: what to tell, for the caller to add to. removed: what had a value and has none. held: which state the client has then.
    """

    now: Mapping[StateKey, EventId]
    changed: Mapping[StateKey, EventId] | None
    removed: Sequence[StateKey]
    ids: dict[StateKey, EventId]
    held: Held

    def touches(self, kind: str) -> bool:
        """Whether state of a type is new, or went away."""
        if self.changed is None:
            return True
        return any(key[0] == kind for key in self.changed) or any(key[0] == kind for key in self.removed)

    def stubs(self, config: RoomConfig) -> list[StateKey]:
        """What went away and was wanted."""
        return [key for key in self.removed if any_wants(config.required, key)]


@dataclass(frozen=True)
class StateParts:
    """Works out what to tell."""

    rooms: RoomReader
    facts: FactsReader

    async def part(self, tx: ReadTx, span: StateSpan) -> StatePart:
        """Everything but the members who appear."""
        room, told, required = span.room, span.told, span.config.required
        now: Mapping[StateKey, EventId] = room.state
        if span.position < room.last_state_position:
            now = await self.rooms.state_at(room, span.position, tx)
        if told is None:
            return StatePart(now, None, (), wanted_state(span.config, now), ((required, span.position),))
        changed: Mapping[StateKey, EventId] = {}
        removed: Sequence[StateKey] = ()
        if room.last_state_position > told.until:
            changed = await self._since(tx, span, told.until)
            removed = await self.facts.removed(tx, room, Position(told.until), Position(span.position))
        had = next((position for one, position in told.held if one == required), None)
        if had is not None:
            new = changed if had == told.until else await self._since(tx, span, had)
            ids = {key: event_id for key, event_id in new.items() if any_wants(required, key)}
        else:
            ids = wanted_state(span.config, now)
            for one, position in told.held:
                new = changed if position == told.until else await self._since(tx, span, position)
                ids = {key: event_id for key, event_id in ids.items() if key in new or not any_wants(one, key)}
        return StatePart(now, changed, removed, ids, _held(told.held, required, span.position))

    async def _since(self, tx: ReadTx, span: StateSpan, position: int) -> Mapping[StateKey, EventId]:
        if position >= span.position:
            return {}
        return await self.rooms.state_delta(tx, span.room, Position(position), Position(span.position))


def _held(held: Held, required: tuple[Required, ...], position: int) -> Held:
    others = [one for one in held if one[0] != required]
    return ((required, position), *others[: _HELD_MAX - 1])


def members_who_appear(
    part: StatePart, events: Iterable[StoredEvent], known: Sequence[str], *, limited: bool
) -> tuple[dict[StateKey, EventId], tuple[str, ...]]:
    """Member events to tell for a timeline, and whose the client has then. known: whose it has.

    Where something was left out (`limited`) the client forgets the members it had, and so do we.
    """
    appear: dict[str, None] = {}
    for event in events:
        pdu = event.pdu
        appear[pdu.sender] = None
        if pdu.state_key is not None and pdu.type == event_types.MEMBER:
            appear[pdu.state_key] = None
    if limited or part.changed is None:
        had: Sequence[str] = ()
    else:
        had = known
        # "All membership updates since the last sync when `limited` is false."
        appear.update((key, None) for kind, key in part.changed if kind == event_types.MEMBER)
    updated = () if part.changed is None else part.changed
    found: dict[StateKey, EventId] = {}
    for member in appear:
        key = (event_types.MEMBER, member)
        event_id = part.now.get(key)
        if event_id is not None and (member not in had or key in updated):
            found[key] = event_id
    names = tuple(sys.intern(str(member)) for member in dict.fromkeys((*had, *appear)))
    return found, names if len(names) <= limits.sliding_members_told_max else names[-limits.sliding_members_told_max :]
