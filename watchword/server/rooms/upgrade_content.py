"""What the events of an upgrade say, pure: the new room's beginning, and how the old room is closed.

Deliberately absent: whether somebody may upgrade, and sending anything (`upgrade`).

Spec: client-server-api#room-upgrades
"""

from collections.abc import Collection, Mapping
from typing import Any

from watchword.protocol import event_types
from watchword.protocol.ids import EventId, RoomId, UserId
from watchword.protocol.power_levels import NAMED_LEVELS, read_level, read_levels
from watchword.protocol.room_versions import RoomVersion

COPIED_TYPES = (
    event_types.JOIN_RULES,
    event_types.HISTORY_VISIBILITY,
    event_types.GUEST_ACCESS,
    event_types.ENCRYPTION,
    event_types.NAME,
    event_types.TOPIC,
    event_types.AVATAR,
    event_types.SERVER_ACL,
    "m.room.retention",
    "m.room.policy",
    "org.matrix.msc4284.policy",
)
"""State with an empty state key that the new room takes over. Power levels, aliases, bans and spaces are dealt with apart."""

SPACE = "m.space"
_TOP_LEVEL = (1 << 53) - 1
_TOMBSTONE_LEVEL = 150
_CLOSED_LEVEL = 50


def create_content(
    old: Mapping[str, Any],
    version: RoomVersion,
    predecessor: tuple[RoomId, EventId | None],
    creator: UserId,
    additional_creators: Collection[UserId] = (),
) -> dict[str, Any]:
    """The content of the new room's create event. old: the old room's. predecessor: the old room and its last event.

    The type of room is copied; so is whether other servers may take part.
    """
    content: dict[str, Any] = {key: old[key] for key in ("type", "m.federate") if key in old}
    content["room_version"] = version.identifier
    content["predecessor"] = {"room_id": predecessor[0]}
    if predecessor[1] is not None:
        content["predecessor"]["event_id"] = predecessor[1]
    if version.creator_in_content:
        content["creator"] = creator
    others = [user for user in dict.fromkeys(additional_creators) if user != creator]
    if version.privileged_creators and others:
        content["additional_creators"] = others
    return content


def power_levels(
    old: Mapping[str, Any] | None,
    versions: tuple[RoomVersion, RoomVersion],
    old_creators: Collection[UserId],
    new_creators: Collection[UserId],
) -> dict[str, Any]:
    """The new room's power levels: the old ones, as far as both versions can read them.

    old: None if the old room has none. versions: of the old room and of the new one. Where creators stand above all they may
    not be listed; where they do not any more, those of the old room get the highest level that there is.
    """
    before, after = versions
    content = _levels_of(old or {}, before)
    users: dict[str, int] = content["users"]
    if after.privileged_creators:
        for creator in new_creators:
            users.pop(creator, None)
        events: dict[str, int] = content["events"]
        above_state = content.get("state_default", 50) + 1
        events[event_types.TOMBSTONE] = max(events.get(event_types.TOMBSTONE, 0), _TOMBSTONE_LEVEL, above_state)
    elif before.privileged_creators or old is None:
        top = max([100, *users.values()])
        users.update(dict.fromkeys(old_creators, top))
    return content


def _levels_of(old: Mapping[str, Any], version: RoomVersion) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for name in NAMED_LEVELS:
        level = None if old.get(name) is None else read_level(old[name], version)
        if level is not None:
            content[name] = _bounded(level)
    for name in ("users", "events", "notifications"):
        content[name] = {key: _bounded(level) for key, level in read_levels(old.get(name), version).items()}
    if not content["notifications"]:
        del content["notifications"]
    return content


def _bounded(level: int) -> int:
    """Later versions take no larger integers than canonical JSON has."""
    return max(-_TOP_LEVEL, min(level, _TOP_LEVEL))


def join_rules(old: Mapping[str, Any], version: RoomVersion) -> dict[str, Any]:
    """The join rules, or `invite` if the new version does not know the old rule: never more open than before."""
    rule = old.get("join_rule")
    is_known = {
        "knock": version.knocking,
        "restricted": version.restricted_joins,
        "knock_restricted": version.knock_restricted_joins,
    }
    if not isinstance(rule, str) or not is_known.get(rule, True):
        return {"join_rule": "invite"}
    return dict(old)


def closed_levels(old: Mapping[str, Any], version: RoomVersion) -> dict[str, Any] | None:
    """The old room's power levels with sending and inviting restricted; None if they are already.

    "to the greater of 50 and users_default + 1"
    """
    users_default = read_level(old.get("users_default", 0), version) or 0
    level = max(_CLOSED_LEVEL, users_default + 1)
    raised = {name: level for name in ("events_default", "invite") if (read_level(old.get(name, 0), version) or 0) < level}
    return {**old, **raised} if raised else None


def split_aliases(content: Mapping[str, Any], moved: Collection[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What m.room.canonical_alias says in the new room and in the old one, once these aliases have moved."""
    alias = content.get("alias")
    listed = content.get("alt_aliases")
    others = [each for each in listed if isinstance(each, str)] if isinstance(listed, list | tuple) else []
    there = _naming(alias if alias in moved else None, [each for each in others if each in moved])
    here = _naming(alias if alias not in moved else None, [each for each in others if each not in moved])
    return there, here


def _naming(alias: object, others: list[str]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    if isinstance(alias, str) and alias:
        content["alias"] = alias
    if others:
        content["alt_aliases"] = others
    return content


def moved_link(old: Mapping[str, Any], server_name: str) -> dict[str, Any] | None:
    """The m.space.child or m.space.parent for the new room in a room that names the old one; None if that is no link.

    Of the servers that were named none need be in the new room yet: this one is.
    """
    via = old.get("via")
    if not isinstance(via, list | tuple) or not via:
        return None
    return {**old, "via": [server_name]}
