"""Encrypting for a room: one Megolm session per room, its rotation, and who is given its key.

A session is discarded before the next message when it is old or much used, when anybody or any device that has its key is
gone, blocked or no longer trusted enough, when a user was seen leaving, and when the room's history visibility changed
what `shared_history` says. Devices that get no key are told why, once per session.

Spec: client-server-api#mmegolmv1aes-sha2, client-server-api#reporting-that-decryption-keys-are-withheld
"""

from collections.abc import Collection, Iterable, Mapping
from enum import Enum
from typing import Any

import msgspec
import vodozemac

from watchword.base.clock import Clock
from watchword.client.crypto.account import MEGOLM, OLM, OwnAccount
from watchword.client.crypto.devices import Device, DeviceBook, Trust
from watchword.client.crypto.failures import NotPrepared
from watchword.client.crypto.inbound import RoomKey, RoomKeys
from watchword.client.crypto.olm import OlmChannels
from watchword.client.crypto.records import Records
from watchword.client.crypto.untrusted import integer_at, text_at

_PERIOD_MS = 604_800_000
_PERIOD_MS_MIN = 3_600_000
_MESSAGES = 100
_MESSAGES_MAX = 10_000
_DEVICES_PER_REQUEST = 100
_RETRY_MS = 600_000

_REASONS = {
    "m.blacklisted": "The sender has blocked this device.",
    "m.unverified": "The sender shares keys only with devices that their owner has signed.",
    "m.no_olm": "No secure channel to this device could be opened.",
}


class Sharing(Enum):
    """Which devices get room keys; blocked ones never do.

    SIGNED is what the specification recommends; an owner without any cross-signing keys is let pass, on first use.
    """

    EVERYBODY = "every device"
    SIGNED = "devices signed by their owner"
    VERIFIED = "devices of users we have verified"


class RoomSettings(msgspec.Struct, frozen=True):
    """A room's encryption as its state says; once there, a room is never treated as unencrypted again.

    Spec: client-server-api#mroomencryption
    """

    algorithm: str = MEGOLM
    rotation_period_ms: int = _PERIOD_MS
    rotation_messages: int = _MESSAGES
    shared_history: bool = False


class OutboundRow(msgspec.Struct, frozen=True):
    """A stored outbound session and who has its key: user → device → Curve25519 key, and who was refused: → code."""

    session_id: str
    pickle: str
    created_ts: int
    messages: int = 0
    shared_history: bool = False
    discarded: bool = False
    shared: dict[str, dict[str, str]] = {}
    withheld: dict[str, dict[str, str]] = {}


class Shares(msgspec.Struct, frozen=True):
    """To-device messages to be sent before the next room message: (event type, user → device → content)."""

    batches: tuple[tuple[str, dict[str, dict[str, dict[str, Any]]]], ...] = ()


