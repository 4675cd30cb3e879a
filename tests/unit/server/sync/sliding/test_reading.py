"""What both forms read alike, and what they refuse."""

from typing import Any

import pytest

from watchword.base import limits
from watchword.base.errors import BadRequest
from watchword.protocol.ids import RoomId
from watchword.server.sync.sliding import reading
from watchword.server.sync.sliding.commands import ExtensionsWanted, RoomConfig, RoomFilter, Scope, ToDeviceWanted

CONFIG = RoomConfig(1, ())


def rules(body: dict[str, Any]) -> Any:
    return reading.rules(body, lambda entry: CONFIG, lambda entry: None, "is_invite")


def filtered(**filters: Any) -> RoomFilter:
    found: RoomFilter = rules({"lists": {"a": {"filters": filters}}}).lists[0].room_filter
    return found


def test_filters_are_read() -> None:
    assert filtered() == RoomFilter()
    assert filtered(is_invite=True, spaces=["!s:b"], room_types=[None, "x"], not_tags=["t"], is_dm=None) == RoomFilter(
        is_invited=True, spaces=(RoomId("!s:b"),), room_types=(None, "x"), not_tags=("t",)
    )


@pytest.mark.parametrize(
    "body",
    [
        {"lists": []},
        {"lists": {"a": 1}},
        {"lists": {"a": {"filters": []}}},
        {"lists": {"a": {"filters": {"is_dm": 1}}}},
        {"lists": {"a": {"filters": {"room_types": [1]}}}},
        {"lists": {"a": {"filters": {"tags": [None]}}}},
        {"lists": {"a": {"filters": {"tags": "t"}}}},
        {"lists": {"a": {"filters": {"spaces": ["!s:b"] * 1_000}}}},
        {"lists": {"a" * 1_000: {}}},
        {"lists": {str(number): {} for number in range(101)}},
        {"room_subscriptions": {str(number): {} for number in range(101)}},
        {"room_subscriptions": {"!r:b": []}},
    ],
)
def test_rules_that_are_not_formed_well_are_refused(body: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        rules(body)


@pytest.mark.parametrize("value", [[1], [2, 1], [-1, 1], [0, True], ["0", "1"], "01", None, [0, 1, 2]])
def test_a_window_must_be_two_indexes(value: Any) -> None:
    with pytest.raises(BadRequest):
        reading.window(value)


def test_a_window_is_read() -> None:
    assert reading.window([0, 10**18]) == (0, limits.canonical_integer_max)


def test_the_limit_of_the_timeline_is_bounded() -> None:
    assert reading.timeline_limit({"timeline_limit": 10**6}, None) == limits.sync_timeline_max
    assert reading.timeline_limit({}, 7) == 7
    for entry, default in (
        ({}, None),
        ({"timeline_limit": -1}, 1),
        ({"timeline_limit": True}, 1),
        ({"timeline_limit": 1.5}, 1),
    ):
        with pytest.raises(BadRequest):
            reading.timeline_limit(entry, default)


def test_the_name_of_the_connection() -> None:
    assert (reading.connection_id({}), reading.connection_id({"conn_id": "a"})) == ("", "a")
    for name in (1, "a" * 1_000):
        with pytest.raises(BadRequest):
            reading.connection_id({"conn_id": name})


def test_extensions_are_read() -> None:
    assert reading.extensions({}) == ExtensionsWanted()
    on = {"enabled": True}
    body = {
        "to_device": {**on, "since": "7", "limit": 1_000},
        "e2ee": on,
        "account_data": on,
        "receipts": {**on, "lists": ["a"], "rooms": ["*"]},
        "typing": {"enabled": False},
        "unknown": on,
    }
    assert reading.extensions({"extensions": body}) == ExtensionsWanted(
        ToDeviceWanted(7, limits.to_device_page_max), True, Scope(), Scope(frozenset({"a"}), None), None
    )


@pytest.mark.parametrize(
    "entry", [[], {"enabled": 1}, {"enabled": True, "since": "x"}, {"enabled": True, "since": 1}, {"enabled": True, "limit": 0}]
)
def test_extensions_that_are_not_formed_well_are_refused(entry: Any) -> None:
    with pytest.raises(BadRequest):
        reading.extensions({"extensions": {"to_device": entry}})
