"""The envelopes of other servers' answers, pure: shape checked, events inside untouched. Raises PeerError for any other."""

from collections.abc import Mapping
from typing import Any

from watchword.base import limits
from watchword.base.errors import PeerError, RemoteProtocolError
from watchword.protocol.ids import EventId, RoomId, ServerName, parse_event_id, parse_room_id
from watchword.server.federation.discovery_rules import parse_address
from watchword.server.rooms.ports import SendJoinAnswer, Template

_EVENTS_MAX = 1_000_000
_SERVERS_MAX = 100_000


def object_of(server: ServerName, answer: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A required object."""
    value = answer.get(name)
    if not isinstance(value, dict):
        raise PeerError(server, f"its answer has no object {name}")
    return value


def objects(server: ServerName, answer: Mapping[str, Any], name: str, most: int = _EVENTS_MAX) -> list[dict[str, Any]]:
    """A required list of objects; what is above `most`, or no object, is left out: it harms nothing else."""
    value = answer.get(name)
    if not isinstance(value, list):
        raise PeerError(server, f"its answer has no list {name}")
    return [each for each in value[:most] if isinstance(each, dict)]


def event_ids(server: ServerName, answer: Mapping[str, Any], name: str) -> list[EventId]:
    """A required list of event IDs; what is none is left out."""
    value = answer.get(name)
    if not isinstance(value, list):
        raise PeerError(server, f"its answer has no list {name}")
    return [
        EventId(each)
        for each in value[:_EVENTS_MAX]
        if isinstance(each, str) and each.startswith("$") and len(each) <= limits.identifier_bytes_max
    ]


def server_names(value: object) -> list[ServerName]:
    """The server names in a list; anything else is left out."""
    found = value[:_SERVERS_MAX] if isinstance(value, list) else []
    return [ServerName(each) for each in found if isinstance(each, str) and parse_address(each) is not None]


def template(server: ServerName, answer: Mapping[str, Any]) -> Template:
    """The answer of make_join, make_leave and make_knock."""
    version = answer.get("room_version", "1")
    if not isinstance(version, str):
        raise PeerError(server, "its answer has a room version that is no string")
    return Template(object_of(server, answer, "event"), version)


def send_join(server: ServerName, answer: Mapping[str, Any]) -> SendJoinAnswer:
    """The answer of send_join."""
    event = answer.get("event")
    servers = answer.get("servers_in_room")
    return SendJoinAnswer(
        event=event if isinstance(event, dict) else None,
        state=objects(server, answer, "state"),
        auth_chain=objects(server, answer, "auth_chain"),
        servers_in_room=None if servers is None else server_names(servers),
        members_omitted=answer.get("members_omitted") is True,
    )


def invite_v1(server: ServerName, answer: object) -> dict[str, Any]:
    """The answer of the first form of invite: [200, {"event": …}]."""
    if isinstance(answer, list) and len(answer) == 2 and isinstance(answer[1], dict):
        return object_of(server, answer[1], "event")
    raise PeerError(server, "its answer is not the pair that this form has")


def directory(server: ServerName, answer: Mapping[str, Any]) -> tuple[RoomId, list[ServerName]]:
    """The answer of query/directory."""
    room_id = answer.get("room_id")
    try:
        if isinstance(room_id, str):
            return parse_room_id(room_id), server_names(answer.get("servers"))
    except RemoteProtocolError as error:
        raise PeerError(server, "its answer names no room") from error
    raise PeerError(server, "its answer names no room")


def dated_event(server: ServerName, answer: Mapping[str, Any]) -> tuple[EventId, int]:
    """The answer of timestamp_to_event."""
    event_id, ts = answer.get("event_id"), answer.get("origin_server_ts")
    if isinstance(event_id, str) and isinstance(ts, int) and not isinstance(ts, bool):
        try:
            return parse_event_id(event_id), ts
        except RemoteProtocolError as error:
            raise PeerError(server, "its answer names no event") from error
    raise PeerError(server, "its answer names no event")
