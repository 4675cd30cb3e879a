"""What can be stored, and what is refused at the door."""

import pytest

from watchword.base.errors import BadRequest
from watchword.server.accounts.stored_json import stored_json


def test_json_is_stored_compactly() -> None:
    assert stored_json({"b": [1, None, "é"], "a": 0.5}) == '{"b":[1,null,"é"],"a":0.5}'.encode()


@pytest.mark.parametrize("value", [1 << 70, "\ud800", {"\ud800": 1}])
def test_what_json_cannot_carry_is_refused(value: object) -> None:
    with pytest.raises(BadRequest):
        stored_json({"x": value})
