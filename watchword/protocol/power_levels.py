"""Power levels: who may do what in a room, parsed once per room state and then looked up in constant time.

Reads what the room version allows to be read and falls back to the defaults for the rest, so that parsing never fails.
Deliberately absent: whether a *change* of power levels is allowed (`auth_power_levels`).

Spec: client-server-api#mroompower_levels
"""

import math
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from watchword.protocol.events import Pdu
from watchword.protocol.ids import UserId
from watchword.protocol.room_versions import RoomVersion

CREATOR_LEVEL = 1 << 53
"""The level of a creator where creators stand above all: larger than every level that canonical JSON can carry."""

NAMED_LEVELS = ("users_default", "events_default", "state_default", "ban", "redact", "kick", "invite")

_INTEGER_TEXT = re.compile(r"\s*[+-]?[0-9]{1,4000}\s*")
_NO_LEVELS: Mapping[str, int] = {}


def read_level(value: object, version: RoomVersion) -> int | None:
    """A power level as this room version reads it, or None if it is not one.

    Version 10 and later take integers only; before, a string that holds an integer; before 6 also floats, truncated.
    Spec: rooms/v1#mroompower_levels-events-accept-values-as-strings, rooms/v1#mroompower_levels-events-accept-values-as-floats
    """
    if type(value) is int:
        return value
    if version.integer_power_levels:
        return None
    if isinstance(value, str):
        return int(value) if _INTEGER_TEXT.fullmatch(value) else None
    if version.float_power_levels and isinstance(value, float) and math.isfinite(value):
        return int(value)
    return None


def read_levels(value: object, version: RoomVersion) -> Mapping[str, int]:
    """The readable entries of an object of levels; {} if it is not an object."""
    if not isinstance(value, Mapping):
        return _NO_LEVELS
    return dict(_readable(value, version))


def _readable(entries: Mapping[str, Any], version: RoomVersion) -> Iterator[tuple[str, int]]:
    for key, value in entries.items():
        level = read_level(value, version)
        if level is not None:
            yield key, level


def creators_of(create: Pdu, version: RoomVersion) -> tuple[UserId, ...]:
    """Who made the room: one user, and in version 12 also the additional creators. Empty if the event names nobody.

    Spec: rooms/v12#authorization-rules, rooms/v11#remove-the-creator-property-of-mroomcreate-events
    """
    if version.creator_in_content:
        creator = create.content.get("creator")
        return (UserId(creator),) if isinstance(creator, str) else ()
    if not version.privileged_creators:
        return (create.sender,)
    additional = create.content.get("additional_creators")
    listed = additional if isinstance(additional, list | tuple) else ()
    return (create.sender, *(UserId(user) for user in listed if isinstance(user, str)))


@dataclass(frozen=True, slots=True)
class PowerLevels:
    """The power levels of one room state. Levels are plain integers; creators of version 12 have CREATOR_LEVEL.

    users: level per user, creators included where they stand above all. events: level to send, per type.
    notifications: level to cause a notification, per key.
    """

    users: Mapping[str, int]
    events: Mapping[str, int]
    notifications: Mapping[str, int]
    users_default: int
    events_default: int
    state_default: int
    ban: int
    kick: int
    redact: int
    invite: int

    @classmethod
    def from_content(cls, content: Mapping[str, Any], version: RoomVersion, creators: Collection[UserId] = ()) -> "PowerLevels":
        """The levels that an m.room.power_levels event sets.

        creators: `creators_of` the room's create event; it matters only where creators stand above all (version 12).
        """

        def level(key: str, default: int) -> int:
            value = content.get(key)
            read = None if value is None else read_level(value, version)
            return default if read is None else read

        users = read_levels(content.get("users"), version)
        if version.privileged_creators:
            users = {**users, **dict.fromkeys(creators, CREATOR_LEVEL)}
        return cls(
            users=users,
            events=read_levels(content.get("events"), version),
            notifications=read_levels(content.get("notifications"), version),
            users_default=level("users_default", 0),
            events_default=level("events_default", 0),
            state_default=level("state_default", 50),
            ban=level("ban", 50),
            kick=level("kick", 50),
            redact=level("redact", 50),
            invite=level("invite", 0),
        )

    @classmethod
    def absent(cls, creators: Collection[UserId], version: RoomVersion) -> "PowerLevels":
        """The levels of a room without m.room.power_levels: the creator has 100, or stands above all."""
        top = CREATOR_LEVEL if version.privileged_creators else 100
        return cls(dict.fromkeys(creators, top), _NO_LEVELS, _NO_LEVELS, 0, 0, 50, 50, 50, 50, 0)

    def user_level(self, user_id: str) -> int:
        """The level of a user, whether or not in the room."""
        return self.users.get(user_id, self.users_default)

    def required_to_send(self, event_type: str, is_state: bool) -> int:
        """The level needed to send an event of this type."""
        level = self.events.get(event_type)
        if level is not None:
            return level
        return self.state_default if is_state else self.events_default

    def notification_level(self, key: str) -> int:
        """The level needed to notify in the way that `key` names, such as `room`. 50 if unset."""
        return self.notifications.get(key, 50)
