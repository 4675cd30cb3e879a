"""What became of a user's notifications, for an operator who is asked why nothing comes.

Outcomes and counts only: no keys of devices, no addresses, nothing of what was said.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from watchword.base import limits
from watchword.protocol.ids import UserId
from watchword.server.push import tables
from watchword.server.push.commands import JournalEntry, Pusher, Removal
from watchword.storage import Database


@dataclass(frozen=True, slots=True)
class PusherStory:
    """A pusher and what became of its last notifications, the newest first."""

    pusher: Pusher
    entries: Sequence[JournalEntry]


@dataclass(frozen=True, slots=True)
class PushStory:
    """A user's pushers, the oldest first, and those that are gone, the newest first."""

    pushers: Sequence[PusherStory]
    removals: Sequence[Removal]


@dataclass(frozen=True)
class PushJournal:
    """Reads the journal."""

    database: Database

    async def of(self, user_id: UserId, entries_max: int = limits.push_journal_max) -> PushStory:
        """All there is about a user, with no more than so many entries for each pusher."""
        kept = min(entries_max, limits.push_journal_max)
        async with self.database.read() as tx:
            pushers = await tables.pushers_of(tx, user_id)
            stories = [PusherStory(pusher, await tables.journal(tx, pusher.pusher_id, kept)) for pusher in pushers]
            return PushStory(stories, await tables.removals(tx, user_id, limits.push_removals_max))
