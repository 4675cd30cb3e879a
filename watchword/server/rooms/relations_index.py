"""The index of relations: kept by whoever writes events, in the transaction of the event.

An event without `m.relates_to` costs nothing here; one that relates costs a row, and one more if it is in a thread. The index
knows what events say of themselves: whether a relation counts, and for whom, is decided by those who read.
"""

from collections.abc import Callable
from functools import partial
from hashlib import sha256

from watchword.base import limits
from watchword.protocol import event_types
from watchword.protocol.relations import REPLACE, THREAD, Relation, relation_of
from watchword.server.rooms import redaction_tables, relation_tables
from watchword.server.rooms.relation_tables import RelationRow
from watchword.server.rooms.room import Room
from watchword.server.rooms.stored import StoredEvent
from watchword.storage import Tx
from watchword.storage.names import Names


def _nobody() -> None:
    """Nobody carries out what is due."""


class RelationIndex:
    """Notes and forgets relations. on_due: called when events are to be redacted for the sake of what they relate to."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self.on_due: Callable[[], object] = _nobody

    async def note(self, tx: Tx, room: Room, event: StoredEvent) -> None:
        """Note what an event that is shown relates to, if anything."""
        relation = indexed_relation(event)
        if relation is None or event.ordering is None:
            return
        room_nid = room.room_nid
        sender_nid = await self._names.number(tx, event.pdu.sender)
        row = RelationRow(
            relation.event_id,
            event.ordering,
            event.nid,
            relation.rel_type,
            event.pdu.type,
            sender_nid,
            event.pdu.origin_server_ts,
            _may_be_edit(event, relation),
            None if relation.key is None else annotation_key(relation.key),
        )
        if not await relation_tables.insert_relation(tx, room_nid, row):
            return
        tx.after_commit(partial(room.unrelated.discard, relation.event_id))
        if relation.rel_type == THREAD:
            await relation_tables.grow_thread(tx, room_nid, relation.event_id, event.ordering)
        for user_nid, rel_types, reason in await redaction_tables.with_relations_of(tx, room_nid, relation.event_id):
            if relation.rel_type in rel_types or "*" in rel_types:
                await redaction_tables.insert_due(tx, room_nid, (event.nid,), user_nid, reason)
                tx.after_commit(self.on_due)

    async def forget(self, tx: Tx, room_nid: int, event: StoredEvent) -> None:
        """Forget what an event related to: it was redacted, or is going to be deleted."""
        relation = indexed_relation(event)
        if relation is None or event.ordering is None:
            return
        known = await relation_tables.delete_relation(tx, room_nid, relation.event_id, relation.rel_type, event.ordering)
        if known and relation.rel_type == THREAD:
            await relation_tables.shrink_thread(tx, room_nid, relation.event_id)


def indexed_relation(event: StoredEvent) -> Relation | None:
    """The relation that an event states, unless its names are longer than names can be."""
    relation = relation_of(event.pdu.content)
    if relation is None:
        return None
    longest = limits.identifier_bytes_max
    if len(relation.rel_type.encode()) > longest or len(relation.event_id.encode()) > longest:
        return None
    return relation


def annotation_key(key: str) -> str:
    """An annotation's key as it stands in the index: as it is, unless it is long."""
    encoded = key.encode()
    return key if len(encoded) <= limits.identifier_bytes_max else f"sha256:{sha256(encoded).hexdigest()}"


def _may_be_edit(event: StoredEvent, relation: Relation) -> bool:
    """Whether an edit is well formed by itself; the sender and the type are compared with the original's by who reads."""
    if relation.rel_type != REPLACE or event.pdu.state_key is not None:
        return False
    return event.pdu.type == event_types.ENCRYPTED or isinstance(event.pdu.content.get("m.new_content"), dict)
