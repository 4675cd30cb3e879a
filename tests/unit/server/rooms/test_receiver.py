import pytest

from tests.unit.server.rooms.stacks import Network, Stack, same_state
from watchword.base.errors import PeerError
from watchword.protocol.events import event_id_of
from watchword.protocol.ids import EventId, RoomId
from watchword.protocol.signatures import SigningKey
from watchword.server.rooms import records


async def shared_room(network: Network, a: Stack, *others: Stack, version: str = "12") -> RoomId:
    room_id = await a.create(version=version)
    for stack in others:
        await stack.join(room_id, {"b.example": "bob", "c.example": "carol"}[stack.name], a)
        await network.settle()
    return room_id


def refusals(*stacks: Stack) -> list[str]:
    return [reason for stack in stacks for answer in stack.answers for reason in answer.values() if reason is not None]


@pytest.mark.parametrize("version", ["1", "2", "11", "12"])
async def test_simultaneous_sends_fork_and_the_next_event_joins_them(
    version: str, network: Network, a: Stack, b: Stack
) -> None:
    room_id = await shared_room(network, a, b, version=version)
    network.part(a, b)
    await a.say(room_id, "one")
    await b.say(room_id, "two", "bob")
    network.heal()
    await network.settle()
    assert len((await a.room(room_id)).extremities) == 2
    assert sorted(await a.bodies(room_id, "alice")) == sorted(await b.bodies(room_id, "bob")) == ["one", "two"]
    await a.say(room_id, "three")
    await network.settle()
    assert len((await a.room(room_id)).extremities) == len((await b.room(room_id)).extremities) == 1
    assert await same_state(room_id, a, b)


@pytest.mark.parametrize("version", ["1", "2", "10", "12"])
async def test_forked_state_converges_on_all_servers(version: str, network: Network, a: Stack, b: Stack, c: Stack) -> None:
    room_id = await shared_room(network, a, b, c, version=version)
    levels = dict((await a.room(room_id)).content("m.room.power_levels"))
    levels["users"] = {**levels["users"], b.user("bob"): 50, c.user("carol"): 50}  # type: ignore[dict-item]
    await a.send(room_id, "m.room.power_levels", levels, "")
    await network.settle()
    network.part(a, b)
    network.part(b, c)
    network.part(a, c)
    await a.send(room_id, "m.room.topic", {"topic": "of a"}, "")
    b.clock.advance(500)
    await b.send(room_id, "m.room.topic", {"topic": "of b"}, "", user="bob")
    await c.say(room_id, "hello", "carol")
    await b.say(room_id, "more", "bob")
    network.heal()
    await network.settle()
    assert await same_state(room_id, a, b, c)
    assert refusals(a, b, c) == []
    for stack in (a, b, c):
        await stack.restarted()
    assert await same_state(room_id, a, b, c)
    await a.say(room_id, "end")
    await network.settle()
    assert await same_state(room_id, a, b, c)


@pytest.mark.parametrize("version", ["2", "9", "12"])
async def test_concurrent_power_level_changes_converge_to_the_stronger_sender(
    version: str, network: Network, a: Stack, b: Stack, c: Stack
) -> None:
    room_id = await shared_room(network, a, b, c, version=version)
    levels = dict((await a.room(room_id)).content("m.room.power_levels"))
    levels["events"] = {**levels["events"], "m.room.power_levels": 50}  # type: ignore[dict-item]
    users = levels["users"]
    levels["users"] = {**users, b.user("bob"): 50}  # type: ignore[dict-item]
    await a.send(room_id, "m.room.power_levels", levels, "")
    await network.settle()
    network.part(a, b)
    demoted = {**levels, "users": users}
    winner = await a.send(room_id, "m.room.power_levels", demoted, "")
    await b.send(room_id, "m.room.power_levels", {**levels, "invite": 40}, "", user="bob")
    network.heal()
    await network.settle()
    assert await same_state(room_id, a, b, c)
    assert refusals(a, b, c) == []
    assert (await c.state(room_id))[("m.room.power_levels", "")] == winner


