"""A room as one reader sees it: which events, and their bytes with what is particular to the reader.

Bytes of an event are encoded once; a reader who was joined at the event gets, as a rule, the very same bytes as his
neighbour.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import orjson

from watchword.protocol import client_events, event_types
from watchword.protocol.ids import EventId, UserId
from watchword.server.rooms import graph_tables, records, tables
from watchword.server.rooms.commands import DELAYED
from watchword.server.rooms.erasure import NOBODY, is_by_erased, redacted_copy
from watchword.server.rooms.room import Room
from watchword.server.rooms.sent import SentTransactions
from watchword.server.rooms.sticky import StickyEntry, StickyEvents
from watchword.server.rooms.stored import EventStore, StoredEvent
from watchword.server.rooms.visibility import History, Interval, Overlay, Sight, visibility_of
from watchword.storage import ReadTx
from watchword.storage.names import Names

_PLAIN_TAILS = {
    membership: b'%b,"unsigned":{"age":%d,"membership":"' + membership.encode() + b'"}}'
    for membership in ("join", "leave", "invite", "knock", "ban")
}
"""How an event ends of which there is nothing else to say: nearly all."""

_JOINED, _ABSENT = _PLAIN_TAILS["join"], _PLAIN_TAILS["leave"]
_TRANSACTION = b',"transaction_id":%b}}'
_NO_RELATIONS: Mapping[EventId, bytes] = {}


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads: the device decides over `unsigned.transaction_id`."""

    user_id: UserId
    device_id: str | None = None


@dataclass(slots=True)
class RoomView:
    """One reader's view of one room. overlays: of the events looked at so far, those whose state is not the line's.

    expired_before: what was sent earlier is too old to be shown. erased: whose messages only those see who were there.
    sticky: events that every member sees, whatever the history visibility.
    """

    reader: Reader
    room: Room
    sight: Sight
    sent: SentTransactions
    overlays: dict[int, Overlay] = field(default_factory=dict)
    expired_before: int = 0
    erased: Collection[UserId] = NOBODY
    sticky: Mapping[EventId, StickyEntry] = field(default_factory=dict)

    def sees(self, event: StoredEvent) -> bool:
        """Whether the reader may see the event."""
        if not event.is_shown or (event.pdu.origin_server_ts < self.expired_before and event.pdu.state_key is None):
            return False
        if event.event_id in self.sticky and self.room.members.membership.get(self.reader.user_id) == "join":
            return True
        sight = self.sight
        if sight.all_visible and event.is_history:
            # The short cut speaks of the line; what was fetched of the past was sent under another visibility, perhaps.
            sight = replace(sight, all_visible=False)
        return sight.sees(event.pdu, event.position, overlay=self.overlays.get(event.nid))

    def sees_message(self, nid: int, ordering: int) -> bool:
        """Whether the reader may see a shown event that is no state, by its number and place alone."""
        sight = self.sight
        if sight.all_visible and records.is_history(ordering):
            sight = replace(sight, all_visible=False)
        return sight.sees_message(records.position_of(ordering), self.overlays.get(nid))

    def encode(self, event: StoredEvent, now_ms: int, *, with_room_id: bool = True, relations: bytes | None = None) -> bytes:
        """The client form of an event for this reader."""
        membership = (
            "leave"
            if event.ordering is None
            else self.sight.membership_at(event.pdu, event.position, self.overlays.get(event.nid))
        )
        if membership != "join" and is_by_erased(event, self.erased):
            event = redacted_copy(event)
        age_ms = max(0, now_ms - event.pdu.origin_server_ts)
        base = event.base_in_room() if with_room_id else event.base()
        is_plain = event.replaced is None and event.redacted_because is None and relations is None
        if (
            is_plain
            and event.event_id not in self.sticky
            and event.pdu.sender != self.reader.user_id
            and membership in _PLAIN_TAILS
        ):
            return _PLAIN_TAILS[membership] % (base, age_ms)
        unsigned = client_events.encode_unsigned(
            age_ms=age_ms,
            membership=membership,
            transaction_id=self._transaction_id(event),
            replaces_state=None if event.replaced is None else event.replaced.event_id,
            prev_content=self._prev_content(event),
            redacted_because=self._redacted_because(event, now_ms),
            relations=relations,
            others=self._others(event, now_ms),
        )
        return client_events.finish(base, unsigned)

    def encode_all(
        self,
        events: Iterable[StoredEvent],
        now_ms: int,
        *,
        with_room_id: bool = True,
        relations: Mapping[EventId, bytes] = _NO_RELATIONS,
    ) -> list[bytes]:
        """`encode` for each of several events, in short for those that are as nearly all are."""
        encoded = []
        sticky = self.sticky
        own, device_id, sent_by = self.reader.user_id, self.reader.device_id, self.sent.of
        joined, absent = self._usual_places()
        for event in events:
            pdu, ordering, tail = event.pdu, event.ordering, None
            sent = sent_by(pdu.event_id) if pdu.sender == own else None
            if (
                ordering is None
                or event.replaced is not None
                or event.redacted_because is not None
                or (relations and event.event_id in relations)
                or (sticky and event.event_id in sticky)
                or (sent is not None and sent.endpoint == DELAYED)
            ):
                pass
            elif pdu.state_key == own and pdu.type == event_types.MEMBER:
                # It says itself what its reader is with it.
                tail = _JOINED if pdu.content.get("membership") == "join" else None
            elif ordering > joined:
                tail = _JOINED
            elif ordering <= absent:
                tail = _ABSENT
            if tail is None:
                found = relations.get(event.event_id)
                encoded.append(self.encode(event, now_ms, with_room_id=with_room_id, relations=found))
                continue
            base = event.base_in_room() if with_room_id else event.base()
            age_ms = max(0, now_ms - pdu.origin_server_ts)
            if sent is None or sent.device_id != device_id:
                encoded.append(tail % (base, age_ms))
            else:
                encoded.append((tail[:-2] + _TRANSACTION) % (base, age_ms, orjson.dumps(sent.txn_id)))
        return encoded

    def _usual_places(self) -> tuple[int, int]:
        """Places behind the first were taken while the reader was joined, those up to the second before he was anything."""
        if self.overlays:
            return records.FOREVER, 0
        absent = 0 if self.erased else records.ordering_of(self.sight.absent_before() - 1)
        return records.ordering_of(self.sight.joined_after()), absent

    def _transaction_id(self, event: StoredEvent) -> str | None:
        if self.reader.device_id is None or event.pdu.sender != self.reader.user_id:
            return None
        transaction = self.sent.of(event.event_id)
        if transaction is None or transaction.device_id != self.reader.device_id or transaction.endpoint == DELAYED:
            return None
        return transaction.txn_id

    def _others(self, event: StoredEvent, now_ms: int) -> dict[str, str | int]:
        """What few events have in `unsigned`: how long it is sticky; the ID under which its sender had it wait, for him."""
        others: dict[str, str | int] = {}
        entry = self.sticky.get(event.event_id)
        if entry is not None and entry.expires_ts > now_ms:
            others[entry.naming.remaining] = entry.expires_ts - now_ms
        transaction = self.sent.of(event.event_id) if event.pdu.sender == self.reader.user_id else None
        if transaction is not None and transaction.endpoint == DELAYED:
            others["delay_id"] = others["org.matrix.msc4140.delay_id"] = transaction.txn_id
        return others

    def _prev_content(self, event: StoredEvent) -> bytes | None:
        replaced = event.replaced
        if replaced is None:
            return None
        if replaced.ordering is not None and not self.sight.all_visible and not self.sees(replaced):
            return None
        return replaced.encoded_content()

    def _redacted_because(self, event: StoredEvent, now_ms: int) -> bytes | None:
        redaction = event.redacted_because
        if redaction is None:
            return None
        base = client_events.with_room_id(redaction.base(), event.pdu.room_id)
        unsigned = client_events.encode_unsigned(age_ms=max(0, now_ms - redaction.pdu.origin_server_ts))
        return client_events.finish(base, unsigned)


