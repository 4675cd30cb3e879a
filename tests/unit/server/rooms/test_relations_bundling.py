"""What readers are told with an event of the events that relate to it."""

from typing import Any

import pytest

from tests.unit.server.rooms.relating import bundle, edit, event, ignore, react, redact, refer, related, reply, send
from tests.unit.server.rooms.world import ALICE, BOB, CAROL, DAVE, World

# Edits


async def test_the_newest_edit_comes_whole_with_the_event(world: World) -> None:
    room_id = await world.public_room(BOB)
    said = await world.send(BOB, room_id, "frist")
    await edit(world, BOB, room_id, said, "first")
    world.clock.advance(10)
    newest = await edit(world, BOB, room_id, said, "First!")
    told = (await bundle(world, ALICE, room_id, said))["m.replace"]
    assert told["event_id"] == newest
    assert told["content"]["m.new_content"]["body"] == "First!"
    assert (told["room_id"], told["sender"], told["type"]) == (room_id, BOB, "m.room.message")
    assert told["unsigned"]["membership"] == "join"
    assert (await event(world, ALICE, room_id, said))["content"]["body"] == "frist"


async def test_of_edits_of_one_moment_the_one_with_the_larger_id_counts(world: World) -> None:
    room_id = await world.public_room()
    said = await world.send(ALICE, room_id)
    edits = [await edit(world, ALICE, room_id, said, str(number)) for number in range(5)]
    assert (await bundle(world, ALICE, room_id, said))["m.replace"]["event_id"] == max(edits)


async def test_edits_that_are_not_valid_do_not_count(world: World) -> None:
    room_id = await world.public_room(BOB)
    said = await world.send(BOB, room_id)
    await edit(world, ALICE, room_id, said, "another sender")
    await send(world, BOB, room_id, "m.sticker", {"m.new_content": {}, **related("m.replace", said)})
    await world.send(BOB, room_id, "without new content", **related("m.replace", said))
    assert await bundle(world, ALICE, room_id, said) == {}
    first = await edit(world, BOB, room_id, said, "right")
    await edit(world, BOB, room_id, first, "an edit of an edit")
    assert (await bundle(world, ALICE, room_id, said))["m.replace"]["event_id"] == first
    assert await bundle(world, ALICE, room_id, first) == {}


async def test_encrypted_events_are_edited_without_showing_how(world: World) -> None:
    room_id = await world.public_room()
    said = await send(world, ALICE, room_id, "m.room.encrypted", {"ciphertext": "…"})
    edited = await send(world, ALICE, room_id, "m.room.encrypted", {"ciphertext": "!", **related("m.replace", said)})
    assert (await bundle(world, ALICE, room_id, said))["m.replace"]["event_id"] == edited


async def test_a_redacted_edit_gives_way_to_the_one_before(world: World) -> None:
    room_id = await world.public_room()
    said = await world.send(ALICE, room_id)
    first = await edit(world, ALICE, room_id, said, "one")
    world.clock.advance(10)
    second = await edit(world, ALICE, room_id, said, "two")
    await redact(world, ALICE, room_id, second)
    assert (await bundle(world, ALICE, room_id, said))["m.replace"]["event_id"] == first


async def test_a_redacted_event_has_no_edit_but_keeps_its_thread(world: World) -> None:
    room_id = await world.public_room()
    said = await world.send(ALICE, room_id)
    await edit(world, ALICE, room_id, said)
    await reply(world, ALICE, room_id, said)
    await redact(world, ALICE, room_id, said)
    assert (await bundle(world, ALICE, room_id, said)).keys() == {"m.thread"}


async def test_state_events_have_no_bundle(world: World) -> None:
    room_id = await world.public_room()
    topic = await world.set_state(ALICE, room_id, "m.room.topic", {"topic": "all"})
    await refer(world, ALICE, room_id, topic)
    assert await bundle(world, ALICE, room_id, topic) == {}


# References and annotations


async def test_references_are_named_oldest_first(world: World) -> None:
    room_id = await world.public_room(BOB)
    said = await world.send(ALICE, room_id, "who comes?")
    votes = [await refer(world, user_id, room_id, said) for user_id in (BOB, ALICE, BOB)]
    assert await bundle(world, ALICE, room_id, said) == {"m.reference": {"chunk": [{"event_id": each} for each in votes]}}


