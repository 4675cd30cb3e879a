import pytest

from watchword.edge.client_address import TrustedProxies, network_of


def said(*values: str) -> list[tuple[bytes, bytes]]:
    return [(b"host", b"a"), *((b"x-forwarded-for", value.encode()) for value in values)]


def test_a_stranger_is_who_he_is_whatever_he_says() -> None:
    assert TrustedProxies(()).client_address("198.51.100.7", said("10.0.0.1")) == "198.51.100.7"
    assert TrustedProxies(("127.0.0.0/8",)).client_address("198.51.100.7", said("10.0.0.1")) == "198.51.100.7"


def test_a_trusted_proxy_is_believed() -> None:
    assert TrustedProxies(("127.0.0.0/8",)).client_address("127.0.0.1", said("203.0.113.9")) == "203.0.113.9"


def test_only_what_our_proxies_appended_counts() -> None:
    proxies = TrustedProxies(("127.0.0.0/8", "10.0.0.0/8"))
    assert proxies.client_address("127.0.0.1", said("1.2.3.4, 203.0.113.9, 10.1.1.1")) == "203.0.113.9"
    assert proxies.client_address("127.0.0.1", said("1.2.3.4", "203.0.113.9")) == "203.0.113.9"


@pytest.mark.parametrize("value", ["nonsense", "", ",,", "203.0.113.9:80", "::gg", "\xff"])
def test_nonsense_leaves_the_proxy_address(value: str) -> None:
    assert TrustedProxies(("127.0.0.0/8",)).client_address("127.0.0.1", said(value)) == "127.0.0.1"


def test_a_unix_socket_is_a_proxy() -> None:
    assert TrustedProxies(()).client_address(None, said("2001:db8::1")) == "2001:db8::1"
    assert TrustedProxies(()).client_address(None, said()) == ""


def test_the_memory_of_addresses_is_bounded() -> None:
    proxies = TrustedProxies(("127.0.0.0/8",))
    for number in range(10_000):
        proxies.client_address(f"10.0.{number // 256}.{number % 256}", [])
    assert len(proxies._known) <= 4_096


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("", ""),
        ("198.51.100.7", "198.51.100.7"),
        ("2001:db8:1:2:aaaa::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:bbbb:cccc:dddd:eeee", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_who_has_a_network_of_addresses_counts_as_one(address: str, network: str) -> None:
    assert network_of(address) == network
