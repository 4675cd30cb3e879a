"""A user's rooms by recency, and what filters let through, kept up with whatever happens."""

from collections.abc import Sequence
from typing import Any

import pytest

from tests.unit.server.rooms.world import ALICE, BOB, CAROL
from tests.unit.server.sync.answers import ENCRYPTED
from tests.unit.server.sync.sliding.windows import ACCEPTED, Client, SlidingWorld, accepted_window, window
from watchword.protocol.ids import RoomId
from watchword.server.sync.sliding.commands import RoomFilter


async def order(world: SlidingWorld, wanted: RoomFilter = RoomFilter(), user_id: Any = ALICE) -> list[RoomId]:  # noqa: B008
    """The list that a filter lets through, the newest first, as it is kept; a list built anew must be the same."""
    lists = world.sliding.lists
    kept = await lists.at(user_id, world.log.position)
    found = list(reversed((await lists.filtered(kept, wanted)).rooms))
    lists._lists.clear()
    anew = await lists.at(user_id, world.log.position)
    assert list(reversed((await lists.filtered(anew, wanted)).rooms)) == found
    assert anew.recency == kept.recency
    lists._lists[user_id] = kept
    return found


async def matching(world: SlidingWorld, **filters: Any) -> set[RoomId]:
    return set((await Client(world, conn_id="one", lists={"all": window(filters=filters)}).ask())["rooms"])


async def test_the_room_with_the_newest_event_comes_first(world: SlidingWorld) -> None:
    one, two, three = [await world.room() for _ in range(3)]
    assert await order(world) == [three, two, one]
    await world.send(ALICE, one)
    assert await order(world) == [one, three, two]
    # Any event counts, not only those that bump.
    await world.set_state(ALICE, two, "m.room.topic", {"topic": "t"})
    assert await order(world) == [two, one, three]


async def test_an_invite_counts_from_when_it_came(world: SlidingWorld) -> None:
    mine = await world.room()
    theirs = await world.room(BOB)
    await world.invite(BOB, theirs, ALICE)
    assert await order(world) == [theirs, mine]
    await world.send(ALICE, mine)
    await world.send(BOB, theirs)
    assert await order(world) == [mine, theirs]
    await world.join(ALICE, theirs)
    await world.send(ALICE, mine)
    await world.send(BOB, theirs)
    assert await order(world) == [theirs, mine]


async def test_who_was_thrown_out_keeps_the_room_where_it_was(world: SlidingWorld) -> None:
    theirs = await world.room(BOB, preset="public_chat")
    await world.join(ALICE, theirs)
    await world.ask(BOB, "POST", f"rooms/{theirs}/kick", {"user_id": ALICE})
    await world.send(BOB, theirs)
    mine = await world.room()
    await world.send(BOB, theirs)
    assert await order(world) == [mine, theirs]


async def test_filters_follow_what_happens(world: SlidingWorld) -> None:
    plain, secret = await world.room(name="Garden"), await world.room(**ENCRYPTED)
    encrypted = RoomFilter(is_encrypted=True)
    assert await order(world, encrypted) == [secret]
    await world.set_state(ALICE, plain, "m.room.encryption", {"algorithm": "m.megolm.v1.aes-sha2"})
    assert await order(world, encrypted) == [plain, secret]
    named = RoomFilter(room_name_like="gARD")
    assert await order(world, named) == [plain]
    await world.set_state(ALICE, secret, "m.room.name", {"name": "A garden, too"})
    assert await order(world, named) == [secret, plain]
    await world.set_state(ALICE, plain, "m.room.name", {"name": "No more"})
    assert await order(world, named) == [secret]
    await world.leave(ALICE, secret)
    assert await order(world, named) == []


async def test_direct_rooms_and_invites(world: SlidingWorld) -> None:
    direct, other = await world.room(), await world.room()
    theirs = await world.room(BOB, name="Theirs", **ENCRYPTED)
    await world.invite(BOB, theirs, ALICE)
    await world.ask(ALICE, "PUT", f"user/{ALICE}/account_data/m.direct", {BOB: [direct]})
    assert await matching(world, is_dm=True) == {direct}
    assert await matching(world, is_dm=False) == {other, theirs}
    assert await matching(world, is_invite=True) == {theirs}
    assert await matching(world, is_invite=False) == {direct, other}
    assert await matching(world, is_encrypted=True) == {theirs}
    assert await matching(world, room_name_like="thei") == {theirs}
    lists = {"all": accepted_window(filters={"is_invited": True})}
    assert set((await Client(world, form=ACCEPTED, lists=lists).ask())["rooms"]) == {theirs}