async def test_annotations_are_not_bundled(world: World) -> None:
    room_id = await world.public_room()
    said = await world.send(ALICE, room_id)
    await react(world, ALICE, room_id, said)
    assert await bundle(world, ALICE, room_id, said) == {}


async def test_relations_to_events_of_other_rooms_are_ignored(world: World) -> None:
    room_id, other_id = await world.public_room(), await world.public_room()
    said = await world.send(ALICE, room_id)
    await refer(world, ALICE, other_id, said)
    await reply(world, ALICE, other_id, said)
    assert await bundle(world, ALICE, room_id, said) == {}


# Threads


async def test_a_thread_is_summed_up(world: World) -> None:
    room_id = await world.public_room(BOB, CAROL)
    root = await world.send(ALICE, room_id, "root")
    await reply(world, BOB, room_id, root, "one")
    latest = await reply(world, BOB, room_id, root, "two")
    edited = await edit(world, BOB, room_id, latest, "two!")
    for user_id, has_taken_part in ((ALICE, True), (BOB, True), (CAROL, False)):
        told = (await bundle(world, user_id, room_id, root))["m.thread"]
        assert (told["count"], told["current_user_participated"]) == (2, has_taken_part)
        assert told["latest_event"]["event_id"] == latest
        # With a bundle of its own.
        assert told["latest_event"]["unsigned"]["m.relations"]["m.replace"]["event_id"] == edited


async def test_a_redacted_reply_leaves_the_thread(world: World) -> None:
    room_id = await world.public_room()
    root = await world.send(ALICE, room_id, "root")
    first = await reply(world, ALICE, room_id, root)
    second = await reply(world, ALICE, room_id, root)
    await redact(world, ALICE, room_id, second)
    told = (await bundle(world, ALICE, room_id, root))["m.thread"]
    assert (told["count"], told["latest_event"]["event_id"]) == (1, first)
    await redact(world, ALICE, room_id, first)
    assert await bundle(world, ALICE, room_id, root) == {}


async def test_events_of_ignored_users_are_left_out(world: World) -> None:
    room_id = await world.public_room(BOB, CAROL)
    root = await world.send(ALICE, room_id, "root")
    mine = await reply(world, CAROL, room_id, root)
    await reply(world, BOB, room_id, root)
    vote = await refer(world, CAROL, room_id, root)
    await refer(world, BOB, room_id, root)
    said = await world.send(BOB, room_id, "x")
    await edit(world, BOB, room_id, said)
    await ignore(world, CAROL, BOB, DAVE)
    told = await bundle(world, CAROL, room_id, root)
    assert (told["m.thread"]["count"], told["m.thread"]["latest_event"]["event_id"]) == (1, mine)
    assert told["m.reference"]["chunk"] == [{"event_id": vote}]
    assert await bundle(world, CAROL, room_id, said) == {}
    # Whoever ignores nobody is told of all.
    assert (await bundle(world, ALICE, room_id, root))["m.thread"]["count"] == 2


async def test_a_thread_of_ignored_users_alone_is_none(world: World) -> None:
    room_id = await world.public_room(BOB)
    root = await world.send(ALICE, room_id, "root")
    await reply(world, BOB, room_id, root)
    await ignore(world, ALICE, BOB)
    assert await bundle(world, ALICE, room_id, root) == {}


@pytest.mark.parametrize("visibility", ["joined", "invited"])
async def test_who_came_later_is_told_of_what_he_may_see(world: World, visibility: str) -> None:
    history = {"type": "m.room.history_visibility", "state_key": "", "content": {"history_visibility": visibility}}
    room_id = await world.public_room(BOB, initial_state=[history])
    root = await world.send(ALICE, room_id, "before")
    await world.join(CAROL, room_id)
    said = await world.send(ALICE, room_id, "after")
    hidden = await reply(world, BOB, room_id, root)
    await world.leave(CAROL, room_id)
    await reply(world, BOB, room_id, said)
    await refer(world, BOB, room_id, said)
    world.clock.advance(10)
    unseen_edit = await edit(world, ALICE, room_id, said, "unseen")
    # CAROL left before all of these: of the event that she saw she is told nothing.
    assert await bundle(world, CAROL, room_id, said) == {}
    assert await world.refused(CAROL, "GET", f"rooms/{room_id}/event/{root}") == (404, "M_NOT_FOUND")
    told = await bundle(world, BOB, room_id, said)
    assert (told["m.thread"]["count"], told["m.replace"]["event_id"]) == (1, unseen_edit)
    assert (await bundle(world, BOB, room_id, root))["m.thread"]["latest_event"]["event_id"] == hidden


