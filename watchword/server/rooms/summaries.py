"""A room as strangers are told of it: in the directory, in spaces, as a summary. Whether they may be told is asked elsewhere.

Spec: client-server-api#get_matrixclientv3publicrooms, client-server-api#get_matrixclientv1room_summaryroomidoralias
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from watchword.protocol import event_types
from watchword.protocol.events import Pdu
from watchword.protocol.ids import RoomId
from watchword.protocol.room_topic import plain_topic
from watchword.server.rooms.reader import RoomReader
from watchword.server.rooms.restricted import condition_rooms
from watchword.server.rooms.room import Room

_DESCRIBING = (
    event_types.NAME,
    event_types.TOPIC,
    event_types.AVATAR,
    event_types.CANONICAL_ALIAS,
    event_types.GUEST_ACCESS,
    event_types.ENCRYPTION,
)
_RESTRICTED = ("restricted", "knock_restricted")


@dataclass(frozen=True)
class RoomSummaries:
    """Describes rooms that this server is in."""

    reader: RoomReader

    async def published(self, room: Room) -> dict[str, Any]:
        """A PublishedRoomsChunk."""
        return _published(room, await self._state(room))

    async def summary(self, room: Room) -> dict[str, Any]:
        """The same, with version, encryption, and the rooms whose members may join."""
        state = await self._state(room)
        entry = _published(room, state)
        entry["room_version"] = room.version.identifier
        encryption = state.get(event_types.ENCRYPTION, {}).get("algorithm")
        if isinstance(encryption, str):
            entry["encryption"] = encryption
        if room.join_rule in _RESTRICTED:
            entry["allowed_room_ids"] = allowed_rooms(room)
        return entry

    async def children(self, room: Room) -> list[Pdu]:
        """The m.space.child events of a space; none of a room that is no space."""
        if room_type(room) != "m.space":
            return []
        ids = [event_id for (kind, _), event_id in room.state.items() if kind == event_types.SPACE_CHILD]
        return [event.pdu for event in (await self.reader.found(ids)).values()]

    async def _state(self, room: Room) -> dict[str, Mapping[str, Any]]:
        ids = {kind: room.state[(kind, "")] for kind in _DESCRIBING if (kind, "") in room.state}
        found = await self.reader.found(ids.values())
        return {kind: found[event_id].pdu.content for kind, event_id in ids.items() if event_id in found}


def allowed_rooms(room: Room) -> list[RoomId]:
    """The rooms whose members may join a restricted room."""
    return condition_rooms(room.content(event_types.JOIN_RULES)) if room.join_rule in _RESTRICTED else []


def room_type(room: Room) -> str | None:
    """What kind of room it says it is. Spec: client-server-api#types"""
    kind = room.content(event_types.CREATE).get("type")
    return kind if isinstance(kind, str) else None


def _published(room: Room, state: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "room_id": room.room_id,
        "num_joined_members": len(room.members.joined),
        "world_readable": room.history_visibility == "world_readable",
        "guest_can_join": state.get(event_types.GUEST_ACCESS, {}).get("guest_access") == "can_join",
        "join_rule": room.join_rule,
    }
    texts = {
        "name": state.get(event_types.NAME, {}).get("name"),
        "topic": plain_topic(state.get(event_types.TOPIC, {})),
        "avatar_url": state.get(event_types.AVATAR, {}).get("url"),
        "canonical_alias": state.get(event_types.CANONICAL_ALIAS, {}).get("alias"),
        "room_type": room_type(room),
    }
    return entry | {key: text for key, text in texts.items() if isinstance(text, str) and text}