class OutboundSessions:
    """The sessions this device encrypts with, one per room."""

    def __init__(
        self,
        records: Records,
        account: OwnAccount,
        book: DeviceBook,
        channels: OlmChannels,
        room_keys: RoomKeys,
        pickle_key: bytes,
        clock: Clock,
    ) -> None:
        self._rows = records.shelf("outbound", OutboundRow)
        self._rooms = records.shelf("room", RoomSettings)
        self._account = account
        self._book = book
        self._channels = channels
        self._room_keys = room_keys
        self._pickle_key = pickle_key
        self._clock = clock
        self._live: dict[str, vodozemac.GroupSession] = {}
        self._prepared: dict[str, tuple[int, frozenset[str], int | None]] = {}
        self.sharing = Sharing.SIGNED

    # Rooms

    def settings(self, room_id: str) -> RoomSettings | None:
        """The room's encryption, or None if it never was encrypted."""
        return self._rooms.get(room_id)

    def receive_encryption(self, room_id: str, content: Mapping[str, Any]) -> None:
        """Take in `m.room.encryption`. Periods out of all proportion are brought back into bounds."""
        algorithm = text_at(content, "algorithm")
        known = self._rooms.get(room_id)
        if algorithm is None:
            return
        period_ms, messages = integer_at(content, "rotation_period_ms"), integer_at(content, "rotation_period_msgs")
        settings = RoomSettings(
            algorithm if known is None else known.algorithm,
            _PERIOD_MS if period_ms is None else max(_PERIOD_MS_MIN, min(period_ms, 4 * _PERIOD_MS)),
            _MESSAGES if messages is None else max(1, min(messages, _MESSAGES_MAX)),
            known is not None and known.shared_history,
        )
        if settings != known:
            self._rooms.put(room_id, settings)

    def receive_history_visibility(self, room_id: str, visibility: str | None) -> None:
        """Take in the room's history visibility; the next session says whether its key may be shared later."""
        settings = self._rooms.get(room_id)
        shared = visibility in ("shared", "world_readable")
        if settings is not None and settings.shared_history != shared:
            self._rooms.put(room_id, msgspec.structs.replace(settings, shared_history=shared))
            self.discard(room_id)

    def discard(self, room_id: str) -> None:
        """Encrypt no further message with the room's present session."""
        row = self._rows.get(room_id)
        if row is not None and not row.discarded:
            self._rows.put(room_id, msgspec.structs.replace(row, discarded=True))
        self._prepared.pop(room_id, None)

    # Preparing

    def is_prepared(self, room_id: str, members: Collection[str]) -> bool:
        """Whether nothing changed since the key was last shared with these members."""
        row = self._rows.get(room_id)
        if row is None or self._is_worn(room_id, row):
            return False
        version, users, until_ms = self._prepared.get(room_id, (-1, frozenset(), None))
        if until_ms is not None and until_ms <= self._clock.monotonic_ms():
            return False
        return version == self._book.version and (users is members or users == frozenset(members))

    def peers_without_session(self, members: Iterable[str]) -> list[Device]:
        """Devices that should get keys but have no channel yet, and may be asked for one."""
        receivers, _ = self._receivers(members)
        return [
            device
            for device in receivers
            if not self._channels.has_session(device.curve25519) and self._channels.may_claim(device.curve25519)
        ]

    def share(self, room_id: str, members: Collection[str]) -> Shares:
        """Choose or make the session and encrypt its key for every device that lacks it."""
        receivers, refused = self._receivers(members)
        row = self._rows.get(room_id)
        if row is None or self._is_worn(room_id, row) or _someone_left(row, receivers):
            row = self._new_session(room_id)
        shares, withheld = self._encrypt_for(room_id, row, receivers)
        withheld += [
            (device, code) for device, code in refused if row.withheld.get(device.user_id, {}).get(device.device_id) != code
        ]
        shared = {user: dict(devices) for user, devices in row.shared.items()}
        told = {user: dict(devices) for user, devices in row.withheld.items()}
        for device, _ in shares:
            shared.setdefault(device.user_id, {})[device.device_id] = device.curve25519
        for device, code in withheld:
            told.setdefault(device.user_id, {})[device.device_id] = code
        if shares or withheld:
            self._rows.put(room_id, msgspec.structs.replace(row, shared=shared, withheld=told))
        all_reached = all(self._channels.has_session(device.curve25519) for device in receivers)
        until_ms = None if all_reached else self._clock.monotonic_ms() + _RETRY_MS
        self._prepared[room_id] = (self._book.version, frozenset(members), until_ms)
        told_now = [(device, self._withheld(room_id, row, device, code)) for device, code in withheld]
        notices = [(device, content) for device, content in told_now if content is not None]
        return Shares((*_batches("m.room.encrypted", shares), *_batches("m.room_key.withheld", notices)))

    def _receivers(self, members: Iterable[str]) -> tuple[list[Device], list[tuple[Device, str]]]:
        """Devices that get keys, and those that do not with the code of the reason."""
        receivers: list[Device] = []
        refused: list[tuple[Device, str]] = []
        for user_id in members:
            for device in self._book.devices_of(user_id).values():
                if (
                    device.curve25519 == self._account.curve25519
                    or MEGOLM not in device.algorithms
                    or OLM not in device.algorithms
                ):
                    continue
                code = self._refusal(device)
                if code is None:
                    receivers.append(device)
                else:
                    refused.append((device, code))
        return receivers, refused

    def _refusal(self, device: Device) -> str | None:
        trust = self._book.trust(device)
        if trust is Trust.BLOCKED:
            return "m.blacklisted"
        if trust is Trust.VERIFIED or self.sharing is Sharing.EVERYBODY:
            return None
        if self.sharing is Sharing.VERIFIED:
            return "m.unverified"
        on_first_use = trust is Trust.UNSIGNED and self._book.identity(device.user_id) is None
        return None if trust is Trust.SIGNED or on_first_use else "m.unverified"

    def _is_worn(self, room_id: str, row: OutboundRow) -> bool:
        settings = self._rooms.get(room_id) or RoomSettings()
        age_ms = self._clock.now_ms() - row.created_ts
        return (
            row.discarded
            or row.messages >= settings.rotation_messages
            or not 0 <= age_ms < settings.rotation_period_ms
            or row.shared_history != settings.shared_history
        )

    def _new_session(self, room_id: str) -> OutboundRow:
        settings = self._rooms.get(room_id) or RoomSettings()
        session = vodozemac.GroupSession()
        self._live[room_id] = session
        row = OutboundRow(
            session.session_id,
            session.pickle(self._pickle_key),
            self._clock.now_ms(),
            shared_history=settings.shared_history,
        )
        self._rows.put(room_id, row)
        inbound = vodozemac.InboundGroupSession(session.session_key)
        own = self._account
        key = RoomKey(room_id, row.session_id, own.curve25519, own.ed25519, "", 0, own.user_id, row.shared_history)
        self._room_keys.add(key, inbound)
        return row

    def _session(self, room_id: str, row: OutboundRow) -> vodozemac.GroupSession:
        session = self._live.get(room_id)
        if session is None or session.session_id != row.session_id:
            session = self._live[room_id] = vodozemac.GroupSession.from_pickle(row.pickle, self._pickle_key)
        return session

    def _encrypt_for(
        self, room_id: str, row: OutboundRow, receivers: Iterable[Device]
    ) -> tuple[list[tuple[Device, dict[str, Any]]], list[tuple[Device, str]]]:
        """The key, encrypted for each device that lacks it; and the devices that cannot be reached."""
        content = {
            "algorithm": MEGOLM,
            "room_id": room_id,
            "session_id": row.session_id,
            "session_key": self._session(room_id, row).session_key.to_base64(),
            "shared_history": row.shared_history,
        }
        own_device = self._book.device(self._account.user_id, self._account.device_id)
        own_keys = self._account.device_keys() if own_device is None else own_device.keys
        shares: list[tuple[Device, dict[str, Any]]] = []
        unreachable: list[tuple[Device, str]] = []
        for device in receivers:
            if device.device_id in row.shared.get(device.user_id, {}):
                continue
            if self._channels.has_session(device.curve25519):
                shares.append((device, self._channels.encrypt(device, "m.room_key", content, own_keys)))
            elif row.withheld.get(device.user_id, {}).get(device.device_id) != "m.no_olm":
                unreachable.append((device, "m.no_olm"))
        return shares, unreachable

    def _withheld(self, room_id: str, row: OutboundRow, device: Device, code: str) -> dict[str, Any] | None:
        """The content that tells a device why; None if it was told already."""
        content = {"algorithm": MEGOLM, "sender_key": self._account.curve25519, "code": code, "reason": _REASONS[code]}
        if code == "m.no_olm":
            return content if self._channels.tell_no_olm(device.curve25519) else None
        return {**content, "room_id": room_id, "session_id": row.session_id}

    # Encrypting

    def encrypt(self, room_id: str, event_type: str, content: Mapping[str, Any]) -> dict[str, Any]:
        """The `m.room.encrypted` content of a message; the session must have been shared.

        Raises NotPrepared.
        """
        row = self._rows.get(room_id)
        if row is None or row.discarded or room_id not in self._prepared:
            raise NotPrepared("the room key has not been shared")
        plain = {key: value for key, value in content.items() if key != "m.relates_to"}
        payload = msgspec.json.encode({"type": event_type, "content": plain, "room_id": room_id})
        session = self._session(room_id, row)
        ciphertext = session.encrypt(payload).to_base64()
        pickle = session.pickle(self._pickle_key)
        self._rows.put(room_id, msgspec.structs.replace(row, messages=row.messages + 1, pickle=pickle))
        encrypted: dict[str, Any] = {
            "algorithm": MEGOLM,
            "sender_key": self._account.curve25519,
            "device_id": self._account.device_id,
            "session_id": row.session_id,
            "ciphertext": ciphertext,
        }
        if "m.relates_to" in content:
            encrypted["m.relates_to"] = content["m.relates_to"]
        return encrypted


def _someone_left(row: OutboundRow, receivers: Iterable[Device]) -> bool:
    """Whether a device that has the key is not among those that should."""
    wanted = {(device.user_id, device.device_id): device.curve25519 for device in receivers}
    return any(
        wanted.get((user_id, device_id)) != curve25519
        for user_id, devices in row.shared.items()
        for device_id, curve25519 in devices.items()
    )


def _batches(
    event_type: str, messages: list[tuple[Device, dict[str, Any]]]
) -> list[tuple[str, dict[str, dict[str, dict[str, Any]]]]]:
    """Bounded to-device requests."""
    result = []
    for start in range(0, len(messages), _DEVICES_PER_REQUEST):
        batch: dict[str, dict[str, dict[str, Any]]] = {}
        for device, content in messages[start : start + _DEVICES_PER_REQUEST]:
            batch.setdefault(device.user_id, {})[device.device_id] = content
        result.append((event_type, batch))
    return result
