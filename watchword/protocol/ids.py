"""Identifiers: their types, their grammar, and the historical forms that must still be read.

Identifiers are plain `str` at run time (a NewType costs nothing on the road of a message); they are parsed once at the
door and trusted after. Deliberately absent: any look-up or resolution.

Spec: appendices#identifier-grammar
"""

from typing import NewType

UserId = NewType("UserId", str)
RoomId = NewType("RoomId", str)
EventId = NewType("EventId", str)
RoomAlias = NewType("RoomAlias", str)
ServerName = NewType("ServerName", str)
DeviceId = NewType("DeviceId", str)
KeyId = NewType("KeyId", str)


def domain_of(identifier: str) -> ServerName:
    """The server name inside a user ID, alias, or old-style room or event ID: what follows the first colon.

    An identifier without a colon (event IDs of room version 3 and later, room IDs of version 12) gives "".
    """
    return ServerName(identifier.partition(":")[2])


def localpart_of(identifier: str) -> str:
    """What stands between the sigil and the first colon."""
    return identifier[1:].partition(":")[0]


def room_id_of_create(event_id: EventId) -> RoomId:
    """The room ID that a create event makes in room version 12. Spec: rooms/v12#room-ids"""
    return RoomId("!" + event_id[1:])
