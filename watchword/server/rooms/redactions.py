"""Carries redactions out: in the transaction of the event that redacts, or of the one that was waited for.

Theory of operation. A redacted event keeps its place; its bytes are replaced by what the room version leaves of it, for good:
nobody here, no moderator either, can have the content back. From room version 3 on, a redaction is an event like others for
the authorisation rules; whether it takes effect is known only once its target is here. Until then it is hidden: it has a
place in the graph, and nobody is shown it. If the check passes later it becomes news, at a new place at the end of the
timeline, so that clients that went past its old place hear of it; among fetched history it appears where it stands. If the
check fails, it stays hidden.

A kick or ban may ask for all that its target said during his last stay to be redacted; `mass_redactions` carries that out,
step by step, and what is fetched of that stay later is redacted on arrival.

Spec: rooms/v3#handling-redactions, client-server-api#redactions
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import partial

from watchword.protocol import event_types
from watchword.protocol.auth_rules import may_redact
from watchword.protocol.canonical_json import encode
from watchword.protocol.events import Pdu
from watchword.protocol.ids import EventId, UserId
from watchword.protocol.redaction import redact
from watchword.server.changes import Change, EventAppended
from watchword.server.rooms import decide, graph_tables, records, redaction_tables, tables
from watchword.server.rooms.relations_index import RelationIndex
from watchword.server.rooms.room import Room
from watchword.server.rooms.sticky import StickyEvents
from watchword.server.rooms.stored import EventStore, StoredEvent, pdu_of
from watchword.storage import Log, Tx
from watchword.storage.names import Names


@dataclass(frozen=True)
class Redactions:
    """Carries redactions out. Whoever calls holds the room's lock."""

    log: Log[Change]
    names: Names
    events: EventStore
    index: RelationIndex
    sticky: StickyEvents

    async def flags_of(self, tx: Tx, room: Room, pdu: Pdu) -> int:
        """HIDDEN for a redaction that cannot be shown yet, or ever; 0 for everything else."""
        if pdu.type != event_types.REDACTION or pdu.redacts is None or pdu.state_key is not None:
            return 0
        if room.version.redactions_in_auth_rules:
            return 0
        target = await self.events.one(tx, pdu.redacts)
        allowed = target is not None and may_redact(pdu, target.pdu, room.levels(), room.version)
        return 0 if allowed else records.HIDDEN

    async def carry_out(self, tx: Tx, room: Room, event: StoredEvent) -> None:
        """Do what a stored event wants redacted: a redaction its target, a kick or ban what its target said."""
        pdu = event.pdu
        if pdu.type == event_types.REDACTION and pdu.redacts is not None:
            target = await self.events.one(tx, pdu.redacts)
            if target is None:
                await tables.insert_pending_redaction(tx, pdu.redacts, event.nid)
            elif may_redact(pdu, target.pdu, room.levels(), room.version):
                await self.prune(tx, room, target, event.nid)
        elif pdu.type == event_types.MEMBER and decide.redacts_events(pdu, room.levels()):
            await self._note_member_redaction(tx, room, event)

    async def release(self, tx: Tx, room: Room, event: StoredEvent) -> None:
        """An event came that redactions may have waited for: carry them out, and show them."""
        for nid in await tables.take_pending_redactions(tx, event.event_id):
            rows = await tables.events_by_nid(tx, (nid,))
            for redaction in await self.events.decoded(tx, list(rows.values())):
                if not may_redact(redaction.pdu, event.pdu, room.levels(), room.version):
                    continue
                await self.prune(tx, room, event, redaction.nid)
                if redaction.flags & records.HIDDEN:
                    await self._show(tx, room, redaction)

    async def prune_late(self, tx: Tx, room: Room, event: StoredEvent) -> None:
        """Redact an event of the past if a kick or ban took its sender's stay with it."""
        if event.ordering is None or event.redacted_by_nid is not None:
            return
        user_nid = await self.names.find(tx, event.pdu.sender)
        if user_nid is None:
            return
        member_nid = await redaction_tables.member_redaction_over(tx, room.room_nid, user_nid, event.ordering)
        if member_nid is not None:
            await self.prune(tx, room, event, member_nid)

    async def prune(self, tx: Tx, room: Room, target: StoredEvent, because_nid: int) -> None:
        """Leave of an event what its room version keeps, unless that was done before."""
        if target.pdu.room_id != room.room_id or target.redacted_by_nid is not None:
            return
        raw = redact(target.pdu.json, room.version)
        encoded = encode(raw, room.version.strict_canonical_json)
        await tables.prune_event(tx, target.nid, encoded, because_nid)
        await self.index.forget(tx, room.room_nid, target)
        await self.sticky.forget(tx, target)
        # Who holds this object goes on with it: it must not say what was taken back.
        target.redacted_by_nid = because_nid
        # Its successor shows what it said, too.
        self._forget(tx, {target.event_id, *(await self._successors(tx, room, target))})
        room.forget_recent()
        room.prune(pdu_of(target.event_id, raw, room.version))

    def _forget(self, tx: Tx, event_ids: Collection[EventId]) -> None:
        self.events.forget(event_ids)
        tx.after_commit(partial(self.events.forget, event_ids))

    async def _successors(self, tx: Tx, room: Room, target: StoredEvent) -> Collection[EventId]:
        """Events that stood, or stand, at the address of a state event."""
        address = target.pdu.state_address
        if address is None:
            return ()
        numbers = [await self.names.number(tx, name) for name in address]
        return [event_id for _, _, event_id in await tables.state_intervals(tx, room.room_nid, numbers[0], numbers[1])]

    async def _show(self, tx: Tx, room: Room, redaction: StoredEvent) -> None:
        """Show a redaction that was hidden: among history where it stands, otherwise as something new."""
        assert redaction.ordering is not None, redaction.event_id
        pdu, flags = redaction.pdu, redaction.flags & ~records.HIDDEN
        ordering = redaction.ordering
        if not redaction.is_history:
            laid = await graph_tables.overlays(tx, (redaction.nid,))
            if redaction.nid not in laid:
                # The state before it is that of its old place.
                await tables.insert_overlay(tx, redaction.nid, redaction.position - 1, {})
            # Not sent out: other servers had it when it came.
            change = EventAppended(room.room_id, pdu.event_id, pdu.type, pdu.state_key, pdu.sender, False)
            position = await self.log.append(tx, change)
            ordering = records.ordering_of(position)
            room.last_position = position
            # The newest event of the timeline is no end of the graph now.
            room.follows_newest = False
            await tables.save_extremities(tx, room.room_nid, room.extremities)
        await tables.promote_event(tx, redaction.nid, ordering, flags, redaction.replaces_nid)
        self._forget(tx, {redaction.event_id})
        shown = replace(redaction, ordering=ordering, flags=flags)
        await self.index.note(tx, room, shown)
        if redaction.is_history:
            room.forget_recent()
        else:
            room.remember(shown)

    async def _note_member_redaction(self, tx: Tx, room: Room, event: StoredEvent) -> None:
        """Note that what a user said during his last stay is to be redacted. event: his kick or ban."""
        user_id = UserId(event.pdu.state_key or "")
        if event.ordering is None or room.state.get((event_types.MEMBER, user_id)) != event.event_id:
            return
        user_nid = await self.names.number(tx, user_id)
        began = await self._stay_began(tx, room, user_nid, event)
        after = records.ordering_of(began)
        await redaction_tables.insert_member_redaction(tx, room.room_nid, user_nid, event.nid, after, event.ordering)
        tx.after_commit(self.index.on_due)

    async def _stay_began(self, tx: Tx, room: Room, user_nid: int, event: StoredEvent) -> int:
        """The position of the member event that the kick or ban replaced; of a stay its beginning: renewals do not count."""
        type_nid = await self.names.number(tx, event_types.MEMBER)
        rows = [row for row in await tables.state_intervals(tx, room.room_nid, type_nid, user_nid) if row[2] != event.event_id]
        found = await self.events.many(tx, [event_id for _, _, event_id in rows])
        began = 0
        for start, _, event_id in reversed(rows):
            if began and found[event_id].pdu.content.get("membership") != "join":
                break
            began = start
            if found[event_id].pdu.content.get("membership") != "join":
                break
        return began