async def test_a_message_that_races_a_ban_is_soft_failed_where_the_ban_came_first(
    network: Network, a: Stack, b: Stack, c: Stack
) -> None:
    room_id = await shared_room(network, a, b, c)
    network.part(a, b)
    network.part(b, c)
    await a.change(room_id, "ban", b.user("bob"))
    late = await b.say(room_id, "too late", "bob")
    await network.settle()
    network.heal()
    await network.settle()
    assert await a.bodies(room_id, "alice") == await c.bodies(room_id, "carol") == []
    kept = await a.stored(late)
    assert kept is not None
    assert kept.flags & records.SOFT_FAILED
    assert late not in (await a.room(room_id)).extremities
    assert await a.membership(room_id, b.user("bob")) == "ban"
    await a.say(room_id, "goes on")
    await network.settle()
    assert await c.bodies(room_id, "carol") == ["goes on"]
    assert await same_state(room_id, a, c)


async def test_an_event_after_a_soft_failed_one_ends_the_same_extremities(
    network: Network, a: Stack, b: Stack, c: Stack
) -> None:
    room_id = await shared_room(network, a, b, c)
    network.part(a, b)
    await a.change(room_id, "ban", b.user("bob"))
    late = await b.say(room_id, "too late", "bob")
    network.heal()
    await network.settle()
    # Carol's server had not heard of the ban when it built on Bob's message.
    raw = await c.crafted(room_id, c.user("carol"), {"body": "after"}, prev_events=[*(await a.room(room_id)).extremities, late])
    results = await a.receive(c, [raw])
    assert list(results.values()) == [None]
    assert list((await a.room(room_id)).extremities) == list(results)


async def test_a_missing_event_is_fetched_and_shown_in_order(network: Network, a: Stack, b: Stack) -> None:
    room_id = await shared_room(network, a, b)
    lost = [await a.say(room_id, f"lost {number}") for number in range(5)]
    a.owed.clear()
    await a.say(room_id, "arrives")
    await network.settle()
    assert await b.bodies(room_id, "bob") == [f"lost {number}" for number in range(5)] + ["arrives"]
    assert network.times("missing_events") == 1
    assert len(lost) == 5
    assert len((await b.room(room_id)).extremities) == 1


async def test_a_gap_too_long_to_fill_at_once_is_told_and_goes_on(network: Network, a: Stack, b: Stack) -> None:
    room_id = await shared_room(network, a, b)
    for number in range(60):
        await a.say(room_id, f"lost {number}")
    await a.send(room_id, "m.room.name", {"name": "in the gap"}, "")
    for number in range(30):
        await a.say(room_id, f"late {number}")
    a.owed.clear()
    await a.say(room_id, "arrives")
    await network.settle()
    assert await same_state(room_id, a, b)
    assert (await b.bodies(room_id, "bob"))[-1] == "arrives"
    assert len(await b.bodies(room_id, "bob")) == 91
    assert await b.bodies(room_id, "bob") == await a.bodies(room_id, "alice")
    await b.say(room_id, "answer", "bob")
    await network.settle()
    assert (await a.bodies(room_id, "alice"))[-1] == "answer"


async def test_an_event_received_twice_is_verified_once(network: Network, a: Stack, b: Stack) -> None:
    room_id = await shared_room(network, a, b)
    event_id = await a.say(room_id, "once")
    await network.settle()
    checked = b.signatures.checked
    raw = dict((await a.rooms.reader.found([event_id]))[event_id].pdu.json)
    assert await b.receive(a, [raw, raw]) == {event_id: None}
    assert b.signatures.checked == checked
    assert await b.bodies(room_id, "bob") == ["once"]


async def test_a_forged_signature_is_refused_and_harms_no_neighbour(network: Network, a: Stack, b: Stack) -> None:
    room_id = await shared_room(network, a, b)
    forged = await a.crafted(room_id, a.user("alice"), {"body": "forged"}, key=SigningKey(b"z" * 32, "1"))
    good = await a.crafted(room_id, a.user("alice"), {"body": "good"})
    results = await b.receive(a, [forged, good])
    version = (await b.room(room_id)).version
    assert "signed" in str(results[event_id_of(forged, version)])
    assert results[event_id_of(good, version)] is None
    assert await b.bodies(room_id, "bob") == ["good"]


