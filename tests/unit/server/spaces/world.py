"""Servers with spaces: one with its doors, or several that know each other."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.unit.server.rooms.stacks import Network, Stack
from tests.unit.server.rooms.world import HERE, World
from watchword.base.entropy import SeededEntropy
from watchword.base.errors import PeerError
from watchword.protocol.ids import RoomId, ServerName, UserId
from watchword.server.spaces import endpoints as space_doors
from watchword.server.spaces.assembly import assemble_spaces
from watchword.server.spaces.commands import HierarchyQuery
from watchword.server.spaces.service import Spaces

V1 = "/_matrix/client/v1"


class Played:
    """Other servers that say what they are told to. Fits RemoteSpaces."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.asked: list[tuple[str, str, bool]] = []

    async def hierarchy(self, server: ServerName, room_id: RoomId, suggested_only: bool) -> Mapping[str, Any]:
        self.asked.append((server, room_id, suggested_only))
        if room_id not in self.answers:
            raise PeerError(server, "it does not know this room", status=404)
        answer: Mapping[str, Any] = self.answers[room_id]
        return answer


class SpaceWorld(World):
    """The world of rooms, with spaces. played: the other servers."""

    spaces: Spaces
    played: Played

    def _build_sync(self) -> None:
        super()._build_sync()
        self.played = Played()
        self.spaces = assemble_spaces(HERE, self.clock, SeededEntropy(3), self, self.membership, self.played)

    async def start(self) -> "SpaceWorld":
        for endpoint in space_doors.ENDPOINTS:
            self._table.add(endpoint.method, endpoint.path, (endpoint, self.spaces))
        await super().start()
        return self

    async def space(self, creator: UserId, *children: RoomId, **body: Any) -> RoomId:
        """A public space with children."""
        self.clock.advance(1)
        content = {"type": "m.space", **body.pop("creation_content", {})}
        room_id = await self.room(creator, **{"preset": "public_chat", **body}, creation_content=content)
        for child in children:
            await self.adopt(creator, room_id, child)
        return room_id

    async def adopt(self, user_id: UserId, space: RoomId, child: RoomId, **content: Any) -> None:
        """Name a child of a space."""
        self.clock.advance(1)
        await self.set_state(user_id, space, "m.space.child", {"via": [HERE], **content}, child)

    async def another(self, creator: UserId, **body: Any) -> RoomId:
        """A room that is not the one of the moment before."""
        self.clock.advance(1)
        return await self.room(creator, **{"preset": "public_chat", **body})

    async def tree(self, user_id: UserId, room_id: RoomId, **query: Any) -> list[str]:
        """The rooms of a hierarchy."""
        body = await self.ask(user_id, "GET", f"{V1}/rooms/{room_id}/hierarchy", **query)
        return [room["room_id"] for room in body["rooms"]]


@asynccontextmanager
async def open_space_world(folder: Path, **options: Any) -> AsyncIterator[SpaceWorld]:
    """A world for the length of a block."""
    world = await SpaceWorld(folder, **options).start()
    try:
        yield world
    finally:
        await world.close()


class Between:
    """What the stacks of a network tell each other. Fits RemoteSpaces."""

    def __init__(self, network: Network, name: ServerName, spaces: Mapping[ServerName, Spaces]) -> None:
        self._network = network
        self._name = name
        self._spaces = spaces

    async def hierarchy(self, server: ServerName, room_id: RoomId, suggested_only: bool) -> Mapping[str, Any]:
        async def ask(stack: Stack) -> Any:
            return await self._spaces[stack.name].for_server(self._name, room_id, suggested_only=suggested_only)

        answer: Mapping[str, Any] = await self._network.call(self._name, server, "hierarchy", ask)
        return answer


def spaces_of(network: Network) -> Mapping[ServerName, Spaces]:
    """Spaces for every stack of a network."""
    spaces: dict[ServerName, Spaces] = {}
    for name, stack in network.stacks.items():
        between = Between(network, name, spaces)
        spaces[name] = assemble_spaces(name, stack.clock, SeededEntropy(5), stack.rooms, stack.rooms.membership, between)
    return spaces


async def seen(spaces: Spaces, user_id: UserId, room_id: RoomId) -> Sequence[str]:
    """The rooms of a hierarchy as a user of a stack sees it."""
    body = await spaces.hierarchy(HierarchyQuery(user_id, room_id, False, 100, 100))
    return [room["room_id"] for room in body["rooms"]]
