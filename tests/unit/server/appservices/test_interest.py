"""Which rooms concern a service besides those with its users."""

from urllib.parse import quote

from tests.unit.server.appservices.house import AS_TOKEN, GHOST, HERE, House
from watchword.protocol.ids import RoomId, ServerName, UserId
from watchword.server.appservices.interest import Interest


def _interest(house: House) -> Interest:
    (registration,) = house.server.appservices.authority.registrations
    return Interest(registration, house.server.rooms.reader, ServerName(HERE))


async def test_a_room_concerns_it_as_long_as_one_of_its_users_is_there(house: House) -> None:
    alice = await house.person("alice")
    interest, room_id = _interest(house), RoomId(await house.room(by=alice))
    assert not await interest.in_room(room_id)
    assert (await house.ask("POST", f"join/{quote(room_id)}", {}))[0] == 200
    assert await interest.in_room(room_id)
    assert (await house.ask("POST", f"rooms/{quote(room_id)}/leave", {}))[0] == 200
    assert not await interest.in_room(room_id)


async def test_a_room_with_an_alias_of_its_namespace_concerns_it(house: House) -> None:
    room_id = RoomId(await house.room(by=AS_TOKEN))
    alias = f"#irc_matrix:{HERE}"
    assert (await house.ask("PUT", f"directory/room/{quote(alias)}", {"room_id": room_id}))[0] == 200
    assert (await house.ask("POST", f"rooms/{quote(room_id)}/leave", {}))[0] == 200
    assert await _interest(house).in_room(room_id)


async def test_a_room_that_nobody_knows_concerns_nobody(house: House) -> None:
    assert not await _interest(house).in_room(RoomId("!nowhere:a.example"))


async def test_it_owns_users_of_this_server_alone(house: House) -> None:
    interest = _interest(house)
    assert interest.owns(GHOST)
    assert not interest.owns("@irc_eve:b.example")
    assert not interest.owns(f"@alice:{HERE}")


async def test_it_meets_whoever_shares_a_room(house: House) -> None:
    alice = await house.person("alice")
    interest, user_id = _interest(house), UserId(f"@alice:{HERE}")
    room_id = await house.room(by=alice)
    assert not await interest.meets(user_id)
    assert (await house.ask("POST", f"join/{quote(room_id)}", {}))[0] == 200
    assert await interest.meets(user_id)
