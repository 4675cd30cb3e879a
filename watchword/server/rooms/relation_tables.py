"""The SQL of relations and threads. Rows in, rows out; nothing is decided here.

Lists of names and numbers go in as JSON, so that one statement serves a page of any size.
"""

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from watchword.protocol.ids import EventId, UserId
from watchword.storage import ReadTx, Tx


@dataclass(frozen=True, slots=True)
class RelationRow:
    """One event that relates to another. key: of an annotation. is_edit: well formed as an edit, by itself."""

    parent_id: EventId
    ordering: int
    child_nid: int
    rel_type: str
    type: str
    sender_nid: int
    ts: int
    is_edit: bool
    key: str | None


@dataclass(frozen=True, slots=True)
class Children:
    """Which children are asked for. after < ordering <= until. None: all types; without: numbers of users to leave out."""

    parent_id: EventId
    after: int
    until: int
    backwards: bool
    limit: int
    rel_type: str | None = None
    type: str | None = None
    without: Collection[int] = ()


# Writing


async def insert_relation(tx: Tx, room_nid: int, row: RelationRow) -> bool:
    """Note a relation; False if it is noted."""
    changed = await tx.execute(
        "INSERT INTO event_relations (room_nid, parent_id, ordering, child_nid, rel_type, type, sender_nid, ts, is_edit, key) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        room_nid,
        row.parent_id,
        row.ordering,
        row.child_nid,
        row.rel_type,
        row.type,
        row.sender_nid,
        row.ts,
        int(row.is_edit),
        row.key,
    )
    return changed > 0


async def delete_relation(tx: Tx, room_nid: int, parent_id: EventId, rel_type: str, ordering: int) -> bool:
    """Forget a relation; False if it was not noted."""
    changed = await tx.execute(
        "DELETE FROM event_relations WHERE room_nid = ? AND parent_id = ? AND rel_type = ? AND ordering = ?",
        room_nid,
        parent_id,
        rel_type,
        ordering,
    )
    return changed > 0


async def grow_thread(tx: Tx, room_nid: int, root_id: EventId, ordering: int) -> None:
    """A thread has one event more."""
    await tx.execute(
        "INSERT INTO threads (room_nid, root_id, events, latest_ordering) VALUES (?, ?, 1, ?) "
        "ON CONFLICT (room_nid, root_id) DO UPDATE SET events = events + 1, "
        "latest_ordering = MAX(latest_ordering, excluded.latest_ordering)",
        room_nid,
        root_id,
        ordering,
    )


async def shrink_thread(tx: Tx, room_nid: int, root_id: EventId) -> None:
    """A thread has one event less: already taken out of the relations."""
    await tx.execute(
        "UPDATE threads SET events = events - 1, latest_ordering = COALESCE((SELECT MAX(ordering) FROM event_relations "
        "WHERE room_nid = threads.room_nid AND parent_id = threads.root_id AND rel_type = 'm.thread'), 0) "
        "WHERE room_nid = ? AND root_id = ?",
        room_nid,
        root_id,
    )
    await tx.execute("DELETE FROM threads WHERE room_nid = ? AND root_id = ? AND events <= 0", room_nid, root_id)


# Children of one event


async def children(tx: ReadTx, room_nid: int, wanted: Children) -> list[tuple[int, int]]:
    """Direct children in the order asked for: (number, ordering)."""
    conditions, values = _conditions(wanted)
    rows = await tx.fetch_all(
        "SELECT r.child_nid, r.ordering FROM event_relations AS r "  # noqa: S608
        f"WHERE r.room_nid = ? AND r.parent_id = ? AND r.ordering > ? AND r.ordering <= ?{conditions} "
        f"ORDER BY r.ordering{' DESC' if wanted.backwards else ''} LIMIT ?",
        room_nid,
        wanted.parent_id,
        wanted.after,
        wanted.until,
        *values,
        wanted.limit,
    )
    return [(int(row[0]), int(row[1])) for row in rows]


