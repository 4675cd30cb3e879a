"""Whether a room may be shown to somebody who looks through a space, and what other servers' words about rooms are worth. Pure.

Spec: client-server-api#get_matrixclientv1roomsroomidhierarchy, server-server-api#get_matrixfederationv1hierarchyroomid
"""

from collections.abc import Mapping, Sequence
from typing import Any

from watchword.base import limits
from watchword.base.errors import RemoteProtocolError
from watchword.protocol import event_types
from watchword.protocol.ids import RoomId, ServerName, parse_room_id, parse_server_name
from watchword.protocol.room_summary import checked_summary
from watchword.protocol.room_versions import ROOM_VERSIONS
from watchword.protocol.space_order import child_order, is_child
from watchword.protocol.stripped_state import strip
from watchword.server.spaces.commands import Child, Described, Looker

_RESTRICTED = ("restricted", "knock_restricted")
_KNOCKABLE = ("knock", "knock_restricted")
_INSIDE = ("join", "invite")


def may_see(entry: Mapping[str, Any], looker: Looker) -> bool:
    """Whether a room is shown: to those inside, and to whoever may join, knock or read it."""
    if looker.membership in _INSIDE or entry.get("world_readable") is True:
        return True
    if looker.membership == "ban":
        return False
    rule = entry.get("join_rule", "public")
    if rule == "public" or (rule in _KNOCKABLE and _allows(entry, rule)):
        return True
    return rule in _RESTRICTED and _allows(entry, rule) and looker.meets_condition


def is_open_to_all(entry: Mapping[str, Any]) -> bool:
    """Whether a room is shown to who does not even say who he is."""
    return may_see(entry, Looker())


def _allows(entry: Mapping[str, Any], rule: str) -> bool:
    """Whether the room's version knows a join rule; one that is not named is believed."""
    identifier = entry.get("room_version")
    if not isinstance(identifier, str):
        return True
    version = ROOM_VERSIONS.get(identifier)
    if version is None:
        return True
    known = {"knock": version.knocking, "restricted": version.restricted_joins}
    return known.get(rule, version.knock_restricted_joins)


# Children


def child_of(event: Mapping[str, Any]) -> Child | None:
    """A child from an m.space.child event with its time; None if it names none.

    Spec: client-server-api#mspacechild
    """
    try:
        stripped = strip(event)
        room_id = parse_room_id(stripped["state_key"])
    except RemoteProtocolError:
        return None
    content, ts = stripped["content"], event.get("origin_server_ts")
    if stripped["type"] != event_types.SPACE_CHILD or not is_child(content) or not isinstance(ts, int):
        return None
    via = servers_in(content["via"])
    suggested = content.get("suggested") is True
    return Child(room_id, via, suggested, child_order(content, ts, room_id), {**stripped, "origin_server_ts": ts})


def children_of(events: Sequence[object], *, suggested_only: bool = False) -> list[Child]:
    """The children of a space, in order, each once."""
    found: dict[RoomId, Child] = {}
    for event in events:
        child = child_of(event) if isinstance(event, Mapping) else None
        if child is not None and (child.suggested or not suggested_only):
            found[child.room_id] = child
    return sorted(found.values(), key=_by_order)[: limits.space_children_max]


def _by_order(child: Child) -> tuple[Any, ...]:
    return child.order


def servers_in(listed: object) -> list[ServerName]:
    """The server names in a list that anybody may have written."""
    names = []
    for name in listed[: limits.space_vias_max] if isinstance(listed, list) else ():
        try:
            names.append(parse_server_name(name))
        except (RemoteProtocolError, TypeError):
            continue
    return names


# What other servers say


def described_by_peer(answer: Mapping[str, Any], room_id: RoomId) -> Described | None:
    """The answer of another server to a question about a room, as far as it can be believed; None if it is about another."""
    room = answer.get("room")
    entry = checked_summary(room)
    if entry is None or entry["room_id"] != room_id or not isinstance(room, Mapping):
        return None
    events = room.get("children_state")
    children = children_of(events if isinstance(events, list) else ())
    named = {child.room_id for child in children}
    relatives: dict[RoomId, Described | None] = {}
    inaccessible, listed = answer.get("inaccessible_children"), answer.get("children")
    for name in inaccessible[: limits.space_children_max] if isinstance(inaccessible, list) else ():
        if name in named:
            relatives[name] = None
    for child in listed[: limits.space_children_max] if isinstance(listed, list) else ():
        found = checked_summary(child)
        # Only of rooms that the space names.
        if found is not None and found["room_id"] in named:
            relatives[found["room_id"]] = Described(found)
    return Described(entry, children, relatives)
