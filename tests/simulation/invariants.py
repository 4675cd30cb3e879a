"""What must hold once the network is mended and nobody owes anybody anything. Looks into the databases themselves.

- Servers joined to a room have the same current state and the same forward extremities.
- What was acknowledged is kept where it was acknowledged, and reached every server that was in the room when it was sent.
- Nothing is soft-failed or rejected in a room without quarrels; what is rejected is rejected everywhere.
- A redaction is hidden only while what it redacts is not here, or if its sender may not redact that.
- Each user was given every event of his stretches in a room exactly once, and nothing of what came after his leave.
- A transaction ID made one event. A client's token never went back, even over a crash. Every follower has come to the end.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import apsw

from tests.simulation.actors import Cast, SharedRoom
from tests.simulation.clients import Client, Delivery
from tests.simulation.world import Server, Simulation

_REJECTED, _SOFT_FAILED, _OUTLIER, _HIDDEN = 1, 2, 4, 16
_LIVE = 1 << 24
_FOREVER = 9223372036854775807


def debts(simulation: Simulation) -> list[str]:
    """Who still owes whom, or is under way."""
    found = [f"{uri} is under way" for uri in simulation.network.under_way()]
    for server in simulation.servers.values():
        homeserver = server.homeserver
        if not server.is_up or homeserver is None:
            found.append(f"{server.name} is down")
            continue
        found += [f"{server.name} owes {box.server_name}" for box in homeserver.federation_in.sender.outboxes() if box.has_work]
    return found


@dataclass(frozen=True)
class Event:
    """An event as one server keeps it. position: None if it is in no timeline, or came there by backfill."""

    event_id: str
    raw: Mapping[str, Any]
    flags: int
    ordering: int | None

    @property
    def position(self) -> int | None:
        if self.ordering is None or self.ordering % _LIVE:
            return None
        return self.ordering // _LIVE

    @property
    def is_shown(self) -> bool:
        return self.ordering is not None and not self.flags & (_REJECTED | _SOFT_FAILED | _HIDDEN)


@dataclass(frozen=True)
class Stay:
    """A stretch of a user in a room, by positions; left: of the event that ended it."""

    joined: int
    left: int


@dataclass
class Holding:
    """One room in one server's database."""

    events: dict[str, Event] = field(default_factory=dict)
    state: dict[tuple[str, str], str] = field(default_factory=dict)
    extremities: set[str] = field(default_factory=set)
    stays: dict[str, list[Stay]] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)

    def joined(self) -> set[str]:
        """Users who are joined now."""
        return {user_id for user_id, stays in self.stays.items() if stays and stays[-1].left == _FOREVER}

    def servers(self) -> set[str]:
        """Servers that are joined now."""
        return {user_id.partition(":")[2] for user_id in self.joined()}


