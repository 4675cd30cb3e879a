"""Our user's own cross-signing keys: making them, holding their private parts, signing with them.

New keys are stored before they are uploaded and used only once the server shows them as ours, so that neither a crash nor
a lost answer leaves an identity whose private keys nobody has. If another device replaces the identity, the private keys
held here are dropped: they sign nothing any more.

Spec: client-server-api#cross-signing
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from watchword.base.entropy import Entropy
from watchword.base.errors import RemoteProtocolError
from watchword.client.crypto.account import OwnAccount
from watchword.client.crypto.devices import DeviceBook
from watchword.client.crypto.outbox import Outbox
from watchword.client.crypto.records import Records
from watchword.client.crypto.requests import SigningKeysUpload
from watchword.client.crypto.signing import SeedSigner, signed
from watchword.protocol.unpadded_base64 import decode as from_base64
from watchword.protocol.unpadded_base64 import encode as to_base64

MASTER = "m.cross_signing.master"
SELF_SIGNING = "m.cross_signing.self_signing"
USER_SIGNING = "m.cross_signing.user_signing"
SECRET_NAMES = (MASTER, SELF_SIGNING, USER_SIGNING)


class SeedsRow(msgspec.Struct, frozen=True):
    """Private keys as base64 seeds, by secret name. The store encrypts every row."""

    seeds: dict[str, str]


class CrossSigning:
    """The private side of our identity on this device."""

    def __init__(self, records: Records, account: OwnAccount, book: DeviceBook, outbox: Outbox, entropy: Entropy) -> None:
        self._rows = records.shelf("cross_signing", SeedsRow)
        self._account = account
        self._book = book
        self._outbox = outbox
        self._entropy = entropy
        self._upload: SigningKeysUpload | None = None
        self._signed_with = ""
        """The self-signing key this device was last signed with; its signature may be under way."""

    def _signer(self, name: str) -> SeedSigner | None:
        row = self._rows.get("own")
        seed = None if row is None else row.seeds.get(name)
        return None if seed is None else SeedSigner(from_base64(seed))

    @property
    def master(self) -> SeedSigner | None:
        """The master key if its private part is here."""
        return self._signer(MASTER)

    @property
    def is_complete(self) -> bool:
        """Whether all three private keys are here and are those the server shows."""
        row = self._rows.get("own")
        return row is not None and all(name in row.seeds for name in SECRET_NAMES) and self._book.own_identity_is_trusted

    def secrets(self) -> Mapping[str, str]:
        """The private keys by secret name, as they are put into secret storage."""
        row = self._rows.get("own")
        return {} if row is None else dict(row.seeds)

    # Making

    def bootstrap(self, request_id: str) -> SigningKeysUpload:
        """Make three new keys, replacing any identity. Nothing changes until the upload is answered."""
        seeds = {name: to_base64(self._entropy.random_bytes(32)) for name in SECRET_NAMES}
        self._rows.put("pending", SeedsRow(seeds))
        self._upload = SigningKeysUpload(request_id, self._public_keys(seeds))
        return self._upload

    def _public_keys(self, seeds: Mapping[str, str]) -> dict[str, Any]:
        user_id = self._account.user_id
        master = SeedSigner(from_base64(seeds[MASTER]))
        master_key = signed(_key_object(user_id, "master", master.public), user_id, self._account)
        body = {"master_key": master_key}
        for name, usage in ((SELF_SIGNING, "self_signing"), (USER_SIGNING, "user_signing")):
            public = SeedSigner(from_base64(seeds[name])).public
            body[f"{usage}_key"] = signed(_key_object(user_id, usage, public), user_id, master)
        return body

    def receive_answer(self, request_id: str) -> bool:
        """The new keys are published: hold them, and ask the server to show them."""
        if self._upload is None or self._upload.request_id != request_id:
            return False
        self._upload = None
        self._adopt_pending()
        self._book.receive_changes([self._account.user_id], [])
        return True

    def receive_failure(self, request_id: str) -> bool:
        """The keys may or may not be published; if they are, the next query shows it."""
        known = self._upload is not None and self._upload.request_id == request_id
        if known:
            self._upload = None
        return known

    def _adopt_pending(self) -> None:
        pending = self._rows.get("pending")
        if pending is not None:
            self._rows.put("own", pending)
            self._rows.remove("pending")
            self._book.trust_own_master(SeedSigner(from_base64(pending.seeds[MASTER])).public)

    def check_own_identity(self) -> None:
        """Compare what the server shows with what is held here; sign this device if that is what is missing."""
        identity = self._book.identity(self._account.user_id)
        if identity is None:
            return
        pending = self._rows.get("pending")
        if pending is not None and SeedSigner(from_base64(pending.seeds[MASTER])).public == identity.master:
            self._adopt_pending()
        self._drop_stale(identity.master, {SELF_SIGNING: identity.self_signing, USER_SIGNING: identity.user_signing})
        own = self._book.device(self._account.user_id, self._account.device_id)
        self_signing = self._signer(SELF_SIGNING)
        if own is None or self_signing is None or self_signing.public in (own.signed_by, self._signed_with):
            return
        self._signed_with = self_signing.public
        self._sign_device(own.keys, own.device_id, self_signing)

    def _drop_stale(self, master: str, subkeys: Mapping[str, str | None]) -> None:
        row = self._rows.get("own")
        if row is None:
            return
        current = {MASTER: master, **subkeys}
        kept = {name: seed for name, seed in row.seeds.items() if SeedSigner(from_base64(seed)).public == current[name]}
        if not kept:
            self._rows.remove("own")
        elif kept != row.seeds:
            self._rows.put("own", SeedsRow(kept))

    # Signing

    def _sign_device(self, keys: Mapping[str, Any], device_id: str, self_signing: SeedSigner) -> None:
        user_id = self._account.user_id
        bare = {key: value for key, value in keys.items() if key != "signatures"}
        self._outbox.add_signatures({user_id: {device_id: signed(bare, user_id, self_signing)}})

    def sign_own_device(self, device_id: str) -> bool:
        """Say that another device of ours is ours; False if the key for that, or the device, is not here."""
        device, self_signing = self._book.device(self._account.user_id, device_id), self._signer(SELF_SIGNING)
        if device is None or self_signing is None or not self._book.own_identity_is_trusted:
            return False
        self._sign_device(device.keys, device_id, self_signing)
        return True

    def sign_user(self, user_id: str, master: str) -> bool:
        """Say that this master key, which our user has compared, is that user's; False if it is not or we cannot sign."""
        identity, user_signing = self._book.identity(user_id), self._signer(USER_SIGNING)
        if identity is None or identity.master != master or user_signing is None or user_id == self._account.user_id:
            return False
        if not self._book.own_identity_is_trusted:
            return False
        bare = {key: value for key, value in identity.master_key.items() if key != "signatures"}
        signature = signed(bare, self._account.user_id, user_signing)
        self._outbox.add_signatures({user_id: {master: signature}})
        self._book.add_own_signature(user_id, signed(identity.master_key, self._account.user_id, user_signing))
        return True

    def receive_secrets(self, secrets: Mapping[str, str]) -> bool:
        """Take in private keys from secret storage; True if they are our published identity's, which is then trusted.

        The identity must have been queried before. Keys that do not fit it are refused as a whole.
        """
        identity = self._book.identity(self._account.user_id)
        if identity is None:
            return False
        current = {MASTER: identity.master, SELF_SIGNING: identity.self_signing, USER_SIGNING: identity.user_signing}
        seeds = {}
        for name in SECRET_NAMES:
            seed = _seed(secrets.get(name))
            if seed is None or SeedSigner(seed).public != current[name]:
                return False
            seeds[name] = to_base64(seed)
        self._rows.put("own", SeedsRow(seeds))
        self._book.trust_own_master(identity.master)
        self.check_own_identity()
        return True


def _key_object(user_id: str, usage: str, public: str) -> dict[str, Any]:
    return {"user_id": user_id, "usage": [usage], "keys": {f"ed25519:{public}": public}}


def _seed(text: str | None) -> bytes | None:
    try:
        seed = b"" if text is None else from_base64(text)
    except RemoteProtocolError:
        return None
    return seed if len(seed) == 32 else None
