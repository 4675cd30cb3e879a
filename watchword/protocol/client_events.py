"""The form in which clients see events, made for splicing: an event is encoded once for all its readers.

`client_event_base` gives the encoded event without its closing brace; what differs from reader to reader (`unsigned`) or
from endpoint to endpoint (`room_id`) is appended as bytes by `finish`. For clients that ask for the federation format the
stored event without its last byte is such a base too.
Deliberately absent: who may see what, and the values of `unsigned`.

Spec: client-server-api#room-event-format
"""

from collections.abc import Mapping
from typing import Any

import orjson

from watchword.protocol import canonical_json
from watchword.protocol.events import Pdu
from watchword.protocol.ids import EventId, RoomId
from watchword.protocol.room_versions import RoomVersion
from watchword.protocol.sticky import sticky_of


def client_event_base(pdu: Pdu, version: RoomVersion) -> bytes:
    """The event as `/sync` gives it (no `room_id`, no `unsigned`), without the closing brace.

    A redaction names its target both at top level and in its content, whatever the room version.
    """
    event: dict[str, Any] = {
        "content": pdu.content,
        "event_id": pdu.event_id,
        "origin_server_ts": pdu.origin_server_ts,
        "sender": pdu.sender,
        "type": pdu.type,
    }
    if pdu.state_key is not None:
        event["state_key"] = pdu.state_key
    if pdu.redacts is not None:
        event["redacts"] = pdu.redacts
        event["content"] = {**pdu.content, "redacts": pdu.redacts}
    sticky = sticky_of(pdu.json)
    if sticky is not None:
        event[sticky.naming.key] = pdu.json[sticky.naming.key]
    return _encode(event, version)[:-1]


def with_room_id(base: bytes, room_id: RoomId) -> bytes:
    """The base for every endpoint but `/sync`: with `room_id`; still without the closing brace."""
    return b'%b,"room_id":%b' % (base, orjson.dumps(room_id))


def finish(base: bytes, unsigned: bytes = b"") -> bytes:
    """The whole event. unsigned: a JSON object, as `encode_unsigned` gives it; empty for none."""
    return b'%b,"unsigned":%b}' % (base, unsigned) if unsigned else base + b"}"


def encode_content(pdu: Pdu, version: RoomVersion) -> bytes:
    """The content alone, for `unsigned.prev_content` of the event that replaced it."""
    return _encode(pdu.content, version)


def encode_unsigned(
    *,
    age_ms: int | None = None,
    membership: str | None = None,
    transaction_id: str | None = None,
    replaces_state: EventId | None = None,
    prev_content: bytes | None = None,
    redacted_because: bytes | None = None,
    relations: bytes | None = None,
    others: Mapping[str, str | int] | None = None,
) -> bytes:
    """Write `unsigned` with the members that are not None; b"" if there are none.

    membership: the reader's own at the time of the event. prev_content, redacted_because (a finished client event) and
    relations (the object `m.relations`) are encoded already. others: what few events have, by name.
    """
    members = []
    if age_ms is not None:
        members.append(b'"age":%d' % age_ms)
    if membership is not None:
        members.append(b'"membership":' + orjson.dumps(membership))
    if transaction_id is not None:
        members.append(b'"transaction_id":' + orjson.dumps(transaction_id))
    if replaces_state is not None:
        members.append(b'"replaces_state":' + orjson.dumps(replaces_state))
    if prev_content is not None:
        members.append(b'"prev_content":' + prev_content)
    if redacted_because is not None:
        members.append(b'"redacted_because":' + redacted_because)
    if relations is not None:
        members.append(b'"m.relations":' + relations)
    for name, value in (others or {}).items():
        members.append(b"%b:%b" % (orjson.dumps(name), orjson.dumps(value)))
    return b"{%b}" % b",".join(members) if members else b""


def _encode(value: Mapping[str, Any], version: RoomVersion) -> bytes:
    if version.strict_canonical_json:
        return canonical_json.encode_checked(value)
    return canonical_json.encode(value, strict=False)
