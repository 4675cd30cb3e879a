"""Relations between events: what an event says it relates to, and when that counts.

Deliberately absent: finding related events, visibility, and bundling.

Spec: client-server-api#forming-relationships-between-events
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from watchword.protocol import event_types
from watchword.protocol.events import Pdu
from watchword.protocol.ids import EventId, UserId

ANNOTATION = "m.annotation"
REFERENCE = "m.reference"
REPLACE = "m.replace"
THREAD = "m.thread"

_STEPS_MAX = 3
"""How far a chain of relations is followed. Spec: client-server-api#get_matrixclientv1roomsroomidrelationseventid"""


class Relation(NamedTuple):
    """rel_type, the event related to, and the key of an annotation."""

    rel_type: str
    event_id: EventId
    key: str | None


def relation_of(content: Mapping[str, Any]) -> Relation | None:
    """The relation that an event's content states; None for none, for a malformed one, and for a plain reply."""
    relates_to = content.get("m.relates_to")
    if not isinstance(relates_to, Mapping):
        return None
    rel_type, event_id, key = relates_to.get("rel_type"), relates_to.get("event_id"), relates_to.get("key")
    if not isinstance(rel_type, str) or not isinstance(event_id, str):
        return None
    return Relation(rel_type, EventId(event_id), key if rel_type == ANNOTATION and isinstance(key, str) else None)


def replied_to(content: Mapping[str, Any]) -> EventId | None:
    """The event that this one replies to, also as the fallback within a thread. Spec: client-server-api#rich-replies"""
    relates_to = content.get("m.relates_to")
    reply = relates_to.get("m.in_reply_to") if isinstance(relates_to, Mapping) else None
    event_id = reply.get("event_id") if isinstance(reply, Mapping) else None
    return EventId(event_id) if isinstance(event_id, str) else None


def thread_root(content: Mapping[str, Any]) -> EventId | None:
    """The root of the thread that an event says it is in; None if it says nothing. Spec: client-server-api#threading"""
    relation = relation_of(content)
    return relation.event_id if relation is not None and relation.rel_type == THREAD else None


def thread_of(content: Mapping[str, Any], content_of: Callable[[EventId], Mapping[str, Any] | None]) -> EventId | None:
    """The root of the thread that an event belongs to, by itself or through what it relates to (a reaction, an edit).

    None means the main timeline; so do roots themselves. content_of: the content of another event of the room, if known.
    Spec: client-server-api#threaded-read-receipts
    """
    for _ in range(_STEPS_MAX):
        relation = relation_of(content)
        if relation is None:
            return None
        if relation.rel_type == THREAD:
            return relation.event_id
        related = content_of(relation.event_id)
        if related is None:
            return None
        content = related
    return thread_root(content)


def may_be_thread_root(content: Mapping[str, Any]) -> bool:
    """Whether a thread may begin at this event: it must have no relation of its own."""
    return relation_of(content) is None


def is_edit(pdu: Pdu) -> bool:
    """Whether an event says it replaces another."""
    relation = relation_of(pdu.content)
    return relation is not None and relation.rel_type == REPLACE


def is_valid_edit(edit: Pdu, original: Pdu) -> bool:
    """Whether an edit counts for the event that it names. Spec: client-server-api#validity-of-replacement-events

    Of encrypted events the new content is inside, where only clients see it.
    """
    relation = relation_of(edit.content)
    return (
        relation is not None
        and relation.rel_type == REPLACE
        and relation.event_id == original.event_id
        and edit.room_id == original.room_id
        and edit.sender == original.sender
        and edit.type == original.type
        and edit.state_key is None
        and original.state_key is None
        and not is_edit(original)
        and (edit.type == event_types.ENCRYPTED or isinstance(edit.content.get("m.new_content"), Mapping))
    )


def edit_order(edit: Pdu) -> tuple[int, EventId]:
    """What the newest edit has the largest of: time, then event ID. Spec: client-server-api#server-behaviour-for-mreplace"""
    return edit.origin_server_ts, edit.event_id


class Annotation(NamedTuple):
    """What may exist only once: a sender's annotation of an event with a key.

    Spec: client-server-api#avoiding-duplicate-annotations
    """

    sender: UserId
    type: str
    event_id: EventId
    key: str


def annotation_of(sender: UserId, event_type: str, content: Mapping[str, Any]) -> Annotation | None:
    """The annotation that an event makes; two equal ones are duplicates. None if it makes none or has no key."""
    relation = relation_of(content)
    if relation is None or relation.rel_type != ANNOTATION or relation.key is None:
        return None
    return Annotation(sender, event_type, relation.event_id, relation.key)
