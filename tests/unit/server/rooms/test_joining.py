import pytest

from tests.unit.server.rooms.stacks import Network, Stack, same_state


@pytest.mark.parametrize("version", ["1", "2", "3", "5", "6", "9", "10", "11", "12"])
async def test_a_user_joins_through_the_room_s_server_in_every_version(
    version: str, network: Network, a: Stack, b: Stack
) -> None:
    room_id = await a.create(version=version)
    await b.join(room_id, "bob", a)
    await network.settle()
    assert await same_state(room_id, a, b)
    assert await a.membership(room_id, a.user("alice")) == "join"
    assert (await a.room(room_id)).members.servers == {"a.example": 1, "b.example": 1}
    assert (await b.room(room_id)).members.servers == {"a.example": 1, "b.example": 1}
    await b.say(room_id, "from b", "bob")
    await network.settle()
    await a.say(room_id, "from a")
    await network.settle()
    assert (await a.bodies(room_id, "alice")) == ["from b", "from a"]
    assert (await b.bodies(room_id, "bob")) == ["from b", "from a"]
    assert all(reason is None for answer in (*a.answers, *b.answers) for reason in answer.values())
