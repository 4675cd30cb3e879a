"""How lists are asked for."""

import pytest

from watchword.base import limits
from watchword.base.errors import BadRequest
from watchword.edge.request import Request
from watchword.server.admin.queries import flag_of, is_backwards, limit_of, page_of, start_of


def _asked(query: str = "") -> Request:
    return Request("GET", "/", query)


def _all(asked: Request) -> tuple[object, ...]:
    return start_of(asked), limit_of(asked), flag_of(asked, "x"), is_backwards(asked)


def test_what_is_not_said_has_its_default() -> None:
    assert (start_of(_asked()), limit_of(_asked()), flag_of(_asked(), "x")) == (0, limits.admin_page_default, None)
    assert not is_backwards(_asked())
    assert is_backwards(_asked(), default=True)


def test_what_is_said_is_read_in_bounds() -> None:
    asked = _asked("from=7&limit=9999999&x=true&dir=b")
    assert (start_of(asked), limit_of(asked), flag_of(asked, "x"), is_backwards(asked)) == (7, 1_000, True, True)
    assert not is_backwards(_asked("dir=f"), default=True)


@pytest.mark.parametrize("query", ["from=-1", "from=x", "limit=1.5", "x=1", "dir=up"])
def test_what_makes_no_sense_is_refused(query: str) -> None:
    with pytest.raises(BadRequest):
        _all(_asked(query))


def test_a_page_says_where_the_next_one_begins_if_there_is_one() -> None:
    assert page_of("rows", [{}, {}], _asked("from=3"), 9) == {"rows": [{}, {}], "total": 9, "next_batch": "5"}
    assert page_of("rows", [{}], _asked("from=3"), 4) == {"rows": [{}], "total": 4}
    assert page_of("rows", [], _asked("from=9"), 4) == {"rows": [], "total": 4}