async def descendants(tx: ReadTx, room_nid: int, wanted: Children, depth: int, walked_max: int) -> list[tuple[int, int]]:
    """The same with children of children, down to a depth; what a filter leaves out is walked through all the same."""
    conditions, values = _conditions(wanted)
    rows = await tx.fetch_all(
        "WITH RECURSIVE below (child_nid, event_id, ordering, rel_type, type, sender_nid, depth) AS ("  # noqa: S608
        "SELECT c.child_nid, e.event_id, c.ordering, c.rel_type, c.type, c.sender_nid, 1 FROM event_relations AS c "
        "JOIN events AS e ON e.event_nid = c.child_nid WHERE c.room_nid = ? AND c.parent_id = ? UNION "
        "SELECT c.child_nid, e.event_id, c.ordering, c.rel_type, c.type, c.sender_nid, b.depth + 1 FROM below AS b "
        # CROSS JOIN keeps this order: from what was found to its children, and never through the whole room.
        "CROSS JOIN event_relations AS c CROSS JOIN events AS e "
        "WHERE c.room_nid = ? AND c.parent_id = b.event_id AND e.event_nid = c.child_nid AND b.depth < ? LIMIT ?) "
        "SELECT DISTINCT r.child_nid, r.ordering FROM below AS r "
        f"WHERE r.event_id <> ? AND r.ordering > ? AND r.ordering <= ?{conditions} "
        f"ORDER BY r.ordering{' DESC' if wanted.backwards else ''} LIMIT ?",
        room_nid,
        wanted.parent_id,
        room_nid,
        depth,
        walked_max,
        wanted.parent_id,
        wanted.after,
        wanted.until,
        *values,
        wanted.limit,
    )
    return [(int(row[0]), int(row[1])) for row in rows]


def _conditions(wanted: Children) -> tuple[str, list[str | int]]:
    text, values = "", list[str | int]()
    if wanted.rel_type is not None:
        text, values = " AND r.rel_type = ?", [wanted.rel_type]
    if wanted.type is not None:
        text += " AND r.type = ?"
        values.append(wanted.type)
    if wanted.without:
        text += " AND r.sender_nid NOT IN (SELECT value FROM json_each(?))"
        values.append(json.dumps(list(wanted.without)))
    return text, values


async def has_annotated(tx: ReadTx, room_nid: int, parent_id: EventId, sender_nid: int, kind: str, key: str) -> bool:
    """Whether a sender has annotated an event with a key by an event of this type."""
    row = await tx.fetch_one(
        "SELECT 1 FROM event_relations WHERE room_nid = ? AND parent_id = ? AND sender_nid = ? "
        "AND rel_type = 'm.annotation' AND type = ? AND key = ? LIMIT 1",
        room_nid,
        parent_id,
        sender_nid,
        kind,
        key,
    )
    return row is not None


# A page of parents


async def bundled_kinds(tx: ReadTx, room_nid: int, parent_ids: Iterable[EventId]) -> dict[EventId, tuple[bool, bool, bool]]:
    """Of those of these events to which something relates: whether there are replacements, threads, references."""
    rows = await tx.fetch_all(
        "SELECT p.value, EXISTS (SELECT 1 FROM event_relations AS r "
        "WHERE r.room_nid = w.room_nid AND r.parent_id = p.value AND r.rel_type = 'm.replace'), "
        "EXISTS (SELECT 1 FROM event_relations AS r "
        "WHERE r.room_nid = w.room_nid AND r.parent_id = p.value AND r.rel_type = 'm.thread'), "
        "EXISTS (SELECT 1 FROM event_relations AS r "
        "WHERE r.room_nid = w.room_nid AND r.parent_id = p.value AND r.rel_type = 'm.reference') "
        "FROM (SELECT ? AS room_nid) AS w, json_each(?) AS p "
        "WHERE EXISTS (SELECT 1 FROM event_relations AS r WHERE r.room_nid = w.room_nid AND r.parent_id = p.value)",
        room_nid,
        json.dumps(list(parent_ids)),
    )
    return {EventId(row[0]): (bool(row[1]), bool(row[2]), bool(row[3])) for row in rows}


