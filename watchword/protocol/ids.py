"""Identifiers: their types, their grammar, and the historical forms that must still be read.

Identifiers are plain `str` at run time (a NewType costs nothing on the road of a message); they are parsed once at the
door and trusted after. Every parser returns its argument unchanged or raises RemoteProtocolError, whose text never
repeats the argument. Deliberately absent: any look-up or resolution.

Spec: appendices#identifier-grammar
"""

import re
from typing import NewType

from watchword.base import limits
from watchword.base.errors import RemoteProtocolError

UserId = NewType("UserId", str)
RoomId = NewType("RoomId", str)
EventId = NewType("EventId", str)
RoomAlias = NewType("RoomAlias", str)
ServerName = NewType("ServerName", str)
DeviceId = NewType("DeviceId", str)
KeyId = NewType("KeyId", str)

_IPV4 = r"[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}"
_IPV6 = r"\[[0-9A-Fa-f:.]{2,45}\]"
_SERVER = rf"(?:{_IPV6}|[A-Za-z0-9.-]{{1,255}})(?::[0-9]{{1,5}})?"
_OPAQUE = r"[^:\x00]"

_SERVER_NAME = re.compile(_SERVER)
_IP_LITERAL = re.compile(rf"(?:{_IPV4}|{_IPV6})(?::[0-9]{{1,5}})?")
_USER_ID = re.compile(rf"@{_OPAQUE}*:{_SERVER}")
_NEW_LOCALPART = re.compile(r"[a-z0-9._=/+-]+")
_ROOM_ALIAS = re.compile(rf"#{_OPAQUE}+:{_SERVER}")
_ROOM_ID = re.compile(rf"!(?:[A-Za-z0-9_-]{{43}}|{_OPAQUE}+:{_SERVER})")
_EVENT_ID = re.compile(r"\$[^\x00]+")
_ROOM_VERSION = re.compile(rf"[a-z0-9.-]{{1,{limits.room_version_characters_max}}}")
_DEVICE_ID = re.compile(r"[^\x00]+")
_KEY_ID = re.compile(r"[a-z0-9_]+:[^\x00]+")
_MXC = re.compile(rf"mxc://({_SERVER})/([A-Za-z0-9_-]+)")

_MAPPED_BYTE = re.compile(rb"[^a-z0-9._/+-]")
_MAPPED_BYTE_OR_CAPITAL = re.compile(rb"[^a-z0-9./+-]")


def is_identifier_short(text: str) -> bool:
    """Whether text takes at most 255 bytes of UTF-8; false if it cannot be encoded (lone surrogates)."""
    if text.isascii():
        return len(text) <= limits.identifier_bytes_max
    try:
        return len(text.encode()) <= limits.identifier_bytes_max
    except UnicodeEncodeError:
        return False


def _parsed(text: str, grammar: re.Pattern[str], name: str) -> str:
    if grammar.fullmatch(text) is None:
        raise RemoteProtocolError(f"This is not a valid {name}.")
    if not is_identifier_short(text):
        raise RemoteProtocolError(f"This {name} is longer than {limits.identifier_bytes_max} bytes or not Unicode.")
    return text


def parse_server_name(text: str) -> ServerName:
    """A host name, IPv4 address or bracketed IPv6 address, with an optional port. Spec: appendices#server-name"""
    return ServerName(_parsed(text, _SERVER_NAME, "server name"))


def is_ip_literal(server_name: str) -> bool:
    """Whether the host part is an IPv4 or IPv6 address, with or without a port."""
    return _IP_LITERAL.fullmatch(server_name) is not None


def host_of(server_name: str) -> str:
    """The server name without its port; an IPv6 address keeps its brackets."""
    host, colon, port = server_name.rpartition(":")
    return host if colon and port.isdigit() else server_name


def parse_user_id(text: str) -> UserId:
    """A user ID of any server, historical forms included (any localpart without colon and NUL, even an empty one).

    Spec: appendices#historical-user-ids
    """
    return UserId(_parsed(text, _USER_ID, "user ID"))


def is_valid_new_localpart(text: str) -> bool:
    """Whether a user may be given this localpart today. The length of the whole user ID is checked by its parser."""
    return _NEW_LOCALPART.fullmatch(text) is not None


def parse_new_localpart(text: str) -> str:
    """The localpart of a user ID that does not exist yet. Spec: appendices#user-identifiers"""
    return _parsed(text, _NEW_LOCALPART, "localpart of a user ID")


def localpart_from_foreign(name: str, *, case_preserved: bool = False) -> str:
    """Map a name of another network to the localpart of a user ID.

    case_preserved: `A` becomes `_a` (and `_` becomes `__`) rather than `a`, so that no two names meet.
    Raises RemoteProtocolError for lone surrogates. Spec: appendices#mapping-from-other-character-sets
    """
    try:
        data = name.encode()
    except UnicodeEncodeError as error:
        raise RemoteProtocolError("This name is not Unicode.") from error
    if case_preserved:
        return _MAPPED_BYTE_OR_CAPITAL.sub(_mapped_with_case, data).decode("ascii")
    return _MAPPED_BYTE.sub(_mapped, data.lower()).decode("ascii")


def _mapped(match: re.Match[bytes]) -> bytes:
    return b"=%02x" % match[0][0]


def _mapped_with_case(match: re.Match[bytes]) -> bytes:
    byte = match[0]
    if byte == b"_" or byte.isalpha():
        return b"_" + byte.lower()
    return _mapped(match)


def parse_room_id(text: str) -> RoomId:
    """A room ID of either form: `!opaque:domain`, or `!` and 43 characters of base64 (room version 12).

    Spec: appendices#room-ids
    """
    return RoomId(_parsed(text, _ROOM_ID, "room ID"))


def parse_event_id(text: str) -> EventId:
    """An event ID of any room version: `$` and something. Which form a room uses only its version tells.

    Spec: appendices#event-ids
    """
    return EventId(_parsed(text, _EVENT_ID, "event ID"))


def parse_room_alias(text: str) -> RoomAlias:
    """A room alias, `#localpart:domain`. Spec: appendices#room-aliases"""
    return RoomAlias(_parsed(text, _ROOM_ALIAS, "room alias"))


def parse_room_version(text: str) -> str:
    """The identifier of a room version, known to us or not. Spec: rooms#room-version-grammar"""
    return _parsed(text, _ROOM_VERSION, "room version")


def parse_device_id(text: str) -> DeviceId:
    """A device ID: opaque, not empty, at most 255 bytes, no NUL."""
    return DeviceId(_parsed(text, _DEVICE_ID, "device ID"))


def parse_key_id(text: str) -> KeyId:
    """A key identifier, `algorithm:name`, of signing keys, device keys and one-time keys alike.

    Spec: appendices#cryptographic-key-representation
    """
    return KeyId(_parsed(text, _KEY_ID, "key ID"))


def parse_mxc(text: str) -> tuple[ServerName, str]:
    """The server and the media ID of an `mxc://` URI. Spec: client-server-api#matrix-content-mxc-uris"""
    match = _MXC.fullmatch(text)
    if match is None:
        raise RemoteProtocolError("This is not a valid mxc URI.")
    return parse_server_name(match[1]), _parsed(match[2], _DEVICE_ID, "media ID")


def canonical_email(address: str) -> str:
    """The one form in which an e-mail address is stored and compared. Spec: appendices#3pid-types"""
    return address.casefold()


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
