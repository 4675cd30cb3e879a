"""Which addresses we may connect to. A peer, a user or a DNS record must not make us knock at our own back door.

Pure: text in, yes or no out. What counts is the IPv4 address that an IPv6 address carries (mapped, compatible, NAT64,
6to4), because that is where the packets arrive.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

_NAT64 = IPv6Network("64:ff9b::/96")
_COMPATIBLE = IPv6Network("::/96")
_SIX_TO_FOUR = IPv6Network("2002::/16")
# Not global, whatever the standard library of this Python version thinks of them.
_NEVER = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",
        "100.64.0.0/10",
        "192.0.0.0/24",
        "192.88.99.0/24",
        "198.18.0.0/15",
        "240.0.0.0/4",
        "64:ff9b:1::/48",
        "100::/64",
        "2001::/23",
        "2001:db8::/32",
        "3fff::/20",
        "5f00::/16",
        "fc00::/7",
        "fe80::/10",
        "fec0::/10",
    )
)


class AddressPolicy:
    """Public addresses, and the networks an operator allows besides. Immutable."""

    def __init__(self, allowed_networks: Iterable[str] = ()) -> None:
        self._allowed: tuple[IPv4Network | IPv6Network, ...] = tuple(ip_network(text) for text in allowed_networks)

    def allows(self, address: str) -> bool:
        """Whether we may connect. What is not an address is refused."""
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        inner = _carried(parsed)
        if any(each in network for network in self._allowed for each in (parsed, inner)):
            return True
        return _is_public(inner)


EVERYWHERE = AddressPolicy(("0.0.0.0/0", "::/0"))
"""For destinations that the operator wrote down himself, such as application services."""


def _carried(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64 or (address in _COMPATIBLE and int(address) > 0xFFFF):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    if address in _SIX_TO_FOUR:
        return IPv4Address((int(address) >> 80) & 0xFFFFFFFF)
    return address


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    if any(address in network for network in _NEVER):
        return False
    return address.is_global and not (
        address.is_multicast or address.is_reserved or address.is_loopback or address.is_link_local or address.is_unspecified
    )
