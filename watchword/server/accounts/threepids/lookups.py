"""Identity servers as `rooms` needs them: whose an address is, keeping an invite for whoever will own it, and whether a key
with which one was kept is still good. Fits `rooms.ports.InvitationServers`.

An address is sent hashed with the server's pepper wherever that server can do it.
Deliberately absent: publishing addresses (`identity`), and what becomes of an invite.

Spec: identity-service-api#association-lookup, identity-service-api#invitation-storage
"""

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from watchword.base import limits
from watchword.base.errors import BadRequest, ProtocolError, Refusal
from watchword.edge.fetch import Fetcher, FetchFailed, Outgoing
from watchword.protocol import canonical_json, unpadded_base64
from watchword.protocol.ids import UserId, parse_user_id
from watchword.server.accounts.threepids.commands import Threepid
from watchword.server.accounts.threepids.decide import parse_threepid, passed_on
from watchword.server.accounts.threepids.identity import IdentityServers

logger = logging.getLogger(__name__)

_V2 = "/_matrix/identity/v2"
_PEPPER_CHARACTERS_MAX = 255


def hashed(threepid: Threepid, pepper: str, algorithms: object) -> tuple[str, str] | None:
    """(algorithm, the address in its form), the best that both know; None if there is none.

    Spec: identity-service-api#security-considerations
    """
    known = algorithms if isinstance(algorithms, list) else ()
    text = f"{threepid.address} {threepid.medium}"
    if "sha256" in known:
        return "sha256", unpadded_base64.encode_url(hashlib.sha256(f"{text} {pepper}".encode()).digest())
    return ("none", text) if "none" in known else None


@dataclass(frozen=True)
class IdentityLookups:
    """Asks the identity servers that the operator trusts. anywhere: for the addresses of keys, which rooms name."""

    identity: IdentityServers
    anywhere: Fetcher

    @property
    def enabled(self) -> bool:
        """Whether any identity server is trusted."""
        return bool(self.identity.trusted)

    def read_address(self, medium: str, address: str) -> tuple[str, str]:
        """An address in its canonical form. Raises BadRequest."""
        found = parse_threepid(medium, address)
        if found is None:
            raise BadRequest("M_INVALID_PARAM", "This is no e-mail address and no telephone number.")
        return found.medium, found.address

    async def lookup(self, name: str, access_token: str, address: tuple[str, str]) -> UserId | None:
        """Whose a canonical address is, as far as that server knows. Raises Refusal: theirs, or 502."""
        details = await self._ask(name, "GET", "/hash_details", access_token)
        pepper = details.get("lookup_pepper")
        if not isinstance(pepper, str) or len(pepper) > _PEPPER_CHARACTERS_MAX:
            raise _garbled()
        form = hashed(Threepid(*address), pepper, details.get("algorithms"))
        if form is None:
            raise _garbled()
        body = {"algorithm": form[0], "pepper": pepper, "addresses": [form[1]]}
        mappings = (await self._ask(name, "POST", "/lookup", access_token, body)).get("mappings")
        found = mappings.get(form[1]) if isinstance(mappings, dict) else None
        try:
            return parse_user_id(found) if isinstance(found, str) else None
        except ProtocolError as error:
            raise _garbled() from error

    async def store_invite(self, name: str, access_token: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Keep an invite until somebody shows that the address is his. Raises Refusal: theirs, or 502.

        Spec: identity-service-api#post_matrixidentityv2store-invite
        """
        return await self._ask(name, "POST", "/store-invite", access_token, body)

    async def is_key_valid(self, url: str, public_key: str) -> bool:
        """Whether the server behind a room's `key_validity_url` still vouches for a key; False if it does not answer."""
        separator = "&" if "?" in url else "?"
        asked = Outgoing(
            "GET",
            f"{url}{separator}{urlencode({'public_key': public_key})}",
            headers={"accept": "application/json"},
            timeout_ms=limits.identity_timeout_ms,
            bytes_max=limits.identity_answer_bytes_max,
        )
        # Those that are trusted may be where the operator says; the others are strangers.
        is_trusted = any(url.startswith(base.rstrip("/") + "/") for base in self.identity.trusted.values())
        fetcher = self.identity.fetcher if is_trusted and self.identity.fetcher is not None else self.anywhere
        try:
            return (await fetcher.fetch_json(asked)).get("valid") is True
        except FetchFailed as error:
            logger.info("The key of an invite could not be checked.", extra={"cause": error.reason})
            return False

    async def _ask(
        self, name: str, method: str, path: str, access_token: str, body: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        url = self.identity.require_trusted(name)
        assert self.identity.fetcher is not None
        headers = {"accept": "application/json", "authorization": f"Bearer {access_token}"}
        if body is not None:
            headers["content-type"] = "application/json"
        asked = Outgoing(
            method,
            url + _V2 + path,
            headers=headers,
            body=None if body is None else canonical_json.encode(body),
            timeout_ms=limits.identity_timeout_ms,
            bytes_max=limits.identity_answer_bytes_max,
            peer=name,
        )
        try:
            return await self.identity.fetcher.fetch_json(asked)
        except FetchFailed as error:
            if error.status is None or not 400 <= error.status < 500:
                logger.info("An identity server failed.", extra={"server_name": name, "status": error.status})
                raise _garbled() from error
            raise passed_on(error.status, error.errcode).error() from error


def _garbled() -> Refusal:
    return Refusal("M_UNKNOWN", "The identity server did not answer as it should.", status=502)
