"""Searching messages: what is found, by whom, and in which order."""

from typing import Any

import pytest

from tests.unit.server.rooms.world import ALICE, BOB, CAROL, EVE
from tests.unit.server.search.world import SearchWorld, texts_of

SCRIPTS = [
    ("Привет, как дела?", "ПРИВЕТ"),
    ("Καλημέρα κόσμε", "καλημερα"),
    ("שָׁלוֹם לכולם", "שלום"),
    ("السَّلامُ عليكم", "السلام"),
    ("नमस्ते दुनिया", "दुनिया"),
    ("এই বাংলা লেখা", "বাংলা"),
    ("தமிழ் மொழி", "மொழி"),
    ("ሰላም ለዓለም", "ለዓለም"),
    ("გამარჯობა მსოფლიო", "მსოფლიო"),
    ("Բարեւ աշխարհ", "աշխարհ"),
    ("我今天去北京大学", "北京"),
    ("我今天去北京大学", "学"),
    ("私は東京都に住んでいます", "東京都に"),
    ("カタカナのテスト", "テスト"),
    ("한국어를 공부합니다", "공부"),
    ("ผมเรียนภาษาไทย", "ภาษา"),
    ("ខ្ញុំរៀនភាសាខ្មែរ", "ភាសា"),
    ("ຂ້ອຍຮຽນພາສາລາວ", "ພາສາ"),
    ("မြန်မာစာ လေ့လာ", "မာစာ"),
    ("Straße und Äpfel", "strasse apfel"),
    ("Tiếng Việt khó", "tieng viet"),
    ("ᠮᠣᠩᠭᠣᠯ ᠪᠢᠴᠢᠭ", "ᠪᠢᠴᠢᠭ"),
    ("བོད་སྐད་ཡིག", "སྐད"),
]


@pytest.mark.parametrize(("text", "term"), SCRIPTS)
async def test_messages_are_found_in_any_script(world: SearchWorld, text: str, term: str) -> None:
    room_id = await world.public_room()
    await world.send(ALICE, room_id, "something else, 別の, อื่น")
    await world.send(ALICE, room_id, text)
    assert await world.texts(ALICE, term) == [text]


async def test_names_and_topics_are_found(world: SearchWorld) -> None:
    room_id = await world.public_room(name="Teahouse", topic="All about oolong")
    assert await world.texts(ALICE, "teahouse") == ["Teahouse"]
    assert await world.texts(ALICE, "oolong") == ["All about oolong"]
    await world.set_state(ALICE, room_id, "m.room.topic", {"m.topic": {"m.text": [{"body": "Darjeeling"}]}})
    found = await world.finds(ALICE, "darjeeling", keys=["content.topic"])
    assert found["count"] == 1
    assert await world.texts(ALICE, "darjeeling", keys=["content.body", "content.name"]) == []


async def test_all_words_must_be_there_and_quoted_ones_side_by_side(world: SearchWorld) -> None:
    room_id = await world.public_room()
    await world.send(ALICE, room_id, "green tea and cake")
    await world.send(ALICE, room_id, "tea in a green cup")
    assert len(await world.texts(ALICE, "green tea")) == 2
    assert await world.texts(ALICE, '"green tea"') == ["green tea and cake"]
    assert await world.texts(ALICE, "green coffee") == []


async def test_whole_words_come_first_and_beginnings_of_words_where_those_are_few(world: SearchWorld) -> None:
    room_id = await world.public_room()
    await world.send(ALICE, room_id, "computers are fun")
    await world.send(ALICE, room_id, "comput it is")
    assert await world.texts(ALICE, "comput") == ["comput it is", "computers are fun"]


@pytest.mark.parametrize("term", ["", "!?", '"', 'a" OR "b', "scope : r1", "*", "NOT hello", "\x00", "^body"])
async def test_no_term_breaks_the_index(world: SearchWorld, term: str) -> None:
    room_id = await world.public_room()
    await world.send(ALICE, room_id, "hello")
    assert await world.texts(ALICE, term) == []


# Who finds what


async def test_strangers_find_nothing(world: SearchWorld) -> None:
    room_id = await world.public_room(BOB)
    await world.send(ALICE, room_id, "tea")
    assert await world.texts(BOB, "tea") == ["tea"]
    assert await world.texts(CAROL, "tea") == []


async def test_who_has_left_finds_what_was_said_while_he_was_there(world: SearchWorld) -> None:
    room_id = await world.public_room(BOB)
    await world.send(ALICE, room_id, "tea before")
    await world.leave(BOB, room_id)
    await world.send(ALICE, room_id, "tea after")
    assert await world.texts(BOB, "tea") == ["tea before"]
    await world.ask(BOB, "POST", f"rooms/{room_id}/forget", {})
    assert await world.texts(BOB, "tea") == []


async def test_what_was_said_before_is_found_only_if_it_may_be_seen(world: SearchWorld) -> None:
    room_id = await world.public_room()
    await world.set_state(ALICE, room_id, "m.room.history_visibility", {"history_visibility": "joined"})
    await world.send(ALICE, room_id, "tea before")
    await world.join(BOB, room_id)
    await world.send(ALICE, room_id, "tea after")
    assert await world.texts(BOB, "tea") == ["tea after"]
    assert len(await world.texts(ALICE, "tea")) == 2


