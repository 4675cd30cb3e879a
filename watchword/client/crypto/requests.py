"""What the machine asks of the world, and what it has to tell: plain values, carried out or shown by somebody else.

A request stays outstanding until `CryptoMachine.receive_answer` or `receive_failure` names its id; handing it out twice is
harmless because every one of them is idempotent on the server (to-device messages through their transaction ID).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class KeysUpload:
    """POST /keys/upload. Spec: client-server-api#post_matrixclientv3keysupload"""

    request_id: str
    body: Mapping[str, Any]


@dataclass(frozen=True)
class KeysQuery:
    """POST /keys/query for these users. Spec: client-server-api#post_matrixclientv3keysquery"""

    request_id: str
    users: Sequence[str]

    @property
    def body(self) -> Mapping[str, Any]:
        """The body to post: every device of each user."""
        return {"device_keys": {user_id: [] for user_id in self.users}}


@dataclass(frozen=True)
class KeysClaim:
    """POST /keys/claim: user → device → algorithm. Spec: client-server-api#post_matrixclientv3keysclaim"""

    request_id: str
    one_time_keys: Mapping[str, Mapping[str, str]]

    @property
    def body(self) -> Mapping[str, Any]:
        """The body to post."""
        return {"one_time_keys": self.one_time_keys}


@dataclass(frozen=True)
class ToDevice:
    """PUT /sendToDevice/{event_type}/{request_id}: user → device → content.

    room_id: the room whose key it carries, else "".
    """

    request_id: str
    event_type: str
    messages: Mapping[str, Mapping[str, Mapping[str, Any]]]
    room_id: str = ""


@dataclass(frozen=True)
class SignaturesUpload:
    """POST /keys/signatures/upload. Spec: client-server-api#post_matrixclientv3keyssignaturesupload"""

    request_id: str
    body: Mapping[str, Any]


@dataclass(frozen=True)
class SigningKeysUpload:
    """POST /keys/device_signing/upload; the caller adds `auth`. Spec: client-server-api#cross-signing"""

    request_id: str
    body: Mapping[str, Any]


@dataclass(frozen=True)
class BackupUpload:
    """PUT /room_keys/keys?version=. Spec: client-server-api#put_matrixclientv3room_keyskeys"""

    request_id: str
    version: str
    body: Mapping[str, Any]


Request = KeysUpload | KeysQuery | KeysClaim | ToDevice | SignaturesUpload | SigningKeysUpload | BackupUpload


@dataclass(frozen=True)
class RoomKeyReceived:
    """A Megolm session arrived; what it encrypts can be read now."""

    room_id: str
    session_id: str


@dataclass(frozen=True)
class RoomKeyWithheld:
    """A sender says why it does not give us a room key. code: as in m.room_key.withheld."""

    room_id: str
    session_id: str
    code: str


@dataclass(frozen=True)
class IdentityChanged:
    """A user's master key is not the one we knew. Nothing is encrypted for them until it is acknowledged."""

    user_id: str
    was_verified: bool


@dataclass(frozen=True)
class OwnIdentityChanged:
    """Our own cross-signing keys were replaced by another device: this device must be verified again."""


@dataclass(frozen=True)
class DeviceAdded:
    """A user has a device that we had not seen."""

    user_id: str
    device_id: str


@dataclass(frozen=True)
class DeviceRefused:
    """A server offered device keys that we do not accept: a bad signature, or other keys than before."""

    user_id: str
    device_id: str
    reason: str


@dataclass(frozen=True)
class BackupStopped:
    """The server no longer takes keys for our backup version."""

    version: str
    errcode: str


@dataclass(frozen=True)
class ToDeviceReceived:
    """A to-device event that is not the machine's own business. encrypted: it came through Olm, from that device."""

    sender: str
    type: str
    content: Mapping[str, Any]
    encrypted: bool
    sender_key: str = ""


@dataclass(frozen=True)
class VerificationUpdate:
    """An interactive verification reached a new stage; look it up by its transaction ID."""

    transaction_id: str
    user_id: str
    device_id: str
    stage: str


Notice = (
    RoomKeyReceived
    | RoomKeyWithheld
    | IdentityChanged
    | OwnIdentityChanged
    | DeviceAdded
    | DeviceRefused
    | BackupStopped
    | ToDeviceReceived
    | VerificationUpdate
)
