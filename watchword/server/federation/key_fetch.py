"""Asks other servers for keys: the server itself, or a notary. Checks what comes; keeps nothing.

Spec: server-server-api#querying-keys-through-another-server
"""

from collections.abc import Mapping, Sequence
from typing import Any

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.errors import PeerError
from watchword.protocol import canonical_json
from watchword.protocol.ids import ServerName
from watchword.protocol.signatures import verify_json
from watchword.server.federation.key_rules import KeyAnswer, ServerKey, read_key_answer
from watchword.server.federation.peer import Ask, PeerTransport
from watchword.server.federation.settings import FederationSettings

_TIMEOUT_MS = 10_000

Taken = tuple[Mapping[str, Any], KeyAnswer]
"""The answer as it came, and what it says."""


class KeyFetch:
    """The two ways to another server's keys."""

    def __init__(self, transport: PeerTransport, settings: FederationSettings, clock: Clock) -> None:
        self._transport = transport
        self._clock = clock
        self.notaries: Sequence[ServerName] = settings.notaries

    async def direct(self, server_name: ServerName) -> Taken:
        """Ask the server itself. Raises PeerError if it does not answer, or not for itself."""
        answer = await self._transport.json(
            server_name,
            Ask(
                "GET",
                "/_matrix/key/v2/server",
                signed=False,
                patient=False,
                timeout_ms=_TIMEOUT_MS,
                bytes_max=limits.key_answer_bytes_max,
            ),
        )
        return self._checked(server_name, server_name, answer)

    async def by_notary(
        self,
        notary: ServerName,
        notary_keys: Mapping[str, ServerKey],
        server_name: ServerName,
        wanted: Mapping[str, int],
    ) -> Taken:
        """Ask a notary about a server; its own signature must be on the answer too. Raises PeerError."""
        criteria = {key_id: {"minimum_valid_until_ts": ts} for key_id, ts in wanted.items()}
        answer = await self._transport.json(
            notary,
            Ask(
                "POST",
                "/_matrix/key/v2/query",
                body=canonical_json.encode({"server_keys": {server_name: criteria}}),
                timeout_ms=_TIMEOUT_MS,
                bytes_max=limits.key_answer_bytes_max,
            ),
        )
        found = answer.get("server_keys")
        for entry in found[: limits.keys_per_server_max] if isinstance(found, list) else []:
            if isinstance(entry, dict) and entry.get("server_name") == server_name:
                if not any(verify_json(entry, notary, key.verify_key) for key in notary_keys.values()):
                    raise PeerError(notary, "its key answer lacks its own signature")
                return self._checked(notary, server_name, entry)
        raise PeerError(notary, "it does not know the keys")

    def _checked(self, asked: ServerName, server_name: ServerName, answer: Mapping[str, Any]) -> Taken:
        checked = read_key_answer(answer, server_name, self._clock.now_ms())
        if isinstance(checked, str):
            raise PeerError(asked, f"its key answer was refused: {checked}")
        return answer, checked
