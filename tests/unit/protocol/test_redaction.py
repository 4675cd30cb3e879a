import json
from pathlib import Path
from typing import Any

import pytest

from watchword.protocol.redaction import redact
from watchword.protocol.room_versions import ROOM_VERSIONS, V10, V11, V12

VECTORS = json.loads((Path(__file__).parents[2] / "data" / "vectors" / "redaction-and-event-ids.json").read_text())


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: f"{case['case']}-{case['room_version']}")
def test_redaction_leaves_what_the_room_version_says(case: dict[str, Any]) -> None:
    assert redact(case["event"], ROOM_VERSIONS[case["room_version"]]) == case["redacted"]


def test_redaction_changes_nothing_in_its_argument() -> None:
    event = {"type": "m.room.message", "content": {"body": "a"}, "unsigned": {"age": 1}, "x": 1}
    redact(event, V12)
    assert event == {"type": "m.room.message", "content": {"body": "a"}, "unsigned": {"age": 1}, "x": 1}


def test_the_signed_part_of_a_third_party_invite_stays_since_version_11() -> None:
    event = {"type": "m.room.member", "content": {"third_party_invite": {"display_name": "a", "signed": {"token": "t"}}}}
    assert redact(event, V11)["content"] == {"third_party_invite": {"signed": {"token": "t"}}}
    assert redact(event, V10)["content"] == {}


@pytest.mark.parametrize("invite", [{}, {"display_name": "a"}, None, "signed", ["signed"]])
def test_a_third_party_invite_without_signed_part_goes(invite: object) -> None:
    assert redact({"type": "m.room.member", "content": {"third_party_invite": invite}}, V12)["content"] == {}


@pytest.mark.parametrize("content", [None, [], "membership", 1])
def test_content_that_is_no_object_becomes_an_empty_one(content: object) -> None:
    assert redact({"type": "m.room.member", "content": content}, V12)["content"] == {}


@pytest.mark.parametrize("event_type", [None, 1, ["m.room.create"], {}])
def test_an_event_without_a_proper_type_loses_all_content(event_type: object) -> None:
    assert redact({"type": event_type, "content": {"creator": "@a:b"}}, V12)["content"] == {}
