"""Finding people, and rooms in common."""

from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest

from tests.unit.server.rooms.world import ALICE, BOB, CAROL, DAVE, EVE, PHONE
from tests.unit.server.search.world import UNSTABLE, SearchWorld, open_search_world
from watchword.base.errors import Refusal
from watchword.edge.replies import Reply
from watchword.edge.request import Request
from watchword.edge.requester import Requester
from watchword.protocol.ids import UserId
from watchword.server.search.endpoints import mutual_rooms, mutual_rooms_before_spec
from watchword.server.search.people import beginnings_of

MUTUAL = "/_matrix/client/v1/mutual_rooms"


async def called(world: SearchWorld, user_id: UserId, name: str) -> None:
    await world.ask(user_id, "PUT", f"profile/{user_id}/displayname", {"displayname": name})


async def hidden(tmp_path: Path) -> SearchWorld:
    class Restricted(SearchWorld):
        everybody_here = False

    world = await Restricted(tmp_path / "restricted").start()
    await world.users(ALICE, BOB, CAROL)
    return world


@pytest.mark.parametrize(
    ("name", "term"),
    [
        ("Bob Builder", "build"),
        ("Bob Builder", "BOB bui"),
        ("Élodie", "elo"),
        ("Борис", "бор"),
        ("山田太郎", "太郎"),
        ("山田太郎", "山"),
        ("สมชาย", "ชาย"),
        ("محمد", "محم"),
        ("김철수", "철수"),
        ("Γιώργος", "γιωρ"),
        ("अमित", "अमि"),
        ("דָּוִד", "דוד"),
    ],
)
async def test_people_are_found_by_the_beginning_of_their_names_in_any_script(world: SearchWorld, name: str, term: str) -> None:
    await called(world, BOB, name)
    assert await world.people(ALICE, term) == [BOB]


@pytest.mark.parametrize("term", ["bob", "@bob", "@BOB:here", "bob:here.ex", "@bob:here.example", "b"])
async def test_people_are_found_by_their_ids(world: SearchWorld, term: str) -> None:
    assert await world.people(ALICE, term) == [BOB]


@pytest.mark.parametrize("term", ["", "  ", "!!", "zzz", "@zed", "ob", "bob zzz"])
async def test_nobody_is_found_where_nobody_fits(world: SearchWorld, term: str) -> None:
    assert await world.people(ALICE, term) == []


async def test_exact_names_come_first_and_the_list_has_a_limit(world: SearchWorld) -> None:
    await world.users(DAVE)
    for user_id, name in ((BOB, "Sam Smith"), (CAROL, "Sam"), (DAVE, "Old Sam")):
        await called(world, user_id, name)
    assert await world.people(ALICE, "sam") == [CAROL, BOB, DAVE]
    answer = await world.ask(ALICE, "POST", "user_directory/search", {"search_term": "sam", "limit": 2})
    assert [found["display_name"] for found in answer["results"]] == ["Sam", "Sam Smith"]
    assert answer["limited"] is True
    answer = await world.ask(ALICE, "POST", "user_directory/search", {"search_term": "sam", "limit": 3})
    assert answer["limited"] is False
    answer = await world.ask(ALICE, "POST", "user_directory/search", {"search_term": "sam", "limit": 0})
    assert answer["results"] == []


async def test_the_newest_name_counts(world: SearchWorld) -> None:
    await called(world, BOB, "Robert")
    assert await world.people(ALICE, "robert") == [BOB]
    await called(world, BOB, "Bobby")
    assert await world.people(ALICE, "robert") == []
    await world.ask(BOB, "PUT", f"profile/{BOB}/avatar_url", {"avatar_url": "mxc://here.example/x"})
    answer = await world.ask(ALICE, "POST", "user_directory/search", {"search_term": "bobby"})
    assert answer["results"] == [{"user_id": BOB, "display_name": "Bobby", "avatar_url": "mxc://here.example/x"}]


async def test_who_is_gone_or_locked_is_not_found(world: SearchWorld) -> None:
    await world.accounts.admin.set_locked(replace(Requester(ALICE, PHONE, 1), is_admin=True), BOB, True)
    await world.accounts.admin.deactivate(CAROL, erase=False)
    assert await world.people(ALICE, "bob") == []
    assert await world.people(ALICE, "carol") == []


async def test_guests_are_not_found(world: SearchWorld) -> None:
    async with world.database.write() as tx:
        await tx.execute("UPDATE accounts SET is_guest = 1 WHERE user_id = ?", BOB)
    assert await world.people(ALICE, "bob") == []


