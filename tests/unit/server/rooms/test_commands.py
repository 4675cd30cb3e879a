"""What the words of the endpoints mean."""

import pytest

from tests.unit.server.rooms.world import ALICE, BOB
from watchword.protocol.ids import RoomId
from watchword.server.rooms.commands import ChangeMembership


@pytest.mark.parametrize("action", ["join", "invite", "leave", "ban", "knock"])
def test_most_actions_are_called_as_the_membership_they_lead_to(action: str) -> None:
    assert ChangeMembership(RoomId("!r:here.example"), ALICE, BOB, action).membership == action


@pytest.mark.parametrize("action", ["kick", "unban"])
def test_kicking_and_unbanning_lead_to_having_left(action: str) -> None:
    assert ChangeMembership(RoomId("!r:here.example"), ALICE, BOB, action).membership == "leave"
