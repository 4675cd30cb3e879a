"""A server with search on top of rooms."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.unit.server.rooms.world import HERE, World
from watchword.protocol.ids import EventId, RoomId, UserId
from watchword.server.rooms.catalogue import RoomCatalogue
from watchword.server.search import SCHEMA
from watchword.server.search import endpoints as search_doors
from watchword.server.search.assembly import Search, SearchSettings, assemble_search
from watchword.storage import Schema, migrate

UNSTABLE = "/_matrix/client/unstable/uk.half-shot.msc2666/user/mutual_rooms"


class SearchWorld(World):
    """The world of rooms, with search."""

    everybody_here = True
    search: Search
    catalogue: RoomCatalogue

    def _build_sync(self) -> None:
        super()._build_sync()
        self.catalogue = RoomCatalogue(self.registry, self.events, self.names)
        self.rebuild_search()

    def rebuild_search(self) -> None:
        """Search as after a restart: it remembers nothing."""
        settings = SearchSettings(HERE, self.everybody_here)
        self.search = assemble_search(settings, self.database, self.log, self.clock, self, self.accounts.reader)

    async def start(self) -> "SearchWorld":
        await migrate(self.database, [Schema("storage", "watchword.storage"), SCHEMA])
        await super().start()
        await self.mount_search()
        return self

    async def mount_search(self) -> None:
        await self.search.start()
        for endpoint in search_doors.ENDPOINTS:
            self._table.add(endpoint.method, endpoint.path, (endpoint, self.search))

    # Shorthands

    async def finds(self, user_id: UserId, term: str, *, next_batch: str | None = None, **criteria: Any) -> Mapping[str, Any]:
        """The answer to a search of room events."""
        body = {"search_categories": {"room_events": {"search_term": term, **criteria}}}
        answer = await self.ask(user_id, "POST", "search", body, next_batch=next_batch)
        found: Mapping[str, Any] = answer["search_categories"]["room_events"]
        return found

    async def texts(self, user_id: UserId, term: str, **criteria: Any) -> list[str]:
        """What of the results is their text."""
        return texts_of(await self.finds(user_id, term, **criteria))

    async def people(self, user_id: UserId, term: str, **body: Any) -> list[str]:
        """Who is found, in order."""
        answer = await self.ask(user_id, "POST", "user_directory/search", {"search_term": term, **body})
        return [found["user_id"] for found in answer["results"]]

    async def edit(self, user_id: UserId, room_id: RoomId, event_id: EventId, text: str) -> EventId:
        return await self.send(
            user_id,
            room_id,
            "* " + text,
            **{
                "m.new_content": {"msgtype": "m.text", "body": text},
                "m.relates_to": {"rel_type": "m.replace", "event_id": event_id},
            },
        )

    async def redact(self, user_id: UserId, room_id: RoomId, event_id: EventId) -> EventId:
        path = f"rooms/{room_id}/redact/{event_id}/r{self.log.position}"
        return EventId((await self.ask(user_id, "PUT", path, {}))["event_id"])


def texts_of(found: Mapping[str, Any]) -> list[str]:
    """The texts of results, whatever they are."""
    contents: Sequence[Mapping[str, Any]] = [result["result"]["content"] for result in found["results"]]
    return [content.get("body") or content.get("name") or content.get("topic", "") for content in contents]


@asynccontextmanager
async def open_search_world(folder: Path, **options: Any) -> AsyncIterator[SearchWorld]:
    """A world for the length of a block."""
    world = await SearchWorld(folder, **options).start()
    try:
        yield world
    finally:
        await world.close()
