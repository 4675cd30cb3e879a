"""The rules of keys, cross-signing and device lists, as functions of what is stored and what is offered.

Deliberately absent: storage, other servers, and the key backup (see `backup/decide.py`).
"""

from collections.abc import Collection, Mapping, Sequence
from enum import Enum
from typing import Any, TypeVar

from watchword.base import limits
from watchword.base.errors import ProtocolError, Refused
from watchword.protocol import canonical_json, unpadded_base64
from watchword.protocol.ids import DeviceId, ServerName, UserId, domain_of, parse_user_id
from watchword.protocol.signatures import VerifyKey, signable_json, signatures_of
from watchword.server.e2ee.commands import (
    DeviceListUpdate,
    DirectMessage,
    KeysUpload,
    PublishedKey,
    RemoteDevice,
    RemoteDeviceList,
    Signature,
)

K = TypeVar("K", bound=str)
V = TypeVar("V")

MASTER, SELF_SIGNING, USER_SIGNING = "master", "self_signing", "user_signing"
USAGES = (MASTER, SELF_SIGNING, USER_SIGNING)


def encoded(value: object) -> bytes | None:
    """Canonical JSON, or None if the value has none (a float, a number out of range, a lone surrogate)."""
    try:
        return canonical_json.encode(value)
    except ProtocolError:
        return None


# Publishing

# COMPAT(Element classic on iOS, until: nobody uses it).
_OLD_FALLBACK_KEYS = "org.matrix.msc2732.fallback_keys"


def keys_upload(body: Mapping[str, Any], user_id: UserId, device_id: DeviceId) -> KeysUpload | Refused:
    """Check the body of `keys/upload`. Spec: client-server-api#post_matrixclientv3keysupload"""
    keys = device_keys(body["device_keys"], user_id, device_id) if body.get("device_keys") is not None else None
    if isinstance(keys, Refused):
        return keys
    lists = []
    for name, old_name in (("one_time_keys", "one_time_keys"), ("fallback_keys", _OLD_FALLBACK_KEYS)):
        found = published_keys(body.get(name) or body.get(old_name) or {}, name)
        if isinstance(found, Refused):
            return found
        lists.append(found)
    one_time, fallback = lists
    if len({key.algorithm for key in fallback}) < len(fallback):
        return Refused("M_INVALID_PARAM", "fallback_keys may hold one key for each algorithm.")
    return KeysUpload(keys, one_time, fallback)


def device_keys(value: object, user_id: UserId, device_id: DeviceId) -> bytes | Refused:
    """The identity keys of a device as they are stored: canonical JSON, signed by nobody but their own user."""
    if not isinstance(value, dict):
        return Refused("M_BAD_JSON", "device_keys must be an object.")
    if value.get("user_id") != user_id or value.get("device_id") != device_id:
        return Refused("M_INVALID_PARAM", "device_keys must name the user and the device that upload them.")
    algorithms = value.get("algorithms")
    if not isinstance(algorithms, list) or not all(isinstance(name, str) for name in algorithms):
        return Refused("M_BAD_JSON", "device_keys.algorithms must be a list of strings.")
    keys = value.get("keys")
    if not isinstance(keys, dict) or not all(isinstance(key, str) for key in keys.values()):
        return Refused("M_BAD_JSON", "device_keys.keys must be an object of strings.")
    signatures = value.get("signatures")
    if not isinstance(signatures, dict) or not _is_signatures(signatures) or user_id not in signatures:
        return Refused("M_BAD_JSON", "device_keys.signatures must hold the device's own signature.")
    return encoded(_cleaned(value, user_id)) or Refused("M_BAD_JSON", "device_keys is not canonical JSON.")


def published_keys(value: object, name: str) -> Sequence[PublishedKey] | Refused:
    """One-time or fallback keys, in the order of the request."""
    if not isinstance(value, dict):
        return Refused("M_BAD_JSON", f"{name} must be an object.")
    if len(value) > limits.one_time_keys_upload_max:
        return Refused("M_INVALID_PARAM", f"{name} holds too many keys.")
    found = []
    for full_id, content in value.items():
        algorithm, colon, key_id = full_id.partition(":")
        if not algorithm or not colon or not key_id or len(full_id) > limits.identifier_bytes_max:
            return Refused("M_INVALID_PARAM", f"A name in {name} is not of the form algorithm:key_id.")
        if isinstance(content, dict):
            well_formed = isinstance(content.get("key"), str) and _is_signatures(content.get("signatures"))
        else:
            well_formed = isinstance(content, str)
        raw = encoded(content) if well_formed else None
        if raw is None:
            return Refused("M_BAD_JSON", f"{name} holds something that is no key.")
        found.append(PublishedKey(algorithm, key_id, raw))
    return found


