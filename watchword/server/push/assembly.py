"""Push put together: the one object that the doors are mounted with, and from which `app.py` takes its parts."""

from dataclasses import dataclass

from watchword.base.clock import Clock
from watchword.base.entropy import Entropy
from watchword.server.accounts.assembly import Accounts
from watchword.server.changes import Change
from watchword.server.push.counts import UnreadCounter
from watchword.server.push.noted import NotedEvents
from watchword.server.push.rules import PushRules
from watchword.server.rooms.assembly import Rooms
from watchword.storage import Database, Log


@dataclass(frozen=True, slots=True)
class Push:
    """The parts. `run()` is for the server's task group."""

    rules: PushRules
    unread: UnreadCounter

    async def run(self) -> None:
        """Tell gateways of what is new, for ever."""


def assemble_push(
    database: Database, log: Log[Change], clock: Clock, entropy: Entropy, rooms: Rooms, accounts: Accounts
) -> Push:
    """Build everything of this feature. The log must not have begun to speak: counts listen to it."""
    rules = PushRules(database, accounts.reader, accounts.user_data)
    rules.listen(log)
    events = NotedEvents(rooms.reader)
    unread = UnreadCounter(database, rooms.reader, rooms.ephemeral, accounts.reader, rules, events, log)
    unread.listen()
    return Push(rules, unread)
