"""What is announced by a server that was told nothing."""

from watchword.server.discovery.service import Discovery
from watchword.server.discovery.settings import DiscoverySettings


def test_a_server_that_was_told_nothing_announces_no_address() -> None:
    discovery = Discovery(DiscoverySettings())
    assert (discovery.well_known_client, discovery.well_known_server, discovery.well_known_support) == (None, None, None)
