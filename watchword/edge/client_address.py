"""Whose address a request comes from: the peer's, or what a proxy that we trust says.

Only the last addresses of X-Forwarded-For that trusted proxies appended count: a client may write anything before them.
"""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

_CACHED_MAX = 4_096
_HOST_BITS = 64


class TrustedProxies:
    """The networks of our reverse proxies. A peer on a unix socket has no address and is trusted: the file's mode decides."""

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks: tuple[IPv4Network | IPv6Network, ...] = tuple(ip_network(text) for text in networks)
        self._known: dict[str, bool] = {}

    def client_address(self, peer: str | None, headers: Sequence[tuple[bytes, bytes]]) -> str:
        """The client's address, "" if nobody knows it."""
        if peer is not None and (not self._networks or not self._trusts(peer)):
            return peer
        hops = [
            hop.strip() for name, value in headers if name == b"x-forwarded-for" for hop in value.decode("latin-1").split(",")
        ]
        address = peer or ""
        for hop in reversed(hops):
            if not _is_address(hop):
                break
            address = hop
            if not self._trusts(hop):
                break
        return address

    def _trusts(self, address: str) -> bool:
        known = self._known.get(address)
        if known is None:
            parsed = ip_address(address)
            known = any(parsed in network for network in self._networks)
            if len(self._known) >= _CACHED_MAX:
                self._known.clear()
            self._known[address] = known
        return known


def network_of(address: str) -> str:
    """Whose an address is, as far as it tells: itself, or of IPv6 its /64, in which one machine has as many as it likes."""
    if ":" not in address:
        return address
    parsed = ip_address(address)
    assert isinstance(parsed, IPv6Address), address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return f"{IPv6Address(int(parsed) >> _HOST_BITS << _HOST_BITS)}/{_HOST_BITS}"


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
