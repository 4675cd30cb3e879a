"""The connection to one homeserver: addresses, tokens, retries. Knows HTTP and JSON, no operation of Matrix but refresh.

What is safe to repeat (GET, PUT with a transaction ID, operations that are idempotent by nature) is repeated while the
server cannot be reached or answers 5xx; everything is repeated on 429, when the server says. The wait doubles, with
jitter, up to a ceiling, and ends when the request's patience is over. An access token that expired is refreshed once for
all requests that wait for it; new tokens are made durable before they are used.

Deliberately absent: which operations exist (`api.py`). Spec: client-server-api#api-standards
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from watchword.base.clock import Clock
from watchword.base.entropy import Entropy
from watchword.base.errors import PeerError, WatchwordError
from watchword.client.crypto.untrusted import integer_at, text_at
from watchword.edge.fetch import Fetched, Fetcher, Outgoing, refused

_FIRST_WAIT_MS = 200
_WAIT_MS_MAX = 10_000
_ANSWER_BYTES_MAX = 104_857_600
_REFRESH_AHEAD_MS = 30_000


class SignedOut(WatchwordError):
    """The server no longer knows our token. soft: the device may sign in again and keep its keys."""

    def __init__(self, *, soft: bool) -> None:
        super().__init__("signed out")
        self.soft = soft


@dataclass(frozen=True)
class Tokens:
    """What authenticates us. expires_ts: when the access token ends, None if it does not."""

    access: str
    refresh: str | None = None
    expires_ts: int | None = None

    def __repr__(self) -> str:
        return "Tokens()"


@dataclass(frozen=True)
class Call:
    """One request to make.

    path: below the base URL, its parts already quoted (see `path_of`). body: JSON, or bytes with their type.
    patience_ms: for how long it is repeated; 0: tried once. repeatable: whether a lost answer may be asked for again.
    """

    method: str
    path: str
    body: Mapping[str, Any] | bytes | None = None
    query: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    content_type: str = "application/json"
    authenticated: bool = True
    repeatable: bool = True
    timeout_ms: int = 60_000
    patience_ms: int = 60_000


def path_of(*parts: str) -> str:
    """Join parts of a path, each quoted so that it stays one part."""
    return "".join("/" + quote(part, safe="") for part in parts)


class ServerConnection:
    """Speaks to one homeserver for one session."""

    def __init__(self, base_url: str, fetcher: Fetcher, clock: Clock, entropy: Entropy) -> None:
        self.base_url = base_url.rstrip("/")
        self._fetcher = fetcher
        self._clock = clock
        self._entropy = entropy
        self._refreshing = asyncio.Lock()
        self.tokens: Tokens | None = None
        self.keep_tokens: Callable[[Tokens], Awaitable[None]] | None = None
        """Makes new tokens durable; called before they are used."""

    async def call(self, call: Call) -> dict[str, Any]:
        """Make a request whose answer is a JSON object. Raises PeerError with status and errcode, SignedOut."""
        answer = await self.call_raw(call)
        try:
            value = msgspec.json.decode(answer.body)
        except (ValueError, RecursionError) as error:
            raise PeerError(self.base_url, "the answer is not JSON", status=answer.status) from error
        if not isinstance(value, dict):
            raise PeerError(self.base_url, "the answer is not a JSON object", status=answer.status)
        return value

    async def call_raw(self, call: Call) -> Fetched:
        """Make a request; the whole answer, always a 2xx. Raises as `call`."""
        deadline_ms = self._clock.monotonic_ms() + call.patience_ms
        wait_ms = _FIRST_WAIT_MS
        while True:
            try:
                return await self._once_signed_in(call)
            except PeerError as error:
                asked_ms = self._wait_asked_for(call, error)
                if asked_ms is None:
                    raise
                pause_ms = max(asked_ms, int(wait_ms * (0.5 + self._entropy.fraction())))
                if self._clock.monotonic_ms() + pause_ms > deadline_ms:
                    raise
            await self._clock.sleep(pause_ms)
            wait_ms = min(2 * wait_ms, _WAIT_MS_MAX)

    def _wait_asked_for(self, call: Call, error: PeerError) -> int | None:
        """How long to wait at least before trying again; None if trying again is wrong."""
        if error.status == 429:
            return error.retry_after_ms or 0
        if call.repeatable and (error.status is None or error.status >= 500):
            return error.retry_after_ms or 0
        return None

    async def _once_signed_in(self, call: Call) -> Fetched:
        tokens = self.tokens if call.authenticated else None
        if tokens is not None and tokens.refresh is not None and self._ends_soon(tokens):
            tokens = await self._refresh(tokens)
        try:
            return await self._once(call, tokens)
        except PeerError as error:
            if tokens is None or error.errcode != "M_UNKNOWN_TOKEN":
                raise
            if tokens.refresh is None:
                raise SignedOut(soft=error.body.get("soft_logout") is True) from error
        return await self._once(call, await self._refresh(tokens))

    def _ends_soon(self, tokens: Tokens) -> bool:
        return tokens.expires_ts is not None and tokens.expires_ts - self._clock.now_ms() < _REFRESH_AHEAD_MS

    async def _refresh(self, stale: Tokens) -> Tokens:
        async with self._refreshing:
            if self.tokens is not None and self.tokens is not stale:
                return self.tokens  # Somebody else did it while we waited.
            body = {"refresh_token": stale.refresh}
            try:
                answer = await self.call(
                    Call("POST", "/_matrix/client/v3/refresh", body, authenticated=False, patience_ms=30_000)
                )
            except PeerError as error:
                if error.status in (401, 403):
                    raise SignedOut(soft=error.body.get("soft_logout") is True) from error
                raise
            tokens = tokens_of(answer, self._clock.now_ms(), stale.refresh)
            await self.keep(tokens)
            return tokens

    async def keep(self, tokens: Tokens) -> None:
        """Begin to use tokens, once they are durable."""
        if self.keep_tokens is not None:
            await self.keep_tokens(tokens)
        self.tokens = tokens

    async def _once(self, call: Call, tokens: Tokens | None) -> Fetched:
        headers = {"Accept": "application/json"}
        if tokens is not None:
            headers["Authorization"] = f"Bearer {tokens.access}"
        body = call.body
        if body is not None:
            headers["Content-Type"] = call.content_type
        data = body if isinstance(body, bytes) or body is None else msgspec.json.encode(body)
        query = f"?{urlencode(call.query, doseq=True)}" if call.query else ""
        answer = await self._fetcher.fetch(
            Outgoing(
                call.method,
                f"{self.base_url}{call.path}{query}",
                headers=headers,
                body=data,
                timeout_ms=call.timeout_ms,
                bytes_max=_ANSWER_BYTES_MAX,
                redirects_max=3,
                peer=self.base_url,
            )
        )
        if 200 <= answer.status < 300:
            return answer
        raise refused(self.base_url, answer.status, answer.headers, _object(answer.body))


def tokens_of(answer: Mapping[str, Any], now_ms: int, refresh: str | None = None) -> Tokens:
    """The tokens in an answer of login, register or refresh. Raises PeerError if there is none."""
    access = text_at(answer, "access_token")
    if access is None:
        raise PeerError("", "the answer has no access token")
    expires_in_ms = integer_at(answer, "expires_in_ms")
    return Tokens(
        access,
        text_at(answer, "refresh_token") or refresh,
        None if expires_in_ms is None else now_ms + expires_in_ms,
    )


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        value = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
