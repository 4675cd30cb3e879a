"""A client that syncs now and then, with any limits, and closes each gap with /messages, has every event exactly once.

It also has the room's state, whichever form it asks for; and a token so old that memory knows nothing of it gives the same
answer as one that memory reaches.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.property.servers import Server
from tests.unit.server.rooms.world import ALICE, BOB, CAROL, LAPTOP, PHONE, World
from watchword.protocol.ids import RoomId
from watchword.server.sync import window

ACTIONS = (
    *("say", "carol says", "carol joins", "carol leaves", "topic", "bob's name"),
    *("bob leaves", "bob joins", "redact", "typing", "receipt", "private receipt", "tag", "message", "sync", "sync"),
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    opened = Server(tmp_path_factory.mktemp("timeline"))
    yield opened
    opened.close()


@dataclass
class Client:
    """BOB's client: what it knows of one room."""

    room_id: RoomId
    state_after: bool
    since: str | None = None
    timeline: list[str] = field(default_factory=list)
    state: dict[tuple[str, str], str] = field(default_factory=dict)
    joined: bool = False
    came_back: bool = False

    def take_state(self, events: Sequence[Mapping[str, Any]]) -> None:
        for event in events:
            if "state_key" in event:
                self.state[event["type"], event["state_key"]] = event["event_id"]


async def sync(world: World, client: Client, limit: int) -> None:
    body = await ask(world, client, limit)
    rooms = body.get("rooms", {})
    section = rooms.get("join", {}).get(client.room_id) or rooms.get("leave", {}).get(client.room_id)
    if client.room_id in rooms.get("leave", {}):
        client.joined = False
    if section is not None:
        events = section["timeline"]["events"]
        if section["timeline"]["limited"]:
            await close_gap(world, client, section["timeline"]["prev_batch"])
        if client.room_id in rooms.get("join", {}) and not client.joined:
            client.joined, client.state = True, {}
        assert ("state_after" in section) is client.state_after
        assert ("state" in section) is not client.state_after
        client.take_state(section["state_after" if client.state_after else "state"]["events"])
        if not client.state_after:
            client.take_state(events)
        # Whoever came back is told "as if initial", and may know some of it.
        known = set(client.timeline) if client.came_back else set()
        client.timeline.extend(event["event_id"] for event in events if event["event_id"] not in known)
    client.since = body["next_batch"]
    client.came_back = False


async def ask(world: World, client: Client, limit: int) -> Any:
    """Sync; if there is a token, sync a second time as if memory did not reach back to it."""
    filter_ = {"room": {"timeline": {"limit": limit}, "rooms": [client.room_id]}}
    query: dict[str, Any] = {"filter": filter_}
    if client.state_after:
        query["use_state_after"] = "true"
    body = await world.sync(BOB, client.since, **query)
    if client.since is not None:
        reach, window.RING_SCAN_MAX = window.RING_SCAN_MAX, -1
        try:
            again = await world.sync(BOB, client.since, **query)
        finally:
            window.RING_SCAN_MAX = reach
        assert comparable(again) == comparable(body)
    return body


def comparable(body: Any) -> Any:
    """A response without the order of state, which means nothing."""
    for section in (section for by_id in body.get("rooms", {}).values() for section in by_id.values()):
        for name in ("state", "state_after"):
            section.get(name, {}).get("events", []).sort(key=lambda event: event["event_id"])
    return body


async def close_gap(world: World, client: Client, token: str) -> None:
    """Page back from the gap until something known is met, or the beginning."""
    found: list[str] = []
    known = set(client.timeline)
    while True:
        page = await world.messages(BOB, client.room_id, limit=3, **{"from": token})
        for event in page["chunk"]:
            if event["event_id"] in known:
                client.timeline.extend(reversed(found))
                return
            found.append(event["event_id"])
        if "end" not in page:
            client.timeline[:] = list(reversed(found))
            return
        token = page["end"]


async def act(world: World, client: Client, action: str, number: int) -> None:
    room_id = client.room_id
    room = await world.reader.room(room_id)
    assert room is not None
    members = room.members.membership
    match action:
        case "say":
            await world.send(ALICE, room_id, str(number))
        case "carol says" if members.get(CAROL) == "join":
            await world.send(CAROL, room_id, str(number))
        case "carol joins" if members.get(CAROL) != "join":
            await world.join(CAROL, room_id)
        case "carol leaves" if members.get(CAROL) == "join":
            await world.leave(CAROL, room_id)
        case "topic":
            await world.set_state(ALICE, room_id, "m.room.topic", {"topic": str(number)})
        case "bob's name" if members.get(BOB) == "join":
            await world.set_state(BOB, room_id, "m.room.member", {"membership": "join", "displayname": str(number)}, BOB)
        case "bob leaves" if members.get(BOB) == "join":
            await world.leave(BOB, room_id)
        case "bob joins" if members.get(BOB) != "join":
            await world.join(BOB, room_id)
            client.came_back = True
        case "redact":
            await world.ask(ALICE, "PUT", f"rooms/{room_id}/redact/{next(iter(room.extremities))}/{number}", {})
        case _:
            await act_aside(world, client, action, number)


