"""Registration by scripts that share a secret with the server: a nonce, then an HMAC-SHA1 over what is wanted.

The form that provisioning scripts use. Off, and not even visible, unless a secret is configured.
"""

import hashlib
import hmac
from collections import OrderedDict

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.entropy import Entropy
from watchword.base.errors import BadRequest, Forbidden, NotFound
from watchword.edge.auditing import Audit, Deed
from watchword.edge.request import Request
from watchword.server.accounts.registration import Registered, Registrar

_NONCE_BYTES = 32


class SharedSecretRegistration:
    """Gives nonces and redeems them. A nonce is good once, for a minute."""

    def __init__(self, secret: str | None, registrar: Registrar, clock: Clock, entropy: Entropy, audit: Audit) -> None:
        self._secret = secret
        self._registrar = registrar
        self._clock = clock
        self._entropy = entropy
        self._audit = audit
        self._nonces: OrderedDict[str, int] = OrderedDict()

    def nonce(self) -> str:
        """A fresh nonce. Raises NotFound M_UNRECOGNIZED if there is no secret."""
        self._required_secret()
        while len(self._nonces) >= limits.shared_secret_nonces_max:
            self._nonces.popitem(last=False)
        nonce = self._entropy.random_bytes(_NONCE_BYTES).hex()
        self._nonces[nonce] = self._clock.monotonic_ms() + limits.shared_secret_nonce_ms
        return nonce

    async def register(self, request: Request) -> Registered:
        """Redeem a nonce. Raises BadRequest for a nonce that is not good, Forbidden for a wrong HMAC."""
        secret = self._required_secret()
        nonce = request.field("nonce", str)
        username = request.field("username", str)
        password = request.field("password", str)
        admin = request.field_or("admin", bool, False)
        user_type = request.field_or_none("user_type", str)
        mac = request.field("mac", str)
        until_ms = self._nonces.pop(nonce, None)
        if until_ms is None or until_ms <= self._clock.monotonic_ms():
            raise BadRequest("M_UNKNOWN", "This nonce is not known or has expired.")
        signed = [nonce, username, password, "admin" if admin else "notadmin", *([user_type] if user_type else [])]
        expected = hmac.new(_bytes(secret), b"\x00".join(map(_bytes, signed)), hashlib.sha1).hexdigest()
        if not hmac.compare_digest(expected.encode(), _bytes(mac)):
            raise Forbidden("The HMAC is wrong.")
        wants_login = not request.field_or("inhibit_login", bool, False)
        async with self._audit.act(Deed.asked(request, None, "user.create", username)) as entry:
            entry.add(admin=admin, by_shared_secret=True)
            return await self._registrar.register_as_operator(
                username, password, admin=admin, wants_login=wants_login, also=entry
            )

    def _required_secret(self) -> str:
        if not self._secret:
            raise NotFound("This path is not known.", "M_UNRECOGNIZED")
        return self._secret


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
