"""What other features read: fresh although it is remembered."""

from typing import Any

from watchword.server.accounts.reader import _Remembered

ME = "/_matrix/client/v3/user/@alice:here.example"
ALICE = "@alice:here.example"


async def test_existence_is_remembered_and_corrected(house: Any) -> None:
    reader = house.accounts.reader
    assert not await reader.exists(ALICE)
    await house.user("alice")
    assert await reader.exists(ALICE)
    assert await reader.local_user_exists(ALICE)
    await house.accounts.admin.deactivate(ALICE, erase=False)
    assert not await reader.exists(ALICE)
    assert await reader.local_user_exists(ALICE)
    assert (await reader.account(ALICE)).is_deactivated
    assert not await reader.local_user_exists("@nobody:here.example")


async def test_profiles_are_remembered_and_corrected(house: Any) -> None:
    await house.user("alice")
    reader = house.accounts.reader
    assert await reader.profile(ALICE) == {}
    await house.accounts.profiles.store_field(ALICE, "displayname", "A")
    assert await reader.profile(ALICE) == {"displayname": "A"}
    assert await reader.profile(ALICE) is await reader.profile(ALICE)


async def test_ignored_users_are_remembered_and_corrected(house: Any) -> None:
    me = (await house.user("alice"))["access_token"]
    reader = house.accounts.reader
    assert await reader.ignored_users(ALICE) == frozenset()
    path = f"{ME}/account_data/m.ignored_user_list"
    await house.call("PUT", path, {"ignored_users": {"@bob:here.example": {}}}, by=me)
    assert await reader.ignored_users(ALICE) == {"@bob:here.example"}
    await house.call("PUT", path, {"ignored_users": 5}, by=me)
    assert await reader.ignored_users(ALICE) == frozenset()


async def test_devices_and_their_names(house: Any) -> None:
    await house.user("alice", device_id="A", initial_device_display_name="Laptop")
    await house.login("alice", device_id="B")
    assert await house.accounts.reader.device_names(ALICE) == {"A": "Laptop", "B": None}
    assert await house.accounts.reader.device_names("@nobody:here.example") == {}


async def test_somebody_unknown_is_not_erased(house: Any) -> None:
    assert not await house.accounts.reader.is_erased("@nobody:here.example")


async def test_memory_is_bounded(house: Any) -> None:
    memory: _Remembered[int, int] = _Remembered(2)
    for number in range(3):
        memory.put(number, number, memory.generation)
    assert [memory.get(number) for number in range(3)] == [None, 1, 2]
    generation = memory.generation
    memory.forget(1)
    memory.put(1, 9, generation)
    assert memory.get(1) is None


async def test_users_are_listed_in_order_without_guests_and_those_who_left(house: Any) -> None:
    alice, bob, carol, dave = [(await house.user(name))["user_id"] for name in ("alice", "bob", "carol", "dave")]
    await house.accounts.admin.deactivate(bob, erase=False)
    async with house.database.write() as tx:
        await tx.execute("UPDATE accounts SET is_guest = 1 WHERE user_id = ?", carol)
    assert await house.accounts.reader.users_after("", 1) == [alice]
    assert await house.accounts.reader.users_after(alice, 9) == [dave]