async def test_an_event_with_a_wrong_hash_is_redacted_and_kept(network: Network, a: Stack, b: Stack) -> None:
    room_id = await shared_room(network, a, b)
    raw = await a.crafted(room_id, a.user("alice"), {"body": "original"})
    results = await b.receive(a, [{**raw, "content": {"body": "changed"}}])
    (event_id,) = results
    assert results[event_id] is None
    stored = await b.stored(EventId(event_id))
    assert stored is not None
    assert stored.pdu.content == {}


async def test_events_of_other_rooms_and_unknown_rooms_are_refused(network: Network, a: Stack, b: Stack) -> None:
    room_id = await shared_room(network, a, b)
    other_id = await a.create()
    foreign = await a.say(other_id, "elsewhere")
    unknown = await a.crafted(other_id, a.user("alice"), {"body": "x"})
    assert await b.receive(a, [unknown]) == {}
    await b.join(other_id, "bob", a)
    await network.settle()
    wrong = await a.crafted(
        room_id, a.user("alice"), {"body": "x"}, prev_events=[(await a.room(other_id)).extremities.keys().__iter__().__next__()]
    )
    assert "another room" in str(list((await b.receive(a, [wrong])).values()))
    auth = (await a.room(other_id)).state[("m.room.member", a.user("alice"))]
    levels = (await a.room(room_id)).state[("m.room.power_levels", "")]
    stolen = await a.crafted(room_id, a.user("alice"), {"body": "x"}, auth_events=[levels, auth])
    assert "another room" in str(list((await b.receive(a, [stolen])).values()))
    assert foreign
    assert await b.bodies(room_id, "bob") == []


async def test_an_event_that_its_auth_events_do_not_allow_is_rejected(network: Network, a: Stack, b: Stack) -> None:
    room_id = await shared_room(network, a, b)
    raw = await b.crafted(room_id, b.user("bob"), {"topic": "mine"}, kind="m.room.topic", state_key="")
    results = await a.receive(b, [raw])
    (event_id,) = results
    assert "power level" in str(results[event_id])
    stored = await a.stored(EventId(event_id))
    assert stored is not None
    assert stored.flags & records.REJECTED
    assert event_id not in (await a.room(room_id)).extremities
    # What builds on it may stand.
    after = await b.crafted(room_id, b.user("bob"), {"body": "fine"}, prev_events=[EventId(event_id)])
    assert list((await a.receive(b, [after])).values()) == [None]
    assert len((await a.room(room_id)).extremities) == 1
    assert await a.bodies(room_id, "alice") == ["fine"]
    assert ("m.room.topic", "") not in await a.state(room_id)


async def test_a_server_denied_by_the_acl_is_refused_event_by_event(network: Network, a: Stack, b: Stack) -> None:
    room_id = await shared_room(network, a, b)
    await a.send(room_id, "m.room.server_acl", {"allow": ["*"], "deny": ["b.example"]}, "")
    raw = await b.crafted(room_id, b.user("bob"), {"body": "x"})
    results = await a.receive(b, [raw])
    assert "denied" in str(list(results.values()))
    assert await a.rooms.remote.acls.may_take_part(room_id, b.name) is False
    assert await a.rooms.remote.acls.may_take_part(room_id, a.name) is True


@pytest.mark.parametrize("answer", [[], [{}], [{"type": 1}, {"room_id": 2}] * 50])
async def test_a_server_that_answers_garbage_costs_its_own_event_only(
    answer: list[dict[str, object]], network: Network, a: Stack, b: Stack
) -> None:
    room_id = await shared_room(network, a, b)
    network.lies[a.name, "missing_events"] = lambda _: answer
    network.lies[a.name, "state_ids"] = lambda _: ([EventId("$nothing")], [EventId("$nothing")])
    network.lies[a.name, "event"] = lambda _: answer[0] if answer else {}
    network.lies[a.name, "state"] = lambda _: (answer, answer)
    await a.say(room_id, "lost")
    a.owed.clear()
    bad = await a.say(room_id, "bad")
    await network.settle()
    assert b.answers[-1][bad] is not None
    assert await b.bodies(room_id, "bob") == []
    network.lies.clear()
    await a.say(room_id, "good")
    await network.settle()
    assert await b.bodies(room_id, "bob") == ["lost", "bad", "good"]


