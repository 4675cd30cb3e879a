"""Short ways to relate events to each other through the doors, and to look at what comes of it."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from tests.unit.server.rooms.world import World
from watchword.protocol.ids import EventId, RoomId, UserId
from watchword.server.rooms.commands import SendEvent

V1 = "/_matrix/client/v1/rooms"


def related(rel_type: str, event_id: str, **more: Any) -> dict[str, Any]:
    """The content key of a relation."""
    return {"m.relates_to": {"rel_type": rel_type, "event_id": event_id, **more}}


async def send(world: World, user_id: UserId, room_id: RoomId, kind: str, content: Mapping[str, Any]) -> EventId:
    return await world.writer.send(SendEvent(room_id, user_id, kind, content))


async def reply(world: World, user_id: UserId, room_id: RoomId, root_id: str, text: str = "in the thread") -> EventId:
    """Say something in a thread."""
    return await world.send(user_id, room_id, text, **related("m.thread", root_id))


async def edit(world: World, user_id: UserId, room_id: RoomId, event_id: str, text: str = "edited") -> EventId:
    new = {"m.new_content": {"msgtype": "m.text", "body": text}}
    return await world.send(user_id, room_id, f"* {text}", **new, **related("m.replace", event_id))


async def refer(world: World, user_id: UserId, room_id: RoomId, event_id: str) -> EventId:
    return await send(world, user_id, room_id, "org.example.vote", related("m.reference", event_id))


async def react(world: World, user_id: UserId, room_id: RoomId, event_id: str, key: str = "👍") -> EventId:
    return await send(world, user_id, room_id, "m.reaction", related("m.annotation", event_id, key=key))


async def redact(world: World, user_id: UserId, room_id: RoomId, event_id: str, **body: Any) -> EventId:
    txn_id = world.entropy.token(8)
    answer = await world.ask(user_id, "PUT", f"rooms/{room_id}/redact/{quote(event_id, safe='')}/{txn_id}", body)
    return EventId(answer["event_id"])


async def event(world: World, user_id: UserId, room_id: RoomId, event_id: str) -> Any:
    return await world.ask(user_id, "GET", f"rooms/{room_id}/event/{quote(event_id, safe='')}")


async def bundle(world: World, user_id: UserId, room_id: RoomId, event_id: str) -> dict[str, Any]:
    """`m.relations` as a reader gets it with the event; {} if there is none."""
    found: dict[str, Any] = (await event(world, user_id, room_id, event_id))["unsigned"].get("m.relations", {})
    return found


async def children(world: World, user_id: UserId, room_id: RoomId, event_id: str, *more: str, **query: Any) -> Any:
    """The body of /relations."""
    path = "/".join([V1, room_id, "relations", *(quote(part, safe="") for part in (event_id, *more))])
    return await world.ask(user_id, "GET", path, **query)


async def threads(world: World, user_id: UserId, room_id: RoomId, **query: Any) -> Any:
    return await world.ask(user_id, "GET", f"{V1}/{room_id}/threads", **query)


async def ignore(world: World, user_id: UserId, *ignored: UserId) -> None:
    path = f"user/{user_id}/account_data/m.ignored_user_list"
    await world.ask(user_id, "PUT", path, {"ignored_users": {other: {} for other in ignored}})


def ids(body: Mapping[str, Any]) -> list[str]:
    return [found["event_id"] for found in body["chunk"]]
