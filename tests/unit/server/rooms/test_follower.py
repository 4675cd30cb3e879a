"""Rooms follow accounts: new names, first invites, the end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.unit.server.rooms.world import ALICE, BOB, CAROL, DAVE, World, bodies, open_world
from watchword.protocol.ids import RoomId, UserId
from watchword.server.changes import AccountCreated, AccountDeactivated, Change, ProfileChanged, PushersChanged
from watchword.server.rooms.follower import NAME

NOWHERE = RoomId("!nowhere:here.example")


@asynccontextmanager
async def following(world: World) -> AsyncIterator[None]:
    """Run the follower; at the end wait until it has acted on all that happened."""
    task = asyncio.ensure_future(world.follower.run())
    try:
        await asyncio.sleep(0)
        yield
        # Nobody is called DAVE here: this concerns the follower, and changes nothing.
        await append(world, ProfileChanged(DAVE, "displayname"))
        await cursor_at(world, world.log.position)
    finally:
        task.cancel()
        await asyncio.wait([task])
    assert task.cancelled()


async def cursor_at(world: World, position: int) -> None:
    """Wait until the follower has remembered that it got so far."""
    for _ in range(5_000):
        if await cursor(world) >= position:
            return
        await asyncio.sleep(0.002)
    raise AssertionError("the follower does not get on")


async def cursor(world: World) -> int:
    async with world.database.read() as tx:
        return await world.log.cursor(tx, NAME)


async def append(world: World, *changes: Change) -> None:
    async with world.database.write() as tx:
        for change in changes:
            await world.log.append(tx, change)


async def member(world: World, room_id: RoomId, user_id: UserId) -> dict[str, Any] | None:
    room = await world.reader.room(room_id)
    assert room is not None
    event_id = room.state.get(("m.room.member", user_id))
    return None if event_id is None else dict((await world.reader.found((event_id,)))[event_id].pdu.content)


async def call_oneself(world: World, user_id: UserId, name: str) -> None:
    await world.ask(user_id, "PUT", f"profile/{user_id}/displayname", {"displayname": name})


# Profiles


async def test_a_new_display_name_is_told_in_every_joined_room(world: World) -> None:
    rooms = [await world.public_room(BOB) for _ in range(2)]
    async with following(world):
        await call_oneself(world, BOB, "Bob")
    for room_id in rooms:
        assert await member(world, room_id, BOB) == {"membership": "join", "displayname": "Bob"}


async def test_a_new_avatar_is_told(world: World) -> None:
    room_id = await world.public_room(BOB)
    async with following(world):
        await world.ask(BOB, "PUT", f"profile/{BOB}/avatar_url", {"avatar_url": "mxc://here.example/b"})
    assert await member(world, room_id, BOB) == {"membership": "join", "avatar_url": "mxc://here.example/b"}


async def test_a_display_name_that_was_taken_away_is_taken_from_the_member_event(world: World) -> None:
    await call_oneself(world, BOB, "Bob")
    room_id = await world.public_room(BOB)
    async with following(world):
        await world.ask(BOB, "DELETE", f"profile/{BOB}/displayname")
    assert await member(world, room_id, BOB) == {"membership": "join"}


async def test_what_else_the_member_event_says_stays(world: World) -> None:
    room_id = await world.public_room(BOB)
    await world.set_state(BOB, room_id, "m.room.member", {"membership": "join", "org.hat": "red", "displayname": "x"}, BOB)
    async with following(world):
        await call_oneself(world, BOB, "Bob")
    assert await member(world, room_id, BOB) == {"membership": "join", "org.hat": "red", "displayname": "Bob"}


async def test_invites_and_rooms_left_are_not_told(world: World) -> None:
    left, invited = await world.public_room(BOB), await world.room(invite=[BOB])
    await world.leave(BOB, left)
    async with following(world):
        await call_oneself(world, BOB, "Bob")
    assert await member(world, left, BOB) == {"membership": "leave"}
    assert await member(world, invited, BOB) == {"membership": "invite"}


async def test_other_profile_fields_are_no_concern_of_rooms(world: World) -> None:
    room_id = await world.public_room(BOB)
    before = await world.timeline(room_id)
    async with following(world):
        await append(world, ProfileChanged(BOB, "m.tz"))
    assert await world.timeline(room_id) == before


async def test_telling_again_what_is_told_sends_nothing(world: World) -> None:
    await call_oneself(world, BOB, "Bob")
    room_id = await world.public_room(BOB)
    before = await world.timeline(room_id)
    async with following(world):
        await append(world, ProfileChanged(BOB, "displayname"), ProfileChanged(BOB, "displayname"))
    assert await world.timeline(room_id) == before


async def test_one_room_that_refuses_does_not_keep_the_name_from_the_next(world: World) -> None:
    first, second = await world.public_room(BOB), await world.public_room(BOB)
    # A member event of 64 KB leaves no place for a name.
    padding = {"membership": "join", "org.padding": "x" * 64_750}
    await world.set_state(BOB, first, "m.room.member", padding, BOB)
    async with following(world):
        await call_oneself(world, BOB, "Bob" * 80)
    assert await member(world, first, BOB) == padding
    assert await member(world, second, BOB) == {"membership": "join", "displayname": "Bob" * 80}


# Beginnings


async def test_a_new_account_is_invited_where_it_was_promised(world: World) -> None:
    rooms = [await world.room(), await world.room()]
    async with following(world):
        await append(world, AccountCreated(BOB, rooms, ALICE))
    for room_id in rooms:
        assert await member(world, room_id, BOB) == {"membership": "invite"}


async def test_an_invite_that_cannot_be_made_does_not_stop_the_next(world: World) -> None:
    room_id = await world.room()
    async with following(world):
        await append(world, AccountCreated(BOB, [NOWHERE, room_id], ALICE))
    assert await member(world, room_id, BOB) == {"membership": "invite"}


async def test_without_a_host_nobody_is_invited(world: World) -> None:
    room_id = await world.room()
    async with following(world):
        await append(world, AccountCreated(BOB, [room_id], None))
    assert await member(world, room_id, BOB) is None


async def test_who_may_not_invite_invites_nobody(world: World) -> None:
    room_id = await world.room()
    async with following(world):
        await append(world, AccountCreated(BOB, [room_id], CAROL))
    assert await member(world, room_id, BOB) is None


# Ends


async def test_a_deactivated_account_leaves_its_rooms_invites_and_knocks(world: World) -> None:
    knocking = [{"type": "m.room.join_rules", "content": {"join_rule": "knock"}}]
    rooms = [await world.public_room(BOB), await world.room(invite=[BOB]), await world.room(initial_state=knocking)]
    await world.ask(BOB, "POST", f"knock/{rooms[2]}", {})
    async with following(world):
        await append(world, AccountDeactivated(BOB, False))
    for room_id in rooms:
        assert await member(world, room_id, BOB) == {"membership": "leave"}


async def test_a_deactivated_account_stays_banned(world: World) -> None:
    room_id = await world.public_room()
    await world.ask(ALICE, "POST", f"rooms/{room_id}/ban", {"user_id": BOB})
    async with following(world):
        await append(world, AccountDeactivated(BOB, False))
    assert await member(world, room_id, BOB) == {"membership": "ban"}


async def test_the_others_stay(world: World) -> None:
    room_id = await world.public_room(BOB)
    async with following(world):
        await append(world, AccountDeactivated(BOB, True))
    assert await world.reader.joined_rooms(ALICE) == [room_id]


# The cursor


async def test_what_happened_while_it_did_not_run_is_caught_up_with(world: World) -> None:
    room_id = await world.public_room(BOB)
    await call_oneself(world, BOB, "Bob")
    async with following(world):
        pass
    assert await member(world, room_id, BOB) == {"membership": "join", "displayname": "Bob"}


async def test_what_was_acted_on_is_not_acted_on_again_after_a_restart(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.users(ALICE, BOB)
        room_id = await world.public_room()
        await append(world, AccountCreated(BOB, [room_id], ALICE))
        async with following(world):
            pass
        await world.leave(BOB, room_id)
    async with open_world(tmp_path) as world:
        async with following(world):
            pass
        assert await member(world, room_id, BOB) == {"membership": "leave"}


async def test_the_cursor_moves_past_what_it_acted_on(world: World) -> None:
    async with following(world):
        await append(world, AccountDeactivated(BOB, False))
        await cursor_at(world, world.log.position)


async def test_the_cursor_moves_past_very_much_that_is_no_concern(world: World) -> None:
    async with following(world):
        await append(world, *(PushersChanged(BOB) for _ in range(2_100)))
        await cursor_at(world, 1_000)


async def test_a_database_that_refuses_is_tried_again(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.users(ALICE, BOB)
        room_id = await world.public_room(BOB)
        await append(world, AccountDeactivated(BOB, False))
        writer: Any = world.sqlite._writer
        writer.set_commit_hook(lambda: True)
        async with following(world):
            for _ in range(5_000):
                if world.clock.next_wake_ms() is not None:
                    break
                await asyncio.sleep(0.002)
            writer.set_commit_hook(None)
            world.clock.advance(60_000)
        assert await member(world, room_id, BOB) == {"membership": "leave"}


async def test_rooms_are_forgotten_as_soon_as_they_are_left_if_the_operator_wants_it(world: World) -> None:
    world.follower.forgets_left = True
    left, kept = await world.public_room(BOB), await world.public_room(BOB)
    since = (await world.sync(BOB))["next_batch"]
    async with following(world):
        await world.leave(BOB, left)
    row = await world.reader.membership_of(BOB, left)
    assert row is not None
    assert row.forgotten
    # Whoever was not told yet that he left is told that.
    assert left in (await world.sync(BOB, since))["rooms"]["leave"]
    whole = await world.sync(BOB, filter={"room": {"include_leave": True}})
    assert left not in whole["rooms"].get("leave", {})
    assert kept in whole["rooms"]["join"]
    assert await world.refused(BOB, "GET", f"rooms/{left}/messages", dir="b") == (403, "M_FORBIDDEN")


async def test_who_came_back_meanwhile_forgets_nothing(world: World) -> None:
    world.follower.forgets_left = True
    room_id = await world.public_room(BOB)
    await world.leave(BOB, room_id)
    await world.join(BOB, room_id)
    async with following(world):
        pass
    assert bodies((await world.messages(BOB, room_id))["chunk"]) == []
    row = await world.reader.membership_of(BOB, room_id)
    assert row is not None
    assert not row.forgotten


async def test_rooms_are_kept_in_mind_otherwise(world: World) -> None:
    room_id = await world.public_room(BOB)
    async with following(world):
        await world.leave(BOB, room_id)
    row = await world.reader.membership_of(BOB, room_id)
    assert row is not None
    assert not row.forgotten
