"""The signed road to another server: lists, back-off, discovery, signature, bounds, and one error for all that fails.

Everything that leaves for a peer goes through here. Deliberately absent: what is asked (`client`), and the connection
itself (`edge/fetch` behind `ports.Egress`).
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from watchword.base import limits
from watchword.base.errors import PeerError, RemoteProtocolError
from watchword.protocol import canonical_json
from watchword.protocol.ids import ServerName
from watchword.server.federation.backoff import Attempt, Backoff
from watchword.server.federation.discovery import ServerDiscovery
from watchword.server.federation.own_keys import OwnKeys
from watchword.server.federation.ports import Egress, PeerAnswer, PeerCall
from watchword.server.federation.settings import FederationSettings
from watchword.server.federation.x_matrix import SignedRequest, XMatrix, format_x_matrix

logger = logging.getLogger(__name__)

_ERROR_BODY_BYTES_MAX = 65_536
_ERRCODE_CHARACTERS_MAX = 255


@dataclass(frozen=True, slots=True)
class Ask:
    """What to ask. path: encoded. body: canonical JSON, None for none.

    patient: respect back-off. refusal_fails: any refusal counts as a failure, not only silence.
    timeout_ms: for the whole exchange; 0: the configured one.
    """

    method: str
    path: str
    query: Sequence[tuple[str, str]] = ()
    body: bytes | None = None
    signed: bool = True
    patient: bool = True
    refusal_fails: bool = False
    timeout_ms: int = 0
    bytes_max: int = limits.peer_small_answer_bytes_max

    @property
    def uri(self) -> str:
        """Path and query as they go on the wire."""
        return f"{self.path}?{urlencode(self.query)}" if self.query else self.path


def path_of(prefix: str, *segments: str) -> str:
    """A path with every segment percent-encoded whole: event IDs may hold `/`."""
    return "/".join((prefix, *(quote(segment, safe="") for segment in segments)))


@dataclass(slots=True)
class _Queue:
    """Requests to one server: those under way and those that wait."""

    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(limits.peer_requests_of_one_max))
    users: int = 0


class PeerTransport:
    """Asks other servers."""

    def __init__(
        self,
        egress: Egress,
        discovery: ServerDiscovery,
        backoff: Backoff,
        own_keys: OwnKeys,
        settings: FederationSettings,
    ) -> None:
        self._egress = egress
        self._discovery = discovery
        self._own_keys = own_keys
        self._settings = settings
        self.backoff = backoff
        self._slots = asyncio.Semaphore(limits.peer_requests_active_max)
        self._queues: dict[ServerName, _Queue] = {}

    async def json(self, server_name: ServerName, ask: Ask) -> dict[str, Any]:
        """The JSON object of a successful answer. Raises PeerError."""
        answer = await self.json_value(server_name, ask)
        if not isinstance(answer, dict):
            raise PeerError(server_name, "its answer is not a JSON object")
        return answer

    async def json_value(self, server_name: ServerName, ask: Ask) -> Any:
        """The JSON value of a successful answer. Raises PeerError."""
        async with self.open(server_name, ask) as answer:
            body = await self._read(server_name, answer, ask.bytes_max)
        try:
            return canonical_json.decode(body, strict=False)
        except RemoteProtocolError as error:
            raise PeerError(server_name, "its answer is not JSON") from error

    @asynccontextmanager
    async def open(self, server_name: ServerName, ask: Ask) -> AsyncIterator[PeerAnswer]:
        """A successful answer, to be read. Raises PeerError also for every status other than 2xx."""
        self._settings.require_outgoing(server_name)
        attempt = self.backoff.begin(server_name, patient=ask.patient)
        async with self._turn(server_name), self._slots:
            targets = await self._discovery.resolve(server_name)
            for last, target in ((target is targets[-1], target) for target in targets):
                call = PeerCall(target, ask.method, ask.uri, self._headers(server_name, ask), ask.body, self._timeout(ask))
                begun = False
                try:
                    async with self._egress.call(call) as answer:
                        begun = True
                        if not 200 <= answer.status < 300:
                            raise await self._refused(attempt, ask, answer)
                        await self.backoff.succeeded(server_name)
                        yield answer
                        return
                except OSError as error:
                    # Once the peer has answered, another address would be a second request.
                    if last or begun:
                        raise await self._unreachable(attempt, error) from error

    @asynccontextmanager
    async def _turn(self, server_name: ServerName) -> AsyncIterator[None]:
        """One server that stalls must not take the slots of all: who asks it waits here. Raises PeerError if many do."""
        queue = self._queues.setdefault(server_name, _Queue())
        if queue.users >= limits.peer_requests_waiting_max:
            raise PeerError(server_name, "too many requests to it are under way")
        queue.users += 1
        try:
            async with queue.slots:
                yield
        finally:
            queue.users -= 1
            if not queue.users:
                del self._queues[server_name]

    def _timeout(self, ask: Ask) -> int:
        return ask.timeout_ms or self._settings.request_timeout_ms

    def _headers(self, server_name: ServerName, ask: Ask) -> Mapping[str, str]:
        headers = {"accept": "application/json"}
        if ask.body is not None:
            headers["content-type"] = "application/json"
        if ask.signed:
            own = self._own_keys
            signed = SignedRequest(ask.method, ask.uri, own.server_name, server_name, ask.body)
            signature = own.signing_key.sign(signed.signed_bytes())
            headers["authorization"] = format_x_matrix(XMatrix(own.server_name, own.signing_key.key_id, signature, server_name))
        return headers

    async def _read(self, server_name: ServerName, answer: PeerAnswer, bytes_max: int) -> bytes:
        try:
            return await answer.read(bytes_max)
        except OSError as error:
            raise PeerError(server_name, "its answer broke off or is too long") from error

    async def _unreachable(self, attempt: Attempt, error: OSError) -> PeerError:
        self._discovery.forget(attempt.server_name)
        await self.backoff.failed(attempt)
        reason = "it did not answer in time" if isinstance(error, TimeoutError) else "it could not be reached"
        logger.info("A server could not be asked.", extra={"server_name": attempt.server_name, "cause": type(error).__name__})
        return PeerError(attempt.server_name, reason)

    async def _refused(self, attempt: Attempt, ask: Ask, answer: PeerAnswer) -> PeerError:
        try:
            body = canonical_json.decode(await answer.read(_ERROR_BODY_BYTES_MAX), strict=False)
        except (OSError, RemoteProtocolError):
            body = None
        body = body if isinstance(body, dict) else {}
        errcode = body.get("errcode")
        errcode = errcode if isinstance(errcode, str) and len(errcode) <= _ERRCODE_CHARACTERS_MAX else None
        wait_ms = _retry_after_ms(answer.headers, body)
        if ask.refusal_fails or answer.status == 429 or (answer.status >= 500 and errcode is None):
            await self.backoff.failed(attempt, wait_ms=wait_ms)
        else:
            await self.backoff.succeeded(attempt.server_name)
        return PeerError(
            attempt.server_name,
            f"it answered {answer.status}",
            status=answer.status,
            errcode=errcode,
            body=body,
            retry_after_ms=wait_ms,
        )


def _retry_after_ms(headers: Mapping[str, str], body: Mapping[str, Any]) -> int | None:
    header = headers.get("retry-after", "")
    if header.isdecimal():
        return int(header[:9]) * 1000
    stated = body.get("retry_after_ms")
    return stated if isinstance(stated, int) and 0 <= stated <= limits.canonical_integer_max else None
