"""What another server proposes as our member event, and the event that we make instead; pure.

A template is never signed as it is. We take from it only what we cannot know, the place in the room's graph and who vouches
for a restricted join, and write everything else ourselves.

Spec: server-server-api#joining-rooms
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from watchword.base import limits
from watchword.base.errors import RemoteProtocolError
from watchword.protocol import event_types, unpadded_base64
from watchword.protocol.event_building import EventDraft
from watchword.protocol.ids import EventId, UserId, parse_event_id, parse_user_id
from watchword.protocol.room_versions import RoomVersion
from watchword.protocol.signatures import signatures_of
from watchword.server.rooms.commands import ChangeMembership


@dataclass(frozen=True, slots=True)
class Place:
    """Where a template puts our event. authoriser: who vouches for a restricted join."""

    prev_events: Sequence[EventId]
    auth_events: Sequence[EventId]
    depth: int
    reference_hashes: Mapping[EventId, bytes]
    authoriser: UserId | None


def read_template(event: Mapping[str, Any], command: ChangeMembership, version: RoomVersion) -> Place:
    """Check that a template is of what we asked for, and take its place. Raises RemoteProtocolError."""
    content = event.get("content")
    if not isinstance(content, dict) or content.get("membership") != command.membership:
        raise RemoteProtocolError("The template is of another membership.")
    expected = (event_types.MEMBER, command.sender, command.target, command.room_id)
    if (event.get("type"), event.get("sender"), event.get("state_key"), event.get("room_id")) != expected:
        raise RemoteProtocolError("The template is of another event than the one asked for.")
    hashes: dict[EventId, bytes] = {}
    prev_events = _references(event.get("prev_events"), limits.prev_events_max, version, hashes)
    auth_events = _references(event.get("auth_events"), limits.auth_events_max, version, hashes)
    depth = event.get("depth")
    if type(depth) is not int or not 0 <= depth <= limits.depth_max or not prev_events:
        raise RemoteProtocolError("The template has no place in the room.")
    authoriser = content.get("join_authorised_via_users_server")
    if not version.restricted_joins or command.membership != "join" or authoriser is None:
        return Place(prev_events, auth_events, depth, hashes, None)
    if not isinstance(authoriser, str):
        raise RemoteProtocolError("The template names nobody who could vouch for the join.")
    return Place(prev_events, auth_events, depth, hashes, parse_user_id(authoriser))


def _references(value: object, most: int, version: RoomVersion, hashes: dict[EventId, bytes]) -> list[EventId]:
    if not isinstance(value, list) or len(value) > most:
        raise RemoteProtocolError("The template does not cite events as it must.")
    found = []
    for reference in value:
        match reference:
            case str(text) if not version.event_ids_in_events:
                found.append(parse_event_id(text))
            case [str(text), dict(named)] if version.event_ids_in_events:
                # Nobody checks these hashes, and servers of today leave them out.
                event_id = parse_event_id(text)
                digest = named.get("sha256")
                hashes[event_id] = unpadded_base64.decode(digest) if isinstance(digest, str) else b""
                found.append(event_id)
            case _:
                raise RemoteProtocolError("The template does not cite events as it must.")
    return found


def draft_at(place: Place, command: ChangeMembership, event_id: EventId | None, now_ms: int) -> EventDraft:
    """The event that was asked for, at a template's place. event_id: in versions 1 and 2."""
    content = {**command.content, "membership": command.membership}
    content.pop("join_authorised_via_users_server", None)
    if place.authoriser is not None:
        content["join_authorised_via_users_server"] = place.authoriser
    return EventDraft(
        event_types.MEMBER,
        command.sender,
        command.room_id,
        content,
        now_ms,
        place.depth,
        place.prev_events,
        place.auth_events,
        command.target,
        None,
        event_id,
        place.reference_hashes,
    )


def with_signatures_of(event: Mapping[str, Any], other: Mapping[str, Any], server_name: str) -> dict[str, Any]:
    """Our event with the signatures that a server put on its copy; nothing else of the copy is taken."""
    added = signatures_of(other, server_name)
    own = event["signatures"]
    return {**event, "signatures": {**own, server_name: {**added, **own.get(server_name, {})}}} if added else dict(event)
