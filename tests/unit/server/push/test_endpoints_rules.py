from typing import Any

import pytest

from tests.unit.server.push.world import ALICE, BOB, PushWorld
from watchword.protocol.push_rules import RuleSet

CAKE: dict[str, Any] = {"actions": ["notify"], "pattern": "cake"}


async def test_everybody_begins_with_the_predefined_rules(world: PushWorld) -> None:
    expected = RuleSet.default(BOB).to_json()
    assert await world.ask(BOB, "GET", "pushrules/") == {"global": expected}
    assert await world.ask(BOB, "GET", "pushrules/global/") == expected


async def test_the_rules_are_account_data_also_while_nothing_was_changed(world: PushWorld) -> None:
    path = f"user/{BOB}/account_data/m.push_rules"
    assert await world.ask(BOB, "GET", path) == RuleSet.default(BOB).to_account_data()
    await world.ask(BOB, "PUT", "pushrules/global/content/cake", CAKE)
    assert (await world.ask(BOB, "GET", path))["global"]["content"][0]["rule_id"] == "cake"
    assert await world.refused(ALICE, "GET", path) == (403, "M_FORBIDDEN")
    assert (await world.refused(BOB, "PUT", path, {}))[0] == 405


async def test_rules_predefined_since_they_were_stored_are_synced(world: PushWorld) -> None:
    stored: dict[str, Any] = {"global": {"content": [{"rule_id": "cake", "default": False, "enabled": True, **CAKE}]}}
    async with world.database.write() as tx:
        await world.accounts.user_data.put_account_data(tx, BOB, None, "m.push_rules", stored)
    expected = await world.ask(BOB, "GET", "pushrules/")
    assert expected["global"]["content"] == stored["global"]["content"]
    assert len(expected["global"]["override"]) == len(RuleSet.default(BOB).override)
    events = (await world.sync(BOB))["account_data"]["events"]
    assert [event["content"] for event in events if event["type"] == "m.push_rules"] == [expected]


async def test_a_rule_is_made_changed_and_deleted(world: PushWorld) -> None:
    path = "pushrules/global/content/cake"
    assert await world.ask(BOB, "PUT", path, CAKE) == {}
    made = {"rule_id": "cake", "default": False, "enabled": True, "actions": ["notify"], "pattern": "cake"}
    assert await world.ask(BOB, "GET", path) == made
    await world.ask(BOB, "PUT", f"{path}/enabled", {"enabled": False})
    await world.ask(BOB, "PUT", f"{path}/actions", {"actions": []})
    assert await world.ask(BOB, "GET", f"{path}/enabled") == {"enabled": False}
    assert await world.ask(BOB, "GET", f"{path}/actions") == {"actions": []}
    await world.ask(BOB, "DELETE", path)
    assert await world.refused(BOB, "GET", path) == (404, "M_NOT_FOUND")


async def test_rules_stand_where_they_were_put(world: PushWorld) -> None:
    for name in ("one", "two"):
        await world.ask(BOB, "PUT", f"pushrules/global/content/{name}", CAKE)
    await world.ask(BOB, "PUT", "pushrules/global/content/three", CAKE, after="one")
    await world.ask(BOB, "PUT", "pushrules/global/content/four", CAKE, before="one", after="two")
    rules = (await world.ask(BOB, "GET", "pushrules/global/"))["content"]
    assert [rule["rule_id"] for rule in rules] == ["two", "four", "one", "three"]


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("GET", "content/none", None, (404, "M_NOT_FOUND")),
        ("GET", "nonsense/none", None, (404, "M_NOT_FOUND")),
        ("GET", "content/none/enabled", None, (404, "M_NOT_FOUND")),
        ("GET", "content/none/actions", None, (404, "M_NOT_FOUND")),
        ("DELETE", "content/none", None, (404, "M_NOT_FOUND")),
        ("DELETE", "override/.m.rule.master", None, (400, "M_INVALID_PARAM")),
        ("PUT", "content/.dot", CAKE, (400, "M_INVALID_PARAM")),
        ("PUT", "nonsense/cake", CAKE, (400, "M_INVALID_PARAM")),
        ("PUT", "content/cake", {"pattern": "cake"}, (400, "M_MISSING_PARAM")),
        ("PUT", "content/cake", {"actions": []}, (400, "M_MISSING_PARAM")),
        ("PUT", "content/none/enabled", {"enabled": True}, (404, "M_NOT_FOUND")),
        ("PUT", "content/none/enabled", {"enabled": "yes"}, (400, "M_BAD_JSON")),
        ("PUT", "content/none/enabled", {}, (400, "M_MISSING_PARAM")),
        ("PUT", "content/none/actions", {"actions": []}, (404, "M_NOT_FOUND")),
        ("PUT", "content/none/actions", {}, (400, "M_MISSING_PARAM")),
        ("PUT", "override/.m.rule.master/actions", {"actions": "notify"}, (400, "M_BAD_JSON")),
    ],
)
async def test_refusals(world: PushWorld, method: str, path: str, body: Any, expected: tuple[int, str]) -> None:
    assert await world.refused(BOB, method, f"pushrules/global/{path}", body) == expected


async def test_an_unknown_neighbour_is_refused(world: PushWorld) -> None:
    path = "pushrules/global/content/cake"
    assert await world.refused(BOB, "PUT", path, CAKE, before="none") == (404, "M_NOT_FOUND")
