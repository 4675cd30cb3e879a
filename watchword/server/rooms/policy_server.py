"""Asking a room's policy server for its signature: before an event of ours is sent, and when one arrives without.

Never while a lock of a room is held. What the policy server says when it refuses is passed on as it is.
Deliberately absent: which room has one (`Room.policy_server`), and placing events (`intake`).

Spec: server-server-api#policy-servers
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from watchword.base import limits
from watchword.base.errors import Forbidden, LimitExceeded, PeerError, Refusal
from watchword.protocol import event_types
from watchword.protocol.events import Pdu
from watchword.protocol.ids import EventId, RoomId
from watchword.protocol.policy_servers import PolicyServer, needs_signature
from watchword.protocol.room_versions import RoomVersion
from watchword.server.rooms.commands import Transaction
from watchword.server.rooms.incoming import Verified, encoded
from watchword.server.rooms.ports import PolicySigner

logger = logging.getLogger(__name__)

_REFUSED = "The policy server of this room does not allow that."
_UNAVAILABLE = 503


class PlacesOwn(Protocol):
    """Places an event of ours that was signed while the room was free. Fitted by `intake.Intake`."""

    async def take_own(self, room_id: RoomId, event: Verified, transaction: Transaction | None) -> EventId:
        """Returns once it is durable; the event that the transaction made before, if it did. Raises Refusal."""
        ...


@dataclass(slots=True)
class _Turns:
    """How many events of one room are with its policy server: each is built on the same end of the room."""

    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(limits.policy_asked_at_once))
    users: int = 0


class PolicyGate:
    """Asks policy servers. `places` is set by the assembly, before anything is sent."""

    places: PlacesOwn

    def __init__(self, servers: PolicySigner) -> None:
        self._servers = servers
        self._turns: dict[RoomId, _Turns] = {}

    @asynccontextmanager
    async def turn(self, room_id: RoomId) -> AsyncIterator[None]:
        """Wait until few enough events of the room are under way: more would be too many ends of it."""
        turns = self._turns.setdefault(room_id, _Turns())
        turns.users += 1
        try:
            async with turns.slots:
                yield
        finally:
            turns.users -= 1
            if not turns.users:
                del self._turns[room_id]

    async def signed(self, server: PolicyServer, pdu: Pdu, version: RoomVersion) -> Pdu:
        """An event of ours with the policy server's signature. Raises Refusal: its own words if it refuses.

        Whoever leaves need not wait for a policy server that does not answer.
        """
        if not needs_signature(pdu):
            return pdu
        try:
            return await self._ask(server, pdu, version)
        except PeerError as error:
            refusal = _refusal_of(error)
            if _is_leave(pdu) and refusal.status >= _UNAVAILABLE:
                return pdu
            raise refusal from error

    async def judge(self, server: PolicyServer, event: Verified, version: RoomVersion) -> tuple[Verified, str | None]:
        """An event without a valid signature: the same with one, or why it is not to be shown."""
        try:
            pdu = await self._ask(server, event.pdu, version)
        except PeerError as error:
            logger.info(
                "A policy server did not sign an event.",
                extra={"room_id": event.pdu.room_id, "event_id": event.pdu.event_id, "server_name": server.via},
            )
            return event, _refusal_of(error).text
        return Verified(pdu, encoded(pdu, version)), None

    async def _ask(self, server: PolicyServer, pdu: Pdu, version: RoomVersion) -> Pdu:
        answer = await self._servers.policy_sign(server.via, pdu.json, is_unstable=server.is_unstable)
        signed = server.with_signature(pdu.json, answer, version)
        if signed is None:
            raise PeerError(server.via, "its signature is not valid")
        return msgspec.structs.replace(pdu, json=signed)


def _is_leave(pdu: Pdu) -> bool:
    return pdu.type == event_types.MEMBER and pdu.state_key == pdu.sender and pdu.content.get("membership") == "leave"


def _refusal_of(error: PeerError) -> Refusal:
    if error.status == 429:
        return LimitExceeded(error.retry_after_ms or limits.policy_retry_after_ms, "The policy server is asked too much.")
    if error.errcode == "M_FORBIDDEN":
        text = error.body.get("error")
        return Forbidden(text[: limits.policy_text_characters_max] if isinstance(text, str) and text else _REFUSED)
    return Refusal("M_UNKNOWN", "The policy server of this room cannot be asked now.", status=_UNAVAILABLE)
