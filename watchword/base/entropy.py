"""Chance as an argument. Nothing else in Watchword draws random bytes."""

import base64
import random
import secrets
from typing import Protocol


class Entropy(Protocol):
    """A source of random bytes and of the names made from them."""

    def random_bytes(self, count: int) -> bytes:
        """Return count random bytes."""
        ...

    def token(self, byte_count: int = 32) -> str:
        """Return a URL-safe name ([A-Za-z0-9_-]) that carries byte_count random bytes."""
        ...

    def letters(self, count: int, alphabet: str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ") -> str:
        """Return count characters drawn evenly from the alphabet."""
        ...

    def fraction(self) -> float:
        """Return a number in [0, 1), for jitter; not for secrets."""
        ...


class SystemEntropy:
    """The operating system's generator."""

    def random_bytes(self, count: int) -> bytes:
        return secrets.token_bytes(count)

    def token(self, byte_count: int = 32) -> str:
        return secrets.token_urlsafe(byte_count)

    def letters(self, count: int, alphabet: str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ") -> str:
        return "".join(secrets.choice(alphabet) for _ in range(count))

    def fraction(self) -> float:
        return secrets.randbits(53) / (1 << 53)


class SeededEntropy:
    """A repeatable source for tests and simulation; never for a real server."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 (repeatability is the point)

    def random_bytes(self, count: int) -> bytes:
        return self._random.randbytes(count)

    def token(self, byte_count: int = 32) -> str:
        return base64.urlsafe_b64encode(self.random_bytes(byte_count)).rstrip(b"=").decode()

    def letters(self, count: int, alphabet: str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ") -> str:
        return "".join(self._random.choice(alphabet) for _ in range(count))

    def fraction(self) -> float:
        return self._random.random()
