from watchword.base.config import Limits
from watchword.edge.connection import ConnectionLimits


def test_limits_are_taken_from_the_configuration() -> None:
    found = ConnectionLimits.of(Limits(connections_max=5, header_timeout_ms=700, stop_grace_ms=0))
    assert (found.connections_max, found.header_timeout_ms, found.stop_grace_ms) == (5, 700, 0)


# How a connection behaves is tested over real sockets in test_listener.py.
