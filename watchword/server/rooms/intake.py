"""Takes one verified event into a room that this server is in: the last three checks, its place, and the append.

The checks are the authorisation rules against the event's own auth events (reject), the state before it (reject) and the
current state (soft-fail). A rejected or soft-failed event is kept, because later events may cite it; nobody is shown it.
An event that cites just the room's end, and is authorised by its current state, costs one check and no resolution.

What must be had first is named in the answer, and `receiver` fetches it. One server is asked here, between two looks at the
room and never under its lock: the room's policy server, whose signature is the last of the checks (soft-fail).

Spec: server-server-api#checks-performed-on-receipt-of-a-pdu, server-server-api#soft-failure
"""

import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from watchword.base.errors import Forbidden
from watchword.protocol import event_types
from watchword.protocol.auth_event_selection import auth_state_keys, third_party_token
from watchword.protocol.auth_rules import check
from watchword.protocol.auth_state import CREATE_KEY, AuthState
from watchword.protocol.events import Pdu, StateKey, StateMap
from watchword.protocol.ids import EventId, RoomId
from watchword.protocol.policy_servers import PolicyServer, needs_signature
from watchword.server.rooms import graph_tables, records, tables
from watchword.server.rooms.append import Fork, NewPdu
from watchword.server.rooms.commands import Transaction
from watchword.server.rooms.forks import Forks, UnresolvableState, unmoved
from watchword.server.rooms.incoming import Verified
from watchword.server.rooms.own_auth import OwnAuth, needed_for
from watchword.server.rooms.room import Room
from watchword.server.rooms.stored import StoredEvent
from watchword.server.rooms.writer import RoomWriter
from watchword.storage import ReadTx, Tx

logger = logging.getLogger(__name__)

NOT_HERE = "This server is not in the room."
_UNKNOWN = (0, records.OUTLIER)