def _keeps_all(_: Room) -> int:
    return 0


@dataclass(frozen=True)
class Sights:
    """Works out what readers may see. horizon: before when a room's messages are too old to be shown; 0 for never."""

    names: Names
    events: EventStore
    sent: SentTransactions
    sticky: StickyEvents
    horizon: Callable[[Room], int] = _keeps_all
    erased: Collection[UserId] = NOBODY

    async def view(self, tx: ReadTx, room: Room, reader: Reader) -> RoomView:
        """A reader's view of a room."""
        user_id = reader.user_id
        visibility = room.visibility or await self._visibility(tx, room)
        sight = room.sights.get(user_id)
        is_joined = room.members.membership.get(user_id) == "join"
        if sight is None or not is_joined or sight.visibility is not visibility:
            narrow = any(interval.value in ("joined", "invited") for interval in visibility.intervals)
            sight = Sight(user_id, await self._membership(tx, room, user_id), visibility, all_visible=is_joined and not narrow)
            if sight.all_visible:
                await self.joined_since(tx, room, user_id)
                # At hand while no state of the room changes.
                room.sights[user_id] = sight
        return RoomView(
            reader,
            room,
            sight,
            self.sent,
            expired_before=self.horizon(room),
            erased=self.erased,
            sticky=self.sticky.of(room.room_id),
        )

    async def joined_since(self, tx: ReadTx, room: Room, user_id: UserId) -> int:
        """The position at which a joined user's present stretch in the room began; renewals of his profile do not count."""
        joined = room.joined_since.get(user_id)
        if joined is None:
            joined = 0
            for interval in reversed((await self._membership(tx, room, user_id)).intervals):
                if interval.value != "join" or (joined and interval.end != joined):
                    break
                joined = interval.start
            if joined:
                room.joined_since[user_id] = joined
        return joined

    async def membership_at(self, tx: ReadTx, room: Room, user_id: UserId, position: int) -> tuple[str, int] | None:
        """A user's membership after the change at a position, and the position of the event that says so."""
        for interval in (await self._membership(tx, room, user_id)).intervals:
            if interval.start <= position < interval.end:
                return interval.value, interval.start
        return None

    async def left_between(self, tx: ReadTx, room: Room, user_id: UserId, after: int, until: int) -> tuple[str, int] | None:
        """The last end of a stay of a user in a span: `leave` or `ban`, and its position."""
        intervals = (await self._membership(tx, room, user_id)).intervals
        ends = [
            (end.value, end.start)
            for stay, end in pairwise(intervals)
            if stay.value == "join" and end.value in ("leave", "ban") and after < end.start <= until
        ]
        return ends[-1] if ends else None

    async def last_stay(self, tx: ReadTx, room: Room, user_id: UserId) -> tuple[int, int] | None:
        """Where a user's last stay in a room began and ended, two positions; None if he never was in it."""
        stay: tuple[int, int] | None = None
        for interval in (await self._membership(tx, room, user_id)).intervals:
            if interval.value == "join":
                goes_on = stay is not None and stay[1] == interval.start
                stay = (stay[0] if stay is not None and goes_on else interval.start, interval.end)
        return stay

    async def state_since(self, tx: ReadTx, room: Room, kind: str) -> int | None:
        """The position at which a room first had a state event of a type (with an empty state key); None if it has none."""
        if (kind, "") not in room.state:
            return None
        intervals = await self._intervals(tx, room, kind, "")
        return intervals[0][0] if intervals else None

    async def look_at(self, tx: ReadTx, view: RoomView, events: Sequence[StoredEvent]) -> None:
        """Learn about events whose state is not the line's, before asking what the view sees of them."""
        if view.sight.all_visible:
            events = [event for event in events if event.is_history]
        if events:
            await self.learn(tx, view, [event.nid for event in events])

    async def learn(self, tx: ReadTx, view: RoomView, nids: Sequence[int]) -> None:
        """The same by number, for events of which no more is known."""
        nids = [nid for nid in nids if nid not in view.overlays]
        wanted = ((event_types.HISTORY_VISIBILITY, ""), (event_types.MEMBER, view.reader.user_id))
        laid = {nid: overlay for nid, (_, overlay) in (await graph_tables.overlays(tx, nids)).items()}
        ids = [laid[nid][key] for nid in laid for key in wanted if laid[nid].get(key) is not None]
        found = await self.events.many(tx, [event_id for event_id in ids if event_id is not None])
        for nid, overlay in laid.items():
            view.overlays[nid] = _overlay(overlay, wanted, found)

    async def _visibility(self, tx: ReadTx, room: Room) -> History:
        if room.visibility is None:
            rows = await self._intervals(tx, room, event_types.HISTORY_VISIBILITY, "")
            values = [Interval(start, end, visibility_of(event.pdu.content)) for start, end, event in rows]
            room.visibility = History(values, "shared")
        return room.visibility

    async def _membership(self, tx: ReadTx, room: Room, user_id: UserId) -> History:
        rows = await self._intervals(tx, room, event_types.MEMBER, user_id)
        return History([Interval(start, end, str(event.pdu.content.get("membership"))) for start, end, event in rows], None)

    async def _intervals(self, tx: ReadTx, room: Room, kind: str, state_key: str) -> list[tuple[int, int, StoredEvent]]:
        type_nid = await self.names.find(tx, kind)
        key_nid = await self.names.find(tx, state_key)
        if type_nid is None or key_nid is None:
            return []
        rows = await tables.state_intervals(tx, room.room_nid, type_nid, key_nid)
        found = await self.events.many(tx, [event_id for _, _, event_id in rows])
        return [(start, end, found[event_id]) for start, end, event_id in rows if event_id in found]


def _overlay(
    laid: Mapping[tuple[str, str], EventId | None],
    wanted: tuple[tuple[str, str], tuple[str, str]],
    found: Mapping[EventId, StoredEvent],
) -> Overlay:
    visibility_id, membership_id = laid.get(wanted[0]), laid.get(wanted[1])
    visibility = membership = None
    if wanted[0] in laid:
        event = found.get(visibility_id) if visibility_id else None
        visibility = "shared" if event is None else visibility_of(event.pdu.content)
    if wanted[1] in laid:
        event = found.get(membership_id) if membership_id else None
        membership = "leave" if event is None else str(event.pdu.content.get("membership"))
    return Overlay(visibility, membership)
