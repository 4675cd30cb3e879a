"""The table of doors as a whole."""

from collections import Counter

from watchword.edge.endpoint import Body, Rate
from watchword.server.accounts.endpoints import ENDPOINTS


def test_no_door_is_there_twice() -> None:
    assert max(Counter((row.method, row.path) for row in ENDPOINTS).values()) == 1


def test_every_door_is_rate_limited() -> None:
    for row in ENDPOINTS:
        assert row.rate is not Rate.NONE, row.path


def test_what_can_be_guessed_draws_from_the_small_buckets() -> None:
    rates = {(row.method, row.path.removeprefix("/_matrix/client/")): row.rate for row in ENDPOINTS}
    assert rates["POST", "v3/login"] is Rate.LOGIN
    assert rates["POST", "v3/register"] is Rate.REGISTER
    assert rates["GET", "v1/register/m.login.registration_token/validity"] is Rate.LOGIN


def test_every_specified_door_names_its_section() -> None:
    for row in ENDPOINTS:
        is_ours = row.path.startswith(("/_synapse/", "/_watchword/"))
        assert is_ours or row.spec.startswith(("client-server-api#", "proposals/")), row.path


def test_deletions_may_carry_their_proof() -> None:
    delete = next(row for row in ENDPOINTS if row.method == "DELETE" and row.path.endswith("/devices/{deviceId}"))
    assert delete.body is Body.OPTIONAL_JSON
