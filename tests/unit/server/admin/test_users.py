"""Users: what is seen of them and done to them, whatever the door."""

import pytest

from tests.unit.server.admin.world import ALICE, BOB, HERE, ROOT, V3, AdminWorld
from watchword.base.errors import BadRequest, NotFound, Refusal
from watchword.edge.auditing import Deed
from watchword.edge.requester import Requester
from watchword.protocol.ids import DeviceId, UserId
from watchword.server.admin.decide import OTHERS
from watchword.server.admin.users import NewUser, Users, localpart_in, nothing

BY_ROOT = Requester(ROOT, DeviceId("X"), 1, is_admin=True)
DEED = Deed(ROOT, "test")


def _users(world: AdminWorld) -> Users:
    return world.server.admin.door.users


async def test_a_sheet_says_what_there_is_of_a_user(world: AdminWorld) -> None:
    await world.room()
    await world.upload("alice", b"12345")
    await world.call("alice", "PUT", f"{V3}/profile/{ALICE}/displayname", {"displayname": "Alice"})
    sheet = await _users(world).sheet(await _users(world).target(BY_ROOT, ALICE))
    assert (sheet.displayname, sheet.avatar_url, len(sheet.devices), len(sheet.rooms)) == ("Alice", None, 1, 1)
    assert (sheet.media.files, sheet.media.bytes) == (1, 5)
    assert sheet.last_seen_ts == world.clock.now_ms()


async def test_a_new_user_is_made_with_all_that_is_said(world: AdminWorld) -> None:
    users = _users(world)
    async with world.server.admin.audit.act(DEED) as entry:
        account = await users.create(NewUser("carol", "correct horse", "Carol", admin=True), entry)
    assert (account.user_id, account.is_admin) == (f"@carol:{HERE}", True)
    assert await users.accounts.reader.profile(account.user_id) == {"displayname": "Carol"}
    last = await world.last()
    assert (last.whom, last.details) == (f"@carol:{HERE}", {"admin": True})


@pytest.mark.parametrize(
    ("new", "errcode"),
    [
        (NewUser("alice"), "M_USER_IN_USE"),
        (NewUser("not a name"), "M_INVALID_USERNAME"),
        (NewUser("carol", "short"), "M_WEAK_PASSWORD"),
        (NewUser("carol", displayname="x" * 1_000), "M_INVALID_PARAM"),
    ],
)
async def test_what_cannot_be_a_user_is_not_made(world: AdminWorld, new: NewUser, errcode: str) -> None:
    async def made() -> None:
        async with world.server.admin.audit.act(DEED) as entry:
            await _users(world).create(new, entry)

    with pytest.raises(Refusal) as refused:
        await made()
    assert refused.value.errcode == errcode
    assert (await world.last()).outcome == errcode
    assert await _users(world).accounts.reader.account(UserId(f"@carol:{HERE}")) is None


async def test_targets_are_users_of_this_server(world: AdminWorld) -> None:
    for name, errcode in ((f"@nobody:{HERE}", "M_NOT_FOUND"), ("@x:there.example", "M_INVALID_PARAM"), (ROOT, "M_FORBIDDEN")):
        with pytest.raises(Refusal) as refused:
            await _users(world).target(BY_ROOT, UserId(name), OTHERS)
        assert refused.value.errcode == errcode


async def test_a_device_is_renamed_or_signed_out_with_its_tokens(world: AdminWorld) -> None:
    users = _users(world)
    (device,) = await users.devices(ALICE)
    await users.rename_device(ALICE, device.device_id, "A telephone")
    assert (await users.device(ALICE, device.device_id)).display_name == "A telephone"
    with pytest.raises(NotFound):
        await users.rename_device(ALICE, DeviceId("NONE"), "x")
    with pytest.raises(BadRequest):
        await users.rename_device(ALICE, device.device_id, "x" * 1_000)
    await users.end_devices(BY_ROOT, ALICE, [device.device_id, DeviceId("NONE")], nothing)
    with pytest.raises(NotFound):
        await users.device(ALICE, device.device_id)
    assert (await world.ask("alice", "GET", f"{V3}/account/whoami")).status == 401


async def test_ones_own_password_may_be_reset_and_keeps_the_device_that_asks(world: AdminWorld) -> None:
    users = _users(world)
    (device,) = await users.devices(ROOT)
    requester = Requester(ROOT, device.device_id, 1, is_admin=True)
    async with world.server.admin.audit.act(DEED) as entry:
        await users.reset_password(requester, ROOT, "correct horse", log_out=True, entry=entry)
    assert (await world.ask("root", "GET", f"{V3}/account/whoami")).status == 200


async def test_an_empty_profile_field_is_taken_away(world: AdminWorld) -> None:
    users = _users(world)
    entry = world.server.admin.audit.entry(DEED)
    await users.set_profile(BOB, "displayname", "Bob", entry)
    assert await users.accounts.reader.profile(BOB) == {"displayname": "Bob"}
    await users.set_profile(BOB, "displayname", "", entry)
    assert await users.accounts.reader.profile(BOB) == {}
    with pytest.raises(BadRequest):
        await users.set_profile(BOB, "avatar_url", "https://example.org/x.png", entry)


def test_a_localpart_is_needed() -> None:
    assert localpart_in(UserId("@a:b")) == "a"
    with pytest.raises(BadRequest):
        localpart_in(UserId("@:b"))