async def check(simulation: Simulation, cast: Cast) -> None:
    """Note every failure."""
    holdings: dict[str, dict[str, Holding]] = {}
    for server in simulation.servers.values():
        connection = apsw.Connection(str(server.path), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            holdings[server.name] = {room.room_id: _holding(connection, room.room_id) for room in cast.rooms}
            _check_log(simulation, server, connection)
        finally:
            connection.close()
    for room in cast.rooms:
        held = {name: rooms[room.room_id] for name, rooms in holdings.items()}
        _check_room(simulation, room, held)
        _check_reach(simulation, cast, room, held)
        for client in cast.clients:
            _check_stream(simulation, client, room.room_id, held[client.server.name])
            await _check_history(simulation, client, room.room_id, held[client.server.name])
    _check_markers(simulation, holdings)


# Reading


def _holding(connection: apsw.Connection, room_id: str) -> Holding:
    holding = Holding()
    row = connection.execute("SELECT room_nid, extremities FROM rooms WHERE room_id = ?", (room_id,)).fetchone()
    if row is None:
        return holding
    room_nid, extremities = row
    by_nid = {}
    for nid, event_id, encoded, flags, ordering in connection.execute(
        "SELECT event_nid, event_id, json, flags, ordering FROM events WHERE room_nid = ?", (room_nid,)
    ):
        holding.events[event_id] = Event(event_id, json.loads(encoded), flags, ordering)
        by_nid[nid] = event_id
    for kind, key, position, until, nid in connection.execute(
        "SELECT t.name, k.name, position, until, event_nid FROM state_line "
        "JOIN names t ON t.id = type_nid JOIN names k ON k.id = key_nid WHERE room_nid = ? ORDER BY position",
        (room_nid,),
    ):
        event_id = by_nid[nid]
        if until == _FOREVER:
            holding.state[kind, key] = event_id
        if kind == "m.room.member" and holding.events[event_id].raw["content"].get("membership") == "join":
            _stay(holding.stays.setdefault(key, []), position, until)
    holding.extremities = set(_extremities(holding, extremities))
    holding.missing = {
        each for (each,) in connection.execute("SELECT event_id FROM missing_events WHERE room_nid = ?", (room_nid,))
    }
    return holding


def _stay(stays: list[Stay], position: int, until: int) -> None:
    if stays and stays[-1].left == position:
        # Only the member event is another one.
        position = stays.pop().joined
    stays.append(Stay(position, until))


def _extremities(holding: Holding, encoded: str) -> Sequence[str]:
    value = json.loads(encoded) if encoded.startswith("[") else encoded
    if isinstance(value, list):
        return [event_id for event_id, _ in value]
    shown = [event for event in holding.events.values() if event.is_shown and event.ordering is not None]
    return [max(shown, key=lambda event: event.ordering or 0).event_id]


# Checking


def _check_log(simulation: Simulation, server: Server, connection: apsw.Connection) -> None:
    positions = [position for (position,) in connection.execute("SELECT position FROM log ORDER BY position")]
    if positions and positions != list(range(positions[0], positions[-1] + 1)):
        simulation.fail(f"{server.name}: the log has gaps")
    assert server.homeserver is not None
    last = server.homeserver.log.position
    if positions and positions[-1] != last:
        simulation.fail(f"{server.name}: the log ends at {positions[-1]}, the server says {last}")
    for follower, position in connection.execute("SELECT follower, position FROM cursors"):
        if position > last:
            simulation.fail(f"{server.name}: {follower} stands at {position}, after the end {last}")


def _check_room(simulation: Simulation, room: SharedRoom, held: Mapping[str, Holding]) -> None:
    reference_name = room.creator.server.name
    reference = held[reference_name]
    where = f"room {room.room_id} (version {room.version}, {'peaceful' if room.is_peaceful else 'quarrelsome'})"
    if not reference.servers():
        simulation.fail(f"{where}: the creator's server has left it")
    for name in sorted(reference.servers() - {reference_name}):
        holding = held[name]
        if not holding.extremities:
            # Its join was taken, and the answer lost for good: it does not know that it is in the room.
            continue
        if holding.extremities != reference.extremities:
            ends = {name: sorted(holding.extremities), reference_name: sorted(reference.extremities)}
            simulation.fail(f"{where}: different ends {ends}")
        if holding.state != reference.state:
            differing = {
                key
                for key in holding.state.keys() | reference.state.keys()
                if holding.state.get(key) != reference.state.get(key)
            }
            told = [f"{key}: {holding.state.get(key)} / {reference.state.get(key)}" for key in sorted(differing)]
            simulation.fail(f"{where}: state of {name} / {reference_name} differs: {told}")
    graph = _graph(held)
    joins = {name: _last_server_join(name, holding) for name, holding in held.items()}
    for event_id in sorted({each for holding in held.values() for each in holding.events}):
        judged = {
            name: bool(holding.events[event_id].flags & _REJECTED)
            for name, holding in held.items()
            if event_id in holding.events and not holding.events[event_id].flags & _OUTLIER
        }
        if len(set(judged.values())) > 1:
            simulation.fail(f"{where}: {event_id} rejected? {judged}")
        flags = {name: holding.events[event_id].flags for name, holding in held.items() if event_id in holding.events}
        # An invite may cross the join of the invited: he is in the room already, and it is too late.
        is_invite = _brief(held, event_id).endswith(" invite")
        # And what comes late to a server that left and joined again may be of somebody who is not there any more.
        refusing = {name for name, each in flags.items() if each & (_REJECTED | _SOFT_FAILED)}
        refusing -= {name for name in refusing if joins[name] not in _ancestors(event_id, graph)}
        # And who has declined by one way cannot decline or accept by another, where the first is known (seeds 691, 1075).
        is_member = _brief(held, event_id).startswith("m.room.member ")
        if (room.version == "1" or not room.is_public or is_member) and _crosses_leave(event_id, graph):
            continue
        if room.is_peaceful and not is_invite and refusing:
            simulation.fail(f"{where}: {event_id} was refused: {flags} {_brief(held, event_id)}")
    for name, holding in held.items():
        _check_hidden(simulation, room, name, holding)


def _check_hidden(simulation: Simulation, room: SharedRoom, name: str, holding: Holding) -> None:
    """Whoever may redact for certain, the creator or who is of the same server, is hidden only as long as there is nothing."""
    for event in holding.events.values():
        if not event.flags & _HIDDEN:
            continue
        target = holding.events.get(event.raw["content"].get("redacts") or event.raw.get("redacts", ""))
        sender = event.raw["sender"]
        may = sender == room.creator.user_id or (target and _domain(target.raw["sender"]) == _domain(sender))
        if event.raw["type"] != "m.room.redaction" or (target is not None and target.is_shown and may):
            simulation.fail(f"{name} hides {event.event_id} ({event.raw['type']}), and what it redacts is here: {target}")


def _domain(user_id: str) -> str:
    return user_id.partition(":")[2]


def _crosses_leave(event_id: str, graph: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether its sender left at the same time in another branch, one that was longer then.

    He came back through a server that had not heard of the leave. Version 1 knows no time: of two member events the deeper
    one holds, so everybody else keeps to the leave, as the algorithm wants it (seed 29). In other versions the leave comes
    first, and uses up the invite that the way back would need.
    """
    sender = graph[event_id]["sender"]
    before = _ancestors(event_id, graph)
    members = {each: raw for each, raw in graph.items() if raw["type"] == "m.room.member" and raw["state_key"] == sender}
    joins = [raw["depth"] for each, raw in members.items() if each in before and raw["content"]["membership"] == "join"]
    return any(
        raw["content"]["membership"] == "leave" and raw["depth"] >= max(joins, default=0)
        for each, raw in members.items()
        if each not in before and each != event_id and event_id not in _ancestors(each, graph)
    )


def _brief(held: Mapping[str, Holding], event_id: str) -> str:
    raw = next(holding.events[event_id].raw for holding in held.values() if event_id in holding.events)
    told = [raw["type"], raw["sender"], str(raw.get("state_key", "")), str(raw["content"].get("membership", ""))]
    return " ".join(told)


def _check_reach(simulation: Simulation, cast: Cast, room: SharedRoom, held: Mapping[str, Holding]) -> None:
    """Acknowledged events are kept, and known wherever the server was in the room when they were made.

    Known may mean as part of the state that was told for a gap, which backfill fills when somebody pages back.
    """
    graph = _graph(held)
    acknowledged = [each for client in cast.clients for each in client.acknowledged if each.room_id == room.room_id]
    joins = {name: _last_server_join(name, holding) for name, holding in held.items()}
    for each in acknowledged:
        own = held[each.server].events.get(each.event_id)
        if own is None or not own.is_shown:
            simulation.fail(f"{each.event_id} of {each.sender} was acknowledged, but {each.server} lost it")
            continue
        before = _ancestors(each.event_id, graph)
        for name, join in joins.items():
            if join is None or (join not in before and name != each.server):
                continue
            if room.version == "1" and name != each.server and _crosses_leave(join, graph):
                # Everybody else takes it to have left (seed 621).
                continue
            is_out = name not in held[room.creator.server.name].servers()
            if is_out and graph.keys() & simulation.network.refused.get(name, set()):
                # It was thrown out by something that it could not take, for want of what came before, while nobody answered
                # it. That is not sent again, and of what comes later it is told nothing (seed 604).
                continue
            there = held[name].events.get(each.event_id)
            if there is None:
                simulation.fail(f"{each.event_id} of {each.sender} in version {room.version} never reached {name}")
            elif not there.flags & (_REJECTED | _SOFT_FAILED | _OUTLIER) and there.ordering is None:
                simulation.fail(f"{each.event_id} of {each.sender} reached {name}, but not its timeline (flags {there.flags})")


def _graph(held: Mapping[str, Holding]) -> Mapping[str, Mapping[str, Any]]:
    return {event_id: event.raw for holding in held.values() for event_id, event in holding.events.items()}


def _last_server_join(name: str, holding: Holding) -> str | None:
    """The member event that began the present stretch of a server in a room."""
    stays = sorted(
        (stay for user_id, each in holding.stays.items() if user_id.endswith(f":{name}") for stay in each),
        key=lambda stay: stay.joined,
        reverse=True,
    )
    begin = None
    for stay in sorted(stays, key=lambda stay: stay.left, reverse=True):
        if begin is None and stay.left == _FOREVER:
            begin = stay.joined
        elif begin is not None and stay.left >= begin:
            begin = min(begin, stay.joined)
    if begin is None:
        return None
    found = [event for event in holding.events.values() if event.position is not None and event.position >= begin]
    members = [
        event
        for event in found
        if event.raw["type"] == "m.room.member"
        and event.raw["content"].get("membership") == "join"
        and event.raw["sender"].endswith(f":{name}")
    ]
    return min(members, key=lambda event: event.position or 0).event_id if members else None


def _ancestors(event_id: str, graph: Mapping[str, Mapping[str, Any]]) -> set[str]:
    found: set[str] = set()
    waiting = [event_id]
    while waiting:
        raw = graph.get(waiting.pop())
        for each in raw["prev_events"] if raw is not None else ():
            cited = each if isinstance(each, str) else each[0]
            if cited not in found:
                found.add(cited)
                waiting.append(cited)
    return found


def _check_stream(simulation: Simulation, client: Client, room_id: str, holding: Holding) -> None:
    """Every event of each stay exactly once; nothing after the end of a stay."""
    deliveries = [each for each in client.deliveries if each.room_id == room_id]
    stays = holding.stays.get(client.user_id, [])
    who = f"{client.user_id} in {room_id}"
    for number, stay in enumerate(stays):
        next_join = stays[number + 1].joined if number + 1 < len(stays) else _FOREVER
        begun = [delivery for delivery in deliveries if delivery.since < next_join]
        # A response over a leave and the next join shows the room from anew: what was given before may be there again.
        old = Counter(each for delivery in begun if delivery.until < next_join for each in (*delivery.timeline, *delivery.gap))
        for event in holding.events.values():
            position = event.position
            if position is None or not event.is_shown or not stay.joined <= position < stay.left:
                continue
            count = old[event.event_id] + sum(
                (*delivery.timeline, *delivery.gap).count(event.event_id)
                for delivery in begun
                if delivery.until >= next_join and delivery.since < position
            )
            if not count and any(each.is_closed and each.since < position <= each.until for each in begun):
                continue
            if count != 1:
                what = f"{event.event_id} ({event.raw['type']}) at {position}"
                simulation.fail(f"{who}: {what} of the stay {stay} was given {count} times")
        for delivery in deliveries:
            if delivery.until < next_join:
                _check_after_leave(simulation, client.user_id, delivery, holding, stay)


def _check_after_leave(simulation: Simulation, user_id: str, delivery: Delivery, holding: Holding, stay: Stay) -> None:
    who = f"{user_id} in {delivery.room_id}"
    for event_id in (*delivery.timeline, *delivery.gap):
        event = holding.events.get(event_id)
        if event is None:
            simulation.fail(f"{who}: was given {event_id}, which the server does not have")
        elif event.raw.get("state_key") == user_id:
            # An invite that was taken back: it is about him.
            continue
        elif event.position is not None and event.position > stay.left:
            simulation.fail(f"{who}: was given {event_id} at {event.position} after the leave at {stay.left}")


async def _check_history(simulation: Simulation, client: Client, room_id: str, holding: Holding) -> None:
    """/messages gives each event of the user's stays once."""
    stays = holding.stays.get(client.user_id, [])
    if not stays or stays[-1].left != _FOREVER:
        return
    counted = Counter(await client.history(room_id))
    for event_id, count in counted.items():
        if count > 1:
            simulation.fail(f"{client.user_id} in {room_id}: /messages gave {event_id} {count} times")
    for event in holding.events.values():
        # What came late, by backfill, lies in a gap of the timeline: it is there for who pages back, not for /sync.
        position = (event.ordering or 0) // _LIVE
        if not event.is_shown or not any(stay.joined <= position < stay.left for stay in stays):
            continue
        if event.event_id not in counted:
            simulation.fail(f"{client.user_id} in {room_id}: /messages left out {event.event_id} at {position}")


def _check_markers(simulation: Simulation, holdings: Mapping[str, Mapping[str, Holding]]) -> None:
    """A transaction ID made at most one event, anywhere."""
    found: dict[tuple[str, str], set[str]] = {}
    for rooms in holdings.values():
        for room_id, holding in rooms.items():
            for event in holding.events.values():
                body = event.raw["content"].get("body")
                if event.raw["type"] == "m.room.message" and isinstance(body, str):
                    found.setdefault((room_id, body), set()).add(event.event_id)
    for (_, body), event_ids in found.items():
        if len(event_ids) > 1:
            simulation.fail(f"'{body}' was sent more than once: {sorted(event_ids)}")
