"""What clients and other servers ask of spaces and of single rooms."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from watchword.base import limits
from watchword.base.errors import NotFound
from watchword.protocol.ids import RoomId, ServerName, UserId, domain_of
from watchword.server.spaces.commands import Described, HierarchyQuery
from watchword.server.spaces.ports import Resolver
from watchword.server.spaces.remote import RemoteRooms
from watchword.server.spaces.sight import Sight
from watchword.server.spaces.walk import HierarchyWalks

_SUMMARY_MS_MAX = 20_000


@dataclass(frozen=True)
class Spaces:
    """Give this to `Router.mount` with `endpoints.ENDPOINTS`."""

    sight: Sight
    remote: RemoteRooms
    walks: HierarchyWalks
    resolver: Resolver

    async def hierarchy(self, query: HierarchyQuery) -> dict[str, Any]:
        """A page of a space's rooms. Raises Forbidden, BadRequest."""
        return await self.walks.page(query)

    async def summary(self, user_id: UserId | None, name: str, via: Sequence[ServerName]) -> dict[str, Any]:
        """A room, named by ID or alias, as its summary. user_id: None if we do not know who asks. Raises NotFound.

        Spec: client-server-api#get_matrixclientv1room_summaryroomidoralias
        """
        room_id, servers = await self.resolver.resolve(name)
        described = await self.sight.local(room_id)
        if described is None:
            candidates = [*via, *servers, domain_of(room_id)]
            asked = [server for server in candidates if server]
            described = await self.remote.described(room_id, asked, suggested_only=False, timeout_ms=_SUMMARY_MS_MAX)
        if described is None or not await self.sight.user_sees(user_id, described):
            raise NotFound("There is no such room, or you may not see it.")
        if user_id is None:
            return dict(described.entry)
        row = (await self.sight.rooms.reader.memberships.of(user_id)).get(room_id)
        return {**described.entry, "membership": "leave" if row is None else row.membership}

    async def for_server(self, origin: ServerName, room_id: RoomId, *, suggested_only: bool) -> dict[str, Any]:
        """A room and its children, for another server. Raises NotFound.

        Spec: server-server-api#get_matrixfederationv1hierarchyroomid
        """
        described = await self.sight.local(room_id, suggested_only=suggested_only)
        if described is None or not await self.sight.server_sees(origin, described):
            raise NotFound("There is no such room here, or your server may not see it.")
        children: list[dict[str, Any]] = []
        inaccessible: list[RoomId] = []
        for child in described.children[: limits.space_children_max]:
            found: Described | None = await self.sight.local(child.room_id)
            if found is None:
                continue
            if await self.sight.server_sees(origin, found):
                children.append(dict(found.entry))
            else:
                inaccessible.append(child.room_id)
        room = {**described.entry, "children_state": [child.stripped for child in described.children]}
        return {"room": room, "children": children, "inaccessible_children": inaccessible}
