"""Sticky events in a room: what is sticky, who sees it, and what comes back when the room allows it."""

from pathlib import Path
from typing import Any

from tests.unit.server.rooms.stacks import Network, Stack
from tests.unit.server.rooms.world import ALICE, BOB, World, open_world
from watchword.base.clock import ManualClock
from watchword.protocol.event_building import EventDraft, build_event
from watchword.protocol.ids import EventId, RoomId, UserId
from watchword.protocol.sticky import IN_USE, Sticky
from watchword.server.rooms.stored import StoredEvent

QUERY = "org.matrix.msc4354.sticky_duration_ms"


async def _stick(world: World, room_id: RoomId, duration_ms: int = 60_000, text: str = "t", user: UserId = ALICE) -> EventId:
    query: dict[str, Any] = {QUERY: duration_ms}
    path = f"rooms/{room_id}/send/m.x/{text}"
    return EventId((await world.ask(user, "PUT", path, {"body": text}, **query))["event_id"])


async def test_a_client_makes_an_event_sticky_under_the_name_that_it_knows(world: World) -> None:
    room_id = await world.public_room()
    for name, key in ((QUERY, "msc4354_sticky"), ("sticky_duration_ms", "sticky")):
        query: dict[str, Any] = {name: 60_000}
        sent = await world.ask(ALICE, "PUT", f"rooms/{room_id}/send/m.x/{key}", {}, **query)
        event = await world.ask(ALICE, "GET", f"rooms/{room_id}/event/{sent['event_id']}")
        assert event[key] == {"duration_ms": 60_000}
    world.clock.advance(10_000)
    event = await world.ask(ALICE, "GET", f"rooms/{room_id}/event/{sent['event_id']}")
    assert event["unsigned"]["sticky_duration_remaining_ms"] == 50_000


async def test_a_duration_that_is_too_long_is_refused(world: World) -> None:
    room_id = await world.public_room()
    for duration in (3_600_001, -1, "long"):
        query: dict[str, Any] = {QUERY: duration}
        assert (await world.refused(ALICE, "PUT", f"rooms/{room_id}/send/m.x/t", {}, **query))[0] == 400


async def test_what_is_over_says_nothing_of_it(world: World) -> None:
    room_id = await world.public_room()
    event_id = await _stick(world, room_id)
    world.clock.advance(60_000)
    event = await world.ask(ALICE, "GET", f"rooms/{room_id}/event/{event_id}")
    assert event["msc4354_sticky"] == {"duration_ms": 60_000}
    assert "msc4354_sticky_duration_ttl_ms" not in event["unsigned"]
    assert not world.sticky.of(room_id)


async def test_a_redacted_event_is_like_any_other(world: World) -> None:
    room_id = await world.public_room()
    event_id = await _stick(world, room_id)
    await world.ask(ALICE, "PUT", f"rooms/{room_id}/redact/{event_id}/t", {})
    event = await world.ask(ALICE, "GET", f"rooms/{room_id}/event/{event_id}")
    assert "msc4354_sticky" not in event
    assert "msc4354_sticky_duration_ttl_ms" not in event["unsigned"]
    assert not world.sticky.of(room_id)


async def test_who_comes_later_sees_what_is_sticky_and_nothing_else_of_before(world: World) -> None:
    state = [{"type": "m.room.history_visibility", "content": {"history_visibility": "joined"}}]
    room_id = await world.public_room(initial_state=state)
    sticky, plain = await _stick(world, room_id), await world.say(ALICE, room_id)
    assert await world.refused(BOB, "GET", f"rooms/{room_id}/event/{sticky}") == (404, "M_NOT_FOUND")
    await world.join(BOB, room_id)
    assert (await world.ask(BOB, "GET", f"rooms/{room_id}/event/{sticky}"))["event_id"] == sticky
    assert await world.refused(BOB, "GET", f"rooms/{room_id}/event/{plain}") == (404, "M_NOT_FOUND")
    world.clock.advance(60_000)
    assert await world.refused(BOB, "GET", f"rooms/{room_id}/event/{sticky}") == (404, "M_NOT_FOUND")


async def test_sticky_events_are_known_after_a_restart(tmp_path: Path) -> None:
    clock = ManualClock()
    async with open_world(tmp_path, clock=clock) as world:
        room_id = await world.public_room()
        await _stick(world, room_id, 5_000, "short")
        event_id = await _stick(world, room_id, 60_000, "long")
        entries = dict(world.sticky.of(room_id))
    clock.advance(10_000)
    async with open_world(tmp_path, clock=clock) as world:
        assert world.sticky.of(room_id) == {event_id: entries[event_id]}
        assert world.sticky.newest == world.sticky.newest_of(room_id) == entries[event_id].position


async def test_spans_of_positions_tell_of_new_ones_alone(world: World) -> None:
    room_id = await world.public_room()
    assert world.sticky.rooms_since(0) == []
    before = world.log.position
    first = await _stick(world, room_id, text="a")
    between = world.log.position
    second = await _stick(world, room_id, text="b")
    assert world.sticky.between(room_id, before, world.log.position) == [first, second]
    assert world.sticky.between(room_id, between, world.log.position) == [second]
    assert world.sticky.between(room_id, before, between) == [first]
    assert (world.sticky.rooms_since(between), world.sticky.rooms_since(world.log.position)) == ([room_id], [])


