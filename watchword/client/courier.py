"""Carries out the machine's requests: durable first, then sent, then answered.

A request that is under way is never sent a second time beside itself; whoever needs it waits for the one that runs.
"""

import asyncio
import logging
from collections.abc import Iterable

from watchword.base.errors import PeerError
from watchword.client.api import ClientApi
from watchword.client.crypto.machine import CryptoMachine
from watchword.client.crypto.requests import Request
from watchword.client.http import SignedOut
from watchword.client.store import ClientStore
from watchword.client.uia import Credentials

logger = logging.getLogger(__name__)

_ROUNDS_MAX = 30


class Courier:
    """Between one machine and one server."""

    def __init__(self, api: ClientApi, machine: CryptoMachine, store: ClientStore) -> None:
        self._api = api
        self._machine = machine
        self._store = store
        self._running: dict[str, asyncio.Future[PeerError | SignedOut | None]] = {}

    async def carry(self, requests: Iterable[Request]) -> PeerError | None:
        """Carry out requests side by side; the error of one that failed, or None. The machine knows of each.

        Raises SignedOut.
        """
        wanted = list(requests)
        if not wanted:
            return None
        await self._store.save()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._carry_one(request)) for request in wanted]
        await self._store.save()
        failed: PeerError | None = None
        for task in tasks:
            error = task.result()
            if isinstance(error, SignedOut):
                raise error
            failed = failed or error
        return failed

    async def _carry_one(self, request: Request) -> PeerError | SignedOut | None:
        running = self._running.get(request.request_id)
        if running is not None:
            return await asyncio.shield(running)
        future = self._running[request.request_id] = asyncio.get_running_loop().create_future()
        error: PeerError | SignedOut | None = PeerError("", "cancelled")
        try:
            error = await self._send(request)
        finally:
            del self._running[request.request_id]
            future.set_result(error)
        return error

    async def _send(self, request: Request) -> PeerError | SignedOut | None:
        try:
            answer = await self._api.perform(request)
        except PeerError as error:
            logger.info("a request failed", extra={"request": type(request).__name__, "errcode": error.errcode})
            self._machine.receive_failure(request.request_id, error.errcode or "", permanent=_is_permanent(error))
            return error
        except SignedOut as error:
            self._machine.receive_failure(request.request_id)
            return error
        self._machine.receive_answer(request.request_id, answer)
        return None

    async def carry_interactively(self, request: Request, credentials: Credentials) -> None:
        """Carry out one request that asks for the user's password. Raises PeerError."""
        await self._store.save()
        try:
            answer = await self._api.perform(request, credentials)
        except PeerError as error:
            self._machine.receive_failure(request.request_id, error.errcode or "")
            raise
        self._machine.receive_answer(request.request_id, answer)
        await self._store.save()

    async def settle(self) -> PeerError | None:
        """Carry out everything that is outstanding, and what comes of it; an error, or None once nothing is left."""
        for _ in range(_ROUNDS_MAX):
            requests = self._machine.outgoing()
            if not requests:
                break
            error = await self.carry(requests)
            if error is not None:
                return error
        await self._store.save()
        return None

    async def prepare_room(self, room_id: str, members: frozenset[str]) -> None:
        """Share the room's key. Raises PeerError if it cannot be delivered, IdentitiesChanged."""
        for _ in range(_ROUNDS_MAX):
            requests = self._machine.prepare_room(room_id, members)
            if not requests:
                return
            error = await self.carry(requests)
            if error is not None and any(request in self._machine.outbox.requests(room_id) for request in requests):
                raise error
        raise PeerError("", "the room key could not be shared")


def _is_permanent(error: PeerError) -> bool:
    """Whether the server itself, not a proxy before it, said that the request is wrong."""
    status = error.status or 0
    return bool(error.errcode) and 400 <= status < 500 and status not in (401, 408, 429)
