"""Rooms that are removed."""

from tests.unit.server.admin.world import ALICE, BOB, OURS, ROOT, V3, AdminWorld, quoted
from watchword.base.errors import Forbidden
from watchword.server.admin.ports import Leaving
from watchword.server.rooms.commands import ChangeMembership


async def _full_room(world: AdminWorld) -> str:
    room_id = await world.room(preset="public_chat", room_alias_name="choir", invite=[ROOT])
    await world.call("bob", "POST", f"{V3}/rooms/{quoted(room_id)}/join", {})
    await world.say("bob", room_id, "la la la")
    return room_id


def _remove(room_id: str) -> str:
    return f"{OURS}/rooms/{quoted(room_id)}/remove"


async def test_everybody_leaves_and_then_the_room_goes_from_the_disk(world: AdminWorld) -> None:
    room_id = await _full_room(world)
    since = (await world.call("bob", "GET", f"{V3}/sync"))["next_batch"]
    async with world.removing():
        begun = await world.call("root", "POST", _remove(room_id), {"reason": "spam"})
        ended = await world.until_removed(begun["removal_id"])
    assert (ended["stage"], ended["left"], ended["failed"]) == ("done", [ALICE, BOB, ROOT], [])
    assert ended["aliases"] == ["#choir:here.example"]
    assert ended["ended_ts"] - ended["begun_ts"] >= 60_000
    left = (await world.call("bob", "GET", f"{V3}/sync", since=since))["rooms"]["leave"]
    assert list(left) == [room_id]
    assert (await world.ask("bob", "GET", f"{V3}/rooms/{quoted(room_id)}/state")).status == 403
    assert (await world.ask("bob", "GET", f"{V3}/directory/room/{quoted('#choir:here.example')}")).status == 404
    size = (await world.get(f"{OURS}/rooms/{quoted(room_id)}"))["size"]
    assert (size["events"], size["bytes"]) == (0, 0)
    (entry,) = await world.entries(action="room.remove")
    assert (entry.whom, entry.outcome, entry.details) == (room_id, "done", {"purge": True, "block": False})


async def test_what_was_said_is_found_no_more(world: AdminWorld) -> None:
    room_id = await _full_room(world)
    other = await world.room("bob")
    await world.say("bob", other, "la la la elsewhere")
    async with world.removing():
        begun = await world.call("root", "POST", _remove(room_id), {})
        await world.until_removed(begun["removal_id"])
    body = {"search_categories": {"room_events": {"search_term": "la"}}}
    found = (await world.call("bob", "POST", f"{V3}/search", body))["search_categories"]["room_events"]
    assert [result["result"]["room_id"] for result in found["results"]] == [other]
    async with world.server.world.database.read() as tx:
        rows = await tx.fetch_all("SELECT COUNT(*) FROM search_entries")
    assert rows[0][0] == 1


async def test_nobody_comes_in_meanwhile_and_afterwards_only_where_it_is_not_blocked(world: AdminWorld) -> None:
    room_id = await _full_room(world)
    join = f"{V3}/rooms/{quoted(room_id)}/join"
    async with world.removing():
        begun = await world.call("root", "POST", _remove(room_id), {"block": True})
        await world.server.admin.removals.left(begun["removal_id"])
        assert (await world.ask("bob", "POST", join, {})).status == 403
        await world.until_removed(begun["removal_id"])
    assert (await world.ask("bob", "POST", join, {})).status == 403
    await world.call("root", "PUT", f"{OURS}/rooms/{quoted(room_id)}/blocked", {"blocked": False})
    assert (await world.ask("bob", "POST", join, {})).status == 404


async def test_a_room_may_be_left_without_being_purged(world: AdminWorld) -> None:
    room_id = await _full_room(world)
    async with world.removing():
        begun = await world.call("root", "POST", _remove(room_id), {"purge": False})
        ended = await world.until_removed(begun["removal_id"])
    assert ended["stage"] == "done"
    messages = await world.call("bob", "GET", f"{V3}/rooms/{quoted(room_id)}/messages", dir="b")
    assert "la la la" in [event["content"].get("body") for event in messages["chunk"]]


async def test_a_removal_goes_on_after_a_restart(world: AdminWorld) -> None:
    room_id = await _full_room(world)
    removals = world.server.admin.removals
    async with world.removing():
        begun = await world.call("root", "POST", _remove(room_id), {})
        await removals.left(begun["removal_id"])
    removals._open.clear()
    removals._left.clear()
    await removals.start()
    assert (await world.ask("bob", "POST", f"{V3}/rooms/{quoted(room_id)}/join", {})).status == 403
    async with world.removing():
        assert (await world.until_removed(begun["removal_id"]))["stage"] == "done"


class _Stubborn:
    """Bob does not leave."""

    def __init__(self, others: Leaving) -> None:
        self._others = others

    async def leave(self, command: ChangeMembership) -> None:
        if command.target == BOB:
            raise Forbidden("No.")
        await self._others.leave(command)


async def test_who_cannot_leave_keeps_the_room_on_the_disk(world: AdminWorld) -> None:
    room_id = await _full_room(world)
    removals = world.server.admin.removals
    removals.membership = _Stubborn(removals.membership)
    async with world.removing():
        begun = await world.call("root", "POST", _remove(room_id), {})
        ended = await world.until_removed(begun["removal_id"])
    assert (ended["left"], ended["failed"], ended["stage"]) == ([ALICE, ROOT], [BOB], "done")
    assert (await world.get(f"{OURS}/rooms/{quoted(room_id)}"))["joined_local_members"] == 1


async def test_what_ended_long_ago_is_forgotten(world: AdminWorld) -> None:
    removals = world.server.admin.removals
    async with world.removing():
        begun = await world.call("root", "POST", _remove("!nowhere:x.y"), {"block": True})
        await world.until_removed(begun["removal_id"])
    world.clock.advance(89 * 86_400_000)
    await removals.start()
    assert await removals.one(begun["removal_id"]) is not None
    world.clock.advance(2 * 86_400_000)
    await removals.start()
    assert await removals.one(begun["removal_id"]) is None


async def test_an_unknown_room_is_not_removed_unless_it_is_to_be_blocked(world: AdminWorld) -> None:
    assert (await world.ask("root", "POST", _remove("!nowhere:x.y"), {})).status == 404
    async with world.removing():
        begun = await world.call("root", "POST", _remove("!nowhere:x.y"), {"block": True})
        assert (await world.until_removed(begun["removal_id"]))["left"] == []
    listed = await world.get(f"{OURS}/rooms/{quoted('!nowhere:x.y')}/removals")
    assert [each["removal_id"] for each in listed["removals"]] == [begun["removal_id"]]
    assert (await world.ask("root", "GET", f"{OURS}/removals/nothing")).status == 404
