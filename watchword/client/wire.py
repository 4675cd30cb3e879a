"""What a session stands on: its store, its connection, and the row that says who we are. Opened and closed together."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import msgspec

from watchword.base.clock import Clock
from watchword.base.entropy import Entropy
from watchword.client.crypto.records import Shelf
from watchword.client.http import ServerConnection, Tokens
from watchword.client.store import ClientStore, open_store
from watchword.edge.addresses import EVERYWHERE
from watchword.edge.dns import DnsResolver
from watchword.edge.fetch import Fetcher


@dataclass(frozen=True)
class ClientSettings:
    """Where the server is and where this device keeps its memory.

    base_url: of the homeserver's client API, such as https://matrix.example.org. store_key: 32 random bytes, or a passphrase.
    ca_files: PEM files of authorities trusted besides the system's. device_name: as other users see it.
    """

    base_url: str
    store_path: Path
    store_key: bytes | str = field(repr=False)
    ca_files: Sequence[str] = ()
    device_name: str = "Watchword"
    sync_timeout_ms: int = 30_000


class SessionRow(msgspec.Struct, frozen=True):
    """What is stored about the session itself. next_batch: the token of the last sync that is durable."""

    user_id: str
    device_id: str
    access_token: str
    refresh_token: str | None = None
    expires_ts: int | None = None
    next_batch: str | None = None


class Wire:
    """An open store and a connection. Make it with `open`."""

    def __init__(
        self, store: ClientStore, server: ServerConnection, fetcher: Fetcher, resolver: DnsResolver, rows: Shelf[SessionRow]
    ) -> None:
        self.store = store
        self.server = server
        self._fetcher = fetcher
        self._resolver = resolver
        self.rows = rows
        server.keep_tokens = self._keep_tokens

    @classmethod
    async def open(cls, settings: ClientSettings, clock: Clock, entropy: Entropy) -> Self:
        """Open the store and prepare the connection; nothing is sent. Raises WrongStoreKey, StorageError."""
        store = await open_store(settings.store_path, settings.store_key, entropy)
        resolver = DnsResolver()
        fetcher = Fetcher(
            resolver,
            EVERYWHERE,
            user_agent="Watchword client",
            plain_http=settings.base_url.startswith("http:"),
            extra_ca_files=settings.ca_files,
        )
        server = ServerConnection(settings.base_url, fetcher, clock, entropy)
        wire = cls(store, server, fetcher, resolver, store.records.shelf("session", SessionRow))
        row = wire.rows.get("own")
        if row is not None:
            server.tokens = Tokens(row.access_token, row.refresh_token, row.expires_ts)
        return wire

    async def _keep_tokens(self, tokens: Tokens) -> None:
        row = self.rows.get("own")
        assert row is not None
        self.rows.put(
            "own",
            msgspec.structs.replace(
                row, access_token=tokens.access, refresh_token=tokens.refresh, expires_ts=tokens.expires_ts
            ),
        )
        await self.store.save()

    @asynccontextmanager
    async def closing_on_failure(self) -> AsyncIterator[None]:
        """Close everything if the block fails."""
        try:
            yield
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Close everything. Idempotent."""
        await self._fetcher.close()
        await self._resolver.close()
        await self.store.close()
