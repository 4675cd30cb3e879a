"""The SQL of the graph of events: auth chains, the line of state seen from its end, overlays, raw events, gaps.

Rows in, rows out; nothing is decided here. Numbers of events are topological: an event is stored after its auth events, so
that a walk along auth edges never meets a larger number, and may stop at a floor.
"""

import json
from collections.abc import Collection, Iterable, Mapping

from watchword.protocol.events import StateKey
from watchword.protocol.ids import EventId
from watchword.server.rooms.records import FOREVER
from watchword.storage import ReadTx, Tx

_LEVELS_MAX = 10_000


async def auth_chain(tx: ReadTx, event_nids: Iterable[int], floor: int = 0) -> set[int]:
    """The numbers, from floor up, of what these events cite as auth events, directly or not; not the events themselves."""
    rows = await tx.fetch_all(
        "WITH RECURSIVE chain (nid) AS ("
        "SELECT auth_nid FROM auth_edges WHERE event_nid IN (SELECT value FROM json_each(?)) AND auth_nid >= ? "
        "UNION SELECT auth_edges.auth_nid FROM auth_edges JOIN chain ON auth_edges.event_nid = chain.nid "
        "WHERE auth_edges.auth_nid >= ?) SELECT nid FROM chain",
        json.dumps(list(event_nids)),
        floor,
        floor,
    )
    return {int(row[0]) for row in rows}


async def encoded_events(tx: ReadTx, event_ids: Iterable[EventId]) -> dict[EventId, bytes]:
    """event_id → canonical JSON."""
    rows = await tx.fetch_all(
        "SELECT event_id, json FROM events WHERE event_id IN (SELECT value FROM json_each(?))", json.dumps(list(event_ids))
    )
    return {EventId(row[0]): row[1] for row in rows}


async def encoded_events_by_nid(tx: ReadTx, event_nids: Iterable[int]) -> dict[EventId, bytes]:
    """event_id → canonical JSON."""
    rows = await tx.fetch_all(
        "SELECT event_id, json FROM events WHERE event_nid IN (SELECT value FROM json_each(?))", json.dumps(list(event_nids))
    )
    return {EventId(row[0]): row[1] for row in rows}


async def line_events(tx: ReadTx, room_nid: int, floor: int) -> list[tuple[int, EventId]]:
    """(number, event_id) of the current state's events whose number is at least floor."""
    rows = await tx.fetch_all(
        "SELECT e.event_nid, e.event_id FROM state_line AS s JOIN events AS e ON e.event_nid = s.event_nid "
        "WHERE s.room_nid = ? AND s.until = ? AND s.event_nid >= ?",
        room_nid,
        FOREVER,
        floor,
    )
    return [(int(row[0]), EventId(row[1])) for row in rows]


async def line_changed_since(tx: ReadTx, room_nid: int, position: int) -> tuple[list[StateKey], dict[StateKey, EventId]]:
    """What the line did after a position: addresses written since, and what held then and has ended since."""
    written = await tx.fetch_all(
        "SELECT DISTINCT t.name, k.name FROM state_line AS s JOIN names AS t ON t.id = s.type_nid "
        "JOIN names AS k ON k.id = s.key_nid WHERE s.room_nid = ? AND s.position > ?",
        room_nid,
        position,
    )
    ended = await tx.fetch_all(
        "SELECT t.name, k.name, e.event_id FROM state_line AS s JOIN names AS t ON t.id = s.type_nid "
        "JOIN names AS k ON k.id = s.key_nid JOIN events AS e ON e.event_nid = s.event_nid "
        "WHERE s.room_nid = ? AND s.until > ? AND s.until < ? AND s.position <= ?",
        room_nid,
        position,
        FOREVER,
        position,
    )
    return [(str(row[0]), str(row[1])) for row in written], {(str(row[0]), str(row[1])): EventId(row[2]) for row in ended}


async def member_intervals_of_server(
    tx: ReadTx, room_nid: int, type_nid: int, server_name: str
) -> list[tuple[int, int, EventId]]:
    """The line's member events of one server's users: (position, until, event_id)."""
    escaped = server_name.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    rows = await tx.fetch_all(
        "SELECT s.position, s.until, e.event_id FROM state_line AS s JOIN names AS k ON k.id = s.key_nid "
        "JOIN events AS e ON e.event_nid = s.event_nid "
        "WHERE s.room_nid = ? AND s.type_nid = ? AND k.name LIKE ? ESCAPE '\\' ORDER BY s.position",
        room_nid,
        type_nid,
        f"%:{escaped}",
    )
    return [(int(row[0]), int(row[1]), EventId(row[2])) for row in rows]


# Overlays


async def overlays(tx: ReadTx, event_nids: Collection[int]) -> dict[int, tuple[int, dict[StateKey, EventId | None]]]:
    """Of those of these events that have an overlay: number → (base position, what is laid over the line there).

    An overlay may rest on another event's (base_position < 0: minus its number); these are laid together here.
    """
    rows: dict[int, tuple[int, Mapping[StateKey, EventId | None]]] = {}
    wanted = set(event_nids)
    for _ in range(_LEVELS_MAX):
        if not wanted:
            break
        found = await tx.fetch_all(
            "SELECT event_nid, base_position, overlay FROM state_overlays WHERE event_nid IN (SELECT value FROM json_each(?))",
            json.dumps(list(wanted)),
        )
        for nid, base, overlay in found:
            rows[int(nid)] = (int(base), {(kind, key): event_id for kind, key, event_id in json.loads(overlay)})
        wanted = {-rows[int(row[0])][0] for row in found if rows[int(row[0])][0] < 0} - rows.keys()
    laid: dict[int, tuple[int, dict[StateKey, EventId | None]]] = {}
    for nid in event_nids:
        if nid in rows:
            _lay(nid, rows, laid)
    return {nid: laid[nid] for nid in event_nids if nid in laid}


def _lay(
    nid: int,
    rows: Mapping[int, tuple[int, Mapping[StateKey, EventId | None]]],
    laid: dict[int, tuple[int, dict[StateKey, EventId | None]]],
) -> None:
    """Work out one overlay from those below it, deepest first; remember each."""
    path = [nid]
    while path[-1] not in laid and rows[path[-1]][0] < 0:
        path.append(-rows[path[-1]][0])
    for each in reversed(path):
        if each in laid:
            continue
        base, overlay = rows[each]
        laid[each] = (base, dict(overlay)) if base >= 0 else (laid[-base][0], {**laid[-base][1], **overlay})


# Gaps


async def are_missing(tx: ReadTx, room_nid: int, event_ids: Iterable[EventId]) -> set[EventId]:
    """Those of these events that others here cite and that we did not have."""
    rows = await tx.fetch_all(
        "SELECT event_id FROM missing_events WHERE room_nid = ? AND event_id IN (SELECT value FROM json_each(?))",
        room_nid,
        json.dumps(list(event_ids)),
    )
    return {EventId(row[0]) for row in rows}


async def lowest_ordering_between(tx: ReadTx, room_nid: int, above: int, below: int) -> int | None:
    """The smallest ordering in use strictly between two places."""
    row = await tx.fetch_one(
        "SELECT MIN(ordering) FROM events WHERE room_nid = ? AND ordering > ? AND ordering < ?", room_nid, above, below
    )
    return None if row is None or row[0] is None else int(row[0])


async def set_room_version(tx: Tx, room_nid: int, version: str) -> None:
    """Correct the version of a room of which we know no event yet."""
    await tx.execute("UPDATE rooms SET version = ? WHERE room_nid = ?", version, room_nid)
