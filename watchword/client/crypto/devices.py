"""Whose devices we know, and how far we trust them.

Tracking. A tracked user has a generation, raised whenever their device list may have changed, and `clean` once an answer to
a query begun at that generation arrived. At most one query per user is under way, so a late answer cannot overwrite a newer
one, and a change during a query leaves the user unclean. Both are stored: a crash cannot make a stale list look fresh.

Pinning. The Ed25519 and Curve25519 keys of a device are fixed when first seen; other keys under the same ID are refused.
A master key that changes is kept as the new one, but reported, and encryption for that user stops until acknowledged.

Spec: client-server-api#tracking-the-device-list-for-a-user, client-server-api#cross-signing
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import Enum
from typing import Any

import msgspec

from watchword.base.clock import Clock
from watchword.client.crypto.records import Records
from watchword.client.crypto.requests import (
    DeviceAdded,
    DeviceRefused,
    IdentityChanged,
    KeysQuery,
    Notice,
    OwnIdentityChanged,
)
from watchword.client.crypto.signing import is_key, is_signed_by
from watchword.client.crypto.untrusted import object_at, text_at, texts_at

_QUERY_USERS_MAX = 200
_DEVICES_PER_USER_MAX = 1_000
_RETRY_MS = (0, 10_000, 60_000, 600_000)


class Trust(Enum):
    """How sure we are that a device is its owner's, from least to most."""

    BLOCKED = "blocked by us"
    UNSIGNED = "not signed by its owner"
    SIGNED = "signed by its owner, whom we have not verified"
    VERIFIED = "signed by its owner, whom we have verified, or verified itself"


class Device(msgspec.Struct, frozen=True):
    """One device of one user. keys: the signed object as published, without `unsigned`.

    signed_by: the self-signing key whose signature on it was checked. mark: "", "verified" or "blocked", set by our user.
    """

    user_id: str
    device_id: str
    ed25519: str
    curve25519: str
    algorithms: tuple[str, ...]
    keys: dict[str, Any]
    display_name: str | None = None
    signed_by: str | None = None
    mark: str = ""


class Identity(msgspec.Struct, frozen=True):
    """A user's cross-signing keys, each chain checked.

    signed_by: the user-signing key of ours whose signature on the master key was checked.
    replaced: a master key before this one, whose change was not acknowledged.
    """

    user_id: str
    master: str
    master_key: dict[str, Any]
    self_signing: str | None = None
    user_signing: str | None = None
    signed_by: str | None = None
    replaced: str | None = None
    was_verified: bool = False


class UserRow(msgspec.Struct, frozen=True):
    """What is stored about a user."""

    generation: int = 1
    clean: bool = False
    followed: bool = True
    devices: dict[str, Device] = {}
    identity: Identity | None = None


class TrustRow(msgspec.Struct, frozen=True):
    """What we ourselves trust: our master key, once we hold or have verified it."""

    master: str


