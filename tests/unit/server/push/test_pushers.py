import pytest

from tests.unit.server.push.world import ALICE, BOB, PHONE, PushWorld
from tests.unit.server.rooms.world import LAPTOP
from watchword.base import limits
from watchword.base.errors import BadRequest, Forbidden
from watchword.protocol.ids import UserId
from watchword.server.push.commands import PusherForm, PusherKey

FORM = PusherForm("http", "App", "Phone", "", "en", {"url": "https://gateway.example/_matrix/push/v1/notify"})


def key(user_id: UserId = BOB, pushkey: str = "key", app_id: str = "app") -> PusherKey:
    return PusherKey(user_id, app_id, pushkey)


async def keys(world: PushWorld, user_id: UserId) -> list[str]:
    return [pusher.key.pushkey for pusher in await world.push.pushers.of(user_id)]


async def test_the_same_key_changes_the_pusher(world: PushWorld) -> None:
    pushers = world.push.pushers
    await pushers.save(key(), PHONE, FORM)
    first = (await pushers.of(BOB))[0]
    world.clock.advance(5)
    await pushers.save(key(), LAPTOP, PusherForm("http", "Other", "Phone", "", "de", FORM.data))
    (changed,) = await pushers.of(BOB)
    assert changed.pusher_id == first.pusher_id
    assert (changed.form.app_display_name, changed.device_id) == ("Other", LAPTOP)
    assert changed.pushkey_ts == first.pushkey_ts + 5


async def test_a_key_is_taken_from_other_users_unless_it_is_appended(world: PushWorld) -> None:
    pushers = world.push.pushers
    await pushers.save(key(ALICE), PHONE, FORM)
    await pushers.save(key(BOB), PHONE, FORM, append=True)
    assert (await keys(world, ALICE), await keys(world, BOB)) == (["key"], ["key"])
    await pushers.save(key(BOB), PHONE, FORM)
    assert (await keys(world, ALICE), await keys(world, BOB)) == ([], ["key"])


async def test_a_session_takes_its_pushers_along(world: PushWorld) -> None:
    pushers = world.push.pushers
    await pushers.save(key(pushkey="one"), PHONE, FORM)
    await pushers.save(key(pushkey="two"), LAPTOP, FORM)
    await pushers.save(key(pushkey="three"), None, FORM)
    await pushers.delete_of_session(BOB, PHONE)
    assert await keys(world, BOB) == ["two", "three"]
    await pushers.delete_of_session(BOB, None)
    assert await keys(world, BOB) == []


async def test_to_delete_what_is_not_there_is_harmless(world: PushWorld) -> None:
    position = world.log.position
    await world.push.pushers.delete(key())
    assert world.log.position == position
    with pytest.raises(BadRequest):
        await world.push.pushers.delete(key(pushkey=""))


async def test_nobody_has_too_many(world: PushWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "pushers_per_user_max", 1)
    await world.push.pushers.save(key(), PHONE, FORM)
    await world.push.pushers.save(key(), PHONE, FORM)
    with pytest.raises(Forbidden):
        await world.push.pushers.save(key(pushkey="two"), PHONE, FORM)


async def test_what_cannot_be_kept_is_refused(world: PushWorld) -> None:
    with pytest.raises(BadRequest):
        await world.push.pushers.save(key(), PHONE, PusherForm("http", "", "", "", "", {**FORM.data, "big": 1 << 70}))
    with pytest.raises(BadRequest):
        await world.push.pushers.save(key(app_id=""), PHONE, FORM)