async def test_an_invite_lets_nobody_search(world: SearchWorld) -> None:
    room_id = await world.room()
    await world.send(ALICE, room_id, "tea")
    await world.invite(ALICE, room_id, BOB)
    assert await world.texts(BOB, "tea") == []


async def test_ignored_users_are_not_found(world: SearchWorld) -> None:
    room_id = await world.public_room(BOB)
    await world.send(BOB, room_id, "tea of bob")
    await world.send(ALICE, room_id, "tea of alice")
    await world.ask(ALICE, "PUT", f"user/{ALICE}/account_data/m.ignored_user_list", {"ignored_users": {BOB: {}}})
    assert await world.texts(ALICE, "tea") == ["tea of alice"]


async def test_encrypted_rooms_give_nothing(world: SearchWorld) -> None:
    room_id = await world.public_room(name="tea room")
    await world.send(ALICE, room_id, "tea in the open")
    assert len(await world.texts(ALICE, "tea")) == 2
    await world.set_state(ALICE, room_id, "m.room.encryption", {"algorithm": "m.megolm.v1.aes-sha2"})
    await world.send(ALICE, room_id, "tea by mistake")
    assert await world.texts(ALICE, "tea") == []


async def test_an_edit_replaces_and_its_redaction_restores(world: SearchWorld) -> None:
    room_id = await world.public_room()
    original = await world.send(ALICE, room_id, "tea")
    edit = await world.edit(ALICE, room_id, original, "coffee")
    assert await world.texts(ALICE, "tea") == []
    found = await world.finds(ALICE, "coffee")
    assert found["results"][0]["result"]["event_id"] == original
    assert found["results"][0]["result"]["unsigned"]["m.relations"]["m.replace"]["event_id"] == edit
    await world.redact(ALICE, room_id, edit)
    assert await world.texts(ALICE, "coffee") == []
    assert await world.texts(ALICE, "tea") == ["tea"]


async def test_edits_of_others_change_nothing(world: SearchWorld) -> None:
    room_id = await world.public_room(BOB)
    original = await world.send(ALICE, room_id, "tea")
    await world.edit(BOB, room_id, original, "coffee")
    assert await world.texts(ALICE, "coffee") == []
    assert await world.texts(ALICE, "tea") == ["tea"]


async def test_what_was_redacted_is_not_found(world: SearchWorld) -> None:
    room_id = await world.public_room()
    event_id = await world.send(ALICE, room_id, "tea")
    assert await world.texts(ALICE, "tea") == ["tea"]
    await world.redact(ALICE, room_id, event_id)
    assert await world.texts(ALICE, "tea") == []


async def test_an_upgraded_room_is_searched_with_the_one_before(world: SearchWorld) -> None:
    old = await world.public_room()
    await world.send(ALICE, old, "tea of old")
    world.clock.advance(1)
    new = await world.room(creation_content={"predecessor": {"room_id": old, "event_id": "$x"}})
    await world.send(ALICE, new, "tea of new")
    assert set(await world.texts(ALICE, "tea", filter={"rooms": [new]})) == {"tea of old", "tea of new"}
    assert await world.texts(ALICE, "tea", filter={"rooms": [new], "not_rooms": [old]}) == ["tea of new"]
    assert await world.texts(ALICE, "tea", filter={"rooms": [old]}) == ["tea of old"]


async def test_filters_choose(world: SearchWorld) -> None:
    room_id = await world.public_room(BOB, name="tea")
    await world.send(BOB, room_id, "tea of bob", url="mxc://x/y")
    await world.send(ALICE, room_id, "tea of alice")
    cases: list[tuple[dict[str, Any], set[str]]] = [
        ({"senders": [BOB]}, {"tea of bob"}),
        ({"not_senders": [ALICE]}, {"tea of bob"}),
        ({"types": ["m.room.name"]}, {"tea"}),
        ({"not_types": ["m.room.mess*"]}, {"tea"}),
        ({"contains_url": True}, {"tea of bob"}),
        ({"rooms": ["!other:here.example"]}, set()),
        ({"senders": [EVE]}, set()),
    ]
    for wanted, expected in cases:
        assert set(await world.texts(ALICE, "tea", filter=wanted)) == expected


# Order, pages, groups


async def _said(world: SearchWorld, count: int, *senders: Any) -> None:
    room_id = await world.public_room(*(sender for sender in senders if sender != ALICE))
    for number in range(count):
        world.clock.advance(1_000)
        await world.send(senders[number % len(senders)] if senders else ALICE, room_id, f"tea number {number}")


async def test_recent_results_come_newest_first_a_page_at_a_time(world: SearchWorld) -> None:
    await _said(world, 7)
    pages, token = [], None
    while True:
        found = await world.finds(ALICE, "tea", order_by="recent", filter={"limit": 3}, next_batch=token)
        pages.append([text.rpartition(" ")[2] for text in texts_of(found)])
        token = found.get("next_batch")
        if token is None:
            break
    assert pages == [["6", "5", "4"], ["3", "2", "1"], ["0"]]


