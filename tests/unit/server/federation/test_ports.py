"""What stands in for others where they are not there."""

from tests.unit.server.federation.stacks import BOB, ROOM
from watchword.protocol.ids import EventId
from watchword.server.changes import EventAppended
from watchword.server.federation.ports import NOTHING_STICKY
from watchword.storage import Position


async def test_a_server_without_sticky_events_owes_newcomers_nothing() -> None:
    join = EventAppended(ROOM, EventId("$e"), "m.room.member", BOB, BOB, False, "join")
    assert not NOTHING_STICKY.is_sticky(join)
    assert await NOTHING_STICKY.for_newcomer(join, Position(1)) is None
