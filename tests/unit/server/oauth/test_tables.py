"""Rows as they are kept."""

from tests.unit.server.oauth.world import ALICE, World
from watchword.protocol.ids import DeviceId, UserId
from watchword.server.oauth import tables
from watchword.server.oauth.commands import BrowserSession, Code, DeviceGrant, DeviceGrantState, Scope

SCOPE = Scope(DeviceId("PHONE"), "scope")
BOB = UserId("@bob:here.example")


async def test_a_code_is_read_as_it_was_written(world: World) -> None:
    code = Code("C", ALICE, SCOPE, "https://c/", "challenge", 10)
    async with world.database.write() as tx:
        await tables.insert_code(tx, b"h", code)
        assert await tables.code(tx, b"h") == code
        await tables.spend_code(tx, b"h", 7)
        spent = await tables.code(tx, b"h")
        await tables.delete_codes_before(tx, 11)
        assert await tables.code(tx, b"h") is None
    assert spent is not None
    assert spent.session_id == 7


async def test_a_device_is_answered_once_and_in_time(world: World) -> None:
    grant = DeviceGrant("C", SCOPE, DeviceGrantState.WAITING, None, 5_000, 0, 10)
    async with world.database.write() as tx:
        assert await tables.insert_device_grant(tx, (b"d", b"u"), grant)
        assert not await tables.insert_device_grant(tx, (b"e", b"u"), grant)
        assert await tables.device_grant(tx, b"d") == grant
        assert not await tables.answer_device_grant(tx, b"u", DeviceGrantState.ALLOWED, ALICE, 10)
        assert await tables.answer_device_grant(tx, b"u", DeviceGrantState.ALLOWED, ALICE, 9)
        assert not await tables.answer_device_grant(tx, b"u", DeviceGrantState.DENIED, ALICE, 9)
        answered = await tables.device_grant_by_user_code(tx, b"u")
        assert await tables.count_device_grants(tx) == 1
    assert answered is not None
    assert (answered.state, answered.user_id) == (DeviceGrantState.ALLOWED, ALICE)


async def test_an_approval_is_taken_once_by_the_right_device(world: World) -> None:
    async with world.database.write() as tx:
        await tables.set_approval(tx, ALICE, "PHONE", 5)
        await tables.set_approval(tx, ALICE, "PHONE", 10)
        assert not await tables.take_approval(tx, ALICE, "LAPTOP", 9)
        assert not await tables.take_approval(tx, ALICE, "PHONE", 10)
        assert await tables.take_approval(tx, ALICE, "PHONE", 9)
        assert not await tables.take_approval(tx, ALICE, "PHONE", 9)
        await tables.set_approval(tx, ALICE, "", 10)
        await tables.delete_approvals_before(tx, 11)
        assert not await tables.take_approval(tx, ALICE, "PHONE", 9)


async def test_the_oldest_browsers_go(world: World) -> None:
    async with world.database.write() as tx:
        for number in range(3):
            await tables.insert_browser(tx, bytes([number]), BrowserSession(ALICE, b"p", number, 100))
        await tables.keep_newest_browsers(tx, ALICE, 2)
        assert await tables.browser(tx, b"\x00") is None
        assert await tables.browser(tx, b"\x02") == BrowserSession(ALICE, b"p", 2, 100)
        await tables.delete_browsers_before(tx, 101)
        assert await tables.browser(tx, b"\x02") is None


async def test_somebody_elsewhere_is_one_user_here(world: World) -> None:
    async with world.database.write() as tx:
        assert await tables.insert_link(tx, "p", "s", ALICE, 1)
        assert not await tables.insert_link(tx, "p", "s", BOB, 2)
        assert await tables.linked_user(tx, "p", "s") == ALICE
        assert await tables.linked_user(tx, "q", "s") is None
        assert list(await tables.links_of(tx, ALICE)) == ["p"]
