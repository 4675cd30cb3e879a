"""The plain topic of a room."""

from typing import Any

import pytest

from watchword.protocol.room_topic import plain_topic


@pytest.mark.parametrize(
    ("content", "topic"),
    [
        ({"topic": "Tea"}, "Tea"),
        ({"topic": 5}, None),
        ({}, None),
        ({"topic": "Tea", "m.topic": {"m.text": [{"body": "Cake"}]}}, "Cake"),
        ({"m.topic": {"m.text": [{"body": "<b>", "mimetype": "text/html"}, {"body": "b", "mimetype": "text/plain"}]}}, "b"),
        ({"topic": "b", "m.topic": {"m.text": [{"body": "<b>", "mimetype": "text/html"}]}}, None),
        ({"topic": "Tea", "m.topic": {"m.text": []}}, "Tea"),
        ({"topic": "Tea", "m.topic": {"m.text": "x"}}, "Tea"),
        ({"topic": "Tea", "m.topic": []}, "Tea"),
        ({"topic": "Tea", "m.topic": {"m.text": [5, {"body": 5}]}}, None),
    ],
)
def test_the_plain_form_is_the_topic(content: dict[str, Any], topic: str | None) -> None:
    assert plain_topic(content) == topic
