"""The doors of search."""

from typing import Any

import pytest

from tests.unit.server.rooms.world import ALICE
from tests.unit.server.search.world import SearchWorld
from watchword.server.search.endpoints import ENDPOINTS


async def test_nothing_is_found_in_categories_that_are_not_known(world: SearchWorld) -> None:
    assert await world.ask(ALICE, "POST", "search", {"search_categories": {}}) == {"search_categories": {}}


@pytest.mark.parametrize(
    ("body", "query", "expected"),
    [
        ({}, {}, (400, "M_MISSING_PARAM")),
        ({"search_categories": {"room_events": {"search_term": "x"}}}, {"next_batch": "!"}, (400, "M_INVALID_PARAM")),
    ],
)
async def test_a_search_that_is_none_is_refused(
    world: SearchWorld, body: dict[str, Any], query: dict[str, str], expected: tuple[int, str]
) -> None:
    assert await world.refused(ALICE, "POST", "search", body, **query) == expected


@pytest.mark.parametrize(
    ("body", "errcode"),
    [
        ({}, "M_MISSING_PARAM"),
        ({"search_term": 5}, "M_BAD_JSON"),
        ({"search_term": "x", "limit": "5"}, "M_BAD_JSON"),
        ({"search_term": "x", "limit": -1}, "M_INVALID_PARAM"),
    ],
)
async def test_a_search_for_nobody_is_refused(world: SearchWorld, body: dict[str, Any], errcode: str) -> None:
    assert await world.refused(ALICE, "POST", "user_directory/search", body) == (400, errcode)


def test_guests_search_nothing() -> None:
    assert not any(endpoint.guests for endpoint in ENDPOINTS)
