"""What other servers are sure to be told of sticky events: those of ours, also from before they came.

A server that has just joined cannot ask for what it does not know of. So each server that is there tells it of its own; of
those of others it could not tell what comes before them.

Spec: proposals/4354
"""

from collections.abc import Sequence
from dataclasses import dataclass

from watchword.protocol.ids import EventId, RoomId, ServerName, domain_of
from watchword.server.accounts.reader import AccountReader
from watchword.server.changes import EventAppended
from watchword.server.rooms.reader import RoomReader
from watchword.storage import Position


@dataclass(frozen=True)
class StickyForServers:
    """Fits `federation.ports.StickyOut`."""

    rooms: RoomReader
    accounts: AccountReader

    def is_sticky(self, event: EventAppended) -> bool:
        """Whether an event is sticky now."""
        return event.event_id in self.rooms.sticky.of(event.room_id)

    async def for_newcomer(self, join: EventAppended, position: Position) -> tuple[ServerName, Sequence[EventAppended]] | None:
        """Which server has just come with a join at a position, and the sticky events of ours from before, oldest first.

        None where nobody has come, or there is nothing to tell.
        """
        if join.membership != "join" or join.state_key is None:
            return None
        server = domain_of(join.state_key)
        own = self._own(join.room_id, position)
        if server == self.rooms.server_name or not own:
            return None
        if server in await self.rooms.servers_at(join.room_id, Position(position - 1)):
            return None
        async with self.rooms.database.read() as tx:
            events = await self.rooms.events.many(tx, own)
        found = []
        for event_id in own:
            event = events.get(event_id)
            if event is None or not event.is_shown or await self.accounts.is_erased(event.pdu.sender):
                continue
            pdu = event.pdu
            found.append(EventAppended(pdu.room_id, event_id, pdu.type, pdu.state_key, pdu.sender, sender_is_local=True))
        return (server, found) if found else None

    def _own(self, room_id: RoomId, position: int) -> list[EventId]:
        entries = self.rooms.sticky.of(room_id)
        ours = [
            (entry.position, event_id)
            for event_id, entry in entries.items()
            if entry.position < position and domain_of(entry.sender) == self.rooms.server_name
        ]
        return [event_id for _, event_id in sorted(ours)]
