from tests.unit.server.rooms.stacks import Network, Stack
from tests.unit.server.rooms.test_receiver import shared_room


async def test_who_missed_the_end_of_our_stay_learns_it_from_us(network: Network, a: Stack, b: Stack) -> None:
    room_id = await shared_room(network, a, b)
    for number in range(5):
        await b.say(room_id, f"said alone {number}", "bob")
    b.owed.clear()
    await b.change(room_id, "leave", b.user("bob"), "bob")
    await network.settle()
    assert b.user("bob") not in (await a.room(room_id)).members.joined
    assert await a.bodies(room_id, "alice") == [f"said alone {number}" for number in range(5)]
