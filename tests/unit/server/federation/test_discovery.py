"""Discovery over planted well-known files and DNS."""

import asyncio
from typing import Any

import pytest

from tests.unit.server.federation.stacks import A, Net, json_answer
from watchword.base.clock import ManualClock
from watchword.base.entropy import SeededEntropy
from watchword.base.errors import PeerError
from watchword.protocol.ids import ServerName
from watchword.server.federation.discovery import ServerDiscovery
from watchword.server.federation.discovery_rules import SrvRecord, Target
from watchword.server.federation.settings import FederationSettings

NAME = ServerName("x.example")
URL = "https://x.example/.well-known/matrix/server"
HOUR = 3_600_000


def discovery(net: Net, clock: ManualClock, **settings: Any) -> ServerDiscovery:
    return ServerDiscovery(net, FederationSettings(A, **settings), clock, SeededEntropy(1))


def delegate(net: Net, to: str) -> None:
    net.files[URL] = json_answer({"m.server": to})


@pytest.mark.parametrize(
    ("well_known", "services", "expected"),
    [
        (None, {}, Target("x.example", 8448, "x.example", "x.example")),
        (None, {"_matrix-fed._tcp.x.example": 1}, Target("srv.example", 1, "x.example", "x.example")),
        (None, {"_matrix._tcp.x.example": 2}, Target("srv.example", 2, "x.example", "x.example")),
        (
            None,
            {"_matrix-fed._tcp.x.example": 1, "_matrix._tcp.x.example": 2},
            Target("srv.example", 1, "x.example", "x.example"),
        ),
        ("d.example", {}, Target("d.example", 8448, "d.example", "d.example")),
        ("d.example:7", {"_matrix-fed._tcp.d.example": 1}, Target("d.example", 7, "d.example:7", "d.example")),
        ("d.example", {"_matrix-fed._tcp.d.example": 1}, Target("srv.example", 1, "d.example", "d.example")),
        ("5.6.7.8", {}, Target("5.6.7.8", 8448, "5.6.7.8", "5.6.7.8")),
        ("no name!", {"_matrix-fed._tcp.x.example": 1}, Target("srv.example", 1, "x.example", "x.example")),
    ],
)
async def test_the_steps_in_order(
    net: Net, clock: ManualClock, well_known: str | None, services: dict[str, int], expected: Target
) -> None:
    if well_known is not None:
        delegate(net, well_known)
    net.services = {name: [SrvRecord(1, 1, port, "srv.example")] for name, port in services.items()}
    assert await discovery(net, clock).resolve(NAME) == (expected,)


async def test_literals_and_ports_ask_nobody(net: Net, clock: ManualClock) -> None:
    found = discovery(net, clock)
    assert await found.resolve(ServerName("1.2.3.4")) == (Target("1.2.3.4", 8448, "1.2.3.4", "1.2.3.4"),)
    assert (await found.resolve(ServerName("x.example:99")))[0].host_header == "x.example:99"
    assert not net.gets


async def test_an_override_changes_the_place_and_not_the_name(net: Net, clock: ManualClock) -> None:
    found = discovery(net, clock, overrides={NAME: "127.0.0.1:9"})
    assert await found.resolve(NAME) == (Target("127.0.0.1", 9, "x.example", "x.example"),)
    with pytest.raises(PeerError):
        await discovery(net, clock, overrides={NAME: "nowhere at all"}).resolve(NAME)


async def test_what_is_no_name_is_refused(net: Net, clock: ManualClock) -> None:
    with pytest.raises(PeerError):
        await discovery(net, clock).resolve(ServerName("not a name"))


async def test_many_askers_cause_one_asking_and_the_answer_is_kept(net: Net, clock: ManualClock) -> None:
    delegate(net, "d.example")
    found = discovery(net, clock)
    await asyncio.gather(*(found.resolve(NAME) for _ in range(10)))
    clock.advance(23 * HOUR)
    await found.resolve(NAME)
    assert len(net.gets) == 1
    clock.advance(2 * HOUR)
    await found.resolve(NAME)
    assert len(net.gets) == 2


async def test_an_outage_of_the_web_server_does_not_undo_a_delegation_at_once(net: Net, clock: ManualClock) -> None:
    delegate(net, "d.example:1")
    found = discovery(net, clock)
    await found.resolve(NAME)
    net.down.add(URL)
    clock.advance(30 * HOUR)
    assert (await found.resolve(NAME))[0].connect_host == "d.example"
    clock.advance(30 * HOUR)
    assert (await found.resolve(NAME))[0].connect_host == "x.example"


async def test_failures_are_not_asked_again_at_once(net: Net, clock: ManualClock) -> None:
    net.down.add(URL)
    found = discovery(net, clock)
    for _ in range(5):
        await found.resolve(NAME)
        found.forget(NAME)
    assert len(net.gets) == 1
    clock.advance(60_000)
    await found.resolve(NAME)
    assert len(net.gets) == 2


async def test_without_dns_the_default_port_is_tried(net: Net, clock: ManualClock) -> None:
    net.dns_works = False
    assert (await discovery(net, clock).resolve(NAME))[0].connect_port == 8448
