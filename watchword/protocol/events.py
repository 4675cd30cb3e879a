"""The persistent data unit: an event as servers exchange it. One class for all formats, built once at the door.

`parse_pdu` checks everything about an event's form that its room version fixes, and nothing that needs the room, a key or
another event: signatures are in `signatures`, the content hash is a function here that the caller asks (a mismatch means
redaction, not refusal), authorisation is in `auth_rules`. Building our own events is in `event_building`.

Spec: server-server-api#checks-performed-on-receipt-of-a-pdu, rooms/v12#event-format and the same of every version
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from watchword.base import limits
from watchword.base.errors import RemoteProtocolError
from watchword.protocol import canonical_json, event_types, unpadded_base64
from watchword.protocol.ids import (
    EventId,
    RoomId,
    UserId,
    domain_of,
    is_identifier_short,
    parse_event_id,
    parse_room_id,
    parse_server_name,
    parse_user_id,
    room_id_of_create,
)
from watchword.protocol.room_versions import EventIdFormat, RoomVersion
from watchword.protocol.signatures import signable_event

StateKey = tuple[str, str]
"""(type, state_key): the address of a piece of room state."""

StateMap = Mapping[StateKey, EventId]
"""Room state: which event holds at each address."""

T = TypeVar("T")

_INTEGER_MAX_LENIENT = (1 << 63) - 1
"""Before room version 6 nothing bounds integers; depths and timestamps are stored in 64 bits."""

_HASH_ID_CHARACTERS = 44

_NOT_CONTENT_HASHED = frozenset({"unsigned", "signatures", "hashes"})


class EventTooLarge(RemoteProtocolError):
    """The event, or one of the fields that are limited to 255 bytes, is larger than Matrix allows."""


class Pdu(msgspec.Struct, frozen=True, gc=False):
    """An event with its ID, parsed for deciding. Nobody changes `json` or `content` after construction.

    json: the whole event as signed (without `unsigned`), as decoded from canonical JSON.
    state_key: None for an event that is not state.
    redacts: the target of a redaction wherever the room version keeps it, else None.
    """

    event_id: EventId
    room_id: RoomId
    sender: UserId
    type: str
    state_key: str | None
    content: Mapping[str, Any]
    origin_server_ts: int
    depth: int
    prev_events: Sequence[EventId]
    auth_events: Sequence[EventId]
    json: Mapping[str, Any]
    redacts: EventId | None = None

    @property
    def state_address(self) -> StateKey | None:
        """(type, state_key) if this is a state event."""
        return None if self.state_key is None else (self.type, self.state_key)


def parse_pdu(raw: Any, version: RoomVersion, *, references_bounded: bool = True) -> Pdu:
    """Check the form of an event that somebody sent, and give it its ID.

    raw: what JSON gave; `unsigned` is dropped, for it is the sender's private view.
    references_bounded: False for the answer to /backfill, where old events may have more prev_events and auth_events
    than is allowed now.
    Raises RemoteProtocolError saying which rule is broken (EventTooLarge for sizes). The content hash is not checked.
    """
    if not isinstance(raw, dict):
        raise RemoteProtocolError("An event is a JSON object.")
    json = without_unsigned(raw)
    event_type = _short_string(json, "type")
    sender = parse_user_id(_short_string(json, "sender"))
    state_key = _short_string(json, "state_key") if "state_key" in json else None
    content = _field(json, "content", dict)
    origin_server_ts = _bounded_integer(json, "origin_server_ts", version, -limits.canonical_integer_max)
    depth = _bounded_integer(json, "depth", version, 0)
    prev_events = _references(json, "prev_events", version, limits.prev_events_max if references_bounded else None)
    auth_events = _references(json, "auth_events", version, limits.auth_events_max if references_bounded else None)
    room_id = _room_id(json, version, event_type)
    if room_id is not None and version.room_id_is_create_hash and "$" + room_id[1:] in auth_events:
        raise RemoteProtocolError("`auth_events` holds the create event, which this room version leaves out.")
    if type(_field(json, "hashes", dict).get("sha256")) is not str:
        raise RemoteProtocolError("`hashes.sha256` is not a string.")
    _check_signatures(json)
    check_whole(canonical_json.encode(json, version.strict_canonical_json), json)
    event_id = event_id_of(json, version)
    return Pdu(
        event_id,
        room_id_of_create(event_id) if room_id is None else room_id,
        sender,
        event_type,
        state_key,
        content,
        origin_server_ts,
        depth,
        prev_events,
        auth_events,
        json,
        redacts_of(event_type, json, version),
    )


def without_unsigned(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    """The event without `unsigned`; the same object if there is none."""
    if "unsigned" not in raw:
        return raw
    return {key: value for key, value in raw.items() if key != "unsigned"}


def content_hash(raw: Mapping[str, Any]) -> str:
    """What `hashes.sha256` of this event should be, in unpadded base64.

    Spec: server-server-api#calculating-the-content-hash-for-an-event
    """
    hashed = {key: value for key, value in raw.items() if key not in _NOT_CONTENT_HASHED}
    return unpadded_base64.encode(hashlib.sha256(canonical_json.encode(hashed, strict=False)).digest())


def content_hash_matches(raw: Mapping[str, Any]) -> bool:
    """Whether the event is as its sender hashed it; if not, it must be redacted before anything else is done with it."""
    hashes = raw.get("hashes")
    claimed = hashes.get("sha256") if isinstance(hashes, dict) else None
    if not isinstance(claimed, str):
        return False
    try:
        return unpadded_base64.decode(claimed) == unpadded_base64.decode(content_hash(raw))
    except RemoteProtocolError:
        return False


def with_content_hash(raw: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of the event that carries its content hash, ready for `signatures.sign_event`."""
    return {**raw, "hashes": {"sha256": content_hash(raw)}}


