from typing import Any

import pytest

from watchword.server.rooms.retention_policy import RetentionSettings

DAY = 86_400_000


@pytest.mark.parametrize(
    ("settings", "content", "expected"),
    [
        (RetentionSettings(), {"max_lifetime": DAY}, None),
        (RetentionSettings(True), {}, None),
        (RetentionSettings(True), {"max_lifetime": DAY}, DAY),
        (RetentionSettings(True), {"max_lifetime": DAY, "min_lifetime": DAY}, DAY),
        (RetentionSettings(True), {"max_lifetime": DAY, "min_lifetime": 2 * DAY}, None),
        (RetentionSettings(True), {"max_lifetime": DAY, "min_lifetime": "x"}, None),
        (RetentionSettings(True), {"max_lifetime": 0}, None),
        (RetentionSettings(True), {"max_lifetime": True}, None),
        (RetentionSettings(True), {"max_lifetime": "x"}, None),
        (RetentionSettings(True, default_ms=DAY), {}, DAY),
        (RetentionSettings(True, default_ms=DAY), {"max_lifetime": 5 * DAY}, 5 * DAY),
        (RetentionSettings(True, least_ms=2 * DAY), {"max_lifetime": DAY}, 2 * DAY),
        (RetentionSettings(True, most_ms=2 * DAY), {"max_lifetime": 5 * DAY}, 2 * DAY),
        (RetentionSettings(True, default_ms=9 * DAY, most_ms=2 * DAY), {}, 2 * DAY),
    ],
)
def test_a_room_has_its_wish_within_what_the_operator_allows(
    settings: RetentionSettings, content: dict[str, Any], expected: int | None
) -> None:
    assert settings.lifetime(content) == expected


def test_clients_are_told_what_holds() -> None:
    assert RetentionSettings().configuration() == {"policies": {}, "limits": {}}
    assert RetentionSettings(True).configuration() == {"policies": {"*": {}}, "limits": {}}
    assert RetentionSettings(True, DAY, DAY, 9 * DAY).configuration() == {
        "policies": {"*": {"max_lifetime": DAY}},
        "limits": {"max_lifetime": {"min": DAY, "max": 9 * DAY}},
    }
