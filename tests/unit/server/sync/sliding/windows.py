"""A server with sliding sync, and a client that asks it in either form and checks the shape of every answer."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import jsonschema

from tests.unit.server.rooms.world import ALICE, PHONE, SCHEMAS, World
from watchword.protocol.ids import DeviceId, RoomId, UserId
from watchword.server.sync import sliding as sliding_feature
from watchword.server.sync.sliding import endpoints as sliding_doors
from watchword.server.sync.sliding.assembly import SlidingPorts, assemble_sliding
from watchword.storage import migrate

IN_USE = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync"
ACCEPTED = "/_matrix/client/v4/sync"

_INDEX = {"type": "integer", "minimum": 0}
_EVENT = {
    "type": "object",
    "required": ["type", "sender", "event_id", "origin_server_ts", "content"],
    "properties": {"room_id": False},
}
_STUB = {
    "type": "object",
    "required": ["type", "state_key"],
    "additionalProperties": False,
    "properties": {"type": {"type": "string"}, "state_key": {"type": "string"}},
}
_STRIPPED = {
    "type": "object",
    "required": ["type", "state_key", "sender", "content"],
    "additionalProperties": False,
    "properties": {"type": {}, "state_key": {}, "sender": {}, "content": {}},
}
_HERO = {
    "type": "object",
    "required": ["user_id"],
    "additionalProperties": False,
    "properties": {"user_id": {"type": "string"}, "displayname": {"type": "string"}, "avatar_url": {"type": "string"}},
}
_NULLABLE = {"type": ["string", "null"]}


def _room(more: Mapping[str, Any], state: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "bump_stamp": _INDEX,
            "initial": {"const": True},
            "name": _NULLABLE,
            "avatar": _NULLABLE,
            "heroes": {"type": "array", "items": _HERO},
            "is_dm": {"type": "boolean"},
            "required_state": {"type": "array", "items": state},
            "timeline": {"type": "array", "items": _EVENT},
            "prev_batch": {"type": "string"},
            "limited": {"type": "boolean"},
            "num_live": _INDEX,
            "joined_count": _INDEX,
            "invited_count": _INDEX,
            **more,
        },
    }


_ROOM_IN_USE = _room(
    {
        "unstable_expanded_timeline": {"const": True},
        "invite_state": {"type": "array", "items": _STRIPPED},
        "notification_count": _INDEX,
        "highlight_count": _INDEX,
    },
    _EVENT,
)
_ROOM_ACCEPTED = _room(
    {
        "expanded_timeline": {"const": True},
        "stripped_state": {"type": "array", "items": _STRIPPED},
        "membership": {"enum": ["join", "invite", "knock", "leave", "ban"]},
        "lists": {"type": "array", "items": {"type": "string"}, "minItems": 1},
    },
    {"anyOf": [_EVENT, _STUB]},
)
_EDU = {
    "type": "object",
    "required": ["type", "content"],
    "additionalProperties": False,
    "properties": {"type": {}, "content": {}},
}
_STICKY = {
    "type": "object",
    "required": ["next_batch"],
    "additionalProperties": False,
    "properties": {
        "next_batch": {"type": "string"},
        "rooms": {
            "additionalProperties": {
                "type": "object",
                "required": ["events"],
                "properties": {"events": {"type": "array", "minItems": 1, "items": _EVENT}},
            }
        },
    },
}
_EXTENSIONS = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "to_device": {
            "type": "object",
            "required": ["next_batch", "events"],
            "additionalProperties": False,
            "properties": {"next_batch": {"type": "string"}, "events": {"type": "array"}},
        },
        "e2ee": {
            "type": "object",
            "required": ["device_one_time_keys_count", "device_unused_fallback_key_types"],
            "additionalProperties": False,
            "properties": {
                "device_lists": {"type": "object", "required": ["changed", "left"]},
                "device_one_time_keys_count": {"type": "object"},
                "device_unused_fallback_key_types": {"type": "array"},
            },
        },
        "account_data": {
            "type": "object",
            "required": ["global", "rooms"],
            "additionalProperties": False,
            "properties": {
                "global": {"type": "array", "items": _EDU},
                "rooms": {"type": "object", "additionalProperties": {"type": "array", "items": _EDU}},
            },
        },
        "receipts": {"type": "object", "required": ["rooms"], "properties": {"rooms": {"additionalProperties": _EDU}}},
        "typing": {"type": "object", "required": ["rooms"], "properties": {"rooms": {"additionalProperties": _EDU}}},
        "io.element.msc4308.thread_subscriptions": {"type": "object"},
        "thread_subscriptions": {"type": "object"},
        "sticky_events": _STICKY,
        "org.matrix.msc4354.sticky_events": _STICKY,
    },
}


def _response(room: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["pos", "lists", "rooms", "extensions"],
        "additionalProperties": False,
        "properties": {
            "pos": {"type": "string"},
            "lists": {
                "type": "object",
                "additionalProperties": {
                    "type": "object",
                    "required": ["count"],
                    "additionalProperties": False,
                    "properties": {"count": _INDEX},
                },
            },
            "rooms": {"type": "object", "additionalProperties": room},
            "extensions": _EXTENSIONS,
        },
    }


_SHAPES = {
    IN_USE: jsonschema.Draft202012Validator(_response(_ROOM_IN_USE)),
    ACCEPTED: jsonschema.Draft202012Validator(_response(_ROOM_ACCEPTED)),
}


class SlidingWorld(World):
    """The world of rooms with sliding sync beside it."""

    def __init__(self, folder: Path, **options: Any) -> None:
        super().__init__(folder, **options)
        self.sliding = assemble_sliding(
            SlidingPorts(
                database=self.database,
                log=self.log,
                rooms=self.reader,
                ephemeral=self.ephemeral,
                accounts=self.accounts.reader,
                e2ee=self.e2ee_reader,
                presence=self.accounts.presence,
                unread=self.nobody,
                push_rules=self.nobody,
                waiting=self.waiting,
                stopping=self.stopping,
                clock=self.clock,
                entropy=self.entropy,
            )
        )
        for endpoint in sliding_doors.ENDPOINTS:
            self._table.add(endpoint.method, endpoint.path, (endpoint, self.sliding))

    async def start(self) -> "SlidingWorld":
        await migrate(self.database, (*SCHEMAS, sliding_feature.SCHEMA))
        await super().start()
        return self


@asynccontextmanager
async def open_sliding(folder: Path, **options: Any) -> AsyncIterator[SlidingWorld]:
    world = await SlidingWorld(folder, **options).start()
    try:
        yield world
    finally:
        await world.close()


class Client:
    """A client with one connection: keeps `pos`, and what it asks for until it asks otherwise."""

    def __init__(
        self, world: SlidingWorld, user_id: UserId = ALICE, *, form: str = IN_USE, device: DeviceId = PHONE, **body: Any
    ) -> None:
        self.world, self.user_id, self.form, self.device = world, user_id, form, device
        self.body: dict[str, Any] = body
        self.pos: str | None = None

    async def ask(self, *, pos: str | None = None, timeout: int = 0, set_presence: str | None = None, **changes: Any) -> Any:
        """One request; the answer. What is changed stays changed."""
        self.body.update(changes)
        pos = pos or self.pos
        asked: dict[str, Any] = {"timeout": timeout or None, "pos": pos, "set_presence": set_presence}
        asked = {name: value for name, value in asked.items() if value is not None}
        body = {**self.body, **asked} if self.form == ACCEPTED else self.body
        query = {} if self.form == ACCEPTED else asked
        answer = await self.world.ask(self.user_id, "POST", self.form, body, device=self.device, **query)
        _SHAPES[self.form].validate(answer)
        self.pos = answer["pos"]
        return answer

    async def room(self, room_id: RoomId, **changes: Any) -> Any:
        """One request; what it says of a room, or None."""
        return (await self.ask(**changes))["rooms"].get(room_id)


def window(*ranges: tuple[int, int], limit: int = 10, state: Any = (), **more: Any) -> dict[str, Any]:
    """A list in the form in use."""
    return {
        "ranges": [list(one) for one in ranges] or [[0, 99]],
        "timeline_limit": limit,
        "required_state": list(state),
        **more,
    }


def accepted_window(first: int = 0, last: int = 99, *, limit: int = 10, **more: Any) -> dict[str, Any]:
    """A list in the accepted form."""
    state = more.pop("state", {})
    return {"range": [first, last], "timeline_limit": limit, "required_state": state, **more}


def subscription(*state: Any, limit: int = 10) -> dict[str, Any]:
    return {"timeline_limit": limit, "required_state": list(state)}


def addresses(room: Mapping[str, Any]) -> set[tuple[str, str]]:
    """The addresses of the required state that a room's result has."""
    return {(event["type"], event["state_key"]) for event in room.get("required_state", ())}
