"""Invites and knocks: what somebody outside is shown, when, and by whom."""

from typing import Any

from tests.unit.server.rooms.world import ALICE, BOB, CAROL, World
from tests.unit.server.sync.answers import ENCRYPTED, join, keys, section, token
from watchword.protocol.ids import RoomId, UserId


async def invited(world: World, **body: Any) -> RoomId:
    """A room that BOB is invited to."""
    room_id = await world.room(name="party", **body)
    await world.invite(ALICE, room_id, BOB)
    return room_id


async def ignore(world: World, user_id: UserId, *ignored: UserId) -> None:
    content: dict[str, Any] = {"ignored_users": {other: {} for other in ignored}}
    await world.ask(user_id, "PUT", f"user/{user_id}/account_data/m.ignored_user_list", content)


def stripped(body: Any, room_id: RoomId) -> Any:
    return section(body, "invite", room_id)["invite_state"]["events"]


async def test_an_invite_describes_the_room(world: World) -> None:
    room_id = await invited(world, topic="cake", **ENCRYPTED)
    assert keys(stripped(await world.sync(BOB), room_id)) == {
        ("m.room.create", ""),
        ("m.room.join_rules", ""),
        ("m.room.name", ""),
        ("m.room.topic", ""),
        ("m.room.encryption", ""),
        ("m.room.member", ALICE),
        ("m.room.member", BOB),
    }


async def test_an_invite_has_the_readers_own_membership(world: World) -> None:
    room_id = await invited(world)
    (own,) = [event for event in stripped(await world.sync(BOB), room_id) if event["state_key"] == BOB]
    assert (own["content"]["membership"], own["sender"]) == ("invite", ALICE)


async def test_stripped_events_have_their_four_keys_alone(world: World) -> None:
    room_id = await invited(world)
    events = stripped(await world.sync(BOB), room_id)
    assert {frozenset(event) for event in events} == {frozenset({"type", "state_key", "sender", "content"})}


async def test_an_invite_shows_no_other_members_and_no_messages(world: World) -> None:
    room_id = await world.public_room(CAROL)
    await world.send(CAROL, room_id, "secret")
    await world.invite(ALICE, room_id, BOB)
    told_of = section(await world.sync(BOB), "invite", room_id)
    assert told_of.keys() == {"invite_state"}
    assert ("m.room.member", CAROL) not in keys(told_of["invite_state"]["events"])


async def test_an_incremental_sync_tells_of_an_invite_once(world: World) -> None:
    since = await token(world, BOB)
    room_id = await invited(world)
    first = await world.sync(BOB, since)
    assert ("m.room.create", "") in keys(stripped(first, room_id))
    await world.send(ALICE, room_id)
    assert "rooms" not in await world.sync(BOB, first["next_batch"])


async def test_every_initial_sync_repeats_an_invite(world: World) -> None:
    room_id = await invited(world)
    for _ in range(2):
        assert section(await world.sync(BOB), "invite", room_id) is not None


async def test_an_invite_that_was_accepted_is_a_room_joined(world: World) -> None:
    room_id = await invited(world)
    since = await token(world, BOB)
    await world.join(BOB, room_id)
    body = await world.sync(BOB, since)
    assert section(body, "invite", room_id) is None
    assert ("m.room.member", BOB) in keys(
        [event for event in join(body, room_id)["timeline"]["events"] if "state_key" in event]
    )


async def test_an_invite_that_was_taken_back_is_told_as_a_leave(world: World) -> None:
    room_id = await invited(world)
    since = await token(world, BOB)
    await world.ask(ALICE, "POST", f"rooms/{room_id}/kick", {"user_id": BOB})
    body = await world.sync(BOB, since)
    assert section(body, "invite", room_id) is None
    assert section(body, "leave", room_id) is not None


async def test_an_invite_of_somebody_ignored_is_hidden(world: World) -> None:
    await ignore(world, BOB, ALICE)
    since = await token(world, BOB)
    await invited(world)
    assert "rooms" not in await world.sync(BOB, since)
    assert "rooms" not in await world.sync(BOB)


async def test_invites_of_others_are_shown_beside_a_hidden_one(world: World) -> None:
    await ignore(world, BOB, CAROL)
    room_id = await invited(world)
    assert (await world.sync(BOB))["rooms"]["invite"].keys() == {room_id}


async def test_a_knock_describes_the_room_to_whoever_knocks(world: World) -> None:
    rule = {"type": "m.room.join_rules", "content": {"join_rule": "knock"}}
    room_id = await world.room(name="party", initial_state=[rule])
    since = await token(world, BOB)
    await world.ask(BOB, "POST", f"knock/{room_id}", {})
    for body in (await world.sync(BOB, since), await world.sync(BOB)):
        events = section(body, "knock", room_id)["knock_state"]["events"]
        assert {("m.room.create", ""), ("m.room.name", ""), ("m.room.member", BOB)} <= keys(events)
        assert ("m.room.member", ALICE) not in keys(events)


async def test_a_filter_of_rooms_holds_for_invites(world: World) -> None:
    room_id = await invited(world)
    assert "rooms" not in await world.sync(BOB, filter={"room": {"not_rooms": [room_id]}})
