"""History visibility on every reading path, against a model: a list of events and a rule of ten lines.

BOB comes and goes in a room of ALICE's whose visibility changes. What he may see is worked out from the list alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.property.servers import Server
from tests.unit.server.rooms.world import ALICE, BOB, World
from watchword.protocol.ids import RoomId

VISIBILITIES = ("invited", "joined", "shared", "world_readable")
ACTIONS = ("say", "topic", "join", "leave", "invite", "kick", "ban", "unban", "rename", "sync", *VISIBILITIES)
CAN: Mapping[str, Sequence[str]] = {
    "join": ("invite", "leave", "none"),
    "leave": ("join", "invite"),
    "invite": ("leave", "none"),
    "kick": ("join", "invite"),
    "ban": ("join", "invite", "leave", "none"),
    "unban": ("ban",),
    "rename": ("join",),
}


@dataclass
class Seen:
    """An event, and what held before and after it."""

    event_id: str
    address: tuple[str, str] | None
    before: tuple[str, str]
    after: tuple[str, str]


@dataclass
class Model:
    """visibility and BOB's membership now, and everything that happened."""

    visibility: str = "shared"
    membership: str = "none"
    events: list[Seen] = field(default_factory=list)

    def happened(self, event_id: str, address: tuple[str, str] | None, **changed: str) -> None:
        if any(event.event_id == event_id for event in self.events):
            # It was so already, and nothing happened.
            return
        before = (self.visibility, self.membership)
        self.visibility = changed.get("visibility", self.visibility)
        self.membership = changed.get("membership", self.membership)
        self.events.append(Seen(event_id, address, before, (self.visibility, self.membership)))

    def sees(self, index: int) -> bool:
        event = self.events[index]
        if event.address == ("m.room.member", BOB):
            return True
        if event.address == ("m.room.history_visibility", ""):
            return self._allows(index, *event.before) or self._allows(index, event.after[0], event.before[1])
        return self._allows(index, *event.before)

    def _allows(self, index: int, visibility: str, membership: str) -> bool:
        joined_after = any(event.after[1] == "join" for event in self.events[index:])
        return (
            visibility == "world_readable"
            or membership == "join"
            or (visibility == "shared" and joined_after)
            or (visibility == "invited" and membership == "invite")
        )

    def visible(self) -> list[str]:
        return [event.event_id for index, event in enumerate(self.events) if self.sees(index)]

    def state(self) -> dict[tuple[str, str], str] | None:
        """The state that BOB may read; None if none."""
        if self.visibility == "world_readable" or self.membership == "join":
            until = len(self.events)
        elif self.membership in ("leave", "ban") and any(event.before[1] == "join" for event in self.events):
            until = max(index for index, event in enumerate(self.events) if event.before[1] == "join") + 1
        else:
            return None
        return {event.address: event.event_id for event in self.events[:until] if event.address is not None}

    def may_page(self) -> bool:
        return self.visibility == "world_readable" or self.membership in ("join", "leave", "ban")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    opened = Server(tmp_path_factory.mktemp("visibility"))
    yield opened
    opened.close()


async def act(world: World, room_id: RoomId, model: Model, action: str, number: int) -> None:
    if action == "say":
        model.happened(await world.send(ALICE, room_id, str(number)), None)
    elif action == "topic":
        address = ("m.room.topic", "")
        model.happened(await world.set_state(ALICE, room_id, "m.room.topic", {"topic": str(number)}), address)
    elif action in VISIBILITIES:
        content = {"history_visibility": action}
        event_id = await world.set_state(ALICE, room_id, "m.room.history_visibility", content)
        model.happened(event_id, ("m.room.history_visibility", ""), visibility=action)
    elif model.membership in CAN[action]:
        await move(world, room_id, model, action, number)


async def move(world: World, room_id: RoomId, model: Model, action: str, number: int) -> None:
    if action == "rename":
        await world.set_state(BOB, room_id, "m.room.member", {"membership": "join", "displayname": str(number)}, BOB)
    elif action in ("join", "leave"):
        await (world.join if action == "join" else world.leave)(BOB, room_id)
    else:
        await world.ask(ALICE, "POST", f"rooms/{room_id}/{action}", {"user_id": BOB})
    room = await world.reader.room(room_id)
    assert room is not None
    membership = {"kick": "leave", "unban": "leave", "rename": "join"}.get(action, action)
    model.happened(room.state[("m.room.member", BOB)], ("m.room.member", BOB), membership=membership)


async def begin(world: World, room_id: RoomId) -> Model:
    model = Model()
    for pdu in (await world.messages(ALICE, room_id, dir="f"))["chunk"]:
        model.happened(pdu["event_id"], (pdu["type"], pdu["state_key"]))
    # The first events come before the room has a visibility; unset means shared.
    return model


