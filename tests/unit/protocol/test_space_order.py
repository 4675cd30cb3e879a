import json
from pathlib import Path

import pytest

from watchword.protocol.space_order import child_order, is_child

VECTORS = json.loads((Path(__file__).parents[2] / "data" / "vectors" / "space-children-order.json").read_text())


def test_children_come_in_the_order_of_the_specification() -> None:
    children = sorted(
        VECTORS["children"],
        key=lambda child: child_order(child["content"], child["origin_server_ts"], child["state_key"]),
    )
    assert [child["state_key"] for child in children] == VECTORS["expected_order"]


@pytest.mark.parametrize("order", [None, 1, "", "a" * 51, "é", "a\n", "\x7f", ["a"]])
def test_an_invalid_order_counts_as_none(order: object) -> None:
    assert child_order({"order": order}, 5, "!a") == child_order({}, 5, "!a")


def test_children_of_the_same_time_are_ordered_by_room_id() -> None:
    assert child_order({"order": "a"}, 5, "!a") < child_order({"order": "a"}, 5, "!b") < child_order({}, 1, "!a")


def test_only_a_valid_via_makes_a_child() -> None:
    assert is_child({"via": ["a.org"]})
    assert not is_child({})
    assert not any(is_child({"via": via}) for via in ([], "a.org", ["a.org", 1], None))
