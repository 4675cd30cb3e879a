"""Takes the events of a transaction: checked one by one, grouped by room, in the order in which they build on each other.

An event whose neighbours are here goes straight in. What else it needs is fetched from the server that sent it, one such
fetch per room at a time, never under the room's lock, and within a budget per transaction; if the events before it cannot
all be had, that server tells the state before it, and the timeline goes on with a gap that backfill may fill.
One event harms no neighbour. Fits `federation.ports.Receiver`.

Spec: server-server-api#transactions, server-server-api#checks-performed-on-receipt-of-a-pdu
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from watchword.base.clock import Clock
from watchword.base.errors import ProtocolError, StorageError
from watchword.protocol.events import Pdu
from watchword.protocol.ids import RoomId, ServerName
from watchword.server.rooms import records, tables
from watchword.server.rooms.fetching import Asking, Budget, CannotFetch, Fetching
from watchword.server.rooms.incoming import IncomingChecks, RoomKind, Verified, read_event
from watchword.server.rooms.intake import AS_USUAL, NOT_HERE, Intake, Taken, Terms
from watchword.server.rooms.out_of_band import OutOfBand
from watchword.server.rooms.own_auth import causes_first
from watchword.server.rooms.room import Room
from watchword.server.rooms.servers_acl import RoomAcls

logger = logging.getLogger(__name__)

Results = dict[str, str | None]


@dataclass(frozen=True)
class Receiver:
    """Receives events."""

    intake: Intake
    checks: IncomingChecks
    fetching: Fetching
    acls: RoomAcls
    out_of_band: OutOfBand
    clock: Clock

    async def receive_pdus(self, origin: ServerName, raws: Sequence[dict[str, Any]]) -> Mapping[str, str | None]:
        """Check and store the events of one transaction; event ID → None, or why it was refused.

        Returns once what was taken is durable. An event without a known room has no ID here and is left out.
        Raises StorageError: then nothing is acknowledged, and the other server sends again.
        """
        by_room: dict[RoomId, list[dict[str, Any]]] = {}
        for raw in raws:
            room_id = raw.get("room_id")
            if isinstance(room_id, str):
                by_room.setdefault(RoomId(room_id), []).append(raw)
        results: Results = {}
        budget = Budget(self.clock)
        for room_id, some in by_room.items():
            await self._receive_in_room(origin, room_id, some, budget, results)
        return results

    async def _receive_in_room(
        self, origin: ServerName, room_id: RoomId, raws: Sequence[dict[str, Any]], budget: Budget, results: Results
    ) -> None:
        room = await self.intake.writer.registry.find(room_id)
        if room is None:
            logger.info("Events of an unknown room were dropped.", extra={"room_id": room_id[:255], "server_name": origin})
            return
        pdus = self._read(raws, RoomKind(room_id, room.version))
        if not await self.acls.allows(room, origin):
            results.update((pdu.event_id, "Your server is denied access to this room.") for pdu in pdus)
            return
        pdus = await self._unknown(pdus, results)
        events = await self._verified(pdus, room, results)
        if not room.is_alive:
            for event in events:
                taken_back = await self.out_of_band.take_back(room, event.pdu)
                results[event.pdu.event_id] = None if taken_back else NOT_HERE
            return
        last: list[Taken] = []
        for event in events:
            await self._receive_one(Asking(origin, room, budget), event, results, last)
        for taken in last:
            await taken.durable()

    def _read(self, raws: Sequence[dict[str, Any]], kind: RoomKind) -> list[Pdu]:
        pdus = {}
        for raw in raws:
            try:
                pdu = read_event(raw, kind)
            except ProtocolError as error:
                logger.info("A malformed event was dropped.", extra={"room_id": kind.room_id, "cause": str(error)})
            else:
                pdus[pdu.event_id] = pdu
        return causes_first(pdus.values(), lambda pdu: pdu.prev_events)

    async def _unknown(self, pdus: Sequence[Pdu], results: Results) -> list[Pdu]:
        """Without those that were received before: they are neither verified nor judged again."""
        async with self.intake.writer.database.read() as tx:
            known = await tables.known_events(tx, [pdu.event_id for pdu in pdus])
        new = []
        for pdu in pdus:
            flags = known[pdu.event_id][1] if pdu.event_id in known else records.OUTLIER
            if flags & records.OUTLIER:
                new.append(pdu)
            else:
                results[pdu.event_id] = "The event was rejected." if flags & records.REJECTED else None
        return new

    async def _verified(self, pdus: Sequence[Pdu], room: Room, results: Results) -> list[Verified]:
        events = []
        for pdu, answer in zip(pdus, await self.checks.verify(pdus, room.version), strict=True):
            if isinstance(answer, Verified):
                events.append(answer)
            else:
                results[pdu.event_id] = answer
        return events

    async def _receive_one(self, asking: Asking, event: Verified, results: Results, last: list[Taken]) -> None:
        event_id = event.pdu.event_id
        try:
            taken = await self._take(asking, event)
        except CannotFetch as error:
            results[event_id] = str(error)
        except StorageError:
            raise
        except Exception:
            # Its neighbours in the transaction must not suffer.
            logger.exception("An event could not be received.", extra={"event_id": event_id})
            results[event_id] = "The event could not be handled."
        else:
            last.append(taken)
            results[event_id] = None if taken.is_soft_failed else taken.reason
            if taken.reason is not None:
                extra = {"room_id": asking.room.room_id, "event_id": event_id, "cause": taken.reason}
                logger.info("An event was not shown.", extra=extra)

    async def take(self, origin: ServerName, room: Room, event: Verified, terms: Terms = AS_USUAL) -> Taken:
        """Take one verified event, fetching what it needs from origin. Raises CannotFetch."""
        return await self._take(Asking(origin, room, Budget(self.clock)), event, terms)

    async def _take(self, asking: Asking, event: Verified, terms: Terms = AS_USUAL) -> Taken:
        room_id = asking.room.room_id
        taken = await self.intake.take(room_id, event, terms)
        if not taken.is_waiting:
            return taken
        async with asking.room.receiving:
            # Whoever had the lock before may have fetched the same.
            taken = await self.intake.take(room_id, event, terms)
            if taken.missing_prev and not taken.is_late:
                for earlier in await self.intake.without_past(room_id, await self.fetching.missing_events(asking, event.pdu)):
                    await self._take_with_gap(asking, earlier, AS_USUAL)
            return await self._take_with_gap(asking, event, terms)

    async def _take_with_gap(self, asking: Asking, event: Verified, terms: Terms) -> Taken:
        """Take an event whose auth events are fetched if need be, and the state before it too."""
        room_id = asking.room.room_id
        taken = await self.intake.take(room_id, event, terms)
        if taken.missing_auth:
            await self.fetching.auth_events(asking, [event.pdu])
            taken = await self.intake.take(room_id, event, terms)
        if taken.missing_prev:
            told = await self.fetching.state_before(asking, event.pdu)
            taken = await self.intake.take(room_id, event, Terms(told, terms.is_sent_out, terms.wants_before))
        if taken.is_waiting:
            raise CannotFetch("What the event builds on could not be had.")
        return taken
