"""Events → what is to be done to the index, and doing it: two steps, so that reading and folding hold nobody's pen.

What is to be done is worked out from the events as they are now, not as they were when the news of them came: to do it
twice, or in another order, comes to the same.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from watchword.base import limits
from watchword.base.errors import StorageError
from watchword.protocol import event_types
from watchword.protocol.events import Pdu
from watchword.protocol.ids import EventId, UserId
from watchword.protocol.relations import REPLACE, Relation, relation_of
from watchword.server.rooms.catalogue import Listed, RoomCatalogue
from watchword.server.rooms.reader import RoomReader
from watchword.server.rooms.stored import StoredEvent
from watchword.server.search import tables
from watchword.server.search.commands import FOREVER, Words
from watchword.server.search.matching import expression_of_room, scope_words, words_of
from watchword.storage import ReadTx, Tx

logger = logging.getLogger(__name__)

_TS_MAX = 1 << 42
_APART_BITS = 20
_TEXT_TYPES = (event_types.MESSAGE, event_types.NAME, event_types.TOPIC)
NOTED_TYPES = (*_TEXT_TYPES, event_types.REDACTION, event_types.ENCRYPTION)
"""Events that change what can be found."""


class Put(NamedTuple):
    """Have an event found by these words, and by no others; by nothing at all if words is None."""

    event_nid: int
    room_nid: int
    sender: UserId
    ts: int
    words: Words | None


class Note(NamedTuple):
    """Remember which event an edit stands in for."""

    edit_nid: int
    original_nid: int


class Clear(NamedTuple):
    """Have nothing of a room found any more."""

    room_nid: int


Step = Put | Note | Clear


def entry_number(ts: int, event_nid: int) -> int:
    """Where an event stands in the order of time. A time that cannot be is taken for the nearest that can."""
    return (max(0, min(ts, _TS_MAX)) << _APART_BITS) + (event_nid & ((1 << _APART_BITS) - 1))


@dataclass(frozen=True)
class MessageIndex:
    """Keeps the index of messages."""

    rooms: RoomReader
    catalogue: RoomCatalogue

    # What is to be done

    async def all_steps(self, tx: ReadTx, events: Iterable[Listed]) -> list[Step]:
        """What these events mean, in order. One that cannot be understood does not stop the others."""
        found: list[Step] = []
        for listed in events:
            try:
                found += await self.steps(tx, *listed)
            except StorageError:
                raise
            except Exception:
                logger.exception("An event was not indexed.", extra={"event_id": listed.pdu.event_id})
        return found

    async def steps(self, tx: ReadTx, event_nid: int, room_nid: int, pdu: Pdu) -> Sequence[Step]:
        """What an event means for the index."""
        if pdu.type == event_types.REDACTION:
            return await self._redaction(tx, pdu)
        if pdu.type == event_types.ENCRYPTION and pdu.state_key == "":
            return (Clear(room_nid),)
        if pdu.type not in _TEXT_TYPES or await self.catalogue.is_encrypted(tx, room_nid):
            return ()
        relation = relation_of(pdu.content)
        if relation is not None and relation.rel_type == REPLACE:
            return await self._edit(tx, event_nid, pdu, relation)
        return await self._text(tx, event_nid, room_nid, pdu)

    async def _text(self, tx: ReadTx, event_nid: int, room_nid: int, pdu: Pdu) -> Sequence[Step]:
        steps: list[Step] = []
        edit = None
        found = (await self.catalogue.newest_edits(tx, room_nid, (pdu,))).get(pdu.event_id)
        if found is not None:
            edit = found.pdu
            steps.append(Note(found.nid, event_nid))
        steps.append(Put(event_nid, room_nid, pdu.sender, pdu.origin_server_ts, words_of(pdu, edit)))
        return steps

    async def _edit(self, tx: ReadTx, event_nid: int, pdu: Pdu, relation: Relation) -> Sequence[Step]:
        original = await self._known(tx, relation.event_id, pdu)
        if original is None:
            # When the original comes, it will be asked for its edits.
            return ()
        return [Note(event_nid, original.nid), *await self._again(tx, original)]

    async def _redaction(self, tx: ReadTx, pdu: Pdu) -> Sequence[Step]:
        target = None if pdu.redacts is None else await self._known(tx, pdu.redacts, pdu)
        if target is None:
            return ()
        original_nid = await tables.original_of(tx, target.nid)
        if original_nid is not None:
            original = (await self.catalogue.by_nid(tx, (original_nid,))).get(original_nid)
            return () if original is None else await self._again(tx, original)
        return await self._again(tx, target)

    async def _known(self, tx: ReadTx, event_id: EventId, pdu: Pdu) -> StoredEvent | None:
        event = await self.rooms.events.one(tx, event_id)
        return event if event is not None and event.pdu.room_id == pdu.room_id else None

    async def _again(self, tx: ReadTx, event: StoredEvent) -> Sequence[Step]:
        room_nid = await self.catalogue.names.find(tx, event.pdu.room_id)
        if room_nid is None or event.pdu.type not in _TEXT_TYPES or await self.catalogue.is_encrypted(tx, room_nid):
            return ()
        return await self._text(tx, event.nid, room_nid, event.pdu)

    # Doing it

    async def take(self, tx: Tx, steps: Iterable[Step]) -> None:
        """Do what is to be done; rooms are cleared by `clear_some`, a part at a time."""
        for step in steps:
            match step:
                case Put():
                    await self._put(tx, step)
                case Note():
                    await tables.insert_edit(tx, step.edit_nid, step.original_nid)
                case Clear():
                    pass

    async def _put(self, tx: Tx, put: Put) -> None:
        entry = await tables.entry_of(tx, put.event_nid)
        if put.words is None:
            if entry is not None:
                await tables.delete_entries(tx, (entry,))
            return
        if entry is not None:
            await tables.delete_words(tx, entry)
        else:
            entry = entry_number(put.ts, put.event_nid)
            while not await tables.insert_entry(tx, entry, put.event_nid, put.room_nid):
                entry += 1
        scope = scope_words(put.room_nid, await self.catalogue.names.number(tx, put.sender))
        await tables.insert_words(tx, entry, scope, put.words)

    async def clear_some(self, tx: Tx, room_nid: int) -> bool:
        """Have a part of what is known of a room found no more; whether there may be more of it."""
        found = await tables.hits(tx, expression_of_room(room_nid), FOREVER, limits.search_cleared_at_once)
        await tables.delete_entries(tx, [hit.entry for hit in found])
        return len(found) == limits.search_cleared_at_once
