"""What an administrator did is written down: the port that `server/admin` fits, for every door where one may act as such.

Kept are who, when, what, whom, how it went, from where, and a few plain details. Never a password, a token, a message.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from watchword.edge.request import Request
from watchword.protocol.ids import UserId
from watchword.storage import Tx


@dataclass(frozen=True, slots=True)
class Deed:
    """What is being done. by: None for whoever has proved to be the operator without an account. action: `user.lock`."""

    by: UserId | None
    action: str
    whom: str = ""
    address: str = ""

    @staticmethod
    def asked(request: Request, by: UserId | None, action: str, whom: str = "") -> "Deed":
        """What a request is about."""
        return Deed(by, action, whom, request.client_address)


class Entry(Protocol):
    """An entry that is being made. It fits `storage.Also`: called with a transaction, it is written there."""

    async def __call__(self, tx: Tx) -> None:
        """Write the entry with the effect. Whatever is said of it later is lost."""
        ...

    def about(self, whom: str) -> None:
        """Say whom it concerns, where that was not known at first."""
        ...

    def add(self, **details: str | int | bool | None) -> None:
        """Say more of it."""
        ...


class Audit(Protocol):
    """Keeps the entries. Fitted by `admin.audit.AuditLog`."""

    def act(self, deed: Deed) -> AbstractAsyncContextManager[Entry]:
        """An entry for the block that does it: written with its effect, or at its end. A Refusal is kept as one."""
        ...

    def entry(self, deed: Deed) -> Entry:
        """An entry that is kept only if somebody writes it: where it shows later whether an administrator's right was used."""
        ...

    async def read(self, deed: Deed) -> None:
        """Somebody looked at something. Looking again soon is not kept."""
        ...


class _NoEntry:
    async def __call__(self, tx: Tx) -> None:
        """Nothing is kept."""

    def about(self, whom: str) -> None:
        """Nothing is kept."""

    def add(self, **details: str | int | bool | None) -> None:
        """Nothing is kept."""


class NoAudit:
    """Keeps nothing: for parts of a server that stand alone."""

    @asynccontextmanager
    async def act(self, deed: Deed) -> AsyncIterator[Entry]:
        """An entry that nobody keeps."""
        yield _NoEntry()

    def entry(self, deed: Deed) -> Entry:
        """An entry that nobody keeps."""
        return _NoEntry()

    async def read(self, deed: Deed) -> None:
        """Nothing is kept."""


NO_AUDIT = NoAudit()
