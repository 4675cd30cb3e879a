"""/sync and sliding sync say what a model says: every event once, no gap unless it is said, and the room's state.

BOB has three rooms of ALICE's, in which whatever may happen to a member happens to him, while he asks both kinds of sync, now
and then, with any limits and windows. The same examples each time; others, and more: `HYPOTHESIS_EXAMPLES=5000`.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.property.servers import Server
from tests.property.sync_model import Story, story
from tests.unit.server.rooms.world import ALICE, BOB, CAROL, PHONE
from tests.unit.server.sync.sliding.windows import ACCEPTED, IN_USE, Client, SlidingWorld, open_sliding
from watchword.protocol.ids import RoomId
from watchword.server.sync import window

EXAMPLES = int(os.environ.get("HYPOTHESIS_EXAMPLES", "100"))
SAME = "HYPOTHESIS_EXAMPLES" not in os.environ
VISIBILITIES = ("invited", "joined", "shared", "world_readable")
HAPPENS = (
    *("say", "say", "carol joins", "carol leaves", "topic", "name", "redact"),
    *("invite", "join", "join", "leave", "kick", "ban", "unban", "rename"),
    *VISIBILITIES,
)
ROOMS = 3


class SlidingServer(Server):
    """A world with sliding sync."""

    world: SlidingWorld

    async def _open(self, folder: Any) -> SlidingWorld:
        world = await self._stack.enter_async_context(open_sliding(folder))
        await world.users(ALICE, BOB, CAROL)
        return world


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlidingServer]:
    opened = SlidingServer(tmp_path_factory.mktemp("model"))
    yield opened
    opened.close()


async def act(world: SlidingWorld, room_id: RoomId, action: str, number: int) -> None:
    """Let something happen, if it may."""
    path = f"rooms/{room_id}/"
    match action:
        case "say":
            await world.send(ALICE, room_id, str(number))
        case "carol joins" | "carol leaves":
            await world.tried(CAROL, "POST", path + action.removeprefix("carol ")[:-1], {})
        case "topic" | "name":
            await world.set_state(ALICE, room_id, f"m.room.{action}", {action: str(number)})
        case "redact":
            event_id = (await world.messages(ALICE, room_id, limit=1))["chunk"][0]["event_id"]
            await world.tried(ALICE, "PUT", f"{path}redact/{event_id}/{number}", {})
        case "join" | "leave":
            await world.tried(BOB, "POST", path + action, {})
        case "rename":
            content = {"membership": "join", "displayname": str(number)}
            if (await world.reader.membership_of(BOB, room_id) or None) is not None:
                await world.tried(BOB, "PUT", f"{path}state/m.room.member/{BOB}", content)
        case "invite" | "kick" | "ban" | "unban":
            await world.tried(ALICE, "POST", path + action, {"user_id": BOB})
        case _:
            await world.set_state(ALICE, room_id, "m.room.history_visibility", {"history_visibility": action})


async def stories(world: SlidingWorld, rooms: Sequence[RoomId]) -> dict[RoomId, Story]:
    return {room_id: await story(world, room_id, BOB) for room_id in rooms}


def newest(told: Sequence[str], limit: int) -> list[str]:
    return list(told[max(0, len(told) - limit) :])


# /sync


@dataclass
class Syncing:
    """BOB's client of /sync: his token, and the state of the rooms that he is in."""

    rooms: Sequence[RoomId]
    state_after: bool
    since: str | None = None
    position: int = 0
    state: dict[RoomId, dict[tuple[str, str], str]] = field(default_factory=dict)

    async def sync(self, world: SlidingWorld, limit: int, *, far: bool) -> None:
        """One request, held against the model. far: as if memory did not reach back to the token."""
        filter_ = {"room": {"timeline": {"limit": limit}, "rooms": list(self.rooms)}}
        query: dict[str, Any] = {"filter": filter_} | ({"use_state_after": "true"} if self.state_after else {})
        reach, window.RING_SCAN_MAX = window.RING_SCAN_MAX, -1 if far else window.RING_SCAN_MAX
        try:
            body = await world.sync(BOB, self.since, **query)
        finally:
            window.RING_SCAN_MAX = reach
        sections = body.get("rooms", {})
        for room_id, model in (await stories(world, self.rooms)).items():
            joined, left = sections.get("join", {}).get(room_id), sections.get("leave", {}).get(room_id)
            if model.standing == "join":
                await self._joined(world, room_id, model, joined, limit)
                assert left is None
            else:
                assert joined is None
                self.state.pop(room_id, None)
                self._left(model, left, limit)
            newly_invited = model.standing == "invite" and model.own[-1][0] > self.position
            assert (room_id in sections.get("invite", {})) is newly_invited
        self.since, self.position = body["next_batch"], world.log.position

    async def _joined(self, world: SlidingWorld, room_id: RoomId, model: Story, section: Any, limit: int) -> None:
        assert model.stay is not None
        newly = self.since is None or model.stay > self.position
        after = 0 if newly else self.position
        told = model.told(after, world.log.position)
        if section is None:
            assert not told
            return
        timeline = section["timeline"]
        assert [event["event_id"] for event in timeline["events"]] == newest(told, limit)
        assert timeline["limited"] is (len(told) > limit)
        page = await world.messages(BOB, room_id, **{"from": timeline["prev_batch"]})
        before = [event["event_id"] for event in page["chunk"]]
        assert before == model.told(0, world.log.position)[::-1][min(limit, len(told)) :][:100]
        state = {} if newly else self.state[room_id]
        known = section["state_after" if self.state_after else "state"]["events"]
        for event in (*known, *(() if self.state_after else timeline["events"])):
            if "state_key" in event:
                state[event["type"], event["state_key"]] = event["event_id"]
        assert state == model.state(world.log.position)
        self.state[room_id] = state

    def _left(self, model: Story, section: Any, limit: int) -> None:
        ends = [position for position, membership, _ in model.own if membership in ("leave", "ban")]
        is_told = self.since is not None and bool(ends) and ends[-1] > self.position
        if model.standing in ("leave", "ban"):
            assert (section is not None) is is_told
        if section is None or model.standing not in ("leave", "ban") or model.stay is None:
            return
        after = 0 if model.stay > self.position else self.position
        timeline = section["timeline"]
        assert [event["event_id"] for event in timeline["events"]] == newest(model.told(after, ends[-1]), limit)


