"""What is wanted, and the values that pass between the files of e2ee. Plain data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from watchword.protocol.ids import DeviceId, ServerName, UserId


class PublishedKey(NamedTuple):
    """A one-time or fallback key. content: canonical JSON."""

    algorithm: str
    key_id: str
    content: bytes


@dataclass(frozen=True, slots=True)
class KeysUpload:
    """What one device publishes in one request. device_keys: canonical JSON, None if the request has none."""

    device_keys: bytes | None
    one_time_keys: Sequence[PublishedKey]
    fallback_keys: Sequence[PublishedKey]


class Signature(NamedTuple):
    """One signature on a key, stored apart from it. target: a device ID or a public master key."""

    target_user_id: UserId
    target: str
    signer_user_id: UserId
    signing_key_id: str
    signature: str


@dataclass(frozen=True, slots=True)
class DeviceListUpdate:
    """A checked m.device_list_update. keys: canonical JSON, None if the device has none."""

    user_id: UserId
    device_id: DeviceId
    stream_id: int
    prev_ids: Sequence[int]
    is_deleted: bool
    keys: bytes | None
    display_name: str | None


@dataclass(frozen=True, slots=True)
class RemoteDevice:
    """A device of another server's user."""

    device_id: DeviceId
    keys: bytes | None
    display_name: str | None


@dataclass(frozen=True, slots=True)
class RemoteDeviceList:
    """A checked answer of `user/devices`. cross_signing: usage → canonical JSON."""

    stream_id: int
    devices: Sequence[RemoteDevice]
    cross_signing: Mapping[str, bytes]


class ListState(NamedTuple):
    """What is known of a cached device list. version changes whenever somebody says that it is stale."""

    stream_id: int
    is_fresh: bool
    version: int


@dataclass(slots=True)
class KeysAnswer:
    """The answer of `keys/query`, by user."""

    device_keys: dict[UserId, dict[str, Any]] = field(default_factory=dict)
    master_keys: dict[UserId, Any] = field(default_factory=dict)
    self_signing_keys: dict[UserId, Any] = field(default_factory=dict)
    user_signing_keys: dict[UserId, Any] = field(default_factory=dict)
    failures: dict[ServerName, Any] = field(default_factory=dict)

    def for_client(self) -> dict[str, Any]:
        """The body of the client endpoint."""
        return {**self.for_server(), "user_signing_keys": self.user_signing_keys, "failures": self.failures}

    def for_server(self) -> dict[str, Any]:
        """The body of the federation endpoint: no user-signing keys, no failures."""
        return {
            "device_keys": self.device_keys,
            "master_keys": self.master_keys,
            "self_signing_keys": self.self_signing_keys,
        }


@dataclass(frozen=True, slots=True)
class DirectMessage:
    """A checked m.direct_to_device. messages: user → device (or *) → content."""

    sender: UserId
    type: str
    message_id: str
    messages: Mapping[UserId, Mapping[str, Mapping[str, Any]]]
