"""What stands in a room's section: summary, ephemeral events, counts, forms of events, what readers share."""

from typing import Any

from tests.unit.server.rooms.world import ALICE, BOB, CAROL, LAPTOP, NoneUnread, World, bodies
from watchword.protocol.ids import RoomId


async def section(world: World, user_id: Any, room_id: RoomId, since: str | None = None, **query: Any) -> Any:
    return (await world.sync(user_id, since, **query)).get("rooms", {}).get("join", {}).get(room_id)


async def token(world: World, user_id: Any = ALICE) -> str:
    return str((await world.sync(user_id))["next_batch"])


# Summary


async def test_the_summary_names_up_to_five_others_and_counts(world: World) -> None:
    room_id = await world.public_room(BOB)
    await world.invite(ALICE, room_id, CAROL)
    summary = (await section(world, ALICE, room_id))["summary"]
    assert summary == {"m.heroes": [BOB, CAROL], "m.joined_member_count": 2, "m.invited_member_count": 1}


async def test_the_summary_comes_again_only_when_members_changed(world: World) -> None:
    room_id = await world.public_room(BOB)
    since = await token(world)
    await world.send(BOB, room_id)
    await world.set_state(ALICE, room_id, "m.room.topic", {"topic": "x"})
    assert "summary" not in await section(world, ALICE, room_id, since)
    await world.leave(BOB, room_id)
    hidden = {"room": {"timeline": {"types": ["m.room.message"]}, "state": {"types": []}}}
    for query in ({}, {"filter": hidden}):
        summary = (await section(world, ALICE, room_id, since, **query))["summary"]
        assert summary == {"m.heroes": [BOB], "m.joined_member_count": 1, "m.invited_member_count": 0}


# Ephemeral events


async def test_typing_is_the_whole_list_and_its_end_is_told(world: World) -> None:
    room_id = await world.public_room(BOB, CAROL)
    since = await token(world)
    for user_id in (BOB, CAROL):
        await world.ask(user_id, "PUT", f"rooms/{room_id}/typing/{user_id}", {"typing": True, "timeout": 10_000})
    body = await world.sync(ALICE, since)
    typing = body["rooms"]["join"][room_id]["ephemeral"]["events"]
    assert typing == [{"type": "m.typing", "content": {"user_ids": [BOB, CAROL]}}]
    assert (await section(world, ALICE, room_id))["ephemeral"]["events"] == typing
    for user_id in (BOB, CAROL):
        await world.ask(user_id, "PUT", f"rooms/{room_id}/typing/{user_id}", {"typing": False})
    ended = (await section(world, ALICE, room_id, body["next_batch"]))["ephemeral"]["events"]
    assert ended == [{"type": "m.typing", "content": {"user_ids": []}}]
    assert "ephemeral" not in await section(world, ALICE, room_id)


async def test_receipts_are_told_as_they_move(world: World) -> None:
    room_id = await world.public_room(BOB)
    event_id = await world.send(ALICE, room_id)
    since = await token(world)
    await world.ask(BOB, "POST", f"rooms/{room_id}/receipt/m.read/{event_id}", {})
    await world.ask(BOB, "POST", f"rooms/{room_id}/receipt/m.read/{event_id}", {"thread_id": "main"})
    (event,) = (await section(world, ALICE, room_id, since))["ephemeral"]["events"]
    assert event["type"] == "m.receipt"
    # One entry for a user, event and type: the format has no place for two.
    assert set(event["content"]) == {event_id}
    assert set(event["content"][event_id]["m.read"]) == {BOB}
    (again,) = (await section(world, ALICE, room_id))["ephemeral"]["events"]
    assert again == event


async def test_private_receipts_are_for_oneself(world: World) -> None:
    room_id = await world.public_room(BOB)
    event_id = await world.send(ALICE, room_id)
    alices, bobs = await token(world), await token(world, BOB)
    await world.ask(BOB, "POST", f"rooms/{room_id}/receipt/m.read.private/{event_id}", {})
    (event,) = (await section(world, BOB, room_id, bobs))["ephemeral"]["events"]
    assert list(event["content"][event_id]) == ["m.read.private"]
    assert await section(world, ALICE, room_id, alices) is None
    assert "private" not in str(await world.sync(ALICE))


async def test_counts_come_with_ones_own_receipt_even_if_a_filter_hides_it(world: World) -> None:
    room_id = await world.public_room(BOB)
    event_id = await world.send(ALICE, room_id)
    since = await token(world, BOB)
    await world.ask(BOB, "POST", f"rooms/{room_id}/receipt/m.read.private/{event_id}", {})
    body = await section(world, BOB, room_id, since, filter={"room": {"ephemeral": {"types": []}}})
    assert body["unread_notifications"] == {"notification_count": 0, "highlight_count": 0}
    assert "ephemeral" not in body


