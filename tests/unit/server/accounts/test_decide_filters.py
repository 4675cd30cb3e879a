"""What a filter may say, every branch."""

from typing import Any

import pytest

from watchword.server.accounts.decide_filters import filter_refusal


@pytest.mark.parametrize(
    "definition",
    [
        {},
        {"event_format": "federation", "event_fields": ["content.body"], "unknown": {"a": 1}},
        {"room": {"timeline": {"limit": 20, "lazy_load_members": True}, "rooms": ["!a:b"], "include_leave": False}},
        {"room": None, "presence": {"senders": None, "not_senders": ["@a:b"], "types": ["m.*"]}},
        {"room": {"timeline": {"limit": 0}, "state": {"contains_url": False, "not_rooms": []}}},
    ],
)
def test_these_filters_are_understood(definition: dict[str, Any]) -> None:
    assert filter_refusal(definition) is None


@pytest.mark.parametrize(
    ("definition", "key"),
    [
        ({"room": []}, "room"),
        ({"event_format": "xml"}, "event_format"),
        ({"event_fields": "content"}, "event_fields"),
        ({"event_fields": [1]}, "event_fields"),
        ({"event_fields": ["x"] * 1_001}, "event_fields"),
        ({"presence": {"limit": -1}}, "presence.limit"),
        ({"presence": {"limit": True}}, "presence.limit"),
        ({"presence": {"limit": "5"}}, "presence.limit"),
        ({"presence": {"senders": ["alice"]}}, "presence.senders"),
        ({"room": {"rooms": "!a:b"}}, "room.rooms"),
        ({"room": {"timeline": {"lazy_load_members": 1}}}, "room.timeline.lazy_load_members"),
        ({"room": {"timeline": 5}}, "room.timeline"),
    ],
)
def test_a_wrong_key_is_named(definition: dict[str, Any], key: str) -> None:
    refused = filter_refusal(definition)
    assert refused is not None
    assert refused.errcode == "M_BAD_JSON"
    assert refused.text.startswith(f"{key} ")