def new_one_time_keys(
    offered: Sequence[PublishedKey], known: Mapping[tuple[str, str], bytes], unclaimed: int
) -> Sequence[PublishedKey] | Refused:
    """Which offered keys are new. known: (algorithm, key_id) → content, claimed or not; unclaimed: how many wait.

    The same key again is a repeated request and is passed over, above all if it was claimed since.
    """
    new = []
    for key in offered:
        content = known.get((key.algorithm, key.key_id))
        if content is None:
            new.append(key)
        elif content != key.content:
            return Refused("M_INVALID_PARAM", "A one-time key with the same ID and other content exists.")
    if unclaimed + len(new) > limits.one_time_keys_per_device_max:
        return Refused("M_INVALID_PARAM", "The device has too many one-time keys already.")
    return new


# Cross-signing


def cross_signing_key(value: object, user_id: UserId, usage: str) -> dict[str, Any] | Refused:
    """A cross-signing key of the right shape, without foreign signatures."""
    name = f"{usage}_key"
    if not isinstance(value, dict):
        return Refused("M_BAD_JSON", f"{name} must be an object.")
    if value.get("user_id") != user_id:
        return Refused("M_INVALID_PARAM", f"{name} must name its user.")
    if value.get("usage") != [usage]:
        return Refused("M_INVALID_PARAM", f"{name} must have the usage {usage}.")
    if public_key(value) is None:
        return Refused("M_INVALID_PARAM", f"{name} must hold exactly one ed25519 key, named by itself.")
    if not _is_signatures(value.get("signatures", {})) or encoded(value) is None:
        return Refused("M_BAD_JSON", f"{name} is not a signed object.")
    return _cleaned(value, user_id)


def cross_signing_upload(
    body: Mapping[str, Any], user_id: UserId, stored: Mapping[str, Mapping[str, Any]], device_ids: Collection[str]
) -> Mapping[str, Mapping[str, Any]] | Refused:
    """The cross-signing keys that the upload changes, by usage; empty if it brings nothing new.

    stored: the user's keys by usage. Spec: client-server-api#post_matrixclientv3keysdevice_signingupload
    """
    offered: dict[str, Mapping[str, Any]] = {}
    for usage in USAGES:
        if body.get(f"{usage}_key") is not None:
            key = cross_signing_key(body[f"{usage}_key"], user_id, usage)
            if isinstance(key, Refused):
                return key
            if public_key(key) in device_ids:
                return Refused("M_FORBIDDEN", f"{usage}_key is the same as a device ID.", 403)
            offered[usage] = key
    master = offered.get(MASTER, stored.get(MASTER))
    for usage in (SELF_SIGNING, USER_SIGNING):
        if usage in offered:
            if master is None:
                return Refused("M_MISSING_PARAM", "There is no master key.")
            if not is_signed_by(offered[usage], user_id, public_key(master) or ""):
                return Refused("M_INVALID_SIGNATURE", f"{usage}_key is not signed by the master key.")
    changed = {usage: key for usage, key in offered.items() if not same_key(key, stored.get(usage))}
    # Under a new master key the same subkey is a new one: what counts is its new signature.
    return offered if MASTER in changed else changed


def same_key(a: Mapping[str, Any], b: Mapping[str, Any] | None) -> bool:
    """Whether two key objects differ in nothing but what signs them."""
    return b is not None and _unsigned_part(a) == _unsigned_part(b)


def public_key(key: Mapping[str, Any]) -> str | None:
    """The one ed25519 key of a cross-signing key, or None if the object is malformed."""
    keys = key.get("keys")
    if not isinstance(keys, dict) or len(keys) != 1:
        return None
    ((name, public),) = keys.items()
    if not isinstance(public, str) or name != f"ed25519:{public}" or _key_bytes(public) is None:
        return None
    return public


def is_signed_by(value: Mapping[str, Any], user_id: str, public: str, key_name: str | None = None) -> bool:
    """Whether the object carries a valid signature of this user by this key (named by itself unless key_name is given)."""
    signature, key = signatures_of(value, user_id).get(f"ed25519:{key_name or public}"), _key_bytes(public)
    if signature is None or key is None:
        return False
    # The key's own name may hold characters that a server's key may not: the name plays no part in the check.
    return VerifyKey("ed25519:key", key).verify(signable_json(value), signature)


