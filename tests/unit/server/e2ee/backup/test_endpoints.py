from watchword.base import limits
from watchword.edge.endpoint import Auth, Body
from watchword.server.e2ee.backup.endpoints import ROWS


def test_there_are_14_operations_and_each_needs_its_user() -> None:
    assert len({(row.method, row.path) for row in ROWS}) == 14
    assert {row.auth for row in ROWS} == {Auth.CLIENT}


def test_many_keys_fit_into_one_request() -> None:
    puts = [row for row in ROWS if row.method == "PUT"]
    assert {(row.body, row.body_bytes_max) for row in puts} == {(Body.JSON, limits.keys_body_bytes_max)}
