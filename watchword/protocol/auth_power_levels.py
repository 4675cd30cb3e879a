"""Authorisation rule of m.room.power_levels: what a change of levels may change.

Deliberately absent: whether the sender may send power levels at all (`auth_rules`).

Spec: rooms/v12#authorization-rules (rule 10), rooms/v1#authorization-rules (rule 10)
"""

from collections.abc import Mapping
from typing import Any

from watchword.base.errors import ProtocolError
from watchword.protocol.auth_state import AuthState
from watchword.protocol.events import Pdu
from watchword.protocol.ids import parse_user_id
from watchword.protocol.power_levels import NAMED_LEVELS, creators_of, read_level, read_levels
from watchword.protocol.room_versions import RoomVersion


def check_power_levels(pdu: Pdu, state: AuthState) -> str | None:
    """Why this change of power levels is not allowed in this room state, or None."""
    version, content = state.version, pdu.content
    reason = _check_form(content, version)
    if reason is not None:
        return reason
    users = read_levels(content.get("users"), version)
    if (
        version.privileged_creators
        and state.create is not None
        and not users.keys().isdisjoint(creators_of(state.create, version))
    ):
        return "A creator of the room is listed among the users."
    if state.power_levels_event is None:
        return None
    old_content = state.power_levels_event.content
    level = state.power_levels.user_level(pdu.sender)
    return (
        _check_entries(_named(old_content, version), _named(content, version), level)
        or _check_tables(old_content, content, version, level)
        or _check_users(read_levels(old_content.get("users"), version), users, level, pdu.sender)
    )


def is_user_id(text: str) -> bool:
    """Whether this is a user ID, historical forms included."""
    try:
        parse_user_id(text)
    except ProtocolError:
        return False
    return True


def _check_form(content: Mapping[str, Any], version: RoomVersion) -> str | None:
    """Every level must be readable, also in the old versions, where only that of `users` is spelled out: what cannot be
    read cannot be compared."""
    for name in NAMED_LEVELS:
        if name in content and read_level(content[name], version) is None:
            return f"{name} is not a power level."
    for name in _tables(version):
        if name in content and not _are_levels(content[name], version):
            return f"{name} is not an object of power levels."
    users = content.get("users", {})
    if not _are_levels(users, version):
        return "users is not an object of power levels."
    if not all(is_user_id(user_id) for user_id in users):
        return "users has a key that is not a user ID."
    return None


def _tables(version: RoomVersion) -> tuple[str, ...]:
    return ("events", "notifications") if version.notifications_in_power_levels else ("events",)


def _are_levels(value: object, version: RoomVersion) -> bool:
    return isinstance(value, Mapping) and all(read_level(entry, version) is not None for entry in value.values())


def _named(content: Mapping[str, Any], version: RoomVersion) -> Mapping[str, int]:
    return read_levels({name: content[name] for name in NAMED_LEVELS if name in content}, version)


def _check_tables(old_content: Mapping[str, Any], content: Mapping[str, Any], version: RoomVersion, level: int) -> str | None:
    for name in _tables(version):
        old, new = read_levels(old_content.get(name), version), read_levels(content.get(name), version)
        reason = _check_entries(old, new, level)
        if reason is not None:
            return reason
    return None


def _check_entries(old: Mapping[str, int], new: Mapping[str, int], level: int) -> str | None:
    """Entries added, changed or removed: neither what was nor what will be may stand above the sender."""
    for name in old.keys() | new.keys():
        before, after = old.get(name), new.get(name)
        if before == after:
            continue
        if before is not None and before > level:
            return "A level above the sender's own cannot be changed."
        if after is not None and after > level:
            return "A level cannot be raised above the sender's own."
    return None


def _check_users(old: Mapping[str, int], new: Mapping[str, int], level: int, sender: str) -> str | None:
    """As above, but of others only those strictly below the sender may be changed."""
    for user_id in old.keys() | new.keys():
        before, after = old.get(user_id), new.get(user_id)
        if before == after:
            continue
        if before is not None and before >= level and user_id != sender:
            return "The level of a user who is not below the sender cannot be changed."
        if after is not None and after > level:
            return "A user cannot be raised above the sender's own level."
    return None
