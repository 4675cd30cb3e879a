"""Names to addresses: A, AAAA and SRV through c-ares, which also reads /etc/hosts and knows what localhost is.

`Resolver` is the port; tests and the simulation hand over a `StaticResolver`. Answers are cached by c-ares as long as
their TTL allows. Deliberately absent: whether an address may be used (`addresses.py`) and the order in which records
should be tried: that takes chance, which the caller has.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import aiodns
import pycares

from watchword.base import limits
from watchword.base.errors import PeerError

_ABSENT = frozenset({pycares.errno.ARES_ENODATA, pycares.errno.ARES_ENOTFOUND})


class DnsFailed(PeerError):
    """No name server answered. (A name that does not exist is an empty answer, not a failure.)"""


@dataclass(frozen=True, slots=True)
class SrvRecord:
    """Where a service is; a target of "." says that it is not offered. Spec: RFC 2782"""

    target: str
    port: int
    priority: int = 0
    weight: int = 0


class Resolver(Protocol):
    """Looks names up."""

    async def addresses(self, host: str) -> Sequence[str]:
        """IPv4 and IPv6 addresses as text, best first; empty if the name has none. Raises DnsFailed."""
        ...

    async def srv(self, name: str) -> Sequence[SrvRecord]:
        """SRV records by priority; empty if there are none. Raises DnsFailed."""
        ...


class DnsResolver:
    """Asks the name servers of the system, or those given (`address` or `address:port`)."""

    def __init__(self, nameservers: Sequence[str] = (), *, timeout_ms: int = limits.dns_timeout_ms) -> None:
        self._nameservers = tuple(nameservers)
        self._timeout_ms = timeout_ms
        self._channel: aiodns.DNSResolver | None = None

    def _open(self) -> aiodns.DNSResolver:
        if self._channel is None:
            # c-ares waits this long once for each try, doubling.
            self._channel = aiodns.DNSResolver(
                nameservers=self._nameservers or None,
                loop=asyncio.get_running_loop(),
                timeout=max(0.1, self._timeout_ms / 3000),
                tries=2,
            )
        return self._channel

    async def addresses(self, host: str) -> Sequence[str]:
        """See Resolver."""
        if not _is_name(host):
            return ()
        try:
            async with asyncio.timeout(self._timeout_ms / 1000):
                found = await self._open().getaddrinfo(host)
        except aiodns.error.DNSError as error:
            return _nothing(host, error)
        except TimeoutError as error:
            raise DnsFailed(host, "the name servers did not answer in time") from error
        return tuple(dict.fromkeys(node.addr[0].decode() for node in found.nodes))

    async def srv(self, name: str) -> Sequence[SrvRecord]:
        """See Resolver."""
        if not _is_name(name):
            return ()
        try:
            async with asyncio.timeout(self._timeout_ms / 1000):
                found = await self._open().query_dns(name, "SRV")
        except aiodns.error.DNSError as error:
            return _nothing(name, error)
        except TimeoutError as error:
            raise DnsFailed(name, "the name servers did not answer in time") from error
        records = (
            SrvRecord(record.data.target.rstrip(".") or ".", record.data.port, record.data.priority, record.data.weight)
            for record in found.answer
            if isinstance(record.data, pycares.SRVRecordData)
        )
        return tuple(sorted(records, key=lambda record: record.priority))

    async def close(self) -> None:
        """Give the sockets back. Idempotent."""
        if self._channel is not None:
            await self._channel.close()
            self._channel = None


def _nothing(name: str, error: aiodns.error.DNSError) -> tuple[()]:
    if error.args and error.args[0] in _ABSENT:
        return ()
    raise DnsFailed(name, "the name servers failed") from error


def _is_name(name: str) -> bool:
    return 0 < len(name) <= 253 and name.isascii() and name.isprintable() and " " not in name


@dataclass(frozen=True)
class StaticResolver:
    """Answers from a table; for tests, for the simulation, and over another resolver for overrides by configuration."""

    hosts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    services: Mapping[str, Sequence[SrvRecord]] = field(default_factory=dict)
    otherwise: Resolver | None = None

    async def addresses(self, host: str) -> Sequence[str]:
        """See Resolver."""
        found = self.hosts.get(host.lower().rstrip("."))
        if found is None and self.otherwise is not None:
            return await self.otherwise.addresses(host)
        return found or ()

    async def srv(self, name: str) -> Sequence[SrvRecord]:
        """See Resolver."""
        found = self.services.get(name.lower().rstrip("."))
        if found is None and self.otherwise is not None:
            return await self.otherwise.srv(name)
        return found or ()
