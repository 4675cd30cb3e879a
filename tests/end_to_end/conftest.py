"""Two servers and a network of played peers for a whole run; a check after each test that nothing broke."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.end_to_end.harness import shapes, wire
from tests.end_to_end.harness.peers import Hub, Peer
from tests.end_to_end.harness.servers import Server, elsewhere, unused_port
from watchword.base.clock import SystemClock
from watchword.cli.demonstration.authority import DemoAuthority

_PEERS = 400
_ANSWER_SECONDS = 5
_MEMORY_BYTES_MAX = 400_000_000


def _has_its_shape(method: str, target: str, answer: wire.Answer) -> None:
    assert answer.status != 500, (method, target, answer)
    if answer.headers.get("content-type") != "application/json":
        assert 200 <= answer.status < 400, (method, target, answer)
        return
    assert not list(shapes.complaints(method, target, answer.status, answer.body)), answer


@pytest.fixture(autouse=True)
def exact_shapes() -> Iterator[None]:
    """Every answer of every test is held against the specification's shapes."""
    wire.watchers.append(_has_its_shape)
    yield
    wire.watchers.remove(_has_its_shape)


@dataclass(frozen=True)
class Town:
    """Two servers, `north` and `south`, and the hub of the peers that tests play."""

    folder: Path
    authority: DemoAuthority
    north: Server
    south: Server
    hub: Hub


@pytest.fixture(scope="session")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """Start both, and stop them in the end."""
    folder = tmp_path_factory.mktemp("town")
    authority = DemoAuthority(folder, SystemClock())
    hub = Hub(unused_port(), authority, [f"peer{number}.example" for number in range(_PEERS)])
    servers = north, south = [Server(name, folder, authority) for name in ("north.example", "south.example")]
    played = [elsewhere(name, hub.port, folder) for name in hub.names]
    try:
        for server in servers:
            server.configure([other.plan for other in servers if other is not server] + played)
            server.launch()
        for server in servers:
            server.await_answer()
        yield Town(folder, authority, north, south, hub)
    finally:
        hub.close()
        for server in servers:
            server.stop()


@pytest.fixture
def north(town: Town) -> Iterator[Server]:
    """The first server. After the test it still answers, has not failed inside, and has not grown out of bounds."""
    yield from _watched(town.north)


@pytest.fixture
def south(town: Town) -> Iterator[Server]:
    """The second server, watched likewise."""
    yield from _watched(town.south)


@pytest.fixture
def peer(town: Town) -> Peer:
    """A server that the test plays."""
    return town.hub.peer()


def _watched(server: Server) -> Iterator[Server]:
    said = len(server.log)
    yield server
    assert server.is_running, server.log[-4000:]
    assert wire.ask(server.client, "GET", "/_matrix/client/versions", seconds=_ANSWER_SECONDS).status == 200
    assert "Traceback" not in server.log[said:], server.log[said:][-6000:]
    assert server.resident_bytes < _MEMORY_BYTES_MAX
