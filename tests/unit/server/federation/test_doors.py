"""The small readings that doors share."""

import orjson
import pytest

from tests.unit.server.federation.stacks import ALICE, BOB, B
from watchword.base.errors import BadRequest, Forbidden
from watchword.edge.requester import ServerRequester
from watchword.server.federation.doors import require_user_of, spliced, string_list


def test_encoded_values_are_spliced_into_an_object() -> None:
    assert orjson.loads(spliced({"a": [b"{}", b"1"], "b": b'"x"', "c": []})) == {"a": [{}, 1], "b": "x", "c": []}


def test_a_server_speaks_for_its_own_users_only() -> None:
    assert require_user_of(ServerRequester(B), BOB) == BOB
    with pytest.raises(Forbidden):
        require_user_of(ServerRequester(B), ALICE)


def test_a_list_of_strings_is_one_and_bounded() -> None:
    assert string_list({"x": ["a"]}, "x") == ["a"]
    assert string_list({}, "x") == []
    for broken in (5, [5], ["a"] * 3):
        with pytest.raises(BadRequest):
            string_list({"x": broken}, "x", 2)
