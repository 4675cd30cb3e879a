"""What the server tells of relations is what a simple model says: a list of events, and who may see which.

Any edits, threads, references, reactions and redactions by anybody; a reader who comes and goes under any history
visibility, and who ignores anybody. Bundles, /relations and /threads all agree with the model.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.property.servers import Server
from tests.unit.server.rooms import relating
from tests.unit.server.rooms.world import ALICE, BOB, CAROL, World
from watchword.base.errors import Refusal
from watchword.protocol.ids import EventId, RoomId, UserId

ACTIONS = ("say", "edit", "edit", "thread", "thread", "reference", "react", "redact", "leave", "join", "ignore", "wait")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    opened = Server(tmp_path_factory.mktemp("relations"))
    yield opened
    opened.close()


@dataclass
class Event:
    """A message. seen: whether BOB was in the room. relation: rel_type and parent."""

    event_id: EventId
    sender: UserId
    ts: int
    place: int
    seen: bool
    relation: tuple[str, str] | None = None
    redacted: bool = False

    @property
    def is_message(self) -> bool:
        """Whether it is of the type that edits here are of: votes and reactions are not."""
        return self.relation is None or self.relation[0] not in ("m.reference", "m.annotation")

    @property
    def rel_type(self) -> str | None:
        return None if self.relation is None or self.redacted else self.relation[0]

    def relates(self, rel_type: str, parent: str) -> bool:
        return not self.redacted and self.relation == (rel_type, parent)


@dataclass
class Model:
    """The room. left: the place at which BOB left last, if he is gone."""

    room_id: RoomId
    visibility: str
    events: list[Event] = field(default_factory=list)
    joined: bool = True
    left: int = 0
    ignored: set[UserId] = field(default_factory=set)

    def sees(self, user_id: UserId, event: Event) -> bool:
        if user_id != BOB:
            return True
        if self.visibility == "shared":
            return self.joined or event.place < self.left
        return event.seen

    def ignored_by(self, user_id: UserId) -> set[UserId]:
        return self.ignored if user_id == BOB else set()

    def children(self, user_id: UserId, parent: str, rel_type: str) -> list[Event]:
        """Children of one type that count for a reader, oldest first."""
        ignored = self.ignored_by(user_id)
        return [
            event
            for event in self.events
            if event.relates(rel_type, parent) and self.sees(user_id, event) and event.sender not in ignored
        ]

    def edit_of(self, user_id: UserId, event: Event) -> str | None:
        if event.redacted or event.rel_type == "m.replace" or not event.is_message:
            return None
        edits = [each for each in self.children(user_id, event.event_id, "m.replace") if each.sender == event.sender]
        newest = max(edits, key=lambda each: (each.ts, each.event_id), default=None)
        return None if newest is None else newest.event_id

    def bundle(self, user_id: UserId, event: Event, *, nested: bool = False) -> dict[str, Any]:
        """What of `m.relations` matters."""
        told: dict[str, Any] = {}
        edit = self.edit_of(user_id, event)
        if edit is not None:
            told["m.replace"] = edit
        references = [each.event_id for each in self.children(user_id, event.event_id, "m.reference")]
        if references:
            told["m.reference"] = references
        thread = self.children(user_id, event.event_id, "m.thread")
        if thread and event.rel_type is None and not nested:
            took_part = event.sender == user_id or any(
                each.sender == user_id for each in self.events if each.relates("m.thread", event.event_id)
            )
            told["m.thread"] = (
                len(thread),
                thread[-1].event_id,
                took_part,
                self.bundle(user_id, thread[-1], nested=True),
            )
        return told

    def threads(self, user_id: UserId) -> list[str]:
        roots = [event for event in self.events if self.sees(user_id, event) and "m.thread" in self.bundle(user_id, event)]
        latest = {root.event_id: self.children(user_id, root.event_id, "m.thread")[-1].place for root in roots}
        return sorted(latest, key=lambda root: -latest[EventId(root)])


def simplified(relations: dict[str, Any]) -> dict[str, Any]:
    """A bundle as the model says it."""
    told: dict[str, Any] = {}
    if "m.replace" in relations:
        told["m.replace"] = relations["m.replace"]["event_id"]
    if "m.reference" in relations:
        told["m.reference"] = [each["event_id"] for each in relations["m.reference"]["chunk"]]
    if "m.thread" in relations:
        thread = relations["m.thread"]
        latest = thread["latest_event"]
        nested = simplified(latest["unsigned"].get("m.relations", {}))
        told["m.thread"] = (thread["count"], latest["event_id"], thread["current_user_participated"], nested)
    return told


async def act(world: World, model: Model, action: str, sender: UserId, choice: int) -> None:
    room_id = model.room_id
    target = model.events[choice % len(model.events)]
    try:
        match action:
            case "wait":
                world.clock.advance(choice % 3)
            case "ignore":
                model.ignored = {user_id for bit, user_id in ((1, ALICE), (2, CAROL)) if choice & bit}
                await relating.ignore(world, BOB, *model.ignored)
            case "leave" if model.joined:
                await world.leave(BOB, room_id)
                model.joined, model.left = False, len(model.events)
            case "join" if not model.joined:
                await world.join(BOB, room_id)
                model.joined = True
            case "redact" if sender in (ALICE, target.sender):
                await relating.redact(world, sender, room_id, target.event_id)
                target.redacted = True
            case "say" | "edit" | "thread" | "reference" | "react":
                await relate(world, model, action, sender, target)
            case _:
                pass
    except Refusal as refusal:
        # BOB is gone, the thread would begin in a relation, or the reaction is there.
        if refusal.errcode not in ("M_FORBIDDEN", "M_UNKNOWN", "M_DUPLICATE_ANNOTATION"):
            raise


async def relate(world: World, model: Model, action: str, sender: UserId, target: Event) -> None:
    room_id, parent = model.room_id, target.event_id
    relation: tuple[str, str] | None = None
    match action:
        case "edit":
            event_id = await relating.edit(world, sender, room_id, parent)
            relation = ("m.replace", parent)
        case "thread":
            event_id = await relating.reply(world, sender, room_id, parent)
            relation = ("m.thread", parent)
        case "reference":
            event_id = await relating.refer(world, sender, room_id, parent)
            relation = ("m.reference", parent)
        case "react":
            event_id = await relating.react(world, sender, room_id, parent)
            relation = ("m.annotation", parent)
        case _:
            event_id = await world.send(sender, room_id)
    model.events.append(Event(event_id, sender, world.clock.now_ms(), len(model.events), model.joined, relation))


async def check(world: World, model: Model, user_id: UserId) -> None:
    room_id = model.room_id
    by_id = {event.event_id: event for event in model.events}
    page = await world.messages(user_id, room_id, limit=1_000)
    shown = [event for event in page["chunk"] if event["event_id"] in by_id]
    assert [event["event_id"] for event in reversed(shown)] == [
        event.event_id for event in model.events if model.sees(user_id, event) and event.sender not in model.ignored_by(user_id)
    ]
    for event in shown:
        told = simplified(event["unsigned"].get("m.relations", {}))
        assert told == model.bundle(user_id, by_id[event["event_id"]])
    parent = model.events[0].event_id
    if model.sees(user_id, model.events[0]):
        for rel_type in ("m.replace", "m.thread", "m.reference", "m.annotation"):
            body = await relating.children(world, user_id, room_id, parent, rel_type, dir="f", limit=500)
            assert relating.ids(body) == [each.event_id for each in model.children(user_id, parent, rel_type)]
    found: list[str] = []
    token: str | None = None
    while True:
        body = await relating.threads(world, user_id, room_id, limit=2, **{"from": token})
        found += relating.ids(body)
        token = body.get("next_batch")
        if token is None:
            break
    assert found == model.threads(user_id)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    visibility=st.sampled_from(["shared", "joined", "invited"]),
    steps=st.lists(st.tuples(st.sampled_from(ACTIONS), st.sampled_from([ALICE, BOB, CAROL]), st.integers(0, 40)), max_size=40),
)
def test_the_server_tells_what_the_model_says(server: Server, visibility: str, steps: list[tuple[str, UserId, int]]) -> None:
    server.run(play(server.world, visibility, steps))


async def play(world: World, visibility: str, steps: list[tuple[str, UserId, int]]) -> None:
    history = {"type": "m.room.history_visibility", "state_key": "", "content": {"history_visibility": visibility}}
    room_id = await world.public_room(BOB, CAROL, initial_state=[history])
    await relating.ignore(world, BOB)
    model = Model(room_id, visibility)
    for sender in (ALICE, BOB):
        model.events.append(Event(await world.send(sender, room_id), sender, world.clock.now_ms(), len(model.events), True))
    for action, sender, choice in steps:
        await act(world, model, action, sender, choice)
    for user_id in (ALICE, BOB, CAROL):
        await check(world, model, user_id)
