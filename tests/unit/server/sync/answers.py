"""Taking sync responses apart, and the little that these tests do besides."""

from collections.abc import Mapping, Sequence
from typing import Any

from tests.unit.server.e2ee.world import device_keys
from tests.unit.server.rooms.world import ALICE, PHONE, World
from watchword.protocol.ids import DeviceId, RoomId, UserId

ENCRYPTED: dict[str, Any] = {"initial_state": [{"type": "m.room.encryption", "content": {"algorithm": "m.megolm.v1.aes-sha2"}}]}
LAZY = {"room": {"state": {"lazy_load_members": True}}}


def join(body: Mapping[str, Any], room_id: RoomId) -> Any:
    """The section of a joined room; None if there is none."""
    return body.get("rooms", {}).get("join", {}).get(room_id)


def section(body: Mapping[str, Any], name: str, room_id: RoomId) -> Any:
    return body.get("rooms", {}).get(name, {}).get(room_id)


def keys(events: Sequence[Mapping[str, Any]]) -> set[tuple[str, str]]:
    """The addresses of state events."""
    return {(event["type"], event["state_key"]) for event in events}


def members(events: Sequence[Mapping[str, Any]]) -> set[str]:
    """Whose member events are among events."""
    return {event["state_key"] for event in events if event["type"] == "m.room.member"}


async def token(world: World, user_id: UserId = ALICE, **query: Any) -> str:
    """Where the user is after a sync now."""
    return str((await world.sync(user_id, **query))["next_batch"])


async def log_in(world: World, user_id: UserId, device: DeviceId = PHONE) -> None:
    body = {
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": user_id},
        "password": "correct horse",
        "device_id": device,
    }
    await world.ask(user_id, "POST", "login", body)


async def upload_keys(world: World, user_id: UserId, device: DeviceId = PHONE, seed: int = 1) -> None:
    """Change the user's device list."""
    await world.ask(user_id, "POST", "keys/upload", {"device_keys": device_keys(user_id, device, seed)}, device=device)


async def tell_device(world: World, sender: UserId, receiver: UserId, number: int, device: str = PHONE) -> None:
    """Send one to-device message."""
    body = {"messages": {receiver: {device: {"n": number}}}}
    await world.ask(sender, "PUT", f"sendToDevice/m.test/{number}", body)


def told(body: Mapping[str, Any]) -> list[int]:
    """The numbers of the to-device messages in a response."""
    return [event["content"]["n"] for event in body.get("to_device", {}).get("events", [])]
