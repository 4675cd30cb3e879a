"""Hashing and checking passwords: Argon2id in worker threads behind a bounded queue.

A check takes the same time whether the account exists or not. Deliberately absent: who may try how often per address at
the door (`edge/rate_limits`); here only failures against one account from one address are counted.
"""

import asyncio
import base64
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import Type
from argon2.exceptions import Argon2Error, InvalidHashError
from argon2.low_level import ARGON2_VERSION, hash_secret, verify_secret

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.entropy import Entropy
from watchword.base.errors import LimitExceeded
from watchword.server.accounts.commands import AccountSettings

_SALT_BYTES = 16
_HASH_BYTES = 32

T = TypeVar("T")


class Passwords:
    """The hasher. Spec: none; parameters as measured (19 MiB, two passes, one lane: 36 ms)."""

    def __init__(self, settings: AccountSettings, entropy: Entropy) -> None:
        self._settings = settings
        self._entropy = entropy
        self._threads = ThreadPoolExecutor(max_workers=settings.password_workers, thread_name_prefix="password")
        self._waiting = 0
        self._nobodys_hash = self._made_up()

    def _made_up(self) -> bytes:
        salt = base64.b64encode(self._entropy.random_bytes(_SALT_BYTES)).rstrip(b"=")
        digest = base64.b64encode(self._entropy.random_bytes(_HASH_BYTES)).rstrip(b"=")
        cost = f"m={self._settings.argon2_memory_kibibytes},t={self._settings.argon2_passes},p={self._settings.argon2_lanes}"
        return b"$".join((b"", b"argon2id", f"v={ARGON2_VERSION}".encode(), cost.encode(), salt, digest))

    async def hash(self, password: str) -> str:
        """The encoded hash of a new password. Raises LimitExceeded if too many are waiting."""
        salt = self._entropy.random_bytes(_SALT_BYTES)
        settings = self._settings
        secret = _secret(password)
        encoded = await self._in_thread(
            lambda: hash_secret(
                secret,
                salt,
                time_cost=settings.argon2_passes,
                memory_cost=settings.argon2_memory_kibibytes,
                parallelism=settings.argon2_lanes,
                hash_len=_HASH_BYTES,
                type=Type.ID,
            )
        )
        return encoded.decode()

    async def is_correct(self, password_hash: str | None, password: str) -> bool:
        """Whether a password fits; password_hash None takes as long and is False. Raises LimitExceeded."""
        if len(password) > limits.password_bytes_max:
            return False
        stored = self._nobodys_hash if password_hash is None else password_hash.encode()
        secret = _secret(password)
        fits = await self._in_thread(lambda: _fits(stored, secret))
        return fits and password_hash is not None

    async def _in_thread(self, work: Callable[[], T]) -> T:
        if self._waiting >= limits.password_queue_max:
            raise LimitExceeded(1_000, "Too many people are logging in.")
        self._waiting += 1
        future = asyncio.get_running_loop().run_in_executor(self._threads, work)
        # The thread works on even if nobody waits for it any more: it counts until it is done.
        future.add_done_callback(self._done)
        return await asyncio.shield(future)

    def _done(self, future: "asyncio.Future[T]") -> None:
        self._waiting -= 1
        if not future.cancelled():
            future.exception()

    def close(self) -> None:
        """Stop the threads."""
        self._threads.shutdown(wait=True, cancel_futures=True)


def _secret(password: str) -> bytes:
    return password.encode("utf-8", "surrogatepass")


def _fits(stored: bytes, secret: bytes) -> bool:
    try:
        return verify_secret(stored, secret, Type.ID)
    except (Argon2Error, InvalidHashError):
        return False


class FailedLogins:
    """Counts failures per key in a window of time; bounded, the longest untouched is forgotten first."""

    def __init__(self, clock: Clock, most: int) -> None:
        self._clock = clock
        self._most = most
        self._failures: OrderedDict[tuple[str, str], tuple[int, int]] = OrderedDict()

    def check(self, user_id: str, address: str) -> None:
        """Raises LimitExceeded if this address failed too often for this user."""
        if not self._most:
            return
        count, since_ms = self._failures.get((user_id, address), (0, 0))
        left_ms = since_ms + limits.failed_logins_window_ms - self._clock.monotonic_ms()
        if count >= self._most and left_ms > 0:
            raise LimitExceeded(left_ms, "Too many wrong passwords.")

    def note(self, user_id: str, address: str) -> None:
        """One more failure."""
        now_ms = self._clock.monotonic_ms()
        count, since_ms = self._failures.pop((user_id, address), (0, now_ms))
        if now_ms - since_ms >= limits.failed_logins_window_ms:
            count, since_ms = 0, now_ms
        self._failures[(user_id, address)] = (count + 1, since_ms)
        while len(self._failures) > limits.failed_logins_tracked_max:
            self._failures.popitem(last=False)

    def take_back(self, user_id: str, address: str) -> None:
        """What was noted beforehand was no failure."""
        count, since_ms = self._failures.get((user_id, address), (0, 0))
        if count > 1:
            self._failures[(user_id, address)] = (count - 1, since_ms)
        else:
            self._failures.pop((user_id, address), None)
