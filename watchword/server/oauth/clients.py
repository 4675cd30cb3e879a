"""Clients that register themselves: RFC 7591 without secrets.

The same metadata registered again is the same client, so that an application that registers at every start costs one row.
Clients that nobody used for long are forgotten, unless somebody is signed in with them.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.entropy import Entropy
from watchword.base.errors import LimitExceeded
from watchword.server.accounts.reader import AccountReader
from watchword.server.oauth import tables
from watchword.server.oauth.commands import Client, ClientMetadata, OAuthRefused
from watchword.server.oauth.decide import client_metadata
from watchword.storage import Database

_ID_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_FORGOTTEN_AT_ONCE = 500


@dataclass(frozen=True)
class Clients:
    """Registers and finds clients."""

    database: Database
    accounts: AccountReader
    clock: Clock
    entropy: Entropy

    async def register(self, body: Mapping[str, Any]) -> Client:
        """The client of this metadata. Raises OAuthRefusal invalid_client_metadata or invalid_redirect_uri, LimitExceeded.

        Spec: client-server-api#client-registration
        """
        metadata = client_metadata(body)
        if isinstance(metadata, OAuthRefused):
            raise metadata.refusal()
        digest = _digest(metadata)
        async with self.database.write() as tx:
            known = await tables.client_by_digest(tx, digest)
            if known is not None:
                return known
            if await tables.count_clients(tx) >= limits.oauth_clients_max and not await tables.delete_oldest_unused_client(tx):
                raise LimitExceeded(3_600_000, "Too many applications are registered.")
            made = Client(self.entropy.letters(26, _ID_LETTERS), metadata, self.clock.now_ms())
            await tables.insert_client(tx, made, digest)
        return made

    async def find(self, client_id: str | None) -> Client | None:
        """The client of an ID."""
        if client_id is None:
            return None
        async with self.database.read() as tx:
            return await tables.client(tx, client_id)

    async def known(self, client_id: str | None) -> Client:
        """The same. Raises OAuthRefusal invalid_client."""
        found = await self.find(client_id)
        if found is None:
            raise OAuthRefused("invalid_client", "This client is not registered.", status=401).refusal()
        return found

    async def forget_unused(self) -> None:
        """Forget clients that nobody used for long and nobody is signed in with."""
        in_use = set(await self.accounts.clients_with_sessions())
        before_ts = self.clock.now_ms() - limits.oauth_client_unused_ms
        async with self.database.read() as view:
            # Those in use would hide the others behind them.
            old = await tables.clients_unused_since(view, before_ts, _FORGOTTEN_AT_ONCE + len(in_use))
        async with self.database.write() as tx:
            for client_id in old:
                if client_id not in in_use:
                    await tables.delete_client(tx, client_id)


def _digest(metadata: ClientMetadata) -> bytes:
    return hashlib.sha256(orjson.dumps(metadata.json(), option=orjson.OPT_SORT_KEYS)).digest()


def client_title(client: Client) -> str:
    """What people are told that a client is called."""
    return client.metadata.client_name or client.metadata.client_uri