def new_signatures(
    offered: object, target: Mapping[str, Any] | None, name: tuple[UserId, str], signers: tuple[UserId, Mapping[str, str]]
) -> Sequence[Signature] | Refused:
    """The signatures that an uploaded object adds to the stored one.

    name: the target's user and key ID. signers: whose signatures count, and their keys that may sign here (name →
    public key). Spec: client-server-api#post_matrixclientv3keyssignaturesupload
    """
    if not isinstance(offered, dict) or not _is_signatures(offered.get("signatures")):
        return Refused("M_INVALID_PARAM", "This is not a signed object.")
    if target is None:
        return Refused("M_NOT_FOUND", "There is no such key.", 404)
    if not same_key(offered, target):
        return Refused("M_INVALID_PARAM", "This is not the key that is stored.")
    signer, public_keys = signers
    found = []
    for key_id, signature in offered["signatures"].get(signer, {}).items():
        public = public_keys.get(key_id.removeprefix("ed25519:"))
        if public is None:
            continue
        if not is_signed_by(offered, signer, public, key_id.removeprefix("ed25519:")):
            return Refused("M_INVALID_SIGNATURE", "A signature is wrong.")
        found.append(Signature(name[0], name[1], signer, key_id, signature))
    return found or Refused("M_INVALID_SIGNATURE", "There is no signature by a key that may sign here.")


def with_signatures(
    key: Mapping[str, Any], target: str, signatures: Sequence[Signature], viewer: UserId | None
) -> dict[str, Any]:
    """A key with those of the separate signatures that the viewer may see.

    The owner's signatures are for everybody; what other people say about a key is their own business.
    """
    shown = {user: dict(by_key) for user, by_key in key.get("signatures", {}).items()}
    for row in signatures:
        if row.target == target and row.signer_user_id in (row.target_user_id, viewer):
            shown.setdefault(row.signer_user_id, {})[row.signing_key_id] = row.signature
    return {**key, "signatures": shown} if shown else dict(key)


# Other servers


class Step(Enum):
    """What to do with an update of another server's device list."""

    IGNORE = "ignore"
    """It is in the list already."""
    APPLY = "apply"
    """It is the next one."""
    FETCH = "fetch"
    """Something is missing before it: fetch the whole list."""


def next_step(known_stream_id: int, stream_id: int, prev_ids: Sequence[int]) -> Step:
    """Whether an update follows what is known. Spec: server-server-api#device-management"""
    if stream_id <= known_stream_id:
        return Step.IGNORE
    # "If the receiving server does not recognise any of the prev_ids, it means an EDU has been lost."
    if all(prev_id <= known_stream_id for prev_id in prev_ids):
        return Step.APPLY
    return Step.FETCH


def device_list_update(origin: str, content: Mapping[str, Any]) -> DeviceListUpdate | Refused:
    """Check an m.device_list_update of another server."""
    user_id, device_id, stream_id = content.get("user_id"), content.get("device_id"), content.get("stream_id")
    prev_ids = content.get("prev_id") or []
    if not _belongs(user_id, origin):
        return Refused("M_FORBIDDEN", "The user belongs to another server.", 403)
    if not isinstance(device_id, str) or len(device_id) > limits.device_id_characters_max or not _is_integer(stream_id):
        return Refused("M_BAD_JSON", "device_id or stream_id is wrong.")
    if not isinstance(prev_ids, list) or not all(_is_integer(prev_id) for prev_id in prev_ids):
        return Refused("M_BAD_JSON", "prev_id is wrong.")
    is_deleted = content.get("deleted") is True
    device = remote_device(UserId(str(user_id)), {**content, "device_id": device_id})
    if device is None:
        return Refused("M_BAD_JSON", "The keys are not those of the device.")
    keys, display_name = (None, None) if is_deleted else (device.keys, device.display_name)
    assert isinstance(stream_id, int)
    return DeviceListUpdate(UserId(str(user_id)), device.device_id, stream_id, prev_ids, is_deleted, keys, display_name)


def remote_device(user_id: UserId, value: object) -> RemoteDevice | None:
    """A device of another server's user, or None if its shape is wrong."""
    if not isinstance(value, dict):
        return None
    device_id, name = value.get("device_id"), value.get("device_display_name")
    if not isinstance(device_id, str) or len(device_id) > limits.device_id_characters_max:
        return None
    keys = device_keys(value["keys"], user_id, DeviceId(device_id)) if value.get("keys") is not None else None
    if isinstance(keys, Refused):
        return None
    return RemoteDevice(DeviceId(device_id), keys, _display_name(name))


