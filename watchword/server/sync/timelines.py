"""Which events of a room a response shows: the newest that the reader may see, wants, and has not seen.

Spec: client-server-api#syncing, client-server-api#ignoring-users
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from watchword.base import limits
from watchword.protocol import event_types
from watchword.protocol.events import Pdu
from watchword.server.rooms import records
from watchword.server.rooms.reader import RoomReader
from watchword.server.rooms.stored import StoredEvent
from watchword.server.rooms.view import RoomView
from watchword.server.sync.spans import RoomSpan
from watchword.storage import ReadTx

Allows = Callable[[Pdu], bool]


@dataclass(slots=True)
class Timeline:
    """Visible events of a span, oldest first, and what stands before them."""

    events: Sequence[StoredEvent]
    limited: bool
    before: int
    """The ordering just before the first event: what prev_batch continues from."""

    @property
    def start_position(self) -> int:
        """The position whose state is the state before the first event; 0 before the room's own first event."""
        if not self.events:
            return records.position_of(self.before)
        return 0 if self.events[0].pdu.type == event_types.CREATE else self.events[0].position - 1


async def timeline_of(reader: RoomReader, tx: ReadTx, view: RoomView, span: RoomSpan) -> Timeline:
    """The timeline of a span."""
    room, wanted = span.room, span.sync_filter.timeline
    limit = limits.sync_timeline_default if wanted.limit is None else min(wanted.limit, limits.sync_timeline_max)
    floor = 0 if span.since is None else records.ordering_of(span.since)
    ceiling = records.ordering_of(span.until)
    if not wanted.allows_room(room.room_id):
        return Timeline((), False, ceiling)
    allows = _allows(span)
    end = None
    at_hand = view.sight.all_visible and not wanted.asks_for_relations
    found = _recent(view, floor, ceiling, limit, allows) if at_hand else None
    if found is None:
        page = await reader.timeline(view, tx, (floor, ceiling), limit + 1, backwards=True, allows=allows, event_filter=wanted)
        found, end = list(reversed(page.events)), page.end
    # Where the search among hidden events was given up, there may be more.
    limited = len(found) > limit or end is not None
    shown = found[-limit:] if limit else []
    before = ceiling if end is None or not limit else end
    if shown:
        before = (shown[0].ordering or 1) - 1
    if span.since is None and not limited and found and found[0].pdu.type != event_types.CREATE:
        # A first look at a room whose history goes on at other servers is limited too: there is more to fetch.
        limited = await reader.has_missing_before(tx, room, found[0].ordering or 0)
    return Timeline(shown, limited, before)


def _allows(span: RoomSpan) -> Allows | None:
    """What an event must pass to be shown; None if all do."""
    wanted = span.sync_filter.timeline
    if not span.ignored or not span.ignores_somebody:
        return None if wanted.allows_everything else wanted.allows
    # "State events of ignored users are still sent": without them nobody could work the room out.
    return lambda pdu: (pdu.state_key is not None or pdu.sender not in span.ignored) and wanted.allows(pdu)


def _recent(view: RoomView, floor: int, ceiling: int, limit: int, allows: Allows | None) -> list[StoredEvent] | None:
    """The events of a span from memory, if they are all there, or more than are wanted."""
    room = view.room
    if floor < room.recent_floor and len(room.recent) <= limit:
        return None
    if allows is None and room.recent and (room.recent[-1].ordering or 0) <= ceiling:
        # Nearly always: the newest there are. One more than is shown tells that something is left out.
        found = room.recent[-limit - 1 :]
        if len(found) > limit and (found[0].ordering or 0) > floor:
            return found
    found = [event for event in room.recent if floor < (event.ordering or 0) <= ceiling]
    if allows is not None:
        found = [event for event in found if allows(event.pdu)]
    return found if floor >= room.recent_floor or len(found) > limit else None
