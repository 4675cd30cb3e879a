"""The state of a room before and after any of its events: the line, and what is laid over it."""

from collections.abc import Mapping

from watchword.protocol.events import StateKey
from watchword.protocol.ids import EventId
from watchword.server.rooms import tables
from watchword.server.rooms.stored import StoredEvent
from watchword.storage import ReadTx

State = dict[StateKey, EventId]


async def state_before(tx: ReadTx, room_nid: int, event: StoredEvent) -> State:
    """The state before an event. An outlier's is not known: {}. Cost: one pass over the room's current state."""
    laid = await tables.overlay(tx, event.nid)
    if laid is None:
        if event.ordering is None:
            return {}
        return await tables.state_at(tx, room_nid, event.position - 1)
    base_position, overlay = laid
    state = await tables.state_at(tx, room_nid, base_position)
    for key, event_id in overlay.items():
        if event_id is None:
            state.pop(key, None)
        else:
            state[key] = event_id
    return state


async def state_after(tx: ReadTx, room_nid: int, event: StoredEvent) -> State:
    """The state after an event: a rejected event changes nothing."""
    state = await state_before(tx, room_nid, event)
    address = event.pdu.state_address
    if address is not None and not event.flags & tables.REJECTED:
        state[address] = event.event_id
    return state


def difference(old: Mapping[StateKey, EventId], new: Mapping[StateKey, EventId]) -> dict[StateKey, EventId | None]:
    """What must be laid over `old` to have `new`."""
    if old is new:
        return {}
    # dict.items() views subtract in C; the two maps are nearly equal.
    changed: dict[StateKey, EventId | None] = dict(new.items() - old.items())
    for key in old.keys() - new.keys():
        changed[key] = None
    return changed
