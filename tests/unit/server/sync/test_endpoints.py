"""The door of sync: which questions are refused, and what is read from the query."""

from typing import Any

import pytest

from tests.unit.server.rooms.world import ALICE, World
from tests.unit.server.sync.answers import join, token
from watchword.base import limits


@pytest.mark.parametrize("since", ["nonsense", "1", "s", "s-1", "s1.5", "s 1", "s\u0661", "t5", "s" + "9" * 30, "s1_2", "S1"])
async def test_a_token_that_was_never_given_is_refused(world: World, since: str) -> None:
    assert await world.refused(ALICE, "GET", "sync", since=since) == (400, "M_INVALID_PARAM")


async def test_an_empty_token_is_none(world: World) -> None:
    room_id = await world.room()
    assert join(await world.sync(ALICE, ""), room_id) is not None


@pytest.mark.parametrize(
    "query",
    [
        {"set_presence": "asleep"},
        {"timeout": "soon"},
        {"timeout": "-1"},
        {"full_state": "perhaps"},
        {"use_state_after": "perhaps"},
        {"filter": "{"},
        {"filter": '{"room":[]}'},
    ],
)
async def test_a_question_that_cannot_be_read_is_refused(world: World, query: dict[str, Any]) -> None:
    status, _ = await world.refused(ALICE, "GET", "sync", **query)
    assert status == 400


async def test_a_filter_that_is_not_there_is_refused(world: World) -> None:
    status, _ = await world.refused(ALICE, "GET", "sync", filter="nonsense")
    assert status == 404


@pytest.mark.parametrize("presence", ["online", "offline", "unavailable"])
async def test_each_presence_is_taken(world: World, presence: str) -> None:
    assert "next_batch" in await world.sync(set_presence=presence)


async def test_a_timeout_too_long_is_taken_for_the_longest(world: World) -> None:
    since = await token(world)
    await world.ask(ALICE, "PUT", f"user/{ALICE}/account_data/x", {})
    body = await world.sync(ALICE, since, timeout=limits.sync_timeout_ms_max * 100)
    assert body["account_data"]["events"] == [{"type": "x", "content": {}}]


async def test_false_is_the_same_as_nothing(world: World) -> None:
    room_id = await world.room()
    since = await token(world)
    assert "rooms" not in await world.sync(ALICE, since, full_state="false")
    assert "state" in join(await world.sync(ALICE, use_state_after="false"), room_id)