async def test_ephemeral_filters(world: World) -> None:
    room_id = await world.public_room(BOB)
    event_id = await world.send(ALICE, room_id)
    since = await token(world)
    await world.ask(BOB, "POST", f"rooms/{room_id}/receipt/m.read/{event_id}", {})
    await world.ask(BOB, "PUT", f"rooms/{room_id}/typing/{BOB}", {"typing": True})
    for given, expected in (
        ({"types": ["m.typing"]}, ["m.typing"]),
        ({"not_types": ["m.typing"]}, ["m.receipt"]),
        ({"not_rooms": [room_id]}, []),
    ):
        body = await section(world, ALICE, room_id, since, filter={"room": {"ephemeral": given}})
        events = [] if body is None else body.get("ephemeral", {"events": []})["events"]
        assert [event["type"] for event in events] == expected


# Counts


async def test_counts_of_threads_are_apart_only_for_who_asks(world: World) -> None:
    room_id = await world.public_room(BOB)

    async def unread(user_id: Any, room: Any) -> NoneUnread:
        return NoneUnread(2, 1, {"$root": (3, 1)})

    world.nobody.unread = unread  # type: ignore[method-assign]
    assert (await section(world, ALICE, room_id))["unread_notifications"] == {"notification_count": 5, "highlight_count": 2}
    body = await section(world, ALICE, room_id, filter={"room": {"timeline": {"unread_thread_notifications": True}}})
    assert body["unread_notifications"] == {"notification_count": 2, "highlight_count": 1}
    assert body["unread_thread_notifications"] == {"$root": {"notification_count": 3, "highlight_count": 1}}


# Forms


async def test_the_federation_format_is_the_event_as_servers_exchange_it(world: World) -> None:
    room_id = await world.room()
    await world.send(ALICE, room_id, "raw")
    body = await section(world, ALICE, room_id, filter={"event_format": "federation", "room": {"timeline": {"limit": 1}}})
    (event,) = body["timeline"]["events"]
    assert {"hashes", "signatures", "prev_events", "auth_events", "depth", "room_id"} <= set(event)
    assert all("hashes" in each for each in body["state"]["events"])


async def test_event_fields_leave_the_rest_out(world: World) -> None:
    room_id = await world.room()
    await world.send(ALICE, room_id, "short")
    body = await section(world, ALICE, room_id, filter={"event_fields": ["content.body"], "room": {"timeline": {"limit": 1}}})
    (event,) = body["timeline"]["events"]
    assert set(event) == {"content", "event_id", "type"}
    assert event["content"] == {"body": "short"}


async def test_a_limit_of_nothing_shows_nothing_and_says_so(world: World) -> None:
    room_id = await world.room()
    since = await token(world)
    await world.send(ALICE, room_id, "hidden")
    body = await section(world, ALICE, room_id, since, filter={"room": {"timeline": {"limit": 0}}})
    assert (body["timeline"]["events"], body["timeline"]["limited"]) == ([], True)
    page = await world.messages(ALICE, room_id, limit=1, **{"from": body["timeline"]["prev_batch"]})
    assert bodies(page["chunk"]) == ["hidden"]


# What readers share


async def test_readers_of_the_same_span_get_the_same_events_and_each_his_own(world: World) -> None:
    room_id = await world.public_room(BOB, CAROL)
    since = await token(world, BOB)
    event_id = await world.say(ALICE, room_id, "hello", "t1")
    by_reader = {}
    for user_id, device in ((BOB, LAPTOP), (CAROL, LAPTOP), (ALICE, LAPTOP), (ALICE, "PHONE")):
        body = await section(world, user_id, room_id, since, device=device)
        (event,) = body["timeline"]["events"]
        assert event["event_id"] == event_id
        by_reader[user_id, device] = event["unsigned"].get("transaction_id")
    assert by_reader == {(BOB, LAPTOP): None, (CAROL, LAPTOP): None, (ALICE, LAPTOP): None, (ALICE, "PHONE"): "t1"}


async def test_a_reader_who_ignores_the_sender_does_not_get_what_others_share(world: World) -> None:
    room_id = await world.public_room(BOB, CAROL)
    since = await token(world, BOB)
    await world.ask(CAROL, "PUT", f"user/{CAROL}/account_data/m.ignored_user_list", {"ignored_users": {ALICE: {}}})
    await world.send(ALICE, room_id, "hello")
    assert bodies((await section(world, BOB, room_id, since))["timeline"]["events"]) == ["hello"]
    body = await section(world, CAROL, room_id, since)
    assert body is None or bodies(body["timeline"]["events"]) == []


async def test_shared_events_do_not_keep_their_age(world: World) -> None:
    room_id = await world.public_room(BOB, CAROL)
    since = await token(world, BOB)
    await world.send(ALICE, room_id, "hello")
    await section(world, BOB, room_id, since)
    world.clock.advance(3_600_000)
    (event,) = (await section(world, CAROL, room_id, since))["timeline"]["events"]
    assert event["unsigned"]["age"] == 3_600_000


