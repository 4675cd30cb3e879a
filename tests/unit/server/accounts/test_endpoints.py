"""The table of doors as a whole."""

from collections import Counter

from watchword.edge.endpoint import Auth, Body
from watchword.server.accounts.endpoints import ENDPOINTS


def test_no_door_is_there_twice() -> None:
    assert max(Counter((row.method, row.path) for row in ENDPOINTS).values()) == 1


def test_doors_without_a_token_are_rate_limited() -> None:
    for row in ENDPOINTS:
        if row.auth is Auth.NONE:
            assert row.rate.value in {"login", "register"}, row.path


def test_every_specified_door_names_its_section() -> None:
    for row in ENDPOINTS:
        assert row.spec.startswith("client-server-api#") or row.path.startswith("/_synapse/"), row.path


def test_deletions_may_carry_their_proof() -> None:
    delete = next(row for row in ENDPOINTS if row.method == "DELETE" and row.path.endswith("/devices/{deviceId}"))
    assert delete.body is Body.OPTIONAL_JSON