def shown_name(keys: Mapping[str, Any]) -> dict[str, Any]:
    """The `unsigned` part of another server's device keys: a display name or nothing."""
    unsigned = keys.get("unsigned")
    name = _display_name(unsigned.get("device_display_name")) if isinstance(unsigned, dict) else None
    return {} if name is None else {"unsigned": {"device_display_name": name}}


def remote_device_list(user_id: UserId, answer: Mapping[str, Any]) -> RemoteDeviceList | Refused:
    """Check an answer of `user/devices`; devices of a wrong shape are passed over."""
    stream_id, devices = answer.get("stream_id"), answer.get("devices")
    if answer.get("user_id") != user_id or not _is_integer(stream_id) or not isinstance(devices, list):
        return Refused("M_BAD_JSON", "The answer is not a device list of this user.")
    found = {}
    for value in devices[: limits.devices_per_user_max]:
        device = remote_device(user_id, value)
        if device is not None:
            found[device.device_id] = device
    assert isinstance(stream_id, int)
    return RemoteDeviceList(stream_id, list(found.values()), remote_cross_signing(user_id, answer))


def remote_cross_signing(user_id: UserId, answer: Mapping[str, Any]) -> Mapping[str, bytes]:
    """The public cross-signing keys in another server's answer, by usage; those of a wrong shape are passed over."""
    found = {}
    for usage in (MASTER, SELF_SIGNING):
        key = cross_signing_key(answer.get(f"{usage}_key"), user_id, usage)
        if not isinstance(key, Refused):
            found[usage] = canonical_json.encode(key)
    return found


def direct_message(origin: str, content: Mapping[str, Any]) -> DirectMessage | Refused:
    """Check an m.direct_to_device of another server. Spec: server-server-api#send-to-device-messaging"""
    sender, kind, message_id = content.get("sender"), content.get("type"), content.get("message_id")
    messages = content.get("messages")
    if not _belongs(sender, origin):
        return Refused("M_FORBIDDEN", "The sender belongs to another server.", 403)
    if not isinstance(kind, str) or not isinstance(message_id, str):
        return Refused("M_BAD_JSON", "type or message_id is wrong.")
    if len(message_id) > limits.message_id_characters_max or len(kind) > limits.identifier_bytes_max:
        return Refused("M_INVALID_PARAM", "type or message_id is too long.")
    checked = to_device_messages(messages)
    if isinstance(checked, Refused):
        return checked
    return DirectMessage(UserId(str(sender)), kind, message_id, checked)


def to_device_messages(value: object) -> Mapping[UserId, Mapping[str, Mapping[str, Any]]] | Refused:
    """Check user → device → content, as clients and servers send it."""
    if not isinstance(value, dict):
        return Refused("M_BAD_JSON", "messages must be an object.")
    for by_device in value.values():
        if not isinstance(by_device, dict) or not all(isinstance(content, dict) for content in by_device.values()):
            return Refused("M_BAD_JSON", "messages must map users to devices to objects.")
    return value


# Shapes


def _belongs(user_id: object, origin: str) -> bool:
    return isinstance(user_id, str) and user_id.startswith("@") and domain_of(user_id) == origin


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= limits.canonical_integer_max


def _display_name(name: object) -> str | None:
    return name[: limits.device_name_characters_max] if isinstance(name, str) and encoded(name) is not None else None


def _is_signatures(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(by_key, dict) and all(isinstance(signature, str) for signature in by_key.values())
        for by_key in value.values()
    )


def _key_bytes(public: str) -> bytes | None:
    try:
        key = unpadded_base64.decode(public)
    except ProtocolError:
        return None
    return key if len(key) == 32 else None


def _unsigned_part(key: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in key.items() if name not in ("signatures", "unsigned")}


def _cleaned(key: Mapping[str, Any], user_id: UserId) -> dict[str, Any]:
    own = key.get("signatures", {}).get(user_id)
    return {**_unsigned_part(key), **({"signatures": {user_id: own}} if own else {})}


def split_by_server(server_name: ServerName, named: Mapping[K, V]) -> tuple[dict[UserId, V], dict[ServerName, dict[UserId, V]]]:
    """What is said of users here, and of users elsewhere by server; a name that is no user ID names nobody."""
    local: dict[UserId, V] = {}
    remote: dict[ServerName, dict[UserId, V]] = {}
    for name, value in named.items():
        try:
            user_id = parse_user_id(name)
        except ProtocolError:
            continue
        server = domain_of(user_id)
        if server == server_name:
            local[user_id] = value
        else:
            remote.setdefault(server, {})[user_id] = value
    return local, remote
