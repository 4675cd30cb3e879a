"""Who waits for news, and who is woken by which change: exactly those whom it concerns.

An idle client costs its future and nothing else. Changes of devices and presence concern whoever shares a room with
somebody; that takes a look-up, which `run` does aside.
"""

import asyncio
from collections.abc import Collection

from watchword.base.clock import Clock
from watchword.protocol.ids import RoomId, UserId
from watchword.server.changes import (
    AccountDataChanged,
    Change,
    CrossSigningChanged,
    DeviceListChanged,
    EventAppended,
    KeyCountsChanged,
    OutOfBandMembership,
    PresenceChanged,
    ReceiptChanged,
    StateChanged,
    ThreadSubscriptionChanged,
    ToDeviceQueued,
    TypingChanged,
)
from watchword.server.rooms.reader import RoomReader
from watchword.server.rooms.registry import RoomRegistry
from watchword.storage import Log, Logged

_ASIDE_MAX = 10_000


class WaitingRoom:
    """Futures of waiting requests, by user."""

    def __init__(self, log: Log[Change], registry: RoomRegistry, reader: RoomReader, clock: Clock) -> None:
        self._registry = registry
        self._reader = reader
        self._clock = clock
        self._waiting: dict[UserId, set[asyncio.Future[None]]] = {}
        self._aside: asyncio.Queue[UserId] = asyncio.Queue(_ASIDE_MAX)
        log.listen(self._heard)

    def enter(self, user_id: UserId) -> asyncio.Future[None]:
        """Begin to wait; enter before looking, so that nothing falls in between. Pair with `leave`."""
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(user_id, set()).add(woken)
        return woken

    def leave(self, user_id: UserId, woken: asyncio.Future[None]) -> None:
        """Stop waiting."""
        waiting = self._waiting.get(user_id)
        if waiting is not None:
            waiting.discard(woken)
            if not waiting:
                del self._waiting[user_id]

    def wake_all(self) -> None:
        """The server stops: everybody gets an answer."""
        self._wake(list(self._waiting))

    def _wake(self, users: Collection[UserId]) -> None:
        for user_id in users:
            for woken in self._waiting.get(user_id, ()):
                if not woken.done():
                    woken.set_result(None)

    def _heard(self, logged: Logged[Change]) -> None:
        if not self._waiting:
            return
        match logged.change:
            case EventAppended() as change:
                self._wake_room(change.room_id)
                if change.membership is not None and change.state_key is not None:
                    # Whoever is invited, or has just been let go, is not among the joined.
                    self._wake((UserId(change.state_key),))
            case StateChanged(room_id=room_id) | ReceiptChanged(room_id=room_id) | TypingChanged(room_id=room_id):
                self._wake_room(room_id)
            case OutOfBandMembership(user_id=user_id) | AccountDataChanged(user_id=user_id) | KeyCountsChanged(user_id=user_id):
                self._wake((user_id,))
            case ThreadSubscriptionChanged(user_id=user_id):
                self._wake((user_id,))
            case ToDeviceQueued(user_ids=user_ids):
                self._wake(user_ids)
            case DeviceListChanged(user_id=user_id) | CrossSigningChanged(user_id=user_id) | PresenceChanged(user_id=user_id):
                self._wake((user_id,))
                if self._aside.full():
                    self.wake_all()
                else:
                    self._aside.put_nowait(user_id)
            case _:
                pass

    def _wake_room(self, room_id: RoomId) -> None:
        room = self._registry.at_hand(room_id)
        if room is None:
            self.wake_all()
            return
        joined = room.members.joined_local
        if len(joined) < len(self._waiting):
            self._wake([user_id for user_id in joined if user_id in self._waiting])
        else:
            self._wake([user_id for user_id in self._waiting if user_id in joined])

    async def run(self) -> None:
        """Wake those who share a room with somebody whose devices or presence changed. Runs until cancelled."""
        while True:
            user_id = await self._aside.get()
            sharing = await self._reader.users_sharing_room_with(user_id)
            self._wake([other for other in self._waiting if other in sharing])

    async def wait(self, woken: asyncio.Future[None], timeout_ms: int) -> bool:
        """Wait until woken; whether that was before the time was up."""
        if timeout_ms <= 0 or woken.done():
            return woken.done()
        late = False

        def give_up() -> None:
            nonlocal late
            late = True
            if not woken.done():
                woken.set_result(None)

        call_off = self._clock.call_later(timeout_ms, give_up)
        try:
            await woken
        finally:
            call_off()
        return not late
