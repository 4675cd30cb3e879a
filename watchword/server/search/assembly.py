"""Search put together: the one object that the doors are mounted with, and from which `app.py` takes its parts."""

import asyncio
from dataclasses import dataclass

from watchword.base.clock import Clock
from watchword.protocol.ids import ServerName
from watchword.server.accounts.reader import AccountReader
from watchword.server.changes import Change
from watchword.server.search.answers import Answers
from watchword.server.search.finding import Finder
from watchword.server.search.follower import SearchFollower
from watchword.server.search.indexing import MessageIndex
from watchword.server.search.past import PastWalks
from watchword.server.search.people import People
from watchword.server.search.people_index import PeopleIndex
from watchword.server.search.ports import RoomParts
from watchword.server.search.service import SearchService
from watchword.storage import Database, Log


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """What an operator may choose. everybody_here: whether users of this server find each other without sharing a room."""

    server_name: ServerName
    everybody_here: bool = True


@dataclass(frozen=True, slots=True)
class Search:
    """The parts. `start()` comes before `run()`, which is for the server's task group."""

    messages: SearchService
    people: People
    follower: SearchFollower
    past: PastWalks

    async def start(self) -> None:
        """Find out where the last run ended."""
        await self.follower.start()

    async def run(self) -> None:
        """Keep the indexes, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.follower.run())
            group.create_task(self.past.run())


def assemble_search(
    settings: SearchSettings, database: Database, log: Log[Change], clock: Clock, rooms: RoomParts, accounts: AccountReader
) -> Search:
    """Build everything of this feature."""
    reader, catalogue = rooms.reader, rooms.catalogue
    messages = MessageIndex(reader, catalogue)
    people = PeopleIndex(database, reader, catalogue, accounts, settings.server_name)
    follower = SearchFollower(database, log, clock, messages, people)
    finder = Finder(database, reader, catalogue, accounts)
    return Search(
        messages=SearchService(database, finder, Answers(database, reader, catalogue, clock), follower),
        people=People(database, reader, accounts, people, follower, settings.server_name, settings.everybody_here),
        follower=follower,
        past=PastWalks(database, clock, messages, people),
    )