async def act_aside(world: World, client: Client, action: str, number: int) -> None:
    """What happens beside the timeline."""
    room_id = client.room_id
    room = await world.reader.room(room_id)
    assert room is not None
    event_id = next(iter(room.extremities))
    match action:
        case "typing":
            await world.ask(ALICE, "PUT", f"rooms/{room_id}/typing/{ALICE}", {"typing": number % 2 == 0, "timeout": 9_000})
        case "receipt":
            await world.ask(ALICE, "POST", f"rooms/{room_id}/receipt/m.read/{event_id}", {})
        case "private receipt":
            await world.ask(ALICE, "POST", f"rooms/{room_id}/receipt/m.read.private/{event_id}", {})
        case "tag":
            await world.ask(BOB, "PUT", f"user/{BOB}/rooms/{room_id}/account_data/x", {"n": number})
        case "message":
            body = {"messages": {BOB: {PHONE: {"n": number}, LAPTOP: {}}}}
            await world.ask(ALICE, "PUT", f"sendToDevice/m.x/{room_id}{number}", body)
        case _:
            pass  # Its condition is not met.


async def play(world: World, actions: Sequence[str], limits: Sequence[int], *, state_after: bool) -> None:
    room_id = await world.public_room(BOB)
    client = Client(room_id, state_after)
    syncs = 0
    for number, action in enumerate((*actions, "sync", "sync")):
        if action == "sync":
            await sync(world, client, limits[syncs % len(limits)])
            syncs += 1
        else:
            await act(world, client, action, number)
    await check(world, client)
    room = await world.reader.room(room_id)
    assert room is not None
    if room.members.membership[BOB] == "join":
        await world.leave(BOB, room_id)


async def check(world: World, client: Client) -> None:
    whole = [event["event_id"] for event in (await world.messages(BOB, client.room_id, dir="f", limit=1000))["chunk"]]
    start = whole.index(client.timeline[0]) if client.timeline else len(whole)
    assert client.timeline == whole[start:]
    state = await world.ask(BOB, "GET", f"rooms/{client.room_id}/state")
    if not client.state:
        return
    assert client.state == {(event["type"], event["state_key"]): event["event_id"] for event in state}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    actions=st.lists(st.sampled_from(ACTIONS), max_size=40),
    limits=st.lists(st.integers(0, 8), min_size=1, max_size=4),
    state_after=st.booleans(),
)
def test_syncs_and_gaps_together_are_the_room(server: Server, actions: list[str], limits: list[int], state_after: bool) -> None:
    server.run(play(server.world, actions, limits, state_after=state_after))


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(st.sampled_from(["m.room.message", "m.sticker", "hidden"]), max_size=30), limit=st.integers(1, 5))
def test_a_filtered_timeline_and_its_gap_are_all_that_the_filter_allows(server: Server, texts: list[str], limit: int) -> None:
    async def run() -> None:
        world = server.world
        room_id = await world.public_room(BOB)
        since = (await world.sync(BOB))["next_batch"]
        sent = []
        for number, kind in enumerate(texts):
            answer = await world.ask(ALICE, "PUT", f"rooms/{room_id}/send/{kind}/{number}", {"body": "x"})
            sent.append((kind, answer["event_id"]))
        expected = [event_id for kind, event_id in sent if kind != "hidden"]
        filter_ = {"room": {"timeline": {"limit": limit, "not_types": ["hidden"]}, "rooms": [room_id]}}
        body = await world.sync(BOB, since, filter=filter_)
        section = body.get("rooms", {}).get("join", {}).get(room_id)
        if not expected:
            assert section is None
        else:
            timeline = section["timeline"]
            assert [event["event_id"] for event in timeline["events"]] == expected[-limit:]
            assert timeline["limited"] is (len(expected) > limit)
            page = await world.messages(BOB, room_id, **{"from": timeline["prev_batch"]})
            older = [event["event_id"] for event in reversed(page["chunk"]) if event["type"] in ("m.room.message", "m.sticker")]
            assert older == expected[:-limit]
        await world.leave(BOB, room_id)

    server.run(run())
