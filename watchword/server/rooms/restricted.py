"""Restricted joins: whether a user meets the conditions, and who here may vouch for him.

An unknown type of condition is passed over. Conditions count only at the join, never later.
Spec: client-server-api#restricted-rooms
"""

from collections.abc import Mapping
from enum import Enum

from watchword.protocol import event_types
from watchword.protocol.ids import RoomId, UserId
from watchword.server.rooms.registry import RoomRegistry
from watchword.server.rooms.room import Room

_CONDITIONS_MAX = 100


class Verdict(Enum):
    """MET, FAILED, or UNKNOWN: it depends on rooms that this server is not in."""

    MET = "met"
    FAILED = "failed"
    UNKNOWN = "unknown"


def needs_authoriser(room: Room, user_id: UserId) -> bool:
    """Whether somebody must vouch for the user's join."""
    return room.members.membership.get(user_id) not in ("join", "invite") and room.auth_state().allows_restricted_joins


def condition_rooms(content: Mapping[str, object]) -> list[RoomId]:
    """The rooms of which membership in one lets a user join, from the content of m.room.join_rules."""
    allow = content.get("allow")
    rooms = []
    for condition in allow[:_CONDITIONS_MAX] if isinstance(allow, list) else []:
        if isinstance(condition, dict) and condition.get("type") == "m.room_membership":
            room_id = condition.get("room_id")
            if isinstance(room_id, str):
                rooms.append(RoomId(room_id))
    return rooms


async def judge(room: Room, user_id: UserId, registry: RoomRegistry) -> Verdict:
    """Whether a user meets the conditions of a restricted room."""
    verdict = Verdict.FAILED
    for room_id in condition_rooms(room.content(event_types.JOIN_RULES)):
        other = await registry.find(room_id)
        if other is None or not other.is_alive:
            verdict = Verdict.UNKNOWN
        elif other.members.membership.get(user_id) == "join":
            return Verdict.MET
    return verdict


def authoriser_here(room: Room) -> UserId | None:
    """A user of this server who is in the room and may invite; None if nobody is."""
    levels = room.levels()
    return next((user for user in sorted(room.members.joined_local) if levels.user_level(user) >= levels.invite), None)