async def test_what_is_over_is_swept(world: World) -> None:
    room_id = await world.public_room()
    await _stick(world, room_id)
    world.clock.advance(60_000)
    async with world.database.write() as tx:
        await world.sticky.sweep(tx)
        row = await tx.fetch_one("SELECT COUNT(*) FROM sticky_events")
    assert row == (0,)
    assert world.sticky.rooms() == []


async def test_a_room_can_only_have_so_many(world: World, monkeypatch: Any) -> None:
    monkeypatch.setattr("watchword.base.limits.sticky_events_per_room_max", 2)
    room_id = await world.public_room()
    ids = [await _stick(world, room_id, text=text) for text in "abc"]
    assert list(world.sticky.of(room_id)) == ids[:2]


# Between servers


async def _pair(tmp_path: Path) -> tuple[Network, Stack, Stack, RoomId]:
    network = Network()
    a = await Stack.start(network, tmp_path, "a.example", "alice")
    b = await Stack.start(network, tmp_path, "b.example", "bob", "carol")
    room_id = await a.create()
    await b.join(room_id, "bob", a)
    await network.settle()
    return network, a, b, room_id


async def _sticky_from(stack: Stack, room_id: RoomId, sender: UserId, duration_ms: int = 600_000, ts: int = 0) -> Any:
    """A sticky message as that server signs it, on the room as it knows it."""
    raw = await stack.crafted(room_id, sender, {"body": "x"})
    room = await stack.room(room_id)
    draft = EventDraft(
        "m.x",
        sender,
        room_id,
        {"body": "x"},
        raw["origin_server_ts"] + ts,
        raw["depth"],
        raw["prev_events"],
        raw["auth_events"],
        sticky=Sticky(duration_ms, IN_USE),
    )
    return build_event(draft, room.version, stack.name, stack.key).pdu


async def _stored(stack: Stack, event_id: EventId) -> StoredEvent:
    found = await stack.stored(event_id)
    assert found is not None
    return found


async def test_stickiness_crosses_servers_with_the_event(tmp_path: Path) -> None:
    _, a, b, room_id = await _pair(tmp_path)
    pdu = await _sticky_from(b, room_id, b.user("bob"))
    assert await a.receive(b, [dict(pdu.json)]) == {pdu.event_id: None}
    assert list(a.rooms.reader.sticky.of(room_id)) == [pdu.event_id]


async def test_who_lies_about_when_he_sent_an_event_gains_nothing(tmp_path: Path) -> None:
    _, a, b, room_id = await _pair(tmp_path)
    pdu = await _sticky_from(b, room_id, b.user("bob"), 600_000, ts=10_000_000)
    await a.receive(b, [dict(pdu.json)])
    entry = a.rooms.reader.sticky.of(room_id)[pdu.event_id]
    assert entry.expires_ts == a.clock.now_ms() + 600_000


async def test_what_was_over_before_it_came_is_not_sticky(tmp_path: Path) -> None:
    _, a, b, room_id = await _pair(tmp_path)
    pdu = await _sticky_from(b, room_id, b.user("bob"), 1_000, ts=-100_000)
    await a.receive(b, [dict(pdu.json)])
    assert not a.rooms.reader.sticky.of(room_id)


async def test_a_soft_failed_event_is_shown_once_the_room_allows_it(tmp_path: Path) -> None:
    network, a, b, room_id = await _pair(tmp_path)
    pdu = await _sticky_from(b, room_id, b.user("bob"))
    await a.change(room_id, "kick", b.user("bob"))
    await a.receive(b, [dict(pdu.json)])
    assert not (await _stored(a, pdu.event_id)).is_shown
    assert a.rooms.reader.sticky.aside(room_id) == [pdu.event_id]
    position = a.log.position
    await a.restarted()
    # Kept over a restart, too.
    await a.rooms.reader.sticky.start(a.database, a.rooms.events)
    await a.change(room_id, "invite", b.user("bob"))
    assert not (await _stored(a, pdu.event_id)).is_shown
    await network.settle()
    await b.join(room_id, "bob", a)
    shown = await _stored(a, pdu.event_id)
    assert shown.is_shown
    assert shown.position > position
    assert list(a.rooms.reader.sticky.of(room_id)) == [pdu.event_id]
    assert not a.rooms.reader.sticky.aside(room_id)
    assert (await a.read(room_id, "alice"))[-1]["event_id"] == pdu.event_id
    # The room goes on as before.
    assert await a.say(room_id, "next")


async def test_a_plain_soft_failed_event_stays_away(tmp_path: Path) -> None:
    network, a, b, room_id = await _pair(tmp_path)
    raw = await b.crafted(room_id, b.user("bob"), {"body": "x"})
    await a.change(room_id, "kick", b.user("bob"))
    await a.receive(b, [raw])
    await a.change(room_id, "invite", b.user("bob"))
    await network.settle()
    await b.join(room_id, "bob", a)
    assert await a.membership(room_id, b.user("bob")) == "join"
    assert "x" not in await a.bodies(room_id, "alice")