async def test_a_server_that_never_stops_telling_of_more_events_is_asked_a_bounded_number_of_times(
    network: Network, a: Stack, b: Stack
) -> None:
    room_id = await shared_room(network, a, b)
    raws = [
        await a.crafted(room_id, a.user("alice"), {"body": str(number)}, prev_events=[EventId(f"$missing{number}")])
        for number in range(40)
    ]
    asked = len(network.asked)

    def refuse(_: object) -> object:
        raise PeerError(a.name, "no")

    network.lies[a.name, "state_ids"] = refuse
    results = await b.receive(a, raws)
    assert len(results) == 40
    assert all(reason is not None for reason in results.values())
    assert len(network.asked) - asked <= 30


async def test_depth_lies_do_not_stop_a_room(network: Network, a: Stack, b: Stack) -> None:
    room_id = await shared_room(network, a, b)
    raw = await b.crafted(room_id, b.user("bob"), {"body": "deep"}, depth=(1 << 53) - 1)
    assert list((await a.receive(b, [raw])).values()) == [None]
    await a.say(room_id, "after")
    await network.settle()
    assert (await b.bodies(room_id, "bob"))[-1] == "after"


async def test_many_open_ends_stay_bounded_and_state_is_not_lost(network: Network, a: Stack, b: Stack) -> None:
    room_id = await shared_room(network, a, b)
    fork = list((await a.room(room_id)).extremities)
    await a.change(room_id, "ban", a.user("anna"))
    raws = [await b.crafted(room_id, b.user("bob"), {"body": str(number)}, prev_events=fork) for number in range(45)]
    results = await a.receive(b, raws)
    assert list(results.values()) == [None] * 45
    assert len((await a.room(room_id)).extremities) <= 20
    assert await a.membership(room_id, a.user("anna")) == "ban"
    await a.say(room_id, "joined up")
    assert len((await a.room(room_id)).extremities) == 1
    assert len(await a.bodies(room_id, "alice")) == 46


async def test_an_event_that_comes_after_its_successors_is_shown_and_ends_nothing(network: Network, a: Stack, b: Stack) -> None:
    room_id = await shared_room(network, a, b)
    late = await a.say(room_id, "late")
    a.owed.clear()
    network.lies[a.name, "missing_events"] = lambda _: []
    await a.say(room_id, "successor")
    await network.settle()
    raw = dict((await a.rooms.reader.found([late]))[late].pdu.json)
    assert await b.receive(a, [raw]) == {late: None}
    assert late not in (await b.room(room_id)).extremities
    assert sorted(await b.bodies(room_id, "bob")) == ["late", "successor"]
    assert await same_state(room_id, a, b)


async def test_whose_join_was_missed_may_speak(network: Network, a: Stack, b: Stack, c: Stack) -> None:
    room_id = await shared_room(network, a, b)
    network.part(a, b)
    await c.join(room_id, "carol", a)
    network.lies[c.name, "missing_events"] = lambda answer: []
    await c.say(room_id, "hello", "carol")
    await c.deliver()
    assert (await b.bodies(room_id, "bob"))[-1] == "hello"


async def test_what_was_said_before_the_join_is_no_news(network: Network, a: Stack, b: Stack, c: Stack) -> None:
    room_id = await shared_room(network, a, b)
    await b.say(room_id, "before", "bob")
    await b.change(room_id, "leave", b.user("bob"), "bob")
    await network.settle()
    before_the_join = await a.say(room_id, "aside")
    await c.join(room_id, "carol", a)
    # The next event cites a branch that is older than the join, as one does that crossed it.
    room = await a.room(room_id)
    room.extremities[before_the_join] = 1
    a.owed.clear()
    await a.say(room_id, "lost")
    a.owed.clear()
    await a.say(room_id, "arrives")
    await network.settle()
    assert await c.bodies(room_id, "carol") == ["before", "aside", "lost", "arrives"]
