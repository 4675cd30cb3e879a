from typing import Any

from watchword.base import limits
from watchword.edge.endpoint import Auth, Body, Endpoint, Rate
from watchword.edge.replies import Reply


async def handler(request: Any, requester: Any, service: Any) -> Reply:
    return Reply.EMPTY


def test_a_row_is_closed_unless_it_says_otherwise() -> None:
    row = Endpoint("GET", "/x", handler, "x#y")
    assert (row.auth, row.rate, row.body, row.guests) == (Auth.CLIENT, Rate.READ, Body.NONE, False)
    assert row.body_bytes_max == limits.client_body_bytes_max