async def test_an_edit_that_is_hidden_gives_way_to_one_that_is_not(world: World) -> None:
    room_id = await world.public_room(BOB, CAROL)
    said = await world.send(BOB, room_id, "said")
    seen = await edit(world, BOB, room_id, said, "seen")
    reply_seen = await reply(world, BOB, room_id, said)
    await world.leave(CAROL, room_id)
    world.clock.advance(10)
    await edit(world, BOB, room_id, said, "unseen")
    await reply(world, BOB, room_id, said)
    told = await bundle(world, CAROL, room_id, said)
    assert told["m.replace"]["event_id"] == seen
    assert (told["m.thread"]["count"], told["m.thread"]["latest_event"]["event_id"]) == (1, reply_seen)


# Where they come


async def test_every_way_of_reading_has_them(world: World) -> None:
    room_id = await world.public_room(BOB)
    root = await world.send(ALICE, room_id, "root")
    first = await reply(world, BOB, room_id, root)
    await edit(world, BOB, room_id, first)

    def of(events: list[dict[str, Any]], event_id: str) -> set[str]:
        return {kind for found in events if found["event_id"] == event_id for kind in found["unsigned"].get("m.relations", {})}

    page = await world.messages(BOB, room_id)
    assert (of(page["chunk"], root), of(page["chunk"], first)) == ({"m.thread"}, {"m.replace"})
    context = await world.ask(BOB, "GET", f"rooms/{room_id}/context/{root}")
    assert of([context["event"]], root) == {"m.thread"}
    assert of(context["events_after"], first) == {"m.replace"}
    context = await world.ask(BOB, "GET", f"rooms/{room_id}/context/{first}")
    assert of(context["events_before"], root) == {"m.thread"}


async def test_sync_has_them_where_it_leaves_events_out(world: World) -> None:
    room_id = await world.public_room(BOB)
    since = (await world.sync(BOB))["next_batch"]
    root = await world.send(ALICE, room_id, "root")
    whole = await world.sync(BOB, since)
    assert "m.relations" not in whole["rooms"]["join"][room_id]["timeline"]["events"][0]["unsigned"]
    await reply(world, BOB, room_id, root)
    told = await world.sync(BOB, filter={"room": {"timeline": {"limit": 2}}})
    shown = told["rooms"]["join"][room_id]["timeline"]
    assert shown["limited"] is True
    thread = shown["events"][0]["unsigned"]["m.relations"]["m.thread"]
    assert (thread["count"], thread["current_user_participated"]) == (1, True)
    assert "room_id" not in thread["latest_event"]


async def test_a_bundle_of_one_reader_is_not_given_to_the_next(world: World) -> None:
    room_id = await world.public_room(BOB, CAROL)
    old = await world.send(CAROL, room_id, "old")
    since = {user_id: (await world.sync(user_id))["next_batch"] for user_id in (BOB, CAROL)}
    await reply(world, ALICE, room_id, old)
    root = await world.send(ALICE, room_id, "root")
    await reply(world, ALICE, room_id, root)
    await reply(world, BOB, room_id, root)
    taken_part = {}
    for user_id in (BOB, CAROL):
        told = await world.sync(user_id, since[user_id], filter={"room": {"timeline": {"limit": 3}}})
        shown = told["rooms"]["join"][room_id]["timeline"]
        assert shown["limited"] is True
        taken_part[user_id] = shown["events"][0]["unsigned"]["m.relations"]["m.thread"]["current_user_participated"]
    assert taken_part == {BOB: True, CAROL: False}


async def test_a_page_without_relations_asks_once(world: World) -> None:
    room_id = await world.public_room()
    for text in ("a", "b"):
        await world.send(ALICE, room_id, text)
    page = await world.messages(ALICE, room_id)
    assert all("m.relations" not in found["unsigned"] for found in page["chunk"])
