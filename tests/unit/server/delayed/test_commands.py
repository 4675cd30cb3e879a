"""The words of delayed events."""

from watchword.protocol.ids import RoomId, UserId
from watchword.server.delayed.commands import DelayedEvent
from watchword.server.rooms.commands import LaterEvent


def test_an_event_is_due_when_its_delay_is_over() -> None:
    event = LaterEvent(RoomId("!r:here.example"), "m.x", {}, 500)
    assert DelayedEvent("id", UserId("@alice:here.example"), "", event, 1_000, 0).send_ts == 1_500