async def edits(
    tx: ReadTx, room_nid: int, originals: Iterable[tuple[EventId, int, str]], limit: int
) -> dict[EventId, list[tuple[int, int]]]:
    """The newest edits of events, by (event_id, number of its sender, type): (number, ordering), the newest first.

    Newest: the latest origin_server_ts, then the largest event ID.
    """
    rows = await tx.fetch_all(
        "SELECT json_extract(p.value, '$[0]'), (SELECT json_group_array(json_array(child_nid, ordering)) FROM ("
        "SELECT r.child_nid, r.ordering FROM event_relations AS r JOIN events AS e ON e.event_nid = r.child_nid "
        "WHERE r.room_nid = w.room_nid AND r.parent_id = json_extract(p.value, '$[0]') "
        "AND r.sender_nid = json_extract(p.value, '$[1]') AND r.rel_type = 'm.replace' "
        "AND r.type = json_extract(p.value, '$[2]') AND r.key IS NULL AND r.is_edit = 1 "
        "ORDER BY r.ts DESC, e.event_id DESC LIMIT ?)) "
        "FROM (SELECT ? AS room_nid) AS w, json_each(?) AS p",
        limit,
        room_nid,
        json.dumps(list(originals)),
    )
    return {EventId(row[0]): [(int(nid), int(place)) for nid, place in json.loads(row[1])] for row in rows}


async def references(
    tx: ReadTx, room_nid: int, parent_ids: Iterable[EventId], without: Collection[int], limit: int
) -> dict[EventId, list[tuple[EventId, int, int]]]:
    """What refers to events: (event_id, number, ordering), the oldest first, up to a limit each."""
    rows = await tx.fetch_all(
        "SELECT p.value, (SELECT json_group_array(json_array(event_id, child_nid, ordering)) FROM ("
        "SELECT e.event_id, r.child_nid, r.ordering FROM event_relations AS r JOIN events AS e ON e.event_nid = r.child_nid "
        "WHERE r.room_nid = w.room_nid AND r.parent_id = p.value AND r.rel_type = 'm.reference' "
        "AND r.sender_nid NOT IN (SELECT value FROM json_each(w.without)) ORDER BY r.ordering LIMIT ?)) "
        "FROM (SELECT ? AS room_nid, ? AS without) AS w, json_each(?) AS p",
        limit,
        room_nid,
        json.dumps(list(without)),
        json.dumps(list(parent_ids)),
    )
    return {
        EventId(row[0]): [(EventId(event_id), int(nid), int(place)) for event_id, nid, place in json.loads(row[1])]
        for row in rows
    }


@dataclass(frozen=True, slots=True)
class ThreadRow:
    """A thread as somebody sees it. latest: number and ordering of its newest event; None if nothing is left of it."""

    events: int
    latest: tuple[int, int] | None
    has_taken_part: bool


async def thread_summaries(
    tx: ReadTx, room_nid: int, root_ids: Iterable[EventId], user_nid: int, without: Collection[int]
) -> dict[EventId, ThreadRow]:
    """Threads by root, without the events of some users. Costs a few look-ups each, however long the thread."""
    rows = await tx.fetch_all(
        "SELECT t.root_id, t.events - (SELECT COUNT(*) FROM event_relations AS r WHERE r.room_nid = t.room_nid "
        "AND r.parent_id = t.root_id AND r.sender_nid IN (SELECT value FROM json_each(w.without)) "
        "AND r.rel_type = 'm.thread'), "
        "(SELECT json_array(r.child_nid, r.ordering) FROM event_relations AS r "
        "WHERE r.room_nid = t.room_nid AND r.parent_id = t.root_id AND r.rel_type = 'm.thread' "
        "AND r.sender_nid NOT IN (SELECT value FROM json_each(w.without)) "
        "ORDER BY r.ordering DESC LIMIT 1), "
        "EXISTS (SELECT 1 FROM event_relations AS r WHERE r.room_nid = t.room_nid AND r.parent_id = t.root_id "
        "AND r.sender_nid = w.user_nid AND r.rel_type = 'm.thread') "
        "FROM (SELECT ? AS room_nid, ? AS user_nid, ? AS without) AS w CROSS JOIN json_each(?) AS p CROSS JOIN threads AS t "
        "WHERE t.room_nid = w.room_nid AND t.root_id = p.value",
        room_nid,
        user_nid,
        json.dumps(list(without)),
        json.dumps(list(root_ids)),
    )
    return {
        EventId(row[0]): ThreadRow(int(row[1]), None if row[2] is None else tuple(json.loads(row[2])), bool(row[3]))
        for row in rows
    }