def reference_hash(raw: Mapping[str, Any], version: RoomVersion) -> bytes:
    """The 32 bytes that name this event in later ones. Spec: server-server-api#calculating-the-reference-hash-for-an-event"""
    return hashlib.sha256(signable_event(raw, version)).digest()


def event_id_of(raw: Mapping[str, Any], version: RoomVersion) -> EventId:
    """The ID of an event: its own field (1, 2) or made from its reference hash. Raises RemoteProtocolError."""
    if version.event_ids_in_events:
        return _own_event_id(raw)
    return event_id_from_hash(reference_hash(raw, version), version)


def event_id_from_hash(digest: bytes, version: RoomVersion) -> EventId:
    """The event ID of a reference hash, in room versions 3 and later."""
    if version.event_id_format is EventIdFormat.HASH:
        return EventId("$" + unpadded_base64.encode(digest))
    return EventId("$" + unpadded_base64.encode_url(digest))


def redacts_of(event_type: str, json: Mapping[str, Any], version: RoomVersion) -> EventId | None:
    """The target of a redaction; None for every other event, and for a redaction that names none."""
    if event_type != event_types.REDACTION:
        return None
    target = (json["content"] if version.redacts_in_content else json).get("redacts")
    return EventId(target) if isinstance(target, str) else None


def check_whole(encoded: bytes, json: Mapping[str, Any]) -> None:
    """Raise EventTooLarge or RemoteProtocolError if the event, signed and encoded, is too large or nested too deeply.

    Spec: client-server-api#size-limits
    """
    if len(encoded) > limits.event_bytes_max:
        raise EventTooLarge(f"The event is larger than {limits.event_bytes_max} bytes.")
    canonical_json.check_depth(encoded, json)


def _field(json: Mapping[str, Any], name: str, kind: type[T]) -> T:
    value = json.get(name)
    if type(value) is not kind:  # not isinstance: True is no integer here
        raise RemoteProtocolError(f"`{name}` is missing or of the wrong type.")
    return value


def _short_string(json: Mapping[str, Any], name: str) -> str:
    value = _field(json, name, str)
    if not is_identifier_short(value):
        raise EventTooLarge(f"`{name}` is longer than {limits.identifier_bytes_max} bytes or not Unicode.")
    return value


def _bounded_integer(json: Mapping[str, Any], name: str, version: RoomVersion, least: int) -> int:
    value = _field(json, name, int)
    if not least <= value <= (limits.depth_max if version.strict_canonical_json else _INTEGER_MAX_LENIENT):
        raise RemoteProtocolError(f"`{name}` is out of range.")
    return value


def _room_id(json: Mapping[str, Any], version: RoomVersion, event_type: str) -> RoomId | None:
    """The room ID; None for an event that makes one. Spec: rooms/v12#event-format"""
    if version.room_id_is_create_hash and event_type == event_types.CREATE:
        if "room_id" in json:
            raise RemoteProtocolError("The create event of this room version has no `room_id`.")
        return None
    room_id = parse_room_id(_short_string(json, "room_id"))
    if version.room_id_is_create_hash and (len(room_id) != _HASH_ID_CHARACTERS or ":" in room_id):
        raise RemoteProtocolError("`room_id` is not made from a create event.")
    return room_id


def _references(json: Mapping[str, Any], name: str, version: RoomVersion, count_max: int | None) -> Sequence[EventId]:
    """The event IDs. Any form is read: a name that no event can have is never found, and refusing here what other servers
    take would cut us off from what is built on it."""
    references = _field(json, name, list)
    if count_max is not None and len(references) > count_max:
        raise RemoteProtocolError(f"`{name}` has more than {count_max} entries.")
    if version.event_ids_in_events:
        return [_paired_reference(reference, name) for reference in references]
    for reference in references:
        if type(reference) is not str or not reference.startswith("$") or not is_identifier_short(reference):
            raise RemoteProtocolError(f"`{name}` holds something that is not an event ID.")
    return references


def _paired_reference(reference: object, name: str) -> EventId:
    """ "A list of [event_id, hashes] pairs." The hashes are what the sender claims; nothing is decided by them."""
    match reference:
        case [str(event_id), dict()]:
            return parse_event_id(event_id)
        case _:
            pass
    raise RemoteProtocolError(f"`{name}` holds something that is not a pair of event ID and hashes.")


def _own_event_id(raw: Mapping[str, Any]) -> EventId:
    event_id = parse_event_id(_field(raw, "event_id", str))
    parse_server_name(domain_of(event_id))
    return event_id


def _check_signatures(json: Mapping[str, Any]) -> None:
    for own in _field(json, "signatures", dict).values():
        if type(own) is not dict or not all(type(signature) is str for signature in own.values()):
            raise RemoteProtocolError("`signatures` does not hold strings by server and key.")