async def test_where_it_is_restricted_people_are_found_through_rooms(tmp_path: Path) -> None:
    (tmp_path / "restricted").mkdir()
    world = await hidden(tmp_path)
    try:
        assert await world.people(ALICE, "bob") == []
        assert await world.people(BOB, "bob") == [BOB]
        room_id = await world.room(preset="private_chat", invite=[BOB])
        await world.join(BOB, room_id)
        assert await world.people(ALICE, "bob") == [BOB]
        assert await world.people(CAROL, "bob") == []
        assert not await world.search.people.may_see_profile(CAROL, BOB)
        assert not await world.search.people.may_see_profile(None, BOB)
        assert await world.search.people.may_see_profile(BOB, BOB)
        assert await world.search.people.may_see_profile(ALICE, BOB)
        await world.set_state(ALICE, room_id, "m.room.history_visibility", {"history_visibility": "world_readable"})
        assert await world.people(CAROL, "bob") == [BOB]
        assert await world.search.people.may_see_profile(None, BOB)
    finally:
        await world.close()


@pytest.mark.parametrize(
    ("term", "wanted"),
    [("Al Ice", ["ice", "al"]), ("@Alice:HERE", ["@alice:here"]), ("山田 x", ["山田", "x"]), ("a a", ["a"]), ("", [])],
)
def test_terms_become_beginnings_the_longest_first(term: str, wanted: list[str]) -> None:
    assert beginnings_of(term) == wanted


def test_half_characters_in_an_id_find_nothing_and_break_nothing() -> None:
    assert beginnings_of("@\ud800") == ["@?"]


# Rooms in common


async def asked(world: SearchWorld, path: str = MUTUAL, **query: Any) -> tuple[int, Any]:
    handler = mutual_rooms if path == MUTUAL else mutual_rooms_before_spec
    try:
        reply = await handler(Request("GET", path, urlencode(query)), Requester(ALICE, PHONE, 1), world.search)
    except Refusal as refusal:
        return refusal.status, refusal.errcode
    assert isinstance(reply, Reply)
    return reply.status, orjson.loads(reply.body)


async def test_rooms_in_common_are_those_that_both_are_in(world: SearchWorld) -> None:
    shared = await world.public_room(BOB)
    world.clock.advance(1)
    left = await world.public_room(BOB)
    await world.leave(BOB, left)
    world.clock.advance(1)
    await world.room(invite=[BOB])
    assert await asked(world, user_id=BOB) == (200, {"joined": [shared], "count": 1})
    assert await asked(world, user_id=CAROL) == (200, {"joined": [], "count": 0})
    assert await asked(world, user_id=EVE) == (200, {"joined": [], "count": 0})
    assert await asked(world, user_id="@nobody:here.example") == (200, {"joined": [], "count": 0})


async def test_rooms_in_common_come_in_pages(world: SearchWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("watchword.base.limits.mutual_rooms_page_max", 2)
    rooms = []
    for _ in range(3):
        world.clock.advance(1)
        rooms.append(await world.public_room(BOB))
    _, first = await asked(world, user_id=BOB)
    _, second = await asked(world, user_id=BOB, **{"from": first["next_batch"]})
    assert (first["count"], second["count"]) == (3, 3)
    assert sorted(rooms) == [*first["joined"], *second["joined"]]
    assert "next_batch" not in second
    _, old = await asked(world, UNSTABLE, user_id=BOB)
    assert old["next_batch_token"] == first["next_batch"]
    _, last = await asked(world, UNSTABLE, user_id=BOB, batch_token=old["next_batch_token"])
    assert last == second


@pytest.mark.parametrize(
    ("query", "errcode"),
    [
        ({}, "M_MISSING_PARAM"),
        ({"user_id": ALICE}, "M_INVALID_PARAM"),
        ({"user_id": "bob"}, "M_INVALID_PARAM"),
        ({"user_id": "@Bob With Spaces:here.example"}, "M_INVALID_PARAM"),
        ({"user_id": BOB, "from": "!!"}, "M_INVALID_PARAM"),
        ({"user_id": BOB, "from": "YWJj"}, "M_INVALID_PARAM"),
        ({"user_id": BOB, "from": "_w=="}, "M_INVALID_PARAM"),
    ],
)
async def test_what_is_no_user_or_no_token_is_refused(world: SearchWorld, query: dict[str, str], errcode: str) -> None:
    assert await asked(world, **query) == (400, errcode)


async def test_the_world_opens_and_closes(tmp_path: Path) -> None:
    async with open_search_world(tmp_path) as world:
        assert await world.search.people.search(ALICE, "x", 5) == {"results": [], "limited": False}
