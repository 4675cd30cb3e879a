"""This server's own signing key: its file, and what is published of it.

Spec: server-server-api#publishing-keys
"""

import os
from pathlib import Path
from typing import Any

from watchword.base.clock import Clock
from watchword.base.entropy import Entropy
from watchword.base.errors import ConfigError, RemoteProtocolError
from watchword.protocol import canonical_json, unpadded_base64
from watchword.protocol.ids import ServerName
from watchword.protocol.signatures import ALGORITHM, SigningKey, VerifyKey, sign_json
from watchword.server.federation.settings import FederationSettings

_SEED_BYTES = 32
_NAME_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def load_or_create_signing_key(path: Path, entropy: Entropy) -> SigningKey:
    """Read the key file, or make one that only its owner may read.

    One line, `ed25519 <version> <unpadded base64 of the seed>`; of several lines the first is the key that signs.
    Raises ConfigError if the file says something else.
    """
    try:
        text = path.read_text(encoding="ascii")
    except FileNotFoundError:
        return _create(path, entropy)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), "signing key", type(error).__name__, "a readable text file") from error
    return _parse(path, text)


def _create(path: Path, entropy: Entropy) -> SigningKey:
    key = SigningKey(entropy.random_bytes(_SEED_BYTES), "a_" + entropy.letters(6, _NAME_LETTERS))
    line = f"{ALGORITHM} {key.key_id.partition(':')[2]} {unpadded_base64.encode(key.export_seed())}\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    # Written whole beside it and renamed: a crash leaves no half key.
    beside = path.with_name(path.name + ".new")
    beside.unlink(missing_ok=True)
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(handle, line.encode())
        os.fsync(handle)
    finally:
        os.close(handle)
    os.rename(beside, path)
    return key


def _parse(path: Path, text: str) -> SigningKey:
    expected = "a line `ed25519 <version> <seed in base64>`"
    lines = [line.split() for line in text.splitlines() if line.strip()]
    if not lines or len(lines[0]) != 3 or lines[0][0] != ALGORITHM:
        raise ConfigError(str(path), "signing key", "another format", expected)
    try:
        seed = unpadded_base64.decode(lines[0][2])
        if len(seed) != _SEED_BYTES:
            raise ConfigError(str(path), "signing key", f"a seed of {len(seed)} bytes", "32 bytes")
        return SigningKey(seed, lines[0][1])
    except RemoteProtocolError as error:
        raise ConfigError(str(path), "signing key", "another format", expected) from error


class OwnKeys:
    """The key that signs, and the answer of `/_matrix/key/v2/server`, encoded once and made again at half its life."""

    def __init__(self, signing_key: SigningKey, settings: FederationSettings, clock: Clock) -> None:
        self.signing_key = signing_key
        self._settings = settings
        self._clock = clock
        self._published: dict[str, Any] = {}
        self._encoded = b""
        self._renew_ts = 0
        self._keys = {signing_key.key_id: signing_key.verify_key}
        for key_id, (text, _) in settings.old_keys.items():
            self._keys[VerifyKey.from_base64(key_id, text).key_id] = VerifyKey.from_base64(key_id, text)

    @property
    def server_name(self) -> ServerName:
        """Whose keys these are."""
        return self._settings.server_name

    def verify_key(self, key_id: str) -> VerifyKey | None:
        """Our own public key of that ID, also an old one."""
        return next((key for own_id, key in self._keys.items() if own_id == key_id), None)

    def published(self) -> dict[str, Any]:
        """The signed key object, valid for some hours at least; nobody changes it."""
        now = self._clock.now_ms()
        if now >= self._renew_ts:
            lifetime = self._settings.key_lifetime_ms
            own = self.signing_key.verify_key
            answer = {
                "server_name": self.server_name,
                "valid_until_ts": now + lifetime,
                "verify_keys": {own.key_id: {"key": own.to_base64()}},
                "old_verify_keys": {
                    key_id: {"key": text, "expired_ts": expired_ts}
                    for key_id, (text, expired_ts) in self._settings.old_keys.items()
                },
            }
            self._published = sign_json(answer, self.server_name, self.signing_key)
            self._encoded = canonical_json.encode(self._published)
            self._renew_ts = now + lifetime // 2
        return self._published

    def published_bytes(self) -> bytes:
        """The same, encoded."""
        self.published()
        return self._encoded
