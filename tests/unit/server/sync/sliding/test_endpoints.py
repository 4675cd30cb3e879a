"""Two doors, each with its own form."""

import pytest

from tests.unit.server.rooms.world import ALICE
from tests.unit.server.sync.sliding.windows import ACCEPTED, IN_USE, SlidingWorld, accepted_window, window
from watchword.base import limits
from watchword.server.sync.sliding.endpoints import ENDPOINTS


def test_both_wait_and_have_a_bound() -> None:
    assert {row.path for row in ENDPOINTS} == {IN_USE, ACCEPTED}
    for row in ENDPOINTS:
        assert row.waits
        assert row.body_bytes_max == limits.sliding_body_bytes_max


async def test_each_speaks_its_form(world: SlidingWorld) -> None:
    room_id = await world.room()
    answer = await world.ask(ALICE, "POST", IN_USE, {"lists": {"all": window()}})
    assert "notification_count" in answer["rooms"][room_id]
    answer = await world.ask(ALICE, "POST", ACCEPTED, {"lists": {"all": accepted_window()}})
    assert answer["rooms"][room_id]["membership"] == "join"


@pytest.mark.parametrize("path", [IN_USE, ACCEPTED])
async def test_nothing_asked_is_nothing_told(world: SlidingWorld, path: str) -> None:
    answer = await world.ask(ALICE, "POST", path, {})
    assert answer == {"pos": answer["pos"], "lists": {}, "rooms": {}, "extensions": {}}


@pytest.mark.parametrize("path", [IN_USE, ACCEPTED])
async def test_an_unknown_presence_is_refused(world: SlidingWorld, path: str) -> None:
    body, query = ({"set_presence": "other"}, {}) if path == ACCEPTED else ({}, {"set_presence": "other"})
    assert await world.refused(ALICE, "POST", path, body, **query) == (400, "M_INVALID_PARAM")
