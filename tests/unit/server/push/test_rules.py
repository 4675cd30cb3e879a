from pathlib import Path

import orjson

from tests.unit.server.push.world import ALICE, BOB, PushWorld
from watchword.base.errors import NotFound
from watchword.protocol.push_rule_editing import set_enabled
from watchword.protocol.push_rules import RuleSet
from watchword.server.push.rules import PUSH_RULES


def without_master(rules: RuleSet) -> RuleSet:
    return set_enabled(rules, "override", ".m.rule.master", True)


async def test_who_changed_nothing_shares_one_compiled_set(world: PushWorld) -> None:
    rules = world.push.rules
    assert await rules.ready(ALICE) is await rules.ready(BOB)


async def test_who_changed_nothing_reads_rules_that_name_him(world: PushWorld) -> None:
    rules = world.push.rules
    for user_id in (ALICE, BOB):
        expected = RuleSet.default(user_id, rules.predefined).to_account_data()
        assert orjson.loads(await rules.content(user_id)) == expected
        assert user_id in str(expected)


async def test_a_change_is_compiled_anew_and_stored_as_account_data(world: PushWorld) -> None:
    rules = world.push.rules
    before = await rules.ready(BOB)
    await rules.change(BOB, without_master)
    assert await rules.ready(BOB) is not before
    assert await rules.ready(ALICE) is before
    stored = await world.accounts.reader.account_data(BOB, None, PUSH_RULES)
    assert stored is not None
    assert stored == await rules.content(BOB)
    assert orjson.loads(stored)["global"]["override"][0]["enabled"] is True


async def test_a_change_that_changes_nothing_tells_nobody(world: PushWorld) -> None:
    await world.push.rules.change(BOB, without_master)
    position = world.log.position
    await world.push.rules.change(BOB, without_master)
    assert world.log.position == position


async def test_a_failed_change_leaves_the_rules(world: PushWorld) -> None:
    before = await world.push.rules.rule_set(BOB)
    try:
        await world.push.rules.change(BOB, lambda rules: set_enabled(rules, "content", "none", True))
    except NotFound:
        assert await world.push.rules.rule_set(BOB) == before


async def test_devices_get_the_rules_with_the_first_sync_and_after_each_change(world: PushWorld) -> None:
    first = await world.sync(BOB)
    rules = [event for event in first["account_data"]["events"] if event["type"] == PUSH_RULES]
    assert rules == [{"type": PUSH_RULES, "content": RuleSet.default(BOB).to_account_data()}]
    await world.push.rules.change(BOB, without_master)
    news = await world.sync(BOB, first["next_batch"])
    assert [event["type"] for event in news["account_data"]["events"]] == [PUSH_RULES]
    again = await world.sync(BOB)
    assert len([event for event in again["account_data"]["events"] if event["type"] == PUSH_RULES]) == 1


async def test_stored_nonsense_reads_as_nothing(world: PushWorld, tmp_path: Path) -> None:
    async with world.database.write() as tx:
        await world.accounts.user_data.put_account_data(tx, BOB, None, PUSH_RULES, {"global": []})
    assert await world.push.rules.rule_set(BOB) == RuleSet.default(BOB)


async def test_a_deactivated_user_is_forgotten(world: PushWorld) -> None:
    before = await world.push.rules.ready(BOB)
    assert before is not None
    await world.accounts.admin.deactivate(BOB, erase=False)
    assert await world.push.rules.rule_set(BOB) == RuleSet.default(BOB)