async def test_room_types(world: SlidingWorld) -> None:
    plain = await world.room()
    space = await world.room(creation_content={"type": "m.space"})
    assert await matching(world, room_types=["m.space"]) == {space}
    assert await matching(world, room_types=[None]) == {plain}
    assert await matching(world, room_types=[None, "m.space"], not_room_types=["m.space"]) == {plain}
    assert await matching(world, not_room_types=[None]) == {space}
    assert await matching(world, room_types=[]) == set()


async def test_tags(world: SlidingWorld) -> None:
    one, two, three = [await world.room() for _ in range(3)]

    async def tag(room_id: RoomId, *names: str) -> None:
        path = f"user/{ALICE}/rooms/{room_id}/account_data/m.tag"
        await world.ask(ALICE, "PUT", path, {"tags": {name: {} for name in names}})

    await tag(one, "a", "b")
    await tag(two, "b")
    assert await matching(world, tags=["a", "b"]) == {one, two}
    assert await matching(world, tags=["b"], not_tags=["a"]) == {two}
    assert await matching(world, not_tags=["b"]) == {three}
    await tag(one)
    assert await matching(world, tags=["a", "b"]) == {two}


async def test_rooms_of_spaces(world: SlidingWorld) -> None:
    inside, outside = await world.room(), await world.room()
    space = await world.room(creation_content={"type": "m.space"})
    strange = await world.room(BOB, creation_content={"type": "m.space"})
    await world.set_state(BOB, strange, "m.space.child", {"via": ["here.example"]}, outside)
    assert await matching(world, spaces=[space, strange, "!none:here.example"]) == set()
    await world.set_state(ALICE, space, "m.space.child", {"via": ["here.example"]}, inside)
    assert await matching(world, spaces=[space, strange]) == {inside}
    client = Client(world, lists={"all": window(filters={"spaces": [space]})})
    await client.ask()
    await world.set_state(ALICE, space, "m.space.child", {"via": ["here.example"]}, outside)
    assert set((await client.ask())["rooms"]) == {outside}
    await world.set_state(ALICE, space, "m.space.child", {}, inside)
    assert (await client.ask())["lists"]["all"]["count"] == 1


async def test_the_list_is_built_anew_when_the_ring_does_not_reach_back(world: SlidingWorld) -> None:
    one, two = await world.room(), await world.room()
    assert await order(world) == [two, one]
    await world.send(ALICE, one)
    world.log._ring_floor = world.log.position
    del world.log._ring[:]
    assert await order(world) == [one, two]


async def test_a_list_that_fails_to_keep_up_begins_anew(world: SlidingWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    one = await world.room()
    await order(world)
    lists = world.sliding.lists

    async def fail(user_id: Any) -> frozenset[RoomId]:
        raise OSError

    with monkeypatch.context() as patched:
        patched.setattr(lists, "_directs", fail)
        await world.ask(ALICE, "PUT", f"user/{ALICE}/account_data/m.direct", {BOB: [one]})
        with pytest.raises(OSError):  # noqa: PT011
            await lists.at(ALICE, world.log.position)
    assert await order(world, RoomFilter(is_dm=True)) == [one]


async def test_only_so_many_filters_are_kept(world: SlidingWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("watchword.base.limits.sliding_filters_max", 2)
    names: Sequence[str] = ("a", "b", "c")
    for name in names:
        await order(world, RoomFilter(room_name_like=name))
    kept = await world.sliding.lists.at(ALICE, world.log.position)
    assert [one.room_name_like for one in kept.filtered] == ["b", "c"]


async def test_a_list_knows_nothing_of_other_peoples_rooms(world: SlidingWorld) -> None:
    await world.room(BOB)
    await world.room(CAROL)
    assert await order(world) == []
