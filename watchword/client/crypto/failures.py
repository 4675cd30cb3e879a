"""Why something could not be encrypted or decrypted: values a caller can decide on."""

from collections.abc import Collection
from enum import Enum

from watchword.base.errors import WatchwordError


class Undecryptable(Enum):
    """The reasons why an event stays closed."""

    NO_KEY = "the room key is not here (yet)"
    WITHHELD = "the sender does not share the room key with this device"
    TOO_EARLY = "the room key begins after this message"
    REPLAYED = "this ciphertext was already seen as another event"
    WRONG_ROOM = "the ciphertext belongs to another room"
    WRONG_SENDER = "the room key belongs to another user"
    MALFORMED = "the event or its plaintext has a wrong shape"
    FORGED = "the ciphertext does not fit the room key"
    UNKNOWN_ALGORITHM = "the algorithm is not known"


class DecryptionFailure(WatchwordError):
    """An event could not be decrypted. withheld_code: what the sender said, if reason is WITHHELD."""

    def __init__(self, reason: Undecryptable, *, room_id: str = "", session_id: str = "", withheld_code: str = "") -> None:
        super().__init__(reason.value)
        self.reason = reason
        self.room_id = room_id
        self.session_id = session_id
        self.withheld_code = withheld_code


class EncryptionRefused(WatchwordError):
    """Encrypting now would be wrong."""


class NotPrepared(EncryptionRefused):
    """`prepare_room` still has requests that were not answered, or was not called."""


class IdentitiesChanged(EncryptionRefused):
    """These members have other master keys than before; acknowledge or verify them first."""

    def __init__(self, users: Collection[str]) -> None:
        super().__init__("the identity of a member has changed")
        self.users = frozenset(users)


class WrongRecoveryKey(WatchwordError):
    """The text is not a recovery key, or not the one that opens this storage."""