async def thread_events(
    tx: ReadTx, room_nid: int, root_id: EventId, without: Collection[int], limit: int
) -> list[tuple[int, int]]:
    """What is in a thread: (number, ordering), the newest first."""
    rows = await tx.fetch_all(
        "SELECT child_nid, ordering FROM event_relations WHERE room_nid = ? AND parent_id = ? "
        "AND rel_type = 'm.thread' AND sender_nid NOT IN (SELECT value FROM json_each(?)) ORDER BY ordering DESC LIMIT ?",
        room_nid,
        root_id,
        json.dumps(list(without)),
        limit,
    )
    return [(int(row[0]), int(row[1])) for row in rows]


async def related_to(
    tx: ReadTx,
    room_nid: int,
    parent_ids: Iterable[EventId],
    rel_types: Collection[str] | None,
    senders: Collection[str] | None,
) -> set[EventId]:
    """Those of these events to which something relates by one of these types, sent by one of these users; None: any."""
    types = "" if rel_types is None else " AND r.rel_type IN (SELECT value FROM json_each(w.rel_types))"
    users = ""
    if senders is not None:
        users = " AND r.sender_nid IN (SELECT id FROM names WHERE name IN (SELECT value FROM json_each(w.senders)))"
    rows = await tx.fetch_all(
        "SELECT p.value FROM (SELECT ? AS room_nid, ? AS rel_types, ? AS senders) AS w, json_each(?) AS p "  # noqa: S608
        "WHERE EXISTS (SELECT 1 FROM event_relations AS r WHERE r.room_nid = w.room_nid AND r.parent_id = p.value"
        f"{types}{users})",
        room_nid,
        json.dumps(list(rel_types or ())),
        json.dumps(list(senders or ())),
        json.dumps(list(parent_ids)),
    )
    return {EventId(row[0]) for row in rows}


# Threads of a room


async def threads_before(tx: ReadTx, room_nid: int, before: int, limit: int) -> list[tuple[EventId, int]]:
    """Threads by their newest event, the newest first: (root, the place of that event), of those placed before one."""
    rows = await tx.fetch_all(
        "SELECT root_id, latest_ordering FROM threads WHERE room_nid = ? AND latest_ordering < ? "
        "ORDER BY latest_ordering DESC LIMIT ?",
        room_nid,
        before,
        limit,
    )
    return [(EventId(row[0]), int(row[1])) for row in rows]


async def threads_as_seen(
    tx: ReadTx, room_nid: int, before: int, spans: Iterable[tuple[int, int]], without: Collection[int], limit: int
) -> list[tuple[EventId, int]]:
    """The same for who does not see all: threads by their newest event in spans of places, without those of some users.

    Costs a look-up for each thread of the room. spans: after the first place, up to the second.
    """
    rows = await tx.fetch_all(
        "SELECT root_id, latest FROM (SELECT t.root_id, (SELECT r.ordering FROM event_relations AS r "
        "WHERE r.room_nid = t.room_nid AND r.parent_id = t.root_id AND r.rel_type = 'm.thread' "
        "AND EXISTS (SELECT 1 FROM json_each(?) AS s WHERE r.ordering > json_extract(s.value, '$[0]') "
        "AND r.ordering <= json_extract(s.value, '$[1]')) "
        "AND r.sender_nid NOT IN (SELECT value FROM json_each(?)) ORDER BY r.ordering DESC LIMIT 1) AS latest "
        "FROM threads AS t WHERE t.room_nid = ?) AS seen WHERE latest < ? ORDER BY latest DESC LIMIT ?",
        json.dumps(list(spans)),
        json.dumps(list(without)),
        room_nid,
        before,
        limit,
    )
    return [(EventId(row[0]), int(row[1])) for row in rows]


async def numbers_of(tx: ReadTx, user_ids: Iterable[UserId]) -> list[int]:
    """The numbers of those of these users whom anybody ever numbered."""
    rows = await tx.fetch_all("SELECT id FROM names WHERE name IN (SELECT value FROM json_each(?))", json.dumps(list(user_ids)))
    return [int(row[0]) for row in rows]
