"""Where a server name leads, pure: grammar of host and port, what a well-known answer says and how long it may be kept,
the order of SRV records, and the Host header and certificate name of each outcome. `discovery` does the asking.

Spec: server-server-api#resolving-server-names
"""

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

import msgspec

PORT_DEFAULT = 8448
WELL_KNOWN_DEFAULT_MS = 86_400_000
WELL_KNOWN_MOST_MS = 172_800_000
WELL_KNOWN_LEAST_MS = 300_000
WELL_KNOWN_ERROR_FIRST_MS = 60_000
WELL_KNOWN_ERROR_MOST_MS = 3_600_000

_HOSTNAME = re.compile(r"[A-Za-z0-9.-]{1,255}", re.ASCII)
_PORT = re.compile(r"[0-9]{1,5}", re.ASCII)


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """A server name taken apart. host: without brackets; port: None if it names none."""

    host: str
    port: int | None
    is_ip: bool

    @property
    def bracketed_host(self) -> str:
        """The host as it stands in URLs and Host headers."""
        return f"[{self.host}]" if ":" in self.host else self.host


@dataclass(frozen=True, slots=True)
class Target:
    """Where to connect and as whom. connect_host is a host name or an IP literal without brackets.

    certificate_name: the host name or IP address that the certificate must be valid for, and the SNI if a name.
    """

    connect_host: str
    connect_port: int
    host_header: str
    certificate_name: str


@dataclass(frozen=True, slots=True)
class SrvRecord:
    """One SRV answer."""

    priority: int
    weight: int
    port: int
    host: str


def parse_address(server_name: str) -> ServerAddress | None:
    """Take a server name apart; None if it is not one. Spec: appendices#server-name"""
    if server_name.startswith("["):
        host, bracket, rest = server_name[1:].partition("]")
        if not bracket or not _is_ip(host, 6):
            return None
        is_ip = True
    else:
        host, colon, tail = server_name.partition(":")
        rest = colon + tail
        if not _HOSTNAME.fullmatch(host):
            return None
        is_ip = _is_ip(host, 4)
    if not rest:
        return ServerAddress(host, None, is_ip)
    if rest[0] != ":" or not _PORT.fullmatch(rest[1:]) or not 0 < int(rest[1:]) < 65_536:
        return None
    return ServerAddress(host, int(rest[1:]), is_ip)


def _is_ip(host: str, version: int) -> bool:
    try:
        return ipaddress.ip_address(host).version == version and "%" not in host
    except ValueError:
        return False


def direct_target(address: ServerAddress) -> Target | None:
    """Steps 1, 2, 3.1 and 3.2: an IP literal or an explicit port needs no further asking. None: ask on."""
    if address.port is None and not address.is_ip:
        return None
    return default_target(address)


def default_target(address: ServerAddress) -> Target:
    """Steps 3.5 and 6, and the form of steps 1 and 2: the host itself, on its port or 8448."""
    header = address.bracketed_host if address.port is None else f"{address.bracketed_host}:{address.port}"
    return Target(address.host, address.port or PORT_DEFAULT, header, address.host)


def srv_targets(address: ServerAddress, records: Sequence[SrvRecord], chance: Callable[[], float]) -> tuple[Target, ...]:
    """Steps 3.3, 3.4, 4 and 5: connect where SRV says, but as the name that was looked up. Lower priority goes first.

    chance: numbers in [0, 1) for the weighted order inside a priority (RFC 2782).
    """
    usable = [record for record in records if record.host.rstrip(".") and 0 < record.port < 65_536]
    ordered: list[SrvRecord] = []
    for priority in sorted({record.priority for record in usable}):
        rest = [record for record in usable if record.priority == priority]
        while rest:
            mark = chance() * sum(record.weight + 1 for record in rest)
            for record in rest:
                mark -= record.weight + 1
                if mark < 0:
                    break
            rest.remove(record)
            ordered.append(record)
    return tuple(Target(record.host.rstrip("."), record.port, address.bracketed_host, address.host) for record in ordered[:8])


def delegated_address(body: bytes) -> ServerAddress | None:
    """What a well-known answer delegates to; None if it is not valid, which counts as no delegation."""
    try:
        answer = msgspec.json.decode(body)
    except (ValueError, RecursionError):  # also where the bytes are no UTF-8, which is no DecodeError
        return None
    name = answer.get("m.server") if isinstance(answer, dict) else None
    return parse_address(name) if isinstance(name, str) else None


def well_known_lifetime_ms(headers: Mapping[str, str], now_ms: int) -> int:
    """How long a good answer may be kept: what its headers say, at least 5 minutes, at most 48 hours, else 24 hours."""
    stated: int | None = None
    for part in headers.get("cache-control", "").lower().split(","):
        name, _, value = part.strip().partition("=")
        if name in ("no-store", "no-cache", "private"):
            stated = 0
        elif name == "max-age" and value.strip('"').isdecimal():
            stated = int(value.strip('"')[:9]) * 1000 if stated is None else stated
    if stated is None and "expires" in headers:
        stated = _expires_in_ms(headers["expires"], now_ms)
    if stated is None:
        return WELL_KNOWN_DEFAULT_MS
    return max(WELL_KNOWN_LEAST_MS, min(stated, WELL_KNOWN_MOST_MS))


def _expires_in_ms(value: str, now_ms: int) -> int:
    try:
        return max(0, int(parsedate_to_datetime(value).timestamp() * 1000) - now_ms)
    except (ValueError, TypeError, OverflowError):
        return 0


def error_lifetime_ms(failures: int) -> int:
    """How long a failure is remembered: doubles from one minute to one hour."""
    return min(WELL_KNOWN_ERROR_FIRST_MS << min(failures - 1, 10), WELL_KNOWN_ERROR_MOST_MS)