# Sliding sync


def comparable(rooms: Mapping[str, Any]) -> Any:
    """Results without the order of state, which means nothing."""
    for room in rooms.values():
        room.get("required_state", []).sort(key=lambda event: event.get("event_id", ""))
    return rooms


@dataclass
class Known:
    """What BOB's client knows of a room: up to which position, so many events, and its state."""

    until: int
    depth: float
    state: dict[tuple[str, str], str]
    invited: bool = False


@dataclass
class Sliding:
    """BOB's client of sliding sync."""

    client: Client
    rooms: Sequence[RoomId]
    known: dict[RoomId, Known] = field(default_factory=dict)
    position: int | None = None

    async def slide(self, world: SlidingWorld, first: int, last: int, limit: int, subscribed: Sequence[RoomId]) -> None:
        """One request, held against the model."""
        accepted = self.client.form == ACCEPTED
        state: Any = {"include": [{}]} if accepted else [["*", "*"]]
        config = {"timeline_limit": limit, "required_state": state}
        ranges: dict[str, Any] = {"range": [first, last]} if accepted else {"ranges": [[first, last]]}
        before = self.client.pos
        body = await self.client.ask(lists={"all": {**config, **ranges}}, room_subscriptions=dict.fromkeys(subscribed, config))
        models = await stories(world, self.rooms)
        listed = sorted(
            (room_id for room_id in self.rooms if models[room_id].is_listed), key=lambda room: -models[room].recency
        )
        assert body["lists"] == {"all": {"count": len(listed)}}
        wanted = {*listed[first : last + 1], *(room_id for room_id in subscribed if room_id in listed)}
        told = body["rooms"]
        for room_id, model in models.items():
            if room_id in wanted or (room_id in self.known and not model.is_listed):
                self._room(world, model, room_id, told.get(room_id), limit)
            else:
                assert room_id not in told
        self.position = world.log.position
        if before is not None and limit % 2:
            # The answer may have been lost: the same question has the same answer.
            answer, self.client.pos = self.client.pos, before
            assert comparable((await self.client.ask())["rooms"]) == comparable(told)
            assert self.client.pos != answer

    def _room(self, world: SlidingWorld, model: Story, room_id: RoomId, room: Any, limit: int) -> None:
        known = self.known.get(room_id)
        if known is not None and not model.is_listed:
            # He left: no more events than he wanted before.
            limit = min(int(min(known.depth, 10)), 10)
        if model.standing == "invite":
            is_new = known is None or known.until < model.own[-1][0]
            assert (room is not None and ("invite_state" in room or "stripped_state" in room)) is is_new
            if is_new:
                self.known[room_id] = Known(model.own[-1][0], 0, {}, invited=True)
            return
        until = world.log.position if model.standing == "join" else model.own[-1][0]
        if model.stay is None:
            # An invite that came to nothing.
            assert room is None or room["required_state"][0]["state_key"] == BOB
            self.known.pop(room_id, None)
            return
        initial = known is None or model.stay > known.until
        expanded = not initial and known is not None and limit > known.depth
        after = 0 if initial or expanded or known is None else known.until
        events = model.told(after, until)
        if room is None:
            assert not initial
            assert expanded or not events
        else:
            self._told(model, room_id, room, events, until, limit, initial=initial)
        if not model.is_listed:
            del self.known[room_id]

    def _told(
        self, model: Story, room_id: RoomId, room: Any, events: Sequence[str], until: int, limit: int, *, initial: bool
    ) -> None:
        shown = [event["event_id"] for event in room.get("timeline", ())]
        assert ("initial" in room) is initial
        assert shown == newest(events, limit)
        assert room.get("limited", False) is (len(events) > limit)
        fresh = set() if self.position is None else set(model.told(self.position, until))
        assert room.get("num_live", 0) == len([event_id for event_id in shown if event_id in fresh])
        known = self.known.get(room_id)
        state = {} if initial or known is None else dict(known.state)
        for event in room.get("required_state", ()):
            state[event["type"], event["state_key"]] = event["event_id"]
        if model.is_listed:
            # Of a room that he was thrown out of he has the state as it was then.
            assert state == model.state(until)
        if initial or "expanded_timeline" in room or "unstable_expanded_timeline" in room or known is None:
            depth = limit if len(events) > limit else float("inf")
        else:
            depth = len(shown) if len(events) > limit else known.depth + len(shown)
        self.known[room_id] = Known(until, depth, state)


