"""How lists are asked for, here and under the names that scripts know: where to begin, how many, which."""

from collections.abc import Mapping, Sequence
from typing import Any

from watchword.base import limits
from watchword.base.errors import BadRequest
from watchword.edge.request import Request


def start_of(request: Request) -> int:
    """How many of the first ones to pass over: `from`. Raises BadRequest."""
    return request.query_int("from", 0, most=limits.canonical_integer_max)


def limit_of(request: Request) -> int:
    """How many are wanted at most. Raises BadRequest."""
    return request.query_int("limit", limits.admin_page_default, most=limits.admin_page_max)


def flag_of(request: Request, name: str) -> bool | None:
    """`true`, `false`, or None if it is not said. Raises BadRequest."""
    return None if request.query_one(name) is None else request.query_bool(name)


def is_backwards(request: Request, *, default: bool = False) -> bool:
    """Whether `dir` is `b`. Raises BadRequest for another direction than `f` and `b`."""
    direction = request.query_one("dir")
    if direction not in (None, "f", "b"):
        raise BadRequest("M_INVALID_PARAM", "dir is f or b.")
    return default if direction is None else direction == "b"


def page_of(name: str, rows: Sequence[Mapping[str, Any]], request: Request, total: int) -> dict[str, Any]:
    """A page of ours: its rows, how many there are in all, and where the next one begins, if there is one."""
    body: dict[str, Any] = {name: list(rows), "total": total}
    end = start_of(request) + len(rows)
    if rows and end < total:
        body["next_batch"] = str(end)
    return body
