"""The table of discovery's doors."""

from watchword.edge.endpoint import Auth
from watchword.server.discovery.endpoints import ENDPOINTS


def test_whoever_looks_for_the_server_needs_no_account() -> None:
    for row in ENDPOINTS:
        if row.path.startswith("/.well-known/"):
            assert row.auth is Auth.NONE


def test_capabilities_are_for_users() -> None:
    assert next(row for row in ENDPOINTS if row.path.endswith("/capabilities")).auth is Auth.CLIENT