async def test_what_is_said_between_pages_by_rank_does_not_disturb_them(world: SearchWorld) -> None:
    await _said(world, 7)
    first = await world.finds(ALICE, "tea", filter={"limit": 4})
    room_id = await world.public_room()
    await world.send(ALICE, room_id, "tea tea tea")
    second = await world.finds(ALICE, "tea", filter={"limit": 4}, next_batch=first["next_batch"])
    numbers = sorted(text.rpartition(" ")[2] for text in [*texts_of(first), *texts_of(second)])
    assert numbers == list("0123456")
    assert "next_batch" not in second


async def test_better_fitting_results_come_first(world: SearchWorld) -> None:
    room_id = await world.public_room()
    for text in ("tea tea tea", "tea and a lot of other things besides", "tea"):
        await world.send(ALICE, room_id, text)
    found = await world.finds(ALICE, "tea")
    assert texts_of(found) == ["tea tea tea", "tea", "tea and a lot of other things besides"]
    ranks = [result["rank"] for result in found["results"]]
    assert ranks == sorted(ranks, reverse=True)


@pytest.mark.parametrize("order", ["rank", "recent"])
async def test_groups_go_on_by_themselves(world: SearchWorld, order: str) -> None:
    await _said(world, 9, ALICE, BOB)
    found = await world.finds(
        ALICE,
        "tea",
        order_by=order,
        filter={"limit": 4},
        groupings={"group_by": [{"key": "sender"}, {"key": "room_id"}]},
    )
    groups = found["groups"]["sender"]
    assert {len(group["results"]) for group in groups.values()} <= {2}
    assert sorted(group["order"] for group in groups.values()) == [1, 2]
    assert len(found["groups"]["room_id"]) == 1
    rest = await world.finds(ALICE, "tea", order_by=order, filter={"limit": 9}, next_batch=groups[ALICE]["next_batch"])
    assert {result["result"]["sender"] for result in rest["results"]} == {ALICE}
    shown = set(groups[ALICE]["results"]) | {result["result"]["event_id"] for result in rest["results"]}
    assert len(shown) == 5
    (room,) = found["groups"]["room_id"].values()
    rest = await world.finds(ALICE, "tea", order_by=order, filter={"limit": 9}, next_batch=room["next_batch"])
    assert len(rest["results"]) == 5
    assert "next_batch" not in rest


async def test_groups_that_are_complete_do_not_go_on(world: SearchWorld) -> None:
    await _said(world, 3, ALICE, BOB)
    found = await world.finds(ALICE, "tea", groupings={"group_by": [{"key": "sender"}]})
    assert all("next_batch" not in group for group in found["groups"]["sender"].values())


async def test_a_token_of_a_group_that_is_not_there_finds_nothing(world: SearchWorld) -> None:
    await _said(world, 9, ALICE)
    found = await world.finds(ALICE, "tea", filter={"limit": 2}, groupings={"group_by": [{"key": "sender"}]})
    token = found["groups"]["sender"][ALICE]["next_batch"]
    assert (await world.finds(BOB, "tea", next_batch=token))["results"] == []


# What must not be learnt by asking


async def test_who_left_learns_nothing_of_what_was_said_since(world: SearchWorld) -> None:
    room_id = await world.public_room(BOB)
    for number in range(3):
        await world.send(ALICE, room_id, f"tea {number}")
    await world.ask(BOB, "POST", f"rooms/{room_id}/leave", {})
    before = await world.finds(BOB, "tea", filter={"limit": 1})
    for number in range(5):
        world.clock.advance(1_000)
        await world.send(ALICE, room_id, f"tea secret {number}")
    after = await world.finds(BOB, "tea", filter={"limit": 1})
    assert (after["count"], after["next_batch"]) == (3, before["next_batch"])
    hidden = await world.finds(BOB, "secret", filter={"limit": 1}, next_batch=after["next_batch"])
    assert (hidden["count"], hidden["results"]) == (0, [])


async def test_words_of_an_edit_that_is_hidden_find_nothing(world: SearchWorld) -> None:
    room_id = await world.public_room(BOB)
    event_id = await world.send(ALICE, room_id, "plain")
    await world.ask(BOB, "POST", f"rooms/{room_id}/leave", {})
    await world.edit(ALICE, room_id, event_id, "classified")
    assert await world.texts(BOB, "classified") == []
    assert len(await world.texts(ALICE, "classified")) == 1


async def test_a_long_text_is_found_by_its_end_but_weighed_by_its_beginning(world: SearchWorld) -> None:
    room_id = await world.public_room()
    await world.send(ALICE, room_id, "coffee " * 5_000 + "tea")
    await world.send(ALICE, room_id, "a short word on tea")
    found = await world.finds(ALICE, "tea")
    assert [result["rank"] > 0 for result in found["results"]] == [True, False]
