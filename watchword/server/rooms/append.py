"""Appending one event to a room: the rows, the line of state, the Change, and the room in memory, in one transaction.

The caller holds the room's lock and an open transaction. What the event does to the room's state was worked out before
(`forks` for events that do not simply follow); here it is written down.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from watchword.protocol import event_types
from watchword.protocol.auth_rules import check
from watchword.protocol.events import Pdu, StateKey
from watchword.protocol.ids import EventId, ServerName, UserId, domain_of
from watchword.server.changes import Change, EventAppended, StateChanged
from watchword.server.rooms import member_tables, records, tables
from watchword.server.rooms.history import difference
from watchword.server.rooms.memberships import Memberships
from watchword.server.rooms.records import MembershipRow, NewEvent
from watchword.server.rooms.redactions import Redactions
from watchword.server.rooms.relations_index import RelationIndex
from watchword.server.rooms.room import Room
from watchword.server.rooms.sticky import StickyEvents
from watchword.server.rooms.stored import EventStore, StoredEvent
from watchword.storage import Log, Position, Tx
from watchword.storage.names import Names

_REDACTING = (event_types.REDACTION, event_types.MEMBER)
"""What may redact other events: kicks and bans, too."""


@dataclass(frozen=True, slots=True)
class Fork:
    """What an event does that does not simply follow the room's end.

    before: the state before it. after: the room's resolved current state once it is there (the present one for an event
    that is not shown). extremities: the room's extremities then, with the state after each in `forks` if there are several.
    """

    before: Mapping[StateKey, EventId]
    after: Mapping[StateKey, EventId]
    extremities: Mapping[EventId, int]
    forks: Mapping[EventId, Mapping[StateKey, EventId]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OldPdu:
    """An event of the past, fetched later. before: the state before it. base, overlay: how that is written down."""

    pdu: Pdu
    json: bytes
    flags: int
    ordering: int
    before: Mapping[StateKey, EventId]
    base_position: int
    overlay: Mapping[StateKey, EventId | None]


@dataclass(frozen=True, slots=True)
class NewPdu:
    """An event to append. fork: None if it cites all of the room's extremities and nothing else.

    missing: events that it cites and that we do not have. is_known: stored already, outside the timeline.
    is_sent_out: whether we tell other servers of it; None: if its sender is ours. is_unwanted: soft-failed, but not by the
    rules: a policy server does not want it.
    """

    pdu: Pdu
    json: bytes
    flags: int = 0
    fork: Fork | None = None
    missing: Collection[EventId] = ()
    is_known: bool = False
    is_sent_out: bool | None = None
    is_unwanted: bool = False

    @property
    def is_shown(self) -> bool:
        """Whether it enters the timeline."""
        return not self.flags & (records.REJECTED | records.SOFT_FAILED)


class Appender:
    """Writes events."""

    def __init__(
        self,
        log: Log[Change],
        names: Names,
        events: EventStore,
        memberships: Memberships,
        server_name: ServerName,
        sticky: StickyEvents,
    ) -> None:
        self._log = log
        self._names = names
        self._events = events
        self._memberships = memberships
        self._server_name = server_name
        self.index = RelationIndex(names)
        self.sticky = sticky
        self.redactions = Redactions(log, names, events, self.index, sticky)

    async def append(self, tx: Tx, room: Room, event: NewPdu) -> StoredEvent:
        """Write the event; change the room in memory."""
        if not event.is_shown:
            return await self._keep_aside(tx, room, event)
        if event.pdu.type == event_types.REDACTION:
            event = replace(event, flags=event.flags | await self.redactions.flags_of(tx, room, event.pdu))
        position = await self._log.append(tx, self._change_of(event))
        fork = event.fork
        before = room.state if fork is None else fork.before
        stored = await self._insert(tx, room, event, records.ordering_of(position), before)
        if fork is not None:
            overlay = difference(room.state, fork.before)
            if overlay:
                await tables.insert_overlay(tx, stored.nid, position - 1, overlay)
        await self._move_state(tx, room, stored, fork, position)
        if fork is None:
            room.extremities = {event.pdu.event_id: event.pdu.depth}
            room.forks = {}
        else:
            room.extremities = dict(fork.extremities)
            room.forks = dict(fork.forks)
        follows_newest = fork is None and stored.is_shown
        if not follows_newest or not room.follows_newest:
            room.follows_newest = follows_newest
            await tables.save_extremities(tx, room.room_nid, None if follows_newest else room.extremities)
        room.last_position = position
        if event.missing:
            await tables.insert_missing(tx, room.room_nid, event.missing, records.ordering_of(position))
        self._events.remember(stored)
        tx.after_failure(partial(self._events.forget, (stored.event_id,)))
        if stored.is_shown:
            await self._note_shown(tx, room, stored, position)
        # Our own message is new: it redacts nothing, and nobody can have redacted it yet.
        if event.pdu.type in _REDACTING or domain_of(event.pdu.sender) != self._server_name:
            await self._redact(tx, room, stored)
        if room.last_state_position == position:
            await self._reconsider(tx, room)
        return stored

    async def _reconsider(self, tx: Tx, room: Room) -> None:
        """The state has changed: show what is sticky and was soft-failed, if it is allowed now. State is left out of that.

        Spec: proposals/4354
        """
        for event_id in self.sticky.aside(room.room_id):
            stored = await self._events.one(tx, event_id)
            if stored is not None and check(stored.pdu, room.auth_state()) is None:
                await self._show_late(tx, room, stored)

    async def _show_late(self, tx: Tx, room: Room, stored: StoredEvent) -> None:
        """Show an event that was kept aside, as something new. The state before it stays what it was."""
        pdu = stored.pdu
        # Not sent out: other servers have it from its own.
        position = await self._log.append(
            tx, EventAppended(room.room_id, pdu.event_id, pdu.type, None, pdu.sender, sender_is_local=False)
        )
        flags = stored.flags & ~records.SOFT_FAILED | await self.redactions.flags_of(tx, room, pdu)
        shown = replace(stored, ordering=records.ordering_of(position), flags=flags)
        await tables.promote_event(tx, stored.nid, shown.ordering, flags, stored.replaces_nid)
        self._events.forget((stored.event_id,))
        tx.after_commit(partial(self._events.forget, (stored.event_id,)))
        room.last_position = position
        # The newest event of the timeline is no end of the graph now.
        room.follows_newest = False
        await tables.save_extremities(tx, room.room_nid, room.extremities)
        if shown.is_shown:
            await self._note_shown(tx, room, shown, position)
            await self._redact(tx, room, shown)

    async def _note_shown(self, tx: Tx, room: Room, stored: StoredEvent, position: Position) -> None:
        """Have an event that is new to clients at hand, and wherever it is looked for."""
        room.remember(stored)
        if "m.relates_to" in stored.pdu.content:
            await self.index.note(tx, room, stored)
        sticky = self.sticky.unexpired(stored.pdu)
        if sticky is not None:
            await self.sticky.note(tx, room.room_nid, stored, sticky, position)

    async def _redact(self, tx: Tx, room: Room, stored: StoredEvent) -> None:
        """Carry out the redaction that this event is, and those that waited for it."""
        if stored.pdu.type in _REDACTING:
            await self.redactions.carry_out(tx, room, stored)
        if domain_of(stored.pdu.sender) != self._server_name or stored.is_history:
            await self.redactions.release(tx, room, stored)

    async def append_outliers(self, tx: Tx, room_nid: int, events: Iterable[tuple[Pdu, bytes, int]]) -> None:
        """Keep events of which we do not know the state before them: (pdu, json, flags), each after its auth events.

        Parts of auth chains, or of the state at a join. Those that are stored already are left alone.
        """
        listed = list(events)
        wanted = {event_id for pdu, _, _ in listed for event_id in (pdu.event_id, *pdu.auth_events)}
        nids = {event_id: nid for event_id, (nid, _) in (await tables.known_events(tx, wanted)).items()}
        for pdu, json, flags in listed:
            if pdu.event_id in nids:
                continue
            new = NewEvent(pdu.event_id, None, pdu.depth, flags | records.OUTLIER, json)
            nid = nids[pdu.event_id] = await tables.insert_event(tx, room_nid, new)
            if pdu.state_key is not None:
                await tables.insert_auth_edges(tx, nid, [nids[cited] for cited in pdu.auth_events if cited in nids])

    async def append_old(self, tx: Tx, room: Room, event: OldPdu) -> int:
        """Give an event of the past its place in the timeline; nothing is logged, and the current state stays."""
        flags = event.flags
        if not flags & records.NOT_SHOWN:
            flags |= await self.redactions.flags_of(tx, room, event.pdu)
        new = NewPdu(event.pdu, event.json, flags, is_known=True)
        stored = await self._insert(tx, room, new, event.ordering, event.before)
        await tables.insert_overlay(tx, stored.nid, event.base_position, event.overlay)
        self._events.forget((stored.event_id,))
        tx.after_commit(partial(self._events.forget, (stored.event_id,)))
        if new.is_shown:
            if stored.is_shown:
                await self.index.note(tx, room, stored)
            await self._redact(tx, room, stored)
            await self.redactions.prune_late(tx, room, stored)
            sticky = self.sticky.unexpired(event.pdu)
            if sticky is not None and stored.is_shown:
                # History is not told, but what is sticky is.
                position = await self._log.append(tx, StateChanged(room.room_id, []))
                await self.sticky.note(tx, room.room_nid, stored, sticky, position)
        room.forget_recent()
        return stored.nid

    async def adopt_state(self, tx: Tx, room: Room, state: Mapping[StateKey, EventId], pdus: Mapping[EventId, Pdu]) -> Position:
        """Make this the room's current state without a timeline event: what a resident server gave us when we joined."""
        changes = difference(room.state, state)
        position = await self._log.append(tx, StateChanged(room.room_id, []))
        await self._write_line(tx, room, changes, position, pdus)
        room.last_position = position
        return position

    def _change_of(self, event: NewPdu) -> Change:
        pdu = event.pdu
        is_sent_out = domain_of(pdu.sender) == self._server_name if event.is_sent_out is None else event.is_sent_out
        if event.flags & records.HIDDEN and not is_sent_out:
            # It takes its place, and there is nothing to tell.
            return StateChanged(pdu.room_id, [])
        membership = pdu.content.get("membership") if pdu.type == event_types.MEMBER else None
        return EventAppended(
            pdu.room_id,
            pdu.event_id,
            pdu.type,
            pdu.state_key,
            pdu.sender,
            is_sent_out,
            membership if isinstance(membership, str) else None,
        )

    async def _keep_aside(self, tx: Tx, room: Room, event: NewPdu) -> StoredEvent:
        """Store a rejected or soft-failed event: later events may cite it, nobody is shown it."""
        before = room.state if event.fork is None else event.fork.before
        stored = await self._insert(tx, room, event, None, before)
        await tables.insert_overlay(tx, stored.nid, room.last_position, difference(room.state, before))
        # It may have been cached as an outlier.
        self._events.forget((stored.event_id,))
        tx.after_commit(partial(self._events.forget, (stored.event_id,)))
        if not event.flags & records.REJECTED and not event.is_unwanted and event.pdu.state_key is None:
            sticky = self.sticky.unexpired(event.pdu)
            if sticky is not None:
                await self.sticky.put_aside(tx, room.room_nid, stored, sticky)
        return stored

    async def _insert(
        self, tx: Tx, room: Room, event: NewPdu, ordering: int | None, before: Mapping[StateKey, EventId]
    ) -> StoredEvent:
        pdu = event.pdu
        address = pdu.state_address
        replaced_id = None if address is None else before.get(address)
        replaced = None if replaced_id is None else await self._events.one(tx, replaced_id)
        replaces_nid = None if replaced is None else replaced.nid
        known = await tables.known_events(tx, (pdu.event_id,)) if event.is_known else {}
        if pdu.event_id in known:
            nid = known[pdu.event_id][0]
            await tables.promote_event(tx, nid, ordering, event.flags, replaces_nid)
        else:
            new = NewEvent(pdu.event_id, ordering, pdu.depth, event.flags, event.json, replaces_nid)
            nid = await tables.insert_event(tx, room.room_nid, new)
            await self._insert_edges(tx, nid, pdu)
        if replaced is not None:
            # Not with what that replaced in its turn, or the whole history of the address would stay in memory.
            replaced = replace(replaced, replaced=None, redacted_because=None)
        return StoredEvent(nid, ordering, event.flags, pdu, room.version, event.json, replaces_nid, None, replaced)

    async def _insert_edges(self, tx: Tx, nid: int, pdu: Pdu) -> None:
        if pdu.state_key is None or not pdu.auth_events:
            return
        known = await tables.known_events(tx, pdu.auth_events)
        await tables.insert_auth_edges(tx, nid, [auth_nid for auth_nid, _ in known.values()])

    async def _move_state(self, tx: Tx, room: Room, stored: StoredEvent, fork: Fork | None, position: Position) -> None:
        pdu = stored.pdu
        changes: Mapping[StateKey, EventId | None]
        if fork is None:
            address = pdu.state_address
            changes = {} if address is None else {address: pdu.event_id}
        else:
            changes = difference(room.state, fork.after)
        if not changes:
            return
        pdus = {pdu.event_id: pdu}
        others = [event_id for event_id in changes.values() if event_id is not None and event_id != pdu.event_id]
        if others:
            pdus.update((event_id, event.pdu) for event_id, event in (await self._events.many(tx, others)).items())
        await self._write_line(tx, room, changes, position, pdus, stored)
        if others or any(event_id is None for event_id in changes.values()):
            await self._log.append(tx, StateChanged(room.room_id, others))

    async def _write_line(
        self,
        tx: Tx,
        room: Room,
        changes: Mapping[StateKey, EventId | None],
        position: Position,
        pdus: Mapping[EventId, Pdu],
        stored: StoredEvent | None = None,
    ) -> None:
        nids = {} if stored is None else {stored.event_id: stored.nid}
        unknown = [event_id for event_id in changes.values() if event_id is not None and event_id not in nids]
        if unknown:
            nids.update((event_id, nid) for event_id, (nid, _) in (await tables.known_events(tx, unknown)).items())
        rows = [
            (
                await self._names.number(tx, kind),
                await self._names.number(tx, state_key),
                None if event_id is None else nids[event_id],
            )
            for (kind, state_key), event_id in changes.items()
        ]
        await tables.change_state(tx, room.room_nid, position, rows)
        room.apply_state(changes, pdus)
        # Who looked at the room between here and the commit may have read the old history back.
        tx.after_commit(room.forget_history)
        room.last_state_position = position
        for (kind, state_key), event_id in changes.items():
            if kind == event_types.MEMBER:
                await self._save_membership(tx, room, UserId(state_key), pdus.get(event_id) if event_id else None, position)

    async def _save_membership(self, tx: Tx, room: Room, user_id: UserId, pdu: Pdu | None, position: Position) -> None:
        user_nid = await self._names.number(tx, user_id)
        if pdu is None:
            await member_tables.delete_membership(tx, room.room_nid, user_nid)
            room.members.set(user_id, None)
            room.joined_since.pop(user_id, None)
            tx.after_commit(partial(self._memberships.forget, user_id))
            return
        membership = str(pdu.content.get("membership"))
        row = MembershipRow(room.room_id, user_id, membership, pdu.event_id, position, pdu.sender, False, None)
        is_local = domain_of(user_id) == self._server_name
        await member_tables.save_membership(tx, room.room_nid, user_nid, row, is_local=is_local)
        room.members.set(user_id, membership)
        if membership != "join":
            room.joined_since.pop(user_id, None)
        if is_local:
            tx.after_commit(partial(self._memberships.note, row))
