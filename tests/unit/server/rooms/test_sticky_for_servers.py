"""What servers that have just come are told of sticky events, and what they make of it."""

from pathlib import Path

from tests.unit.server.rooms.stacks import Network, Stack, copied_bytes
from watchword.protocol.ids import EventId, RoomId
from watchword.protocol.sticky import IN_USE, Sticky
from watchword.server.accounts.reader import AccountReader
from watchword.server.changes import EventAppended
from watchword.server.rooms.commands import SendEvent
from watchword.server.rooms.sticky_for_servers import StickyForServers
from watchword.storage import Logged


async def _three(tmp_path: Path) -> tuple[Network, Stack, Stack, Stack, RoomId]:
    """Two servers in a room where newcomers see nothing of before, and a third."""
    network = Network()
    a = await Stack.start(network, tmp_path, "a.example", "alice")
    b = await Stack.start(network, tmp_path, "b.example", "bob")
    c = await Stack.start(network, tmp_path, "c.example", "carol", "chris")
    room_id = await a.create(
        initial_state=[("m.room.history_visibility", "", {"history_visibility": "joined"})],
    )
    await b.join(room_id, "bob", a)
    await network.settle()
    return network, a, b, c, room_id


async def _stick(stack: Stack, room_id: RoomId, user: str, duration_ms: int = 600_000) -> EventId:
    stack.clock.advance(1)
    command = SendEvent(room_id, stack.user(user), "m.x", {"body": user}, sticky=Sticky(duration_ms, IN_USE))
    return await stack.rooms.writer.send(command)


def _out(stack: Stack) -> StickyForServers:
    accounts = AccountReader(stack.database, stack.log, stack.clock)
    return StickyForServers(stack.rooms.reader, accounts)


async def _last_join(stack: Stack) -> Logged[EventAppended]:
    joins = [
        logged
        for logged in await stack.log.read(0, 1_000)  # type: ignore[arg-type]
        if isinstance(logged.change, EventAppended) and logged.change.membership == "join"
    ]
    return joins[-1]  # type: ignore[return-value]


async def test_a_newcomer_is_told_of_ours_from_before_him(tmp_path: Path) -> None:
    network, a, b, c, room_id = await _three(tmp_path)
    first, second = await _stick(a, room_id, "alice"), await _stick(a, room_id, "alice")
    await _stick(a, room_id, "alice", 1)
    theirs = await _stick(b, room_id, "bob")
    await network.settle()
    a.clock.advance(10)
    assert theirs in a.rooms.reader.sticky.of(room_id)
    await c.join(room_id, "carol", a)
    await network.settle()
    join = await _last_join(a)
    found = await _out(a).for_newcomer(join.change, join.position)
    assert found is not None
    server, events = found
    assert (server, [event.event_id for event in events]) == (c.name, [first, second])
    assert all(event.sender_is_local for event in events)
    assert _out(a).is_sticky(events[0])
    # The second of a server finds it there already.
    await c.join(room_id, "chris", a)
    await network.settle()
    join = await _last_join(a)
    assert join.change.state_key == c.user("chris")
    assert await _out(a).for_newcomer(join.change, join.position) is None


async def test_nobody_comes_with_other_changes(tmp_path: Path) -> None:
    _, a, _, _, room_id = await _three(tmp_path)
    await _stick(a, room_id, "alice")
    join = await _last_join(a)
    leave = EventAppended(room_id, EventId("$x"), "m.room.member", a.user("x"), a.user("x"), False, "leave")
    own = EventAppended(room_id, EventId("$x"), "m.room.member", a.user("x"), a.user("x"), True, "join")
    assert await _out(a).for_newcomer(leave, a.log.position) is None
    assert await _out(a).for_newcomer(own, a.log.position) is None
    # Those who were here before it was sent were told of it as of everything.
    assert await _out(a).for_newcomer(join.change, join.position) is None
    plain = EventAppended(room_id, EventId("$x"), "m.x", None, a.user("alice"), True)
    assert not _out(a).is_sticky(plain)


async def test_what_an_erased_user_sent_is_not_handed_on(tmp_path: Path) -> None:
    network, a, _, c, room_id = await _three(tmp_path)
    await _stick(a, room_id, "alice")
    async with a.database.write() as tx:
        await tx.execute("UPDATE accounts SET is_erased = 1 WHERE user_id = ?", a.user("alice"))
    await c.join(room_id, "carol", a)
    await network.settle()
    join = await _last_join(a)
    assert await _out(a).for_newcomer(join.change, join.position) is None


async def test_a_newcomer_shows_his_users_what_is_sticky_from_before_him(tmp_path: Path) -> None:
    network, a, b, c, room_id = await _three(tmp_path)
    await a.say(room_id, "before")
    theirs = await _stick(b, room_id, "bob")
    await network.settle()
    ours = await _stick(a, room_id, "alice")
    await a.say(room_id, "after")
    await network.settle()
    await c.join(room_id, "carol", a)
    await network.settle()
    for stack, event_id in ((a, ours), (b, theirs)):
        join = await _last_join(stack)
        found = await _out(stack).for_newcomer(join.change, join.position)
        assert found is not None
        told = await stack.rooms.reader.pdu_bytes([event.event_id for event in found[1]])
        assert await c.receive(stack, [copied_bytes(told[event_id])]) == {event_id: None}
    assert set(c.rooms.reader.sticky.of(room_id)) == {ours, theirs}
    # Twice is once.
    assert await c.receive(a, [copied_bytes((await a.rooms.reader.pdu_bytes([ours]))[ours])]) == {ours: None}
    seen = await c.read(room_id, "carol")
    assert {ours, theirs} <= {event["event_id"] for event in seen}
    assert not {"before", "after"} & set(await c.bodies(room_id, "carol"))
    # And the room goes on for all.
    last = await c.say(room_id, "hello", "carol")
    await network.settle()
    assert (await a.stored(last)) is not None
    assert (await b.stored(last)) is not None
