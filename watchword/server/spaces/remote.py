"""What other servers say of rooms: asked once, kept for a while, also that they said nothing.

Spec: server-server-api#get_matrixfederationv1hierarchyroomid
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import orjson

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.errors import PeerError
from watchword.protocol.ids import RoomId, ServerName
from watchword.server.spaces.commands import Described
from watchword.server.spaces.decide import described_by_peer
from watchword.server.spaces.ports import RemoteSpaces

logger = logging.getLogger(__name__)

_Key = tuple[RoomId, bool, tuple[ServerName, ...]]
"""Who is asked is part of the question: whoever names a server of his own gets its word, and nobody else does."""


class _Kept(NamedTuple):
    described: Described | None
    until_ms: int
    size: int


@dataclass
class RemoteRooms:
    """Asks, and remembers. Answers are the same for all users: whether one of them may see a room is decided elsewhere."""

    servers: RemoteSpaces
    server_name: ServerName
    clock: Clock
    _kept: dict[_Key, _Kept] = field(default_factory=dict)
    _kept_bytes: int = 0
    _asking: dict[_Key, asyncio.Future[None]] = field(default_factory=dict)

    async def described(
        self, room_id: RoomId, via: Sequence[ServerName], *, suggested_only: bool, timeout_ms: int
    ) -> Described | None:
        """A room as one of these servers describes it; None if none of them does."""
        asked = tuple(server for server in dict.fromkeys(via) if server != self.server_name)[: limits.space_servers_asked_max]
        if not asked:
            return None
        key = (room_id, suggested_only, asked)
        while (kept := self._fresh(key)) is None:
            under_way = self._asking.get(key)
            if under_way is not None:
                await asyncio.wait((under_way,))
                continue
            self._asking[key] = asyncio.get_running_loop().create_future()
            try:
                self._keep(key, await self._asked(room_id, asked, suggested_only, timeout_ms))
            finally:
                self._asking.pop(key).set_result(None)
        return kept.described

    def _fresh(self, key: _Key) -> _Kept | None:
        kept = self._kept.get(key)
        return kept if kept is not None and kept.until_ms > self.clock.monotonic_ms() else None

    def _keep(self, key: _Key, described: Described | None) -> None:
        self._drop(key)
        size = _size(described)
        # Strangers choose what is asked for, and others what they answer: its number alone bounds nothing.
        while self._kept and (
            len(self._kept) >= limits.space_answers_max or self._kept_bytes + size > limits.space_answers_bytes_max
        ):
            self._drop(next(iter(self._kept)))
        lasts_ms = limits.space_failure_ms if described is None else limits.space_answer_ms
        self._kept[key] = _Kept(described, self.clock.monotonic_ms() + lasts_ms, size)
        self._kept_bytes += size

    def _drop(self, key: _Key) -> None:
        dropped = self._kept.pop(key, None)
        if dropped is not None:
            self._kept_bytes -= dropped.size

    async def _asked(
        self, room_id: RoomId, asked: Sequence[ServerName], suggested_only: bool, timeout_ms: int
    ) -> Described | None:
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                for server in asked:
                    try:
                        answer = await self.servers.hierarchy(server, room_id, suggested_only)
                    except PeerError as error:
                        logger.info("A room was not described.", extra={"server_name": server, "cause": error.reason})
                        continue
                    described = described_by_peer(answer, room_id)
                    if described is not None:
                        return described
        except TimeoutError:
            logger.info("A room was not described in time.", extra={"room_id": room_id})
        return None


def _size(described: Described | None) -> int:
    """How much memory an answer takes, roughly: its encoded bytes."""
    if described is None:
        return 0
    relatives = [each.entry for each in described.relatives.values() if each is not None]
    return len(orjson.dumps([described.entry, relatives, [child.stripped for child in described.children]]))
