"""Answers for the keys of other servers: their last answer, with our signature added.

Spec: server-server-api#querying-keys-through-another-server
"""

from collections.abc import Mapping
from typing import Any

from watchword.base.clock import Clock
from watchword.base.errors import RemoteProtocolError
from watchword.protocol import canonical_json
from watchword.protocol.ids import ServerName
from watchword.protocol.signatures import sign_json
from watchword.server.federation import tables
from watchword.server.federation.keys import KeyRing
from watchword.server.federation.own_keys import OwnKeys
from watchword.server.federation.settings import FederationSettings
from watchword.server.federation.tables import KeyAnswerRow
from watchword.storage import Database


class KeyNotary:
    """What we say of the keys of others."""

    def __init__(
        self, database: Database, keys: KeyRing, own_keys: OwnKeys, settings: FederationSettings, clock: Clock
    ) -> None:
        self._database = database
        self._keys = keys
        self._own = own_keys
        self._settings = settings
        self._clock = clock

    async def answer(self, server_name: ServerName, wanted: Mapping[str, int], valid_until_ts: int) -> dict[str, Any] | None:
        """The signed key object of a server, valid until then if it can be had; an older one rather than none.

        wanted: key ID → the time it should be valid until; empty: all of its keys.
        """
        if server_name == self._own.server_name:
            return self._own.published()
        if not self._settings.may_talk_with(server_name):
            return None
        row = await self._stored(server_name)
        if row is None or self._is_stale(row, max(valid_until_ts, *wanted.values()) if wanted else valid_until_ts):
            await self._keys.refresh(server_name, wanted)
            row = await self._stored(server_name)
        if row is None:
            return None
        try:
            return sign_json(canonical_json.decode(row.answer, strict=False), self._own.server_name, self._own.signing_key)
        except RemoteProtocolError:
            return None

    async def _stored(self, server_name: ServerName) -> KeyAnswerRow | None:
        async with self._database.read() as tx:
            return await tables.key_answer(tx, server_name)

    def _is_stale(self, row: KeyAnswerRow, valid_until_ts: int) -> bool:
        """ "Notary servers should cache a response for half of its lifetime." """
        half = row.fetched_ts + (row.valid_until_ts - row.fetched_ts) // 2
        return row.valid_until_ts < valid_until_ts or self._clock.now_ms() >= half
