"""Walking through a space, depth first, each room once, a page at a time.

Theory of operation. What is still to be visited is a stack: a room's children are put on it in reverse, so that the first
comes off first. A page ends when it is full; the stack and the rooms seen so far are kept under a token, which is good for
several tries, and for the same question alone. Rooms of this server are described here; others by the server that described
their parent, or by the servers that the space names. Several of those are asked at the same time, just before their turn.

Spec: client-server-api#get_matrixclientv1roomsroomidhierarchy
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.entropy import Entropy
from watchword.base.errors import BadRequest, Forbidden
from watchword.protocol.ids import RoomId, ServerName, UserId, domain_of
from watchword.server.spaces.commands import Described, HierarchyQuery
from watchword.server.spaces.remote import RemoteRooms
from watchword.server.spaces.sight import Sight

_FORBIDDEN = "You are not allowed to view this room."


class Visit(NamedTuple):
    """A room to be visited. told: what the server that described its parent said of it; refused: that it is for nobody."""

    room_id: RoomId
    via: Sequence[ServerName]
    depth: int
    told: Described | None = None
    refused: bool = False


class _Kept(NamedTuple):
    """A walk between two pages."""

    user_id: UserId
    question: tuple[RoomId, bool, int]
    stack: Sequence[Visit]
    seen: frozenset[RoomId]
    until_ms: int


@dataclass
class _Page:
    """One page in the making."""

    query: HierarchyQuery
    stack: list[Visit]
    seen: set[RoomId]
    deadline_ms: int
    rooms: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class HierarchyWalks:
    """Walks, and remembers where walks are."""

    sight: Sight
    remote: RemoteRooms
    clock: Clock
    entropy: Entropy
    _kept: dict[str, _Kept] = field(default_factory=dict)

    async def page(self, query: HierarchyQuery) -> dict[str, Any]:
        """The body of /hierarchy. Raises Forbidden, BadRequest M_INVALID_PARAM."""
        page = self._resumed(query) if query.token is not None else await self._begun(query)
        while page.stack and len(page.rooms) < query.limit:
            await self._prepare(page)
            visit = page.stack.pop()
            if visit.room_id not in page.seen and len(page.seen) < limits.space_rooms_max:
                page.seen.add(visit.room_id)
                await self._visit(page, visit)
        body: dict[str, Any] = {"rooms": page.rooms}
        page.stack = [visit for visit in page.stack if visit.room_id not in page.seen]
        if page.stack and len(page.seen) < limits.space_rooms_max:
            body["next_batch"] = self._keep(page)
        return body

    # Between pages

    async def _begun(self, query: HierarchyQuery) -> _Page:
        root = Visit(query.room_id, [domain_of(query.room_id)] if domain_of(query.room_id) else [], 0)
        page = _Page(query, [root], set(), self.clock.monotonic_ms() + limits.space_page_ms_max)
        described = await self._described(page, root)
        if described is None or not await self.sight.user_sees(query.user_id, described):
            raise Forbidden(_FORBIDDEN)
        return page

    def _resumed(self, query: HierarchyQuery) -> _Page:
        kept = self._kept.get(query.token or "")
        if kept is None or kept.user_id != query.user_id or kept.until_ms <= self.clock.monotonic_ms():
            raise BadRequest("M_INVALID_PARAM", "from was not given by this server, or is too old.")
        if kept.question != (query.room_id, query.suggested_only, query.max_depth):
            raise BadRequest("M_INVALID_PARAM", "suggested_only and max_depth cannot change on paginated requests.")
        return _Page(query, list(kept.stack), set(kept.seen), self.clock.monotonic_ms() + limits.space_page_ms_max)

    def _keep(self, page: _Page) -> str:
        now_ms, query = self.clock.monotonic_ms(), page.query
        visits = len(page.stack) + sum(len(kept.stack) for kept in self._kept.values())
        while self._kept and (
            len(self._kept) >= limits.space_walks_max
            or visits > limits.space_visits_kept_max
            or next(iter(self._kept.values())).until_ms <= now_ms
        ):
            visits -= len(self._kept.pop(next(iter(self._kept))).stack)
        token = self.entropy.token()
        question = (query.room_id, query.suggested_only, query.max_depth)
        self._kept[token] = _Kept(
            query.user_id, question, tuple(page.stack), frozenset(page.seen), now_ms + limits.space_walk_ms
        )
        return token

    # Visits

    async def _visit(self, page: _Page, visit: Visit) -> None:
        described = await self._described(page, visit)
        if described is None or not await self.sight.user_sees(page.query.user_id, described):
            return
        children = [child for child in described.children if child.suggested or not page.query.suggested_only]
        page.rooms.append({**described.entry, "children_state": [child.stripped for child in children]})
        if visit.depth >= page.query.max_depth:
            return
        for child in reversed(children):
            if child.room_id not in page.seen and len(page.stack) < limits.space_rooms_max:
                relatives: Mapping[RoomId, Described | None] = described.relatives
                told = relatives.get(child.room_id)
                refused = child.room_id in relatives and told is None
                page.stack.append(Visit(child.room_id, child.via, visit.depth + 1, told, refused))

    async def _described(self, page: _Page, visit: Visit) -> Described | None:
        found = await self.sight.local(visit.room_id)
        if found is not None or visit.refused:
            return found
        if visit.told is not None and not self._is_to_be_opened(page, visit.told):
            return visit.told
        return await self._asked(page, visit) or visit.told

    def _is_to_be_opened(self, page: _Page, told: Described) -> bool:
        """Whether what a server said of a child does not do: of a space we want the children, too."""
        return told.entry.get("room_type") == "m.space"

    async def _asked(self, page: _Page, visit: Visit) -> Described | None:
        left_ms = page.deadline_ms - self.clock.monotonic_ms()
        if left_ms <= 0:
            # Whoever asks for the next page will find what is described by then.
            return None
        return await self.remote.described(
            visit.room_id, visit.via, suggested_only=page.query.suggested_only, timeout_ms=left_ms
        )

    async def _prepare(self, page: _Page) -> None:
        """Ask about the next rooms on the stack at the same time, if the very next is one to ask about."""
        if not await self._must_ask(page, page.stack[-1]):
            return
        ahead = min(limits.space_asked_at_once, page.query.limit - len(page.rooms))
        upcoming = {visit.room_id: visit for visit in page.stack[-ahead:] if visit.room_id not in page.seen}
        wanted = [visit for visit in upcoming.values() if await self._must_ask(page, visit)]
        async with asyncio.TaskGroup() as group:
            for visit in wanted:
                group.create_task(self._asked(page, visit))

    async def _must_ask(self, page: _Page, visit: Visit) -> bool:
        if visit.room_id in page.seen or visit.refused:
            return False
        if visit.told is not None and not self._is_to_be_opened(page, visit.told):
            return False
        room = await self.sight.rooms.registry.find(visit.room_id)
        return room is None or not room.is_alive