async def _nothing() -> None:
    return None


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of an event.

    reason: why it was refused, rejected or soft-failed; None if it is in the timeline, or was already.
    missing_auth, missing_prev: it was not stored, because these must be had first.
    is_late: events that are here cite it already: what it builds on is history, and no news.
    unsigned_by: it was not stored, because the room's policy server must sign it first.
    is_soft_failed: kept, but not shown. before: the state before it, if that was asked for.
    earlier: the event that the same request made before; then this one was not stored.
    durable: what to await before acknowledging.
    """

    reason: str | None = None
    missing_auth: Collection[EventId] = ()
    missing_prev: Collection[EventId] = ()
    is_late: bool = False
    unsigned_by: PolicyServer | None = None
    is_soft_failed: bool = False
    before: StateMap | None = None
    earlier: EventId | None = None
    durable: Callable[[], Awaitable[None]] = _nothing

    @property
    def is_waiting(self) -> bool:
        """Whether other events must be had first."""
        return bool(self.missing_auth or self.missing_prev)


@dataclass(frozen=True, slots=True)
class Terms:
    """How to take an event.

    told: the state before it, as another server says; the events that it cites and that are not here become a gap.
    is_sent_out: whether we tell other servers of it; None: if its sender is ours. wants_before: give `Taken.before`.
    is_judged: the policy server was asked; refusal: what it said if it does not want the event.
    transaction: the request of ours that made it.
    """

    told: StateMap | None = None
    is_sent_out: bool | None = None
    wants_before: bool = False
    is_judged: bool = False
    refusal: str | None = None
    transaction: Transaction | None = None


AS_USUAL = Terms()


@dataclass(frozen=True)
class Intake:
    """Takes events in."""

    writer: RoomWriter
    forks: Forks

    async def take(self, room_id: RoomId, event: Verified, terms: Terms = AS_USUAL) -> Taken:
        """Judge an event and append it, under the room's lock. Raises nothing for what is in the event."""
        taken = await self._take_once(room_id, event, terms)
        server = taken.unsigned_by
        if server is None:
            return taken
        room = await self.writer.registry.find(room_id)
        if room is None:
            return Taken(NOT_HERE)
        event, refusal = await self.writer.policy.judge(server, event, room.version)
        return await self._take_once(room_id, event, replace(terms, is_judged=True, refusal=refusal))

    async def take_own(self, room_id: RoomId, event: Verified, transaction: Transaction | None) -> EventId:
        """See `policy_server.PlacesOwn`."""
        taken = await self._take_once(room_id, event, Terms(is_judged=True, transaction=transaction))
        if taken.reason is not None or taken.is_waiting:
            raise Forbidden("The room has changed meanwhile and does not allow this any more.")
        await taken.durable()
        return event.pdu.event_id if taken.earlier is None else taken.earlier

    async def _take_once(self, room_id: RoomId, event: Verified, terms: Terms) -> Taken:
        async with self.writer.registry.locked(room_id) as room:
            if room is None or not room.is_alive:
                return Taken(NOT_HERE)
            async with self.writer.appending(room) as (tx, durable):
                try:
                    taken = await self._take(tx, room, event, terms)
                except UnresolvableState as error:
                    logger.warning("An event could not be placed.", extra={"room_id": room_id, "cause": str(error)})
                    taken = Taken("The state before the event cannot be worked out.")
        return replace(taken, durable=durable)

    async def _take(self, tx: Tx, room: Room, event: Verified, terms: Terms) -> Taken:
        pdu = event.pdu
        known = (await tables.known_events(tx, (pdu.event_id,))).get(pdu.event_id)
        if known is not None and not known[1] & records.OUTLIER:
            return _taken_before(known[1])
        if pdu.type == event_types.CREATE:
            return Taken("A room is created once.")
        if known is not None and not known[1] & records.REJECTED and await self._is_past(tx, room, pdu.event_id, known[0]):
            return Taken()
        cited = await self.writer.events.many(tx, needed_for(pdu, room.version))
        lacking = [event_id for event_id in needed_for(pdu, room.version) if event_id not in cited]
        if lacking:
            earlier = await tables.known_events(tx, pdu.prev_events)
            missing_prev = [each for each in pdu.prev_events if earlier.get(each, _UNKNOWN)[1] & records.OUTLIER]
            return Taken(missing_auth=lacking, missing_prev=missing_prev)
        before: StateMap = room.state
        missing: Collection[EventId] = ()
        follows = room.extremities.keys() == set(pdu.prev_events)
        if not follows:
            found = await self._before(tx, room, pdu, terms)
            if isinstance(found, Taken):
                return found
            before, missing = found
        is_known = known is not None
        if not is_known and not follows and pdu.state_key is not None:
            # Resolution looks events up: this one may be in conflict.
            await self.writer.appender.append_outliers(tx, room.room_nid, [(pdu, event.json, 0)])
            is_known = True
        flags, reason, fork = await self._judged(tx, room, pdu, before, cited, has_gap=bool(missing))
        if not flags:
            put_off = await self._put_off(tx, room, pdu, terms)
            if put_off is not None:
                return put_off
            if terms.refusal is not None:
                flags, reason, fork = records.SOFT_FAILED, terms.refusal, unmoved(room, before)
        new = NewPdu(
            pdu,
            event.json,
            flags,
            fork,
            missing,
            is_known=is_known,
            is_sent_out=terms.is_sent_out,
            is_unwanted=terms.refusal is not None,
        )
        copy = dict(before) if terms.wants_before else None
        await self.writer.appender.append(tx, room, new)
        if fork is not None:
            await tables.delete_missing(tx, room.room_nid, (pdu.event_id,))
        return Taken(reason, is_soft_failed=bool(flags & records.SOFT_FAILED), before=copy)

    async def _put_off(self, tx: Tx, room: Room, pdu: Pdu, terms: Terms) -> Taken | None:
        """Why an event that the room allows is not stored now: it lacks a signature, or is there in another form."""
        server = None if terms.is_judged else room.policy_server
        if server is not None and needs_signature(pdu) and not server.has_signed(pdu.json, room.version):
            return Taken(unsigned_by=server)
        if terms.transaction is None:
            return None
        earlier = await self.writer.sent.record(tx, terms.transaction, pdu.event_id, self.writer.clock.now_ms())
        return None if earlier == pdu.event_id else Taken(earlier=earlier)

    async def without_past(self, room_id: RoomId, events: Sequence[Verified]) -> Sequence[Verified]:
        """Without those on which the past of the room builds; events: oldest first.

        What somebody said before we joined is history for backfill. Judged as news, by who is in the room now, it would be
        soft-failed, and never be shown.
        """
        past: set[EventId] = set()
        async with self.writer.registry.locked(room_id) as room, self.writer.database.read() as tx:
            if room is None:
                return events
            known = await tables.known_events(tx, [event.pdu.event_id for event in events])
            for event in reversed(events):
                event_id = event.pdu.event_id
                nid, flags = known.get(event_id, (0, 0))
                if event_id in past or (flags & records.OUTLIER and await self._is_past(tx, room, event_id, nid)):
                    past.update(event.pdu.prev_events)
        return [event for event in events if event.pdu.event_id not in past]

    async def _is_past(self, tx: ReadTx, room: Room, event_id: EventId, nid: int) -> bool:
        """Whether an outlier lies before the room's end: the current state builds on it, or events that are here cite it.

        Taking it as something new would set its old state against what followed from it.
        """
        if await graph_tables.are_missing(tx, room.room_nid, (event_id,)):
            return True
        current = await graph_tables.line_events(tx, room.room_nid, nid)
        if any(line_id == event_id for _, line_id in current):
            return True
        return nid in await graph_tables.auth_chain(tx, [line_nid for line_nid, _ in current], nid)

    async def _before(self, tx: Tx, room: Room, pdu: Pdu, terms: Terms) -> Taken | tuple[StateMap, Collection[EventId]]:
        """The state before an event that does not cite just the room's end, and what it cites that is not here."""
        cited = await self.writer.events.many(tx, pdu.prev_events)
        if any(event.pdu.room_id != room.room_id for event in cited.values()):
            return Taken("The event comes after one of another room.")
        missing = [each for each in pdu.prev_events if each not in cited or cited[each].flags & records.OUTLIER]
        if missing and terms.told is None:
            is_late = bool(await graph_tables.are_missing(tx, room.room_nid, (pdu.event_id,)))
            return Taken(missing_prev=missing, is_late=is_late)
        states: list[StateMap] = [] if terms.told is None or not missing else [terms.told]
        for event_id in pdu.prev_events:
            if event_id not in missing:
                state = await self.forks.state_after(tx, room, event_id)
                assert state is not None, event_id
                states.append(state)
        return await self.forks.resolve(tx, room, states), missing

    async def _judged(
        self, tx: Tx, room: Room, pdu: Pdu, before: StateMap, cited: Mapping[EventId, StoredEvent], *, has_gap: bool
    ) -> tuple[int, str | None, Fork | None]:
        """Flags, why not, and the fork. has_gap: the state before it was told, as events that lead up to it are not here."""
        if before is not room.state or not _is_authorised_by(room, pdu, cited):
            reason = _judged_by_own(room, pdu, cited)
            if reason is not None:
                return records.REJECTED | records.UNAUTHORISED, reason, unmoved(room, before)
        reason = await self.reason_against(tx, room, pdu, before)
        if reason is not None:
            return records.REJECTED, reason, unmoved(room, before)
        if room.extremities.keys() == set(pdu.prev_events):
            return 0, None, None
        if before is not room.state:
            # What is not here, a join say, is known only from what was told: the room as it is now is both together.
            now = await self.forks.resolve(tx, room, [room.state, before]) if has_gap else room.state
            reason = await self.reason_against(tx, room, pdu, now)
            if reason is not None:
                return records.SOFT_FAILED, reason, unmoved(room, before)
        is_cited = bool(await graph_tables.are_missing(tx, room.room_nid, (pdu.event_id,)))
        fork = await self.forks.fork(tx, room, pdu, before, is_cited=is_cited)
        if fork is None:
            return records.SOFT_FAILED, "The room has too many open ends.", unmoved(room, before)
        return 0, None, fork

    async def reason_against(self, tx: Tx, room: Room, pdu: Pdu, state: StateMap) -> str | None:
        """Why a room state does not allow the event, or None."""
        token = third_party_token(pdu.content) if pdu.type == event_types.MEMBER else None
        if state is room.state and token is None:
            return check(pdu, room.auth_state())
        keys: list[StateKey] = auth_state_keys(pdu.type, pdu.state_key, pdu.sender, pdu.content, room.version)
        wanted = [state[key] for key in (*keys, CREATE_KEY) if key in state]
        found = await self.writer.events.many(tx, wanted)
        pdus = {address: each.pdu for each in found.values() if (address := each.pdu.state_address) is not None}
        return check(pdu, AuthState.of(pdus, room.version))


def _taken_before(flags: int) -> Taken:
    if flags & records.SOFT_FAILED:
        return Taken("The event is not allowed in the room as it is now.", is_soft_failed=True)
    return Taken("The event was rejected." if flags & records.REJECTED else None)


def _is_authorised_by(room: Room, pdu: Pdu, cited: Mapping[EventId, StoredEvent]) -> bool:
    """Whether the event cites just what the current state authorises it by: then one check is all."""
    keys = auth_state_keys(pdu.type, pdu.state_key, pdu.sender, pdu.content, room.version)
    expected = [room.state[key] for key in keys if key in room.state]
    if len(expected) != len(pdu.auth_events) or set(expected) != set(pdu.auth_events):
        return False
    return not any(event.flags & records.REJECTED for event in cited.values())


def _judged_by_own(room: Room, pdu: Pdu, cited: Mapping[EventId, StoredEvent]) -> str | None:
    auth = OwnAuth(room.version)
    for event_id, event in cited.items():
        auth.pdus[event_id] = event.pdu
        if event.flags & records.REJECTED:
            auth.rejected.add(event_id)
    return auth.judge(pdu)