class DeviceBook:
    """The devices and identities of everybody we encrypt for."""

    def __init__(self, records: Records, user_id: str, device_id: str, clock: Clock) -> None:
        self._users = records.shelf("user", UserRow)
        self._trust = records.shelf("trust", TrustRow)
        self._clock = clock
        self.user_id = user_id
        self.device_id = device_id
        self.version = 0
        """Rises with every change that may matter to who gets a key."""
        self._asked: dict[str, dict[str, int]] = {}
        self._failures: dict[str, tuple[int, int]] = {}
        self._stale: set[str] = set()
        self._replaced: set[str] = set()
        for name in self._users.names():
            row = self._users.get(name)
            assert row is not None
            self._index(name, row)
        self.notices: list[Notice] = []

    # What is known

    def devices_of(self, user_id: str) -> Mapping[str, Device]:
        """Every accepted device of a user, by device ID."""
        row = self._users.get(user_id)
        return {} if row is None else row.devices

    def device(self, user_id: str, device_id: str) -> Device | None:
        """One device, or None."""
        return self.devices_of(user_id).get(device_id)

    def device_by_key(self, user_id: str, curve25519: str) -> Device | None:
        """The device of this user with that Curve25519 key, or None."""
        return next((device for device in self.devices_of(user_id).values() if device.curve25519 == curve25519), None)

    def identity(self, user_id: str) -> Identity | None:
        """A user's cross-signing keys, or None."""
        row = self._users.get(user_id)
        return None if row is None else row.identity

    @property
    def own_identity_is_trusted(self) -> bool:
        """Whether the cross-signing keys the server shows as ours are those we trust."""
        trusted = self._trust.get("own")
        own = self.identity(self.user_id)
        return trusted is not None and own is not None and own.master == trusted.master

    def is_verified(self, user_id: str) -> bool:
        """Whether our user has verified that user's identity (our own counts once this device trusts it)."""
        identity, own = self.identity(user_id), self.identity(self.user_id)
        if identity is None or own is None or not self.own_identity_is_trusted:
            return False
        return user_id == self.user_id or (identity.signed_by is not None and identity.signed_by == own.user_signing)

    def trust(self, device: Device) -> Trust:
        """How far a device is trusted now."""
        if device.mark == "blocked":
            return Trust.BLOCKED
        if device.mark == "verified":
            return Trust.VERIFIED
        identity = self.identity(device.user_id)
        if identity is None or device.signed_by is None or device.signed_by != identity.self_signing:
            return Trust.UNSIGNED
        return Trust.VERIFIED if self.is_verified(device.user_id) else Trust.SIGNED

    def unacknowledged(self, users: Iterable[str]) -> set[str]:
        """Those whose master key changed since we last accepted it."""
        return self._replaced.intersection(users) if self._replaced else set()

    # What our user decides

    def trust_own_master(self, master: str) -> None:
        """From now on, this master key is ours."""
        self._trust.put("own", TrustRow(master))
        self.version += 1

    def pin_own_device(self, keys: Mapping[str, Any]) -> None:
        """Know this device's own keys before any server can claim other ones for it."""
        row = self._users.get(self.user_id) or UserRow()
        if self.device_id not in row.devices:
            own = parse_device(self.user_id, self.device_id, keys)
            assert own is not None, self.device_id
            self._put(self.user_id, row, devices={**row.devices, self.device_id: own})

    def mark_device(self, user_id: str, device_id: str, mark: str) -> None:
        """Verify ("verified"), block ("blocked") or forget ("") a device locally."""
        row = self._users.get(user_id)
        if row is not None and device_id in row.devices:
            device = msgspec.structs.replace(row.devices[device_id], mark=mark)
            self._put(user_id, row, devices={**row.devices, device_id: device})

    def acknowledge_identity(self, user_id: str) -> None:
        """Our user has seen that this identity changed and wants to go on."""
        row = self._users.get(user_id)
        if row is not None and row.identity is not None:
            self._put(user_id, row, identity=msgspec.structs.replace(row.identity, replaced=None, was_verified=False))

    def add_own_signature(self, user_id: str, master_key: Mapping[str, Any]) -> None:
        """We signed this user's master key; believe it at once."""
        row = self._users.get(user_id)
        if row is not None and row.identity is not None:
            identity = msgspec.structs.replace(row.identity, master_key=dict(master_key), replaced=None, was_verified=False)
            self._put(user_id, row, identity=self._with_our_signature(identity))

    def _put(self, user_id: str, row: UserRow, **changes: Any) -> None:
        self._put_row(user_id, msgspec.structs.replace(row, **changes))
        self.version += 1

    def _put_row(self, user_id: str, row: UserRow) -> None:
        self._users.put(user_id, row)
        self._index(user_id, row)

    def _index(self, user_id: str, row: UserRow) -> None:
        """Keep the exceptions at hand, so that asking for them does not cost a look at everybody."""
        (self._stale.discard if row.clean else self._stale.add)(user_id)
        replaced = row.identity is not None and row.identity.replaced is not None
        (self._replaced.add if replaced else self._replaced.discard)(user_id)

    # Tracking

    def track(self, users: Iterable[str]) -> None:
        """Begin to follow these users' devices."""
        for user_id in users:
            row = self._users.get(user_id)
            if row is None or not row.followed:
                self._put_row(user_id, msgspec.structs.replace(row or UserRow(), followed=True))

    def receive_changes(self, changed: Iterable[str], left: Iterable[str]) -> None:
        """Take in `device_lists` of a sync (or /keys/changes). Users we do not track are none of our business."""
        for user_id in changed:
            if (row := self._users.get(user_id)) is not None:
                self._put_row(user_id, msgspec.structs.replace(row, generation=row.generation + 1, clean=False))
                self._failures.pop(user_id, None)
        for user_id in left:
            # No further changes will be told, so whatever we know is stale from now on; the pins stay.
            if (row := self._users.get(user_id)) is not None and user_id != self.user_id:
                stale = msgspec.structs.replace(row, generation=row.generation + 1, clean=False, followed=False)
                self._put_row(user_id, stale)

    def unclean(self, users: Iterable[str]) -> list[str]:
        """Those of these users whose list must be fetched (again) and may be asked for now."""
        if not self._stale:
            return []
        now_ms = self._clock.monotonic_ms()
        return [
            user_id for user_id in users if user_id in self._stale and self._failures.get(user_id, (0, now_ms))[1] <= now_ms
        ]

    def stale(self) -> list[str]:
        """Those followed users whose list must be fetched (again)."""
        return [user_id for user_id in self._stale if (row := self._users.get(user_id)) is not None and row.followed]

    def tracked(self) -> list[str]:
        """Every user whose devices we follow now."""
        return [user_id for user_id in self._users.names() if (row := self._users.get(user_id)) is not None and row.followed]

    def queries(self, users: Collection[str], request_ids: Iterable[str]) -> list[KeysQuery]:
        """The queries outstanding for these users, new ones included."""
        asked = {user_id for users_asked in self._asked.values() for user_id in users_asked}
        fresh = [user_id for user_id in self.unclean(users) if user_id not in asked]
        ids = iter(request_ids)
        for start in range(0, len(fresh), _QUERY_USERS_MAX):
            generations = {}
            for user_id in fresh[start : start + _QUERY_USERS_MAX]:
                row = self._users.get(user_id)
                generations[user_id] = 0 if row is None else row.generation
            self._asked[next(ids)] = generations
        wanted = set(users)
        return [KeysQuery(id_, tuple(asked)) for id_, asked in self._asked.items() if not wanted.isdisjoint(asked)]

    def receive_failure(self, request_id: str) -> bool:
        """The query failed as a whole; its users are asked for again later."""
        asked = self._asked.pop(request_id, None)
        for user_id in asked or ():
            self._back_off(user_id)
        return asked is not None

    def _back_off(self, user_id: str) -> None:
        count = self._failures.get(user_id, (0, 0))[0] + 1
        wait_ms = _RETRY_MS[min(count, len(_RETRY_MS) - 1)]
        self._failures[user_id] = (count, self._clock.monotonic_ms() + wait_ms)

    def receive_answer(self, request_id: str, body: Mapping[str, Any]) -> bool:
        """Take in an answer to a query of ours. False if we did not ask."""
        asked = self._asked.pop(request_id, None)
        if asked is None:
            return False
        # Our own keys first: they are what other users' signatures are checked with.
        for user_id in sorted(asked, key=lambda user: user != self.user_id):
            keys = object_at(body, "device_keys")
            if user_id in keys:
                self._receive_user(user_id, asked[user_id], body)
                self._failures.pop(user_id, None)
            else:
                self._back_off(user_id)  # Their server did not answer (`failures`), or ours left them out.
        return True

    def _receive_user(self, user_id: str, generation: int, body: Mapping[str, Any]) -> None:
        row = self._users.get(user_id) or UserRow()
        identity = self._checked_identity(user_id, row.identity, body)
        devices = self._checked_devices(user_id, row, identity, object_at(body, "device_keys", user_id))
        self._put_row(
            user_id,
            UserRow(row.generation, row.generation == generation, row.followed, devices, identity),
        )
        if (devices, identity) != (row.devices, row.identity):
            self.version += 1
        if (
            user_id == self.user_id
            and identity is not None
            and (row.identity or identity).user_signing != identity.user_signing
        ):
            self._check_signatures_again()

    # Checking what a server offers

    def _checked_devices(
        self, user_id: str, row: UserRow, identity: Identity | None, offered: Mapping[str, Any]
    ) -> dict[str, Device]:
        devices: dict[str, Device] = {}
        for device_id, raw in list(offered.items())[:_DEVICES_PER_USER_MAX]:
            known = row.devices.get(device_id)
            found = parse_device(user_id, device_id, raw)
            if found is None:
                self._refuse(user_id, device_id, "its keys are malformed or not signed by it")
            elif known is not None and (known.ed25519, known.curve25519) != (found.ed25519, found.curve25519):
                self._refuse(user_id, device_id, "its identity keys changed")
                found = None
            elif identity is not None and device_id in (identity.master, identity.self_signing, identity.user_signing):
                self._refuse(user_id, device_id, "its ID is a cross-signing key")
                found = None
            if found is None:
                if known is not None:
                    devices[device_id] = known
                continue
            if known is None and row.devices:
                self.notices.append(DeviceAdded(user_id, device_id))
            signed_by = _self_signature(found, identity, known)
            devices[device_id] = msgspec.structs.replace(found, signed_by=signed_by, mark=known.mark if known else "")
        if user_id == self.user_id and self.device_id in row.devices:
            devices.setdefault(self.device_id, row.devices[self.device_id])
        return devices

    def _refuse(self, user_id: str, device_id: str, reason: str) -> None:
        self.notices.append(DeviceRefused(user_id, device_id, reason))

    def _checked_identity(self, user_id: str, known: Identity | None, body: Mapping[str, Any]) -> Identity | None:
        raw_master = object_at(body, "master_keys", user_id)
        master = _cross_signing_key(raw_master, user_id, "master")
        if master is None:
            return known  # An identity that vanishes is not believed: that is how one would be stripped of its pins.
        self_signing = _subkey(object_at(body, "self_signing_keys", user_id), user_id, "self_signing", master)
        user_signing = None
        if user_id == self.user_id:
            user_signing = _subkey(object_at(body, "user_signing_keys", user_id), user_id, "user_signing", master)
        found = Identity(user_id, master, dict(raw_master), self_signing, user_signing)
        if known is not None and known.master == master:
            if self_signing is None:
                found = msgspec.structs.replace(found, self_signing=known.self_signing)
            found = msgspec.structs.replace(found, replaced=known.replaced, was_verified=known.was_verified)
        elif known is not None:
            was_verified = self.is_verified(user_id) or known.was_verified
            if user_id == self.user_id:
                self.notices.append(OwnIdentityChanged())
            else:
                found = msgspec.structs.replace(found, replaced=known.replaced or known.master, was_verified=was_verified)
                self.notices.append(IdentityChanged(user_id, was_verified))
        return self._with_our_signature(found, known)

    def _with_our_signature(self, identity: Identity, known: Identity | None = None) -> Identity:
        own = self.identity(self.user_id)
        if identity.user_id == self.user_id or own is None or own.user_signing is None:
            return identity
        key = own.user_signing
        if known is not None and known.signed_by == key and known.master == identity.master:
            return msgspec.structs.replace(identity, signed_by=key)
        if is_signed_by(identity.master_key, self.user_id, key, key):
            return msgspec.structs.replace(identity, signed_by=key)
        return identity

    def _check_signatures_again(self) -> None:
        """Our user-signing key is new: see whom it has signed."""
        for user_id in self._users.names():
            row = self._users.get(user_id)
            if row is not None and row.identity is not None and user_id != self.user_id:
                self._put(user_id, row, identity=self._with_our_signature(row.identity))