async def test_of_two_receipts_at_one_event_the_unthreaded_is_told(world: World) -> None:
    room_id = await world.public_room(BOB)
    event_id = await world.send(ALICE, room_id)
    unthreaded: dict[str, str] = {}
    threaded = {"thread_id": "main"}
    for first, second in ((unthreaded, threaded), (threaded, unthreaded)):
        for body in (first, second):
            await world.ask(BOB, "POST", f"rooms/{room_id}/receipt/m.read/{event_id}", body)
        (event,) = (await section(world, ALICE, room_id))["ephemeral"]["events"]
        assert set(event["content"][event_id]["m.read"][BOB]) == {"ts"}
        event_id = await world.send(ALICE, room_id)


# Sticky events


async def stick(world: World, user_id: Any, room_id: RoomId, text: str, duration_ms: int = 60_000, name: str = "") -> str:
    query: dict[str, Any] = {name or "org.matrix.msc4354.sticky_duration_ms": duration_ms}
    return str((await world.ask(user_id, "PUT", f"rooms/{room_id}/send/m.x/{text}", {"body": text}, **query))["event_id"])


def stuck(told: Any, key: str = "msc4354_sticky") -> list[str]:
    return [event["content"]["body"] for event in ({} if told is None else told).get(key, {}).get("events", [])]


async def test_sticky_events_are_told_whether_the_timeline_has_room_for_them_or_not(world: World) -> None:
    room_id = await world.public_room(BOB)
    since = await token(world, BOB)
    await stick(world, ALICE, room_id, "a")
    for number in range(3):
        await world.send(ALICE, room_id, str(number))
    short = {"room": {"timeline": {"limit": 2}}}
    told = await section(world, BOB, room_id, since, filter=short)
    assert (stuck(told), bodies(told["timeline"]["events"])) == (["a"], ["1", "2"])
    assert told["msc4354_sticky"]["events"][0]["unsigned"]["msc4354_sticky_duration_ttl_ms"] == 60_000
    # Once.
    assert stuck(await section(world, BOB, room_id, await token(world, BOB), filter=short)) == []


async def test_what_the_timeline_shows_is_not_told_twice(world: World) -> None:
    room_id = await world.public_room(BOB)
    since = await token(world, BOB)
    await stick(world, ALICE, room_id, "a")
    world.clock.advance(1_000)
    told = await section(world, BOB, room_id, since)
    assert stuck(told) == []
    assert told["timeline"]["events"][-1]["unsigned"]["msc4354_sticky_duration_ttl_ms"] == 59_000
    # But a filter of the timeline is not one of these.
    filtered = await section(world, BOB, room_id, since, filter={"room": {"timeline": {"not_types": ["m.x"]}}})
    assert stuck(filtered) == ["a"]


async def test_who_joins_is_told_of_all_that_is_sticky_still(world: World) -> None:
    state = [{"type": "m.room.history_visibility", "content": {"history_visibility": "joined"}}]
    room_id = await world.public_room(initial_state=state)
    await stick(world, ALICE, room_id, "over", 1_000)
    await stick(world, ALICE, room_id, "sticky")
    redacted = await stick(world, ALICE, room_id, "redacted")
    stable = await stick(world, ALICE, room_id, "stable", name="sticky_duration_ms")
    await world.ask(ALICE, "PUT", f"rooms/{room_id}/redact/{redacted}/t", {})
    since = await token(world, BOB)
    world.clock.advance(1_000)
    await world.join(BOB, room_id)
    short = {"room": {"timeline": {"limit": 1}}}
    for told in [await section(world, BOB, room_id, before, filter=short) for before in (since, None)]:
        assert stuck(told) == ["sticky"]
        assert [event["event_id"] for event in told["sticky"]["events"]] == [stable]
        assert told["sticky"]["events"][0]["unsigned"]["sticky_duration_remaining_ms"] == 59_000


async def test_sticky_events_of_ignored_users_are_not_told(world: World) -> None:
    room_id = await world.public_room(BOB)
    since = await token(world)
    await stick(world, BOB, room_id, "a")
    await world.ask(ALICE, "PUT", f"user/{ALICE}/account_data/m.ignored_user_list", {"ignored_users": {BOB: {}}})
    assert stuck(await section(world, ALICE, room_id, since, filter={"room": {"timeline": {"limit": 0}}})) == []


async def test_who_left_is_told_of_no_sticky_events(world: World) -> None:
    room_id = await world.public_room(BOB)
    since = await token(world, BOB)
    await world.leave(BOB, room_id)
    await stick(world, ALICE, room_id, "a")
    assert "msc4354_sticky" not in (await world.sync(BOB, since))["rooms"]["leave"][room_id]


async def test_readers_who_share_bytes_are_told_the_time_that_is_left_now(world: World) -> None:
    room_id = await world.public_room(BOB, CAROL)
    tokens = {user: await token(world, user) for user in (BOB, CAROL)}
    await stick(world, ALICE, room_id, "a")
    first = await section(world, BOB, room_id, tokens[BOB])
    world.clock.advance(3_000)
    second = await section(world, CAROL, room_id, tokens[CAROL])
    left = [told["timeline"]["events"][-1]["unsigned"]["msc4354_sticky_duration_ttl_ms"] for told in (first, second)]
    assert left == [60_000, 57_000]
