"""The accepted form as it is read."""

from typing import Any

import pytest

from tests.unit.server.rooms.world import ALICE, PHONE
from watchword.base.errors import BadRequest
from watchword.edge.request import Request
from watchword.edge.requester import Requester
from watchword.server.sync.sliding import accepted
from watchword.server.sync.sliding.commands import Required, SlidingRequest


def read(body: dict[str, Any]) -> SlidingRequest:
    return accepted.read(Request("POST", "/", "pos=ignored&timeout=1", json=body), Requester(ALICE, PHONE, 1))


def test_everything_is_in_the_body() -> None:
    request = read({"pos": "p1_2_A", "timeout": 10**9, "set_presence": "unavailable", "conn_id": "main"})
    assert (request.pos, request.timeout_ms, request.set_presence, request.conn_id) == (
        "p1_2_A",
        600_000,
        "unavailable",
        "main",
    )
    assert read({}).pos is None


def test_lists_are_read() -> None:
    state = {
        "include": [{"type": "a"}, {"state_key": ""}, {}],
        "exclude": [{"type": "b", "state_key": "c"}],
        "lazy_members": True,
    }
    rules = read({"lists": {"all": {"timeline_limit": 1, "required_state": state, "range": [0, 5]}}}).rules
    assert rules.lists[0].ranges == ((0, 5),)
    include = (("a", None), (None, ""), (None, None))
    assert rules.lists[0].config.required == (Required(include, (("b", "c"),), lazy=True),)
    assert read({"lists": {"all": {"timeline_limit": 1, "required_state": {}}}}).rules.lists[0].ranges is None


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"timeline_limit": 1},
        {"required_state": {}},
        {"timeline_limit": 1, "required_state": []},
        {"timeline_limit": 1, "required_state": {"include": ["a"]}},
        {"timeline_limit": 1, "required_state": {"include": [{"type": 1}]}},
        {"timeline_limit": 1, "required_state": {"lazy_members": 1}},
        {"timeline_limit": 1, "required_state": {}, "range": [[0, 1]]},
    ],
)
def test_what_is_not_formed_well_is_refused(entry: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        read({"lists": {"all": entry}})


@pytest.mark.parametrize("body", [{"timeout": -1}, {"timeout": "1"}, {"pos": 1}, {"set_presence": 1}])
def test_what_is_wrong_around_the_lists_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        read(body)
