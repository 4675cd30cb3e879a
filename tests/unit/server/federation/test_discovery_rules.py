"""Server names, well-known files and SRV records."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchword.server.federation.discovery_rules import (
    ServerAddress,
    SrvRecord,
    Target,
    default_target,
    delegated_address,
    direct_target,
    error_lifetime_ms,
    parse_address,
    srv_targets,
    well_known_lifetime_ms,
)

HOUR = 3_600_000


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("matrix.org", ServerAddress("matrix.org", None, False)),
        ("matrix.org:8888", ServerAddress("matrix.org", 8888, False)),
        ("1.2.3.4", ServerAddress("1.2.3.4", None, True)),
        ("1.2.3.4:1234", ServerAddress("1.2.3.4", 1234, True)),
        ("[1234:5678::abcd]", ServerAddress("1234:5678::abcd", None, True)),
        ("[1234:5678::abcd]:5678", ServerAddress("1234:5678::abcd", 5678, True)),
    ],
)
def test_server_names_are_taken_apart(name: str, expected: ServerAddress) -> None:
    assert parse_address(name) == expected


@pytest.mark.parametrize(
    "name",
    ["", ":80", "a:", "a:b", "a:0", "a:65536", "a:123456", "[::1", "[1.2.3.4]", "[fe80::1%eth0]", "a b", "a/b", "a:1:2", "ü"],
)
def test_what_is_no_server_name_is_none(name: str) -> None:
    assert parse_address(name) is None


@given(st.text())
def test_the_parser_never_crashes(name: str) -> None:
    parse_address(name)
    delegated_address(name.encode("utf-8", "replace"))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("1.2.3.4", Target("1.2.3.4", 8448, "1.2.3.4", "1.2.3.4")),
        ("[::1]:5", Target("::1", 5, "[::1]:5", "::1")),
        ("a.example:443", Target("a.example", 443, "a.example:443", "a.example")),
        ("a.example", None),
    ],
)
def test_literals_and_ports_need_no_asking(name: str, expected: Target | None) -> None:
    address = parse_address(name)
    assert address is not None
    assert direct_target(address) == expected


def test_without_port_the_default_port_is_not_in_the_host_header() -> None:
    assert default_target(ServerAddress("a.example", None, False)) == Target("a.example", 8448, "a.example", "a.example")


def test_srv_says_where_but_not_who() -> None:
    records = [SrvRecord(20, 0, 1, "far."), SrvRecord(10, 5, 2, "near"), SrvRecord(10, 5, 3, "."), SrvRecord(5, 0, 0, "x")]
    targets = srv_targets(ServerAddress("a.example", None, False), records, lambda: 0.5)
    assert targets == (Target("near", 2, "a.example", "a.example"), Target("far", 1, "a.example", "a.example"))


def test_weights_decide_inside_a_priority() -> None:
    records = [SrvRecord(1, 0, 1, "light"), SrvRecord(1, 98, 2, "heavy")]
    address = ServerAddress("a", None, False)
    assert srv_targets(address, records, lambda: 0.0)[0].connect_host == "light"
    assert srv_targets(address, records, lambda: 0.999)[0].connect_host == "heavy"


@pytest.mark.parametrize(
    ("body", "host"),
    [
        (b'{"m.server":"d.example:443"}', "d.example"),
        (b'{"m.server":"no name!"}', None),
        (b'{"m.server":5}', None),
        (b"[]", None),
        (b"{", None),
        (b"\xff", None),
        (b'{"\xff":1,"m.server":"d.example:443"}', None),
        (b"[" * 100_000, None),
    ],
)
def test_a_well_known_answer_delegates_or_not(body: bytes, host: str | None) -> None:
    found = delegated_address(body)
    assert (found.host if found is not None else None) == host


@pytest.mark.parametrize(
    ("headers", "hours"),
    [
        ({}, 24.0),
        ({"cache-control": "public, max-age=7200"}, 2.0),
        ({"cache-control": 'max-age="7200"', "expires": "Thu, 01 Jan 1970 00:00:00 GMT"}, 2.0),
        ({"cache-control": "max-age=99999999999"}, 48.0),
        ({"cache-control": "no-store"}, 5 / 60),
        ({"cache-control": "max-age=x"}, 24.0),
        ({"expires": "Thu, 01 Jan 1970 03:00:00 GMT"}, 3.0),
        ({"expires": "0"}, 5 / 60),
    ],
)
def test_the_lifetime_follows_the_headers_within_bounds(headers: dict[str, str], hours: float) -> None:
    assert well_known_lifetime_ms(headers, 0) == hours * HOUR


def test_failures_are_remembered_longer_and_longer_up_to_an_hour() -> None:
    assert [error_lifetime_ms(n) // 60_000 for n in (1, 2, 3, 7, 60)] == [1, 2, 4, 60, 60]
