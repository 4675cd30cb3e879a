from dataclasses import replace

import pytest

from tests.unit.edge.relay import Relay
from tests.unit.server.push.world import ALICE, BOB, MAIL, PHONE, PushWorld
from tests.unit.server.rooms.world import LAPTOP
from watchword.base import limits
from watchword.base.errors import BadRequest, Forbidden
from watchword.protocol.ids import UserId
from watchword.server.push.commands import PusherForm, PusherKey
from watchword.server.push.pushers import Setting

FORM = PusherForm("http", "App", "Phone", "", "en", {"url": "https://gateway.example/_matrix/push/v1/notify"})


def key(user_id: UserId = BOB, pushkey: str = "key", app_id: str = "app") -> PusherKey:
    return PusherKey(user_id, app_id, pushkey)


async def keys(world: PushWorld, user_id: UserId) -> list[str]:
    return [pusher.key.pushkey for pusher in await world.push.pushers.of(user_id)]


async def test_the_same_key_changes_the_pusher(world: PushWorld) -> None:
    pushers = world.push.pushers
    await pushers.save(key(), Setting(PHONE, FORM))
    first = (await pushers.of(BOB))[0]
    world.clock.advance(5)
    await pushers.save(key(), Setting(LAPTOP, PusherForm("http", "Other", "Phone", "", "de", FORM.data)))
    (changed,) = await pushers.of(BOB)
    assert changed.pusher_id == first.pusher_id
    assert (changed.form.app_display_name, changed.device_id) == ("Other", LAPTOP)
    assert changed.pushkey_ts == first.pushkey_ts + 5


async def test_a_key_is_taken_from_other_users_unless_it_is_appended(world: PushWorld) -> None:
    pushers = world.push.pushers
    await pushers.save(key(ALICE), Setting(PHONE, FORM))
    await pushers.save(key(BOB), Setting(PHONE, FORM, append=True))
    assert (await keys(world, ALICE), await keys(world, BOB)) == (["key"], ["key"])
    await pushers.save(key(BOB), Setting(PHONE, FORM))
    assert (await keys(world, ALICE), await keys(world, BOB)) == ([], ["key"])


async def test_a_session_takes_its_pushers_along(world: PushWorld) -> None:
    pushers = world.push.pushers
    await pushers.save(key(pushkey="one"), Setting(PHONE, FORM))
    await pushers.save(key(pushkey="two"), Setting(LAPTOP, FORM))
    await pushers.save(key(pushkey="three"), Setting(None, FORM))
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
    await world.push.pushers.save(key(), Setting(PHONE, FORM))
    await world.push.pushers.save(key(), Setting(PHONE, FORM))
    with pytest.raises(Forbidden):
        await world.push.pushers.save(key(pushkey="two"), Setting(PHONE, FORM))


async def test_what_cannot_be_kept_is_refused(world: PushWorld) -> None:
    with pytest.raises(BadRequest):
        await world.push.pushers.save(key(), Setting(PHONE, PusherForm("http", "", "", "", "", {**FORM.data, "big": 1 << 70})))
    with pytest.raises(BadRequest):
        await world.push.pushers.save(key(app_id=""), Setting(PHONE, FORM))


async def test_one_session_switches_the_pusher_of_another(world: PushWorld) -> None:
    pushers = world.push.pushers
    await pushers.save(key(), Setting(PHONE, FORM))
    first = (await pushers.of(BOB))[0]
    world.clock.advance(5)
    await pushers.save(key(), Setting(LAPTOP, replace(FORM, enabled=False), moves=False))
    (changed,) = await pushers.of(BOB)
    assert (changed.device_id, changed.form.enabled, changed.pushkey_ts) == (PHONE, False, first.pushkey_ts)


async def test_only_own_addresses_are_mailed_to(world: PushWorld, relay: Relay) -> None:
    form = PusherForm("email", "Mail", MAIL, "", "en", {})
    with pytest.raises(BadRequest) as refused:
        await world.push.pushers.save(key(pushkey=MAIL), Setting(PHONE, form))
    assert refused.value.errcode == "M_INVALID_PARAM"
    world.mails(relay)
    for address in (MAIL, "nonsense"):
        with pytest.raises(BadRequest) as refused:
            await world.push.pushers.save(key(pushkey=address), Setting(PHONE, form))
        assert refused.value.errcode == "M_THREEPID_NOT_FOUND"
    await world.give_address()
    await world.push.pushers.save(key(pushkey="Bob@There.example"), Setting(PHONE, form))
    assert (await world.push.pushers.of(BOB))[0].device_id is None


async def test_nothing_is_a_token_that_ends_mails_but_the_right_one(world: PushWorld) -> None:
    assert await world.push.pushers.of_token("") is None
    assert await world.push.pushers.of_token("nonsense") is None