async def paged(world: World, room_id: RoomId, direction: str, limit: int) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = []
    token = None
    for _ in range(500):
        page = await world.messages(BOB, room_id, dir=direction, limit=limit, **({} if token is None else {"from": token}))
        found.extend(page["chunk"])
        if "end" not in page:
            return found
        token = page["end"]
    raise AssertionError("paging does not end")


async def check_pages(world: World, room_id: RoomId, model: Model, limit: int) -> None:
    if not model.may_page():
        assert await world.refused(BOB, "GET", f"rooms/{room_id}/messages", dir="b") == (403, "M_FORBIDDEN")
        return
    forward = await paged(world, room_id, "f", limit)
    assert [event["event_id"] for event in forward] == model.visible()
    backward = await paged(world, room_id, "b", limit)
    assert [event["event_id"] for event in reversed(backward)] == model.visible()
    check_unsigned(model, forward)


def check_unsigned(model: Model, events: Sequence[Mapping[str, Any]]) -> None:
    by_id = {event.event_id: (index, event) for index, event in enumerate(model.events)}
    for shown in events:
        index, event = by_id[shown["event_id"]]
        membership = event.after[1] if event.address == ("m.room.member", BOB) else event.before[1]
        assert shown["unsigned"]["membership"] == ("leave" if membership == "none" else membership)
        earlier = [at for at in range(index) if event.address is not None and model.events[at].address == event.address]
        if earlier:
            assert shown["unsigned"]["replaces_state"] == model.events[earlier[-1]].event_id
            assert ("prev_content" in shown["unsigned"]) is model.sees(earlier[-1])
        else:
            assert "replaces_state" not in shown["unsigned"]


async def check_single_events(world: World, room_id: RoomId, model: Model) -> None:
    visible = set(model.visible())
    for event in model.events:
        for path in ("event", "context"):
            status, answer = await world.tried(BOB, "GET", f"rooms/{room_id}/{path}/{quote(event.event_id)}", limit=4)
            assert status == (200 if event.event_id in visible else 404)
            if path == "context" and status == 200:
                around = [*reversed(answer["events_before"]), answer["event"], *answer["events_after"]]
                ids = [each["event_id"] for each in around]
                whole = model.visible()
                start = whole.index(ids[0])
                assert ids == whole[start : start + len(ids)]


async def check_state(world: World, room_id: RoomId, model: Model) -> None:
    expected = model.state()
    for path in ("state", "members", "state/m.room.create"):
        status, answer = await world.tried(BOB, "GET", f"rooms/{room_id}/{path}")
        assert status == (403 if expected is None else 200)
        if expected is None:
            continue
        if path == "state":
            assert {(event["type"], event["state_key"]): event["event_id"] for event in answer} == expected
        elif path == "members":
            ids = {event_id for (kind, _), event_id in expected.items() if kind == "m.room.member"}
            assert {event["event_id"] for event in answer["chunk"]} == ids


async def sync_once(world: World, room_id: RoomId, model: Model, since: str | None) -> str:
    """What a sync shows must be visible now; state only to whoever is or was in the room."""
    filter_ = {"room": {"timeline": {"limit": 3}, "include_leave": True, "rooms": [room_id]}}
    body = await world.sync(BOB, since, filter=filter_)
    section = body.get("rooms", {}).get("join", {}).get(room_id) or body.get("rooms", {}).get("leave", {}).get(room_id)
    if section is not None:
        timeline = section.get("timeline", {"events": []})["events"]
        assert {event["event_id"] for event in timeline} <= set(model.visible())
        check_unsigned(model, timeline)
        stays = model.state() or {}
        known = set(stays.values()) | {event.event_id for event in model.events if event.address == ("m.room.member", BOB)}
        if model.membership != "join":
            assert {event["event_id"] for event in section.get("state", {"events": []})["events"]} <= known | {
                event.event_id for event in model.events[: until(model)]
            }
    return str(body["next_batch"])


def until(model: Model) -> int:
    """How much of the room BOB's stays cover."""
    return max((index for index, event in enumerate(model.events) if event.before[1] == "join"), default=-1) + 1


async def play(world: World, actions: Sequence[str], limit: int) -> None:
    room_id = await world.public_room()
    model = await begin(world, room_id)
    since: str | None = None
    for number, action in enumerate(actions):
        if action == "sync":
            since = await sync_once(world, room_id, model, since)
        else:
            await act(world, room_id, model, action, number)
    await sync_once(world, room_id, model, since)
    await sync_once(world, room_id, model, None)
    await check_pages(world, room_id, model, limit)
    await check_single_events(world, room_id, model)
    await check_state(world, room_id, model)
    # The next example is another room; nothing of this one is left to say.
    if model.membership in ("join", "invite"):
        await world.leave(BOB, room_id)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(actions=st.lists(st.sampled_from(ACTIONS), max_size=25), limit=st.integers(1, 6))
def test_nobody_sees_more_or_less_than_the_model(server: Server, actions: list[str], limit: int) -> None:
    server.run(play(server.world, actions, limit))
