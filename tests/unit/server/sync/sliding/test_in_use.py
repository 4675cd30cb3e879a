"""The form in use as it is read."""

from typing import Any

import pytest

from tests.unit.server.rooms.world import ALICE, PHONE
from watchword.base import limits
from watchword.base.errors import BadRequest
from watchword.edge.request import Request
from watchword.edge.requester import Requester
from watchword.server.sync.sliding import in_use
from watchword.server.sync.sliding.commands import Required, SlidingRequest


def read(body: dict[str, Any], query: str = "") -> SlidingRequest:
    return in_use.read(Request("POST", "/", query, json=body), Requester(ALICE, PHONE, 1))


def test_everything_has_a_default() -> None:
    request = read({})
    assert (request.pos, request.timeout_ms, request.set_presence, request.conn_id) == (None, 0, "online", "")
    assert (request.rules.lists, request.rules.subscriptions) == ((), ())


def test_position_and_timeout_are_in_the_query() -> None:
    request = read({"conn_id": "main", "pos": "ignored"}, "pos=p1_2_A&timeout=30000&set_presence=offline")
    assert (request.pos, request.timeout_ms, request.set_presence) == ("p1_2_A", 30_000, "offline")


def test_lists_and_subscriptions_are_read() -> None:
    state = [["m.room.member", "$LAZY"], ["m.room.member", "$ME"], ["*", ""], ["a.b", "*"], ["a.b", "$LAZY"]]
    entry = {"timeline_limit": 3, "required_state": state, "ranges": [[0, 5], [7, 9]]}
    rules = read({"lists": {"all": entry}, "room_subscriptions": {"!r:b": {}}}).rules
    assert rules.lists[0].ranges == ((0, 5), (7, 9))
    include = (("m.room.member", ALICE), (None, ""), ("a.b", None))
    assert rules.lists[0].config.required == (Required(include, (), lazy=True),)
    assert rules.subscriptions[0][1].timeline_limit == limits.sync_timeline_default


@pytest.mark.parametrize(
    "entry",
    [{"required_state": [["a"]]}, {"required_state": [["a", 1]]}, {"required_state": {}}, {"ranges": [[1, 0]]}, {"ranges": 1}],
)
def test_what_is_not_formed_well_is_refused(entry: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        read({"lists": {"all": entry}})
