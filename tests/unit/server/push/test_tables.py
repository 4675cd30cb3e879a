from dataclasses import replace

from tests.unit.server.push.world import ALICE, BOB, PHONE, PushWorld
from watchword.protocol.ids import EventId
from watchword.server.push import tables
from watchword.server.push.commands import DigestState, JournalEntry, PusherForm, PusherKey, Removal
from watchword.storage import Position

FORM = PusherForm("http", "App", "Phone", "", "en", {"url": "x", "n": [1]})


async def saved(world: PushWorld, *pushkeys: str) -> None:
    async with world.database.write() as tx:
        for pushkey in pushkeys:
            await tables.save_pusher(tx, PusherKey(BOB, "app", pushkey), PHONE, FORM, 5, Position(7))


async def test_a_pusher_comes_back_as_it_was(world: PushWorld) -> None:
    await saved(world, "key")
    async with world.database.read() as tx:
        (pusher,) = await tables.pushers_of(tx, BOB)
    assert (pusher.form, pusher.device_id, pusher.pushkey_ts, pusher.delivered) == (FORM, PHONE, 5, 7)


async def test_all_pushers_come_in_pages(world: PushWorld) -> None:
    await saved(world, "one", "two", "three")
    async with world.database.read() as tx:
        first = await tables.pushers_after(tx, 0, 2)
        rest = await tables.pushers_after(tx, first[-1].pusher_id, 2)
    assert [pusher.key.pushkey for pusher in (*first, *rest)] == ["one", "two", "three"]


async def test_what_is_settled_never_goes_back(world: PushWorld) -> None:
    await saved(world, "key")
    async with world.database.write() as tx:
        await tables.settle(tx, 1, 20, 0, 0)
        await tables.settle(tx, 1, 10, 2, 99)
        await tables.settle(tx, 1, None, 3, 100)
        (pusher,) = await tables.pushers_of(tx, BOB)
    assert (pusher.delivered, pusher.failures, pusher.retry_after_ts) == (20, 3, 100)


async def test_the_journal_keeps_the_newest(world: PushWorld) -> None:
    async with world.database.write() as tx:
        for ts in range(5):
            await tables.write_journal(tx, 1, JournalEntry(ts, EventId("$e") if ts % 2 else None, "told"), 3)
            await tables.write_journal(tx, 2, JournalEntry(ts, None, "told"), 3)
    async with world.database.read() as tx:
        kept = await tables.journal(tx, 1, 10)
    assert [(entry.ts, entry.event_id) for entry in kept] == [(4, None), (3, "$e"), (2, None)]


async def test_a_journal_goes_with_its_pusher(world: PushWorld) -> None:
    await saved(world, "key")
    async with world.database.write() as tx:
        await tables.write_journal(tx, 1, JournalEntry(1, None, "told"), 3)
        await tables.delete_pushers(tx, [1])
        assert await tables.journal(tx, 1, 10) == []
        assert await tables.pushers_of(tx, BOB) == []


async def test_removals_keep_the_newest_of_each_user(world: PushWorld) -> None:
    async with world.database.write() as tx:
        for ts in range(5):
            await tables.write_removal(tx, BOB, Removal("app", "http", PHONE if ts % 2 else None, ts, "gone"), 2)
        await tables.write_removal(tx, ALICE, Removal("app", "http", None, 9, "gone"), 2)
    async with world.database.read() as tx:
        kept = await tables.removals(tx, BOB, 10)
    assert [(removal.ts, removal.device_id) for removal in kept] == [(4, None), (3, PHONE)]


async def test_a_digest_goes_with_its_pusher(world: PushWorld) -> None:
    await saved(world, "key")
    state = DigestState(1, "token", due_ts=5, last_ts=4, mails=3, told=2)
    async with world.database.write() as tx:
        await tables.save_digest(tx, DigestState(1, "token"))
        await tables.save_digest(tx, state)
        assert await tables.digests(tx) == [state]
        found = await tables.pusher_of_token(tx, "token")
        assert found is not None
        assert found.pusher_id == 1
        await tables.delete_pushers(tx, [1])
        assert await tables.digests(tx) == []
        assert await tables.pusher_of_token(tx, "token") is None


async def test_what_came_while_a_pusher_was_off_counts_as_settled(world: PushWorld) -> None:
    key = PusherKey(BOB, "app", "key")
    found = []
    async with world.database.write() as tx:
        for position, enabled in ((7, True), (8, False), (9, True), (10, True)):
            await tables.save_pusher(tx, key, PHONE, replace(FORM, enabled=enabled), 5, Position(position))
            found += [(each.form.enabled, each.delivered) for each in await tables.pushers_of(tx, BOB)]
    assert found == [(True, 7), (False, 7), (True, 9), (True, 9)]
