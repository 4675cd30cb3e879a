"""The state of a room before and after any of its events: the line, and what is laid over it."""

from collections.abc import Mapping

from watchword.protocol.events import Pdu, StateKey
from watchword.protocol.ids import EventId
from watchword.server.rooms import graph_tables, records, tables
from watchword.server.rooms.room import Room
from watchword.server.rooms.stored import StoredEvent
from watchword.storage import ReadTx

State = dict[StateKey, EventId]


async def state_before(tx: ReadTx, room_nid: int, event: StoredEvent, room: Room | None = None) -> Mapping[StateKey, EventId]:
    """The state before an event; not to be changed. An outlier's is not known: {}.

    room: the event's room, if it is as new as `tx`: then the cost is what changed since. Otherwise one pass over the state.
    """
    laid = (await graph_tables.overlays(tx, (event.nid,))).get(event.nid)
    if laid is None:
        if event.ordering is None:
            return {}
        return await _on_line(tx, room_nid, event.position - 1, room)
    base_position, overlay = laid
    on_line = await _on_line(tx, room_nid, base_position, room)
    return apply_overlay(on_line, overlay) if overlay else on_line


async def _on_line(tx: ReadTx, room_nid: int, position: int, room: Room | None) -> Mapping[StateKey, EventId]:
    if room is None:
        return await tables.state_at(tx, room_nid, position)
    if position >= room.last_state_position:
        return room.state
    written, ended = await graph_tables.line_changed_since(tx, room_nid, position)
    state = dict(room.state)
    for key in written:
        state.pop(key, None)
    state.update(ended)
    return state


async def state_after(tx: ReadTx, room_nid: int, event: StoredEvent, room: Room | None = None) -> Mapping[StateKey, EventId]:
    """The state after an event, as `state_before`: a rejected event changes nothing."""
    state = await state_before(tx, room_nid, event, room)
    return state if event.flags & records.REJECTED else with_event(state, event.pdu)


def with_event(state: Mapping[StateKey, EventId], pdu: Pdu) -> Mapping[StateKey, EventId]:
    """The state after an event that is allowed; the same object if the event is no state."""
    address = pdu.state_address
    return state if address is None else {**state, address: pdu.event_id}


def apply_overlay(state: Mapping[StateKey, EventId], overlay: Mapping[StateKey, EventId | None]) -> State:
    """The state with an overlay laid over it: None takes an address away."""
    laid = dict(state)
    for key, event_id in overlay.items():
        if event_id is None:
            laid.pop(key, None)
        else:
            laid[key] = event_id
    return laid


def difference(old: Mapping[StateKey, EventId], new: Mapping[StateKey, EventId]) -> dict[StateKey, EventId | None]:
    """What must be laid over `old` to have `new`."""
    if old is new:
        return {}
    # dict.items() views subtract in C; the two maps are nearly equal.
    changed: dict[StateKey, EventId | None] = dict(new.items() - old.items())
    for key in old.keys() - new.keys():
        changed[key] = None
    return changed
