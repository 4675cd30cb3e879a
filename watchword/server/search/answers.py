"""The body of /search: results with what stands around them, groups, state. Spliced of encoded events.

Spec: client-server-api#post_matrixclientv3search
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.errors import Forbidden
from watchword.protocol.ids import EventId, RoomId, UserId
from watchword.server.rooms import records
from watchword.server.rooms.catalogue import RoomCatalogue, text_of
from watchword.server.rooms.reader import RoomReader
from watchword.server.rooms.stored import StoredEvent
from watchword.server.rooms.tokens import timeline_token
from watchword.server.search.commands import ContextWanted, Criteria
from watchword.server.search.finding import Hit
from watchword.server.search.matching import highlights
from watchword.server.search.segmentation import Term
from watchword.storage import Database, ReadTx

_MILLION = 1_000_000


class Group(NamedTuple):
    """Results that have something in common. next_batch: None if there are no more of them."""

    order: int
    hits: Sequence[Hit]
    next_batch: str | None


@dataclass(frozen=True, slots=True)
class Page:
    """What is to be answered."""

    criteria: Criteria
    terms: Sequence[Term]
    hits: Sequence[Hit]
    count: int
    next_batch: str | None
    groups: Mapping[str, Mapping[str, Group]]


@dataclass(frozen=True)
class Answers:
    """Encodes pages."""

    database: Database
    rooms: RoomReader
    catalogue: RoomCatalogue
    clock: Clock

    async def encode(self, page: Page) -> bytes:
        """The whole body."""
        now_ms = self.clock.now_ms()
        bundles = await self._bundles(page.hits, now_ms)
        results = [await self._result(page, hit, bundles.get(hit.event.event_id), now_ms) for hit in page.hits]
        plain: dict[str, Any] = {"count": page.count, "highlights": self._highlights(page)}
        if page.next_batch is not None:
            plain["next_batch"] = page.next_batch
        if page.groups:
            plain["groups"] = {
                key: {value: _group(group) for value, group in groups.items()} for key, groups in page.groups.items()
            }
        members = [orjson.dumps(plain)[1:-1], b'"results":[' + b",".join(results) + b"]"]
        if page.criteria.include_state:
            members.append(b'"state":' + await self._state(page, now_ms))
        return b'{"search_categories":{"room_events":{' + b",".join(members) + b"}}}"

    def _highlights(self, page: Page) -> list[str]:
        contents = [hit.event.pdu.content for hit in page.hits]
        texts = [text for content in contents for name in page.criteria.columns if (text := text_of(content, name))]
        beginnings = [text[: limits.search_weighed_characters_max] for text in texts]
        return highlights(page.terms, beginnings, limits.search_highlights_max)

    async def _bundles(self, hits: Sequence[Hit], now_ms: int) -> Mapping[EventId, bytes]:
        by_room: dict[RoomId, list[Hit]] = {}
        for hit in hits:
            by_room.setdefault(hit.event.pdu.room_id, []).append(hit)
        found: dict[EventId, bytes] = {}
        for listed in by_room.values():
            found.update(await self.rooms.bundles.encoded(listed[0].view, [hit.event for hit in listed], now_ms))
        return found

    async def _result(self, page: Page, hit: Hit, relations: bytes | None, now_ms: int) -> bytes:
        encoded = hit.view.encode(hit.event, now_ms, relations=relations)
        members = [b'"rank":' + orjson.dumps(hit.rank / _MILLION), b'"result":' + encoded]
        if page.criteria.context is not None:
            members.append(b'"context":' + await self._context(page.criteria.context, hit, now_ms))
        return b"{" + b",".join(members) + b"}"

    async def _context(self, wanted: ContextWanted, hit: Hit, now_ms: int) -> bytes:
        assert hit.event.ordering is not None, hit.event.event_id
        place, view = hit.event.ordering, hit.view
        async with self.database.read() as tx:
            before = await self.rooms.timeline(view, tx, (0, place - 1), wanted.before, backwards=True)
            after = await self.rooms.timeline(view, tx, (place, records.FOREVER), wanted.after, backwards=False)
            profiles = await self._profiles(tx, hit, (*before.events, *after.events)) if wanted.profiles else None
        bundles = await self.rooms.bundles.encoded(view, (*before.events, *after.events), now_ms)

        def encoded(events: Sequence[StoredEvent]) -> bytes:
            return b",".join(view.encode(event, now_ms, relations=bundles.get(event.event_id)) for event in events)

        first = before.events[-1] if before.events else hit.event
        last = after.events[-1] if after.events else hit.event
        plain: dict[str, Any] = {
            "start": timeline_token(max(0, (first.ordering or 1) - 1)),
            "end": timeline_token(last.ordering or 0),
        }
        if profiles is not None:
            plain["profile_info"] = profiles
        return b"".join(
            (
                orjson.dumps(plain)[:-1],
                b',"events_before":[',
                encoded(before.events),
                b'],"events_after":[',
                encoded(after.events),
                b"]}",
            )
        )

    async def _profiles(self, tx: ReadTx, hit: Hit, around: Sequence[StoredEvent]) -> dict[UserId, dict[str, str]]:
        """How the senders were called then."""
        found: dict[UserId, dict[str, str]] = {}
        for event in (hit.event, *around):
            if event.pdu.sender in found:
                continue
            member = await self.catalogue.member_at(tx, hit.view.room, event, event.pdu.sender)
            content = {} if member is None else member.content
            texts = ((name, text_of(content, name)) for name in ("displayname", "avatar_url"))
            found[event.pdu.sender] = {name: text for name, text in texts if text is not None}
        return found

    async def _state(self, page: Page, now_ms: int) -> bytes:
        views = {hit.event.pdu.room_id: hit.view for hit in page.hits}
        parts = []
        for room_id, view in views.items():
            events = await self._state_of(room_id, view.reader.user_id)
            encoded = b",".join(view.encode(event, now_ms) for event in events)
            parts.append(orjson.dumps(room_id) + b":[" + encoded + b"]")
        return b"{" + b",".join(parts) + b"}"

    async def _state_of(self, room_id: RoomId, user_id: UserId) -> list[StoredEvent]:
        try:
            _, state = await self.rooms.readable_state(room_id, user_id)
        except Forbidden:
            return []
        return list((await self.rooms.found(state.values())).values())


def _group(group: Group) -> dict[str, Any]:
    body: dict[str, Any] = {"order": group.order, "results": [hit.event.event_id for hit in group.hits]}
    if group.next_batch is not None:
        body["next_batch"] = group.next_batch
    return body
