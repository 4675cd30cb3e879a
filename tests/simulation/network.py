"""The network between the servers, and from clients to them: delays, losses, repetitions, partitions, slow answers.

Fits federation's `Egress`. Whatever is drawn, is drawn from one seeded source. An HTTP request that is repeated (by an
impatient proxy, say) arrives later than the first, and so out of order.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from random import Random

from tests.simulation.loop import LIFE, Life
from watchword.base.clock import ManualClock
from watchword.edge.replies import Reply
from watchword.edge.router import Incoming, Router
from watchword.server.federation.discovery_rules import SrvRecord
from watchword.server.federation.ports import PeerAnswer, PeerCall, WholeAnswer


@dataclass
class Weather:
    """Fractions of requests with that fate. delay_ms: the longest usual delay one way."""

    delay_ms: int = 50
    request_lost: float = 0.0
    answer_lost: float = 0.0
    refused: float = 0.0
    repeated: float = 0.0
    slow: float = 0.0


CALM = Weather()


@dataclass(frozen=True)
class Address:
    """A server that can be reached now."""

    life: Life
    router: Router


class _Body:
    def __init__(self, body: bytes) -> None:
        self._body = body

    async def next_piece(self) -> tuple[bytes, bool]:
        return self._body, False


@dataclass(frozen=True)
class Answer:
    """A whole answer; fits PeerAnswer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    async def read(self, bytes_max: int) -> bytes:
        if len(self.body) > bytes_max:
            raise OSError("the answer is too long")
        return self.body

    async def pieces(self, bytes_max: int) -> AsyncIterator[bytes]:
        yield await self.read(bytes_max)


@dataclass(frozen=True, eq=False)
class Letter:
    """A request on its way."""

    method: str
    uri: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Network:
    """All links."""

    clock: ManualClock
    random: Random
    trace: Callable[[str], None]
    weather: Weather = field(default_factory=Weather)
    addresses: dict[str, Address] = field(default_factory=dict)
    severed: set[frozenset[str]] = field(default_factory=set)
    refused: dict[str, set[str]] = field(default_factory=dict)
    """Server → events that it gave back with an error, though it took the transaction: nobody sends them again."""
    _under_way: dict[Letter, Life | None] = field(default_factory=dict)

    def under_way(self) -> list[str]:
        """Requests that somebody who lives still waits for."""
        return [letter.uri for letter, life in self._under_way.items() if life is None or life.is_alive]

    def egress(self, origin: str) -> "SimulatedEgress":
        """The way out of one server."""
        return SimulatedEgress(self, origin)

    async def exchange(self, origin: str, destination: str, letter: Letter, timeout_ms: int) -> Answer:
        """Send a request and wait for its answer. Raises OSError."""
        deadline_ms = self.clock.monotonic_ms() + timeout_ms
        self._under_way[letter] = LIFE.get()
        try:
            return await self._exchange(origin, destination, letter, deadline_ms)
        finally:
            del self._under_way[letter]

    async def _exchange(self, origin: str, destination: str, letter: Letter, deadline_ms: int) -> Answer:
        weather, draw = self.weather, self.random.random
        if draw() < weather.refused:
            raise ConnectionRefusedError("refused by chance")
        lost, answer_lost, slow = draw() < weather.request_lost, draw() < weather.answer_lost, draw() < weather.slow
        repeated = draw() < weather.repeated and letter.method in ("PUT", "GET")
        there_ms, back_ms = self.random.randrange(1 + weather.delay_ms), self.random.randrange(1 + weather.delay_ms)
        if slow:
            back_ms += self.random.randrange(5_000, 60_000)
        await self.clock.sleep(there_ms)
        if lost or self._is_severed(origin, destination):
            await self.clock.sleep(deadline_ms - self.clock.monotonic_ms())
            raise TimeoutError("the request was lost")
        if repeated:
            echo_ms = self.random.randrange(1, 10_000)
            self.clock.call_later(echo_ms, lambda: self._echo(destination, letter))
        answer = await self._within(self.hand_over(destination, letter), deadline_ms)
        self.trace(f"{origin}>{destination} {letter.method} {letter.uri} {answer.status}")
        if letter.uri.startswith("/_matrix/federation/v1/send/") and answer.status == 200:
            results = json.loads(answer.body)["pdus"]
            self.refused.setdefault(destination, set()).update(each for each in results if "error" in results[each])
        await self.clock.sleep(min(back_ms, max(1, deadline_ms - self.clock.monotonic_ms())))
        if answer_lost or self._is_severed(origin, destination):
            await self.clock.sleep(deadline_ms - self.clock.monotonic_ms())
            raise TimeoutError("the answer was lost")
        if self.clock.monotonic_ms() >= deadline_ms:
            raise TimeoutError("the answer came too late")
        return answer

    def _echo(self, destination: str, letter: Letter) -> None:
        if destination in self.addresses:
            # Nobody listens to the answer.
            self.hand_over(destination, letter).add_done_callback(lambda done: done.cancelled() or done.exception())

    def _is_severed(self, a: str, b: str) -> bool:
        return frozenset((a, b)) in self.severed

    def hand_over(self, destination: str, letter: Letter) -> "asyncio.Future[Answer]":
        """Put a request before a server; the future fails if the server dies. Raises ConnectionRefusedError if it is down."""
        address = self.addresses.get(destination)
        if address is None or not address.life.is_alive:
            raise ConnectionRefusedError(f"{destination} is down")
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        address.life.calls[future] = None
        address.life.spawn(_serve(address, letter, future))
        return future

    async def _within(self, future: "asyncio.Future[Answer]", deadline_ms: int) -> Answer:
        def give_up() -> None:
            if not future.done():
                future.set_exception(TimeoutError("no answer in time"))

        call_off = self.clock.call_later(max(1, deadline_ms - self.clock.monotonic_ms()), give_up)
        try:
            return await future
        finally:
            call_off()


async def _serve(address: Address, letter: Letter, future: "asyncio.Future[Answer]") -> None:
    path, _, query = letter.uri.partition("?")
    headers = [(name.lower().encode(), value.encode()) for name, value in letter.headers.items()]
    headers.append((b"content-length", str(len(letter.body)).encode()))
    incoming = Incoming(letter.method, path.encode(), query.encode(), headers, "192.0.2.1", _Body(letter.body))
    reply = await address.router.answer(incoming)
    body = reply.body if isinstance(reply, Reply) else b"".join([piece async for piece in reply.pieces])
    address.life.calls.pop(future, None)
    if not future.done():
        future.set_result(Answer(reply.status, reply.headers, body))


class SimulatedEgress:
    """One server's way out."""

    def __init__(self, network: Network, origin: str) -> None:
        self._network = network
        self._origin = origin

    def call(self, call: PeerCall) -> AbstractAsyncContextManager[PeerAnswer]:
        """See Egress."""
        return self._call(call)

    @asynccontextmanager
    async def _call(self, call: PeerCall) -> AsyncIterator[PeerAnswer]:
        letter = Letter(call.method, call.uri, call.headers, call.body or b"")
        yield await self._network.exchange(self._origin, call.target.connect_host, letter, call.timeout_ms)

    async def get(self, url: str, *, bytes_max: int, timeout_ms: int) -> WholeAnswer:
        """See Egress."""
        raise OSError("there are no web servers here")

    def stream(self, url: str, *, timeout_ms: int) -> AbstractAsyncContextManager[PeerAnswer]:
        """See Egress."""
        raise OSError("there are no web servers here")

    async def srv(self, name: str) -> Sequence[SrvRecord]:
        """See Egress."""
        return ()
