"""What a session tells its user, as typed values, and the stream that carries them.

The crypto machine's notices (`crypto/requests.py`) travel in the same stream.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from watchword.client.crypto.failures import Undecryptable
from watchword.client.crypto.inbound import SenderTrust
from watchword.client.crypto.requests import Notice
from watchword.client.crypto.untrusted import text_at

_BUFFER = 10_000


@dataclass(frozen=True)
class RoomEvent:
    """An event of a room, decrypted if it was encrypted.

    trust: who really sent it, as far as was known when it was read (see Session.trust_of); None if it was not encrypted.
    session_id: of the room key that opened it. transaction_id: ours, if this device sent it.
    """

    room_id: str
    event_id: str
    sender: str
    type: str
    content: Mapping[str, Any]
    origin_server_ts: int
    state_key: str | None = None
    trust: SenderTrust | None = None
    transaction_id: str | None = None
    session_id: str = ""

    @property
    def encrypted(self) -> bool:
        """Whether it came encrypted."""
        return self.trust is not None

    @property
    def body(self) -> str | None:
        """The text of a message, None for anything else."""
        return text_at(self.content, "body") if self.type == "m.room.message" else None


@dataclass(frozen=True)
class UndecryptableEvent:
    """An encrypted event that cannot be read; a RoomEvent follows if its key arrives."""

    room_id: str
    event_id: str
    sender: str
    origin_server_ts: int
    reason: Undecryptable
    session_id: str = ""
    withheld_code: str = ""


TimelineEvent = RoomEvent | UndecryptableEvent


@dataclass(frozen=True)
class Invitation:
    """We are invited."""

    room_id: str
    sender: str
    name: str | None = None


@dataclass(frozen=True)
class RoomJoined:
    """We are in a room that we were not in before, as far as this device knew."""

    room_id: str


@dataclass(frozen=True)
class RoomLeft:
    """We are no longer in a room."""

    room_id: str


@dataclass(frozen=True)
class TimelineGap:
    """Events were skipped; `messages(room_id, start=prev_batch)` reads them, backwards."""

    room_id: str
    prev_batch: str


@dataclass(frozen=True)
class Ephemeral:
    """Typing users or receipts of a room."""

    room_id: str
    type: str
    content: Mapping[str, Any]


@dataclass(frozen=True)
class SessionEnded:
    """The server does not know us any more; syncing has stopped. soft: signing in again keeps the device."""

    soft: bool


@dataclass(frozen=True)
class SyncInterrupted:
    """The server cannot be reached; the session keeps trying. errcode: what it said, "" if nothing."""

    errcode: str


SessionEvent = (
    RoomEvent
    | UndecryptableEvent
    | Invitation
    | RoomJoined
    | RoomLeft
    | TimelineGap
    | Ephemeral
    | SessionEnded
    | SyncInterrupted
    | Notice
)

E = TypeVar("E")


class EventStream:
    """The last events, numbered, and whoever waits for the next."""

    def __init__(self) -> None:
        self._events: deque[SessionEvent] = deque(maxlen=_BUFFER)
        self._count = 0
        self._changed = asyncio.Condition()

    @property
    def position(self) -> int:
        """How many events there have been."""
        return self._count

    async def publish(self, events: list[SessionEvent]) -> None:
        """Append events and wake everybody."""
        if events:
            async with self._changed:
                self._events.extend(events)
                self._count += len(events)
                self._changed.notify_all()

    def after(self, position: int) -> list[SessionEvent]:
        """The events after a position; those too old to be kept are missing."""
        missing = self._count - position
        return [] if missing <= 0 else list(self._events)[-missing:]

    async def follow(self, position: int | None = None) -> AsyncIterator[SessionEvent]:
        """Every event after a position (default: from now on), for ever."""
        at = self._count if position is None else position
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: self._count > at)  # noqa: B023 (waited for at once)
            events, at = self.after(at), self._count
            for event in events:
                yield event

    async def wait_for(self, wanted: Callable[[SessionEvent], E | None], timeout_ms: int, position: int = 0) -> E:
        """The first result of `wanted` that is not None, among the events kept and those to come. Raises TimeoutError."""
        async with asyncio.timeout(timeout_ms / 1000):
            at = position
            while True:
                events, at = self.after(at), self._count
                for event in events:
                    found = wanted(event)
                    if found is not None:
                        return found
                async with self._changed:
                    await self._changed.wait_for(lambda: self._count > at)  # noqa: B023 (waited for at once)
