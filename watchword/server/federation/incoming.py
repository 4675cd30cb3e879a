"""Takes transactions in: one at a time per origin, each answered once, events to `rooms`, EDUs to whom they concern.

A bad part harms no neighbour: an event that fails is answered with its error, an EDU that fails is dropped.
Spec: server-server-api#transactions
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from watchword.base import limits
from watchword.base.errors import BadRequest, LimitExceeded
from watchword.protocol.ids import ServerName
from watchword.server.federation.backoff import Backoff
from watchword.server.federation.incoming_edus import IncomingEdus
from watchword.server.federation.ports import Receiver

logger = logging.getLogger(__name__)

_BUSY_RETRY_MS = 5_000
_ERROR_CHARACTERS_MAX = 200


@dataclass(slots=True)
class _Origin:
    """One origin's turn: who has it, and how many wait for it."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: int = 0


class TransactionReceiver:
    """Receives the transactions of all servers."""

    def __init__(self, receiver: Receiver, edus: IncomingEdus, backoff: Backoff) -> None:
        self._receiver = receiver
        self._backoff = backoff
        self._edus = edus
        self._origins: dict[ServerName, _Origin] = {}
        self._answers: dict[tuple[ServerName, str], bytes] = {}

    async def receive(self, origin: ServerName, txn_id: str, body: Mapping[str, Any]) -> bytes:
        """The encoded answer; the same one for a transaction that was answered before.

        Raises BadRequest for more than 50 events or 100 EDUs, LimitExceeded if too many transactions of the origin wait.
        """
        pdus, edus = _parts(body)
        turn = self._origins.setdefault(origin, _Origin())
        if turn.waiting > limits.transactions_waiting_max:
            raise LimitExceeded(_BUSY_RETRY_MS, "Send one transaction after the other.")
        turn.waiting += 1
        try:
            async with turn.lock:
                known = self._answers.get((origin, txn_id))
                if known is None:
                    known = await self._process(origin, pdus, edus)
                    self._remember(origin, txn_id, known)
                return known
        finally:
            turn.waiting -= 1
            if not turn.waiting:
                self._origins.pop(origin, None)

    async def _process(self, origin: ServerName, pdus: Sequence[dict[str, Any]], edus: Sequence[object]) -> bytes:
        results: Mapping[str, str | None] = {}
        if pdus:
            with self._backoff.speaking(origin):
                results = await self._receiver.receive_pdus(origin, pdus)
        for edu in edus:
            await self._edus.receive(origin, edu)
        return orjson.dumps({"pdus": {event_id: _result(error) for event_id, error in results.items()}})

    def _remember(self, origin: ServerName, txn_id: str, answer: bytes) -> None:
        self._answers[origin, txn_id] = answer
        if len(self._answers) > limits.transactions_remembered_max:
            del self._answers[next(iter(self._answers))]


def _result(error: str | None) -> dict[str, str]:
    return {} if error is None else {"error": error[:_ERROR_CHARACTERS_MAX]}


def _parts(body: Mapping[str, Any]) -> tuple[Sequence[dict[str, Any]], Sequence[object]]:
    pdus, edus = body.get("pdus", []), body.get("edus", [])
    if not isinstance(pdus, list) or not isinstance(edus, list):
        raise BadRequest("M_BAD_JSON", "pdus and edus must be lists.")
    if len(pdus) > limits.transaction_pdus_max or len(edus) > limits.transaction_edus_max:
        raise BadRequest("M_BAD_JSON", "A transaction holds at most 50 events and 100 EDUs.")
    return [pdu for pdu in pdus if isinstance(pdu, dict)], edus
