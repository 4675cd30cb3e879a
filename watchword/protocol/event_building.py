"""Building our own events: content hash, event ID and signature, each byte written as few times as possible.

This is the hot path of sending. Three encodings are needed (what the content hash covers, what the signature and the
event ID cover, what is stored) because each is another selection of keys.
Deliberately absent: choosing prev_events, auth_events, depth and timestamps, and authorisation.

Spec: server-server-api#adding-hashes-and-signatures-to-outgoing-events
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from watchword.base import limits
from watchword.base.errors import LocalProtocolError
from watchword.protocol import canonical_json, event_types, unpadded_base64
from watchword.protocol.events import EventTooLarge, Pdu, check_whole, event_id_from_hash, redacts_of
from watchword.protocol.ids import EventId, RoomId, ServerName, UserId, is_identifier_short, room_id_of_create
from watchword.protocol.redaction import redact
from watchword.protocol.room_versions import RoomVersion
from watchword.protocol.signatures import SigningKey
from watchword.protocol.sticky import Sticky


class EventDraft(msgspec.Struct, frozen=True, gc=False):
    """What an event says before it is hashed and signed.

    room_id: None only for the create event of room version 12.
    redacts: the target of a redaction; put where the room version wants it.
    event_id: only in room versions 1 and 2, where the sender names the event.
    reference_hashes: only in room versions 1 and 2, of every event in prev_events and auth_events; b"" if not known.
    sticky: None for all but those that are to be sticky.
    """

    type: str
    sender: UserId
    room_id: RoomId | None
    content: Mapping[str, Any]
    origin_server_ts: int
    depth: int
    prev_events: Sequence[EventId]
    auth_events: Sequence[EventId]
    state_key: str | None = None
    redacts: EventId | None = None
    event_id: EventId | None = None
    reference_hashes: Mapping[EventId, bytes] = {}
    sticky: Sticky | None = None


class BuiltEvent(NamedTuple):
    """An event of ours: parsed, and as the canonical JSON that is stored and sent (hashed, signed, no `unsigned`)."""

    pdu: Pdu
    encoded: bytes


def build_event(draft: EventDraft, version: RoomVersion, server_name: ServerName, key: SigningKey) -> BuiltEvent:
    """Hash, name and sign an event.

    Raises EventTooLarge, RemoteProtocolError (content that has no canonical JSON in this room version, as a client may
    send it) or LocalProtocolError (fields that only we can get wrong).
    """
    strict = version.strict_canonical_json
    _check_names(draft)
    _check_form(draft, version)
    canonical_json.encode(draft.content, strict)  # the rest is ours, so that this alone must be checked
    json = _fields(draft, version)
    hashed = _encode(json, strict)
    json["hashes"] = {"sha256": unpadded_base64.encode(hashlib.sha256(hashed).digest())}
    signed = _encode(redact(json, version), strict)
    json["signatures"] = {server_name: {key.key_id: key.sign(signed)}}
    encoded = _encode(json, strict)
    check_whole(encoded, json)
    event_id = draft.event_id or event_id_from_hash(hashlib.sha256(signed).digest(), version)
    pdu = Pdu(
        event_id,
        room_id_of_create(event_id) if draft.room_id is None else draft.room_id,
        draft.sender,
        draft.type,
        draft.state_key,
        json["content"],
        draft.origin_server_ts,
        draft.depth,
        draft.prev_events,
        draft.auth_events,
        json,
        redacts_of(draft.type, json, version),
    )
    return BuiltEvent(pdu, encoded)


def _encode(json: Mapping[str, Any], strict: bool) -> bytes:
    return canonical_json.encode_checked(json) if strict else canonical_json.encode(json, strict=False)


def _fields(draft: EventDraft, version: RoomVersion) -> dict[str, Any]:
    json: dict[str, Any] = {
        "auth_events": list(draft.auth_events),
        "content": draft.content,
        "depth": draft.depth,
        "origin_server_ts": draft.origin_server_ts,
        "prev_events": list(draft.prev_events),
        "sender": draft.sender,
        "type": draft.type,
    }
    if draft.room_id is not None:
        json["room_id"] = draft.room_id
    if draft.state_key is not None:
        json["state_key"] = draft.state_key
    if draft.redacts is not None:
        if version.redacts_in_content:
            json["content"] = {**draft.content, "redacts": draft.redacts}
        else:
            json["redacts"] = draft.redacts
    if draft.sticky is not None:
        json[draft.sticky.naming.key] = {"duration_ms": draft.sticky.duration_ms}
    if version.event_ids_in_events:
        json["event_id"] = draft.event_id
        json["auth_events"] = _pairs(draft.auth_events, draft.reference_hashes)
        json["prev_events"] = _pairs(draft.prev_events, draft.reference_hashes)
    return json


def _pairs(event_ids: Sequence[EventId], hashes: Mapping[EventId, bytes]) -> list[list[object]]:
    missing = [event_id for event_id in event_ids if event_id not in hashes]
    if missing:
        raise LocalProtocolError(f"The reference hash of {missing[0]} is needed in this room version.")
    return [
        [event_id, {"sha256": unpadded_base64.encode(hashes[event_id])} if hashes[event_id] else {}] for event_id in event_ids
    ]


def _check_form(draft: EventDraft, version: RoomVersion) -> None:
    if len(draft.prev_events) > limits.prev_events_max or len(draft.auth_events) > limits.auth_events_max:
        raise LocalProtocolError("The event has too many prev_events or auth_events.")
    if not 0 <= draft.depth <= limits.depth_max:
        raise LocalProtocolError("The depth is out of range.")
    if (draft.event_id is not None) is not version.event_ids_in_events:
        raise LocalProtocolError("An event carries its ID in room versions 1 and 2, and in no other.")
    if (draft.room_id is None) is not (version.room_id_is_create_hash and draft.type == event_types.CREATE):
        raise LocalProtocolError("An event has a room ID unless it makes one.")


def _check_names(draft: EventDraft) -> None:
    if not is_identifier_short(draft.type) or not is_identifier_short(draft.state_key or ""):
        raise EventTooLarge(f"`type` or `state_key` is longer than {limits.identifier_bytes_max} bytes.")