def parse_device(user_id: str, device_id: str, raw: object) -> Device | None:
    """A device from its signed keys, or None if they are malformed, name another device, or are not signed by it."""
    ed25519 = text_at(raw, "keys", f"ed25519:{device_id}")
    curve25519 = text_at(raw, "keys", f"curve25519:{device_id}")
    if not isinstance(raw, dict) or ed25519 is None or curve25519 is None or not (is_key(ed25519) and is_key(curve25519)):
        return None
    if text_at(raw, "user_id") != user_id or text_at(raw, "device_id") != device_id:
        return None
    if not is_signed_by(raw, user_id, device_id, ed25519):
        return None
    return Device(
        user_id,
        device_id,
        ed25519,
        curve25519,
        tuple(texts_at(raw, "algorithms")),
        {key: value for key, value in raw.items() if key != "unsigned"},
        text_at(raw, "unsigned", "device_display_name"),
    )


def _self_signature(device: Device, identity: Identity | None, known: Device | None) -> str | None:
    """The self-signing key of its owner that has signed the device, or None."""
    if identity is None or identity.self_signing is None:
        return None
    key = identity.self_signing
    if known is not None and known.signed_by == key and known.keys == device.keys:
        return key
    return key if is_signed_by(device.keys, device.user_id, key, key) else None


def _cross_signing_key(raw: Mapping[str, Any], user_id: str, usage: str) -> str | None:
    """The public key of a well-formed cross-signing key object, or None."""
    keys: Sequence[tuple[str, object]] = list(object_at(raw, "keys").items())
    if text_at(raw, "user_id") != user_id or usage not in texts_at(raw, "usage") or len(keys) != 1:
        return None
    key_id, public = keys[0]
    if not isinstance(public, str) or key_id != f"ed25519:{public}" or not is_key(public):
        return None
    return public


def _subkey(raw: Mapping[str, Any], user_id: str, usage: str, master: str) -> str | None:
    """The public self-signing or user-signing key, if the master key has signed it."""
    public = _cross_signing_key(raw, user_id, usage)
    return public if public is not None and is_signed_by(raw, user_id, master, master) else None
