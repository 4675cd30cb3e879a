"""Copies of what erased users said, as newcomers get them: redacted. Nothing is redacted in the room.

"Any users (or servers) which join the room after the erasure request are served redacted copies of the events sent by the
erased user. Users which had visibility on those events prior to the erasure are still able to see unredacted copies."
State events stay whole: without them nobody could work the room out.

Spec: client-server-api#post_matrixclientv3accountdeactivate
"""

from collections.abc import Collection

from watchword.protocol.canonical_json import encode
from watchword.protocol.ids import UserId
from watchword.protocol.redaction import redact
from watchword.server.rooms.stored import StoredEvent, pdu_of

NOBODY: Collection[UserId] = frozenset()


def is_by_erased(event: StoredEvent, erased: Collection[UserId]) -> bool:
    """Whether an event is for those alone who were there."""
    return bool(erased) and event.pdu.state_key is None and event.pdu.sender in erased


def redacted_copy(event: StoredEvent) -> StoredEvent:
    """The event as a newcomer gets it."""
    raw = redact(event.pdu.json, event.version)
    pdu = pdu_of(event.event_id, raw, event.version)
    json = encode(raw, event.version.strict_canonical_json)
    return StoredEvent(event.nid, event.ordering, event.flags, pdu, event.version, json)
