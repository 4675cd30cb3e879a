"""How a decision's "no" is raised."""

import pytest

from watchword.base.errors import BadRequest, Forbidden, NotFound, Refusal
from watchword.server.accounts.commands import Refused


@pytest.mark.parametrize(("status", "kind"), [(400, BadRequest), (403, Forbidden), (404, NotFound), (405, Refusal)])
def test_a_refusal_is_raised_as_what_its_status_says(status: int, kind: type[Refusal]) -> None:
    error = Refused("M_X", "No.", status=status).error()
    assert type(error) is kind
    assert (error.status, error.errcode, error.text) == (status, "M_X", "No.")