# Properties

happenings = st.tuples(st.sampled_from(HAPPENS), st.integers(0, ROOMS - 1))
syncs = st.tuples(st.just("sync"), st.integers(0, 6), st.booleans())
slides = st.tuples(
    st.just("slide"), st.integers(0, 1), st.integers(0, 2), st.integers(0, 6), st.lists(st.integers(0, ROOMS - 1), max_size=2)
)


async def fresh_rooms(world: SlidingWorld) -> list[RoomId]:
    """Three rooms of which BOB knows nothing; he leaves those of the example before, and forgets them."""
    for row in list((await world.memberships.of(BOB)).values()):
        if row.membership in ("join", "invite"):
            await world.leave(BOB, row.room_id)
        if not row.forgotten:
            await world.ask(BOB, "POST", f"rooms/{row.room_id}/forget", {})
    world.sliding.lists._lists.clear()
    return [await world.public_room() for _ in range(ROOMS)]


async def play_sync(world: SlidingWorld, steps: Sequence[Any], *, state_after: bool) -> None:
    rooms = await fresh_rooms(world)
    client = Syncing(rooms, state_after)
    for number, step in enumerate((*steps, ("sync", 3, False))):
        if step[0] == "sync":
            await client.sync(world, step[1], far=step[2])
        else:
            await act(world, rooms[step[1]], step[0], number)


async def play_slide(world: SlidingWorld, steps: Sequence[Any], form: str) -> None:
    rooms = await fresh_rooms(world)
    client = Sliding(Client(world, BOB, form=form, device=PHONE), rooms)
    for number, step in enumerate((*steps, ("slide", 0, 2, 3, []))):
        if step[0] == "slide":
            _, first, length, limit, subscribed = step
            names = [rooms[index] for index in subscribed]
            await client.slide(world, first, first + length, limit, names)
        else:
            await act(world, rooms[step[1]], step[0], number)


@settings(max_examples=EXAMPLES, derandomize=SAME, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=st.lists(st.one_of(happenings, happenings, syncs), max_size=30), state_after=st.booleans())
def test_sync_says_what_the_model_says(server: SlidingServer, steps: list[Any], state_after: bool) -> None:
    server.run(play_sync(server.world, steps, state_after=state_after))


@settings(max_examples=EXAMPLES, derandomize=SAME, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=st.lists(st.one_of(happenings, happenings, slides), max_size=30), form=st.sampled_from([IN_USE, ACCEPTED]))
def test_sliding_sync_says_what_the_model_says(server: SlidingServer, steps: list[Any], form: str) -> None:
    server.run(play_slide(server.world, steps, form))


def test_the_model_knows_who_sees_what(server: SlidingServer) -> None:
    """An example by hand, so that model and server are not wrong together."""

    async def run() -> None:
        world = server.world
        (room_id, *_) = await fresh_rooms(world)
        told: Mapping[str, bool] = {"joined": False, "shared": True, "invited": False, "world_readable": True}
        expected = []
        for number, (visibility, is_told) in enumerate(told.items()):
            await act(world, room_id, visibility, number)
            event_id = await world.send(ALICE, room_id, visibility)
            expected += [event_id] if is_told else []
        await act(world, room_id, "joined", 9)
        await act(world, room_id, "join", 10)
        model = await story(world, room_id, BOB)
        said = {event.event_id for event in model.events if event.event["type"] == "m.room.message"}
        assert [event_id for event_id in model.told(0, world.log.position) if event_id in said] == expected

    server.run(run())
