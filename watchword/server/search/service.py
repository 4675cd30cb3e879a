"""Searching messages: which results make a page, in which order and groups.

By time, a page is the next results. By rank, it is taken from the newest few hundred results: to weigh all messages of all
times for one question would cost more than it is worth. A first page that whole words do not fill takes the words as
beginnings of words.

Spec: client-server-api#server-side-search
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from watchword.base import limits
from watchword.protocol.events import Pdu
from watchword.protocol.ids import EventId
from watchword.server.rooms.stored import StoredEvent
from watchword.server.rooms.view import Reader
from watchword.server.search import tables
from watchword.server.search.answers import Answers, Group, Page
from watchword.server.search.commands import FOREVER, Criteria, Order, Place
from watchword.server.search.finding import Finder, Hit, Walk
from watchword.server.search.matching import opened, rank, words_of
from watchword.server.search.parsing import place_token
from watchword.server.search.segmentation import Term, terms
from watchword.storage import Database, ReadTx


class Follows(Protocol):
    """Brings the index up to now. Fitted by `follower.SearchFollower` in this feature."""

    async def catch_up(self) -> None: ...


@dataclass(frozen=True)
class SearchService:
    """Searches messages."""

    database: Database
    finder: Finder
    answers: Answers
    follower: Follows

    async def search(self, reader: Reader, criteria: Criteria, place: Place | None) -> bytes:
        """The body of /search. place: where an earlier page ended."""
        await self.follower.catch_up()
        wanted = terms(criteria.term, limits.search_terms_max)
        async with self.database.read() as tx:
            if place is not None:
                walk, hits, more = await self._page(tx, reader, criteria, opened(wanted) if place.is_open else wanted, place)
            else:
                walk, hits, more = await self._first_page(tx, reader, criteria, wanted)
            page = await self._described(tx, walk, hits, more, place)
        await self.finder.forget(walk)
        return await self.answers.encode(page)

    async def _first_page(
        self, tx: ReadTx, reader: Reader, criteria: Criteria, wanted: Sequence[Term]
    ) -> tuple[Walk, list[Hit], bool]:
        found = await self._page(tx, reader, criteria, wanted, None)
        wider = opened(wanted)
        if found[2] or wider == list(wanted):
            return found
        return await self._page(tx, reader, criteria, wider, None)

    async def _page(
        self, tx: ReadTx, reader: Reader, criteria: Criteria, wanted: Sequence[Term], place: Place | None
    ) -> tuple[Walk, list[Hit], bool]:
        """The results of a page, and whether there may be more."""
        walk = await self.finder.walk(tx, reader, criteria, wanted, place)
        if criteria.order is Order.RECENT:
            hits = await self.finder.take(tx, walk, FOREVER if place is None else place.entry, criteria.limit + 1)
            return walk, hits[: criteria.limit], len(hits) > criteria.limit or not walk.ended
        hits = await self._ranked(tx, walk, place)
        return walk, hits[: criteria.limit], len(hits) > criteria.limit

    async def _ranked(self, tx: ReadTx, walk: Walk, place: Place | None) -> list[Hit]:
        """The newest results in order of rank, beyond a place."""
        newest = await self.finder.take(tx, walk, FOREVER if place is None else place.first + 1, limits.search_ranked_max)
        edits = await self._edits(tx, newest)
        ranked = [hit._replace(rank=_rank(walk, hit, edits.get(hit.event.event_id))) for hit in newest]
        ranked.sort(key=_by_rank)
        return ranked if place is None else [hit for hit in ranked if _by_rank(hit) > (-place.rank, -place.entry)]

    async def _edits(self, tx: ReadTx, hits: Sequence[Hit]) -> Mapping[EventId, StoredEvent]:
        by_room: dict[int, list[Pdu]] = {}
        for hit in hits:
            by_room.setdefault(hit.view.room.room_nid, []).append(hit.event.pdu)
        found: dict[EventId, StoredEvent] = {}
        for room_nid, pdus in by_room.items():
            found.update(await self.finder.catalogue.newest_edits(tx, room_nid, pdus))
        return found

    # What a page says besides

    async def _described(self, tx: ReadTx, walk: Walk, hits: Sequence[Hit], more: bool, place: Place | None) -> Page:
        criteria = walk.criteria
        is_open = any(term.is_open and len(term.words[0]) > 1 for term in walk.terms)
        first = max((hit.entry for hit in hits), default=0) if place is None else place.first
        if place is None and criteria.order is Order.RANK:
            match = await self.finder.match(tx, walk)
            newest = [] if match is None else await tables.hits(tx, match, FOREVER, 1)
            first = newest[0].entry if newest else 0
        last = Place(hits[-1].entry, hits[-1].rank, first, is_open) if hits else Place(walk.last_entry, 0, first, is_open)
        if place is not None:
            last = replace(last, group=place.group, value=place.value)
        return Page(
            criteria=criteria,
            terms=walk.terms,
            hits=hits,
            count=await self._count(tx, walk, hits, more, place),
            next_batch=place_token(last) if more else None,
            groups=await self._groups(tx, walk, hits, last, more),
        )

    async def _count(self, tx: ReadTx, walk: Walk, hits: Sequence[Hit], more: bool, place: Place | None) -> int:
        if place is None and not more:
            return len(hits)
        match = await self.finder.match(tx, walk)
        return 0 if match is None else max(len(hits), await tables.count(tx, match, limits.search_counted_max))

    async def _groups(
        self, tx: ReadTx, walk: Walk, hits: Sequence[Hit], last: Place, more: bool
    ) -> Mapping[str, Mapping[str, Group]]:
        groups: dict[str, dict[str, Group]] = {}
        for key in walk.criteria.group_by:
            members: dict[str, list[Hit]] = {}
            for hit in hits:
                members.setdefault(hit.event.pdu.room_id if key == "room_id" else hit.event.pdu.sender, []).append(hit)
            groups[key] = {
                value: Group(order, listed, await self._rest_of_group(tx, walk, key, value, listed[-1], last) if more else None)
                for order, (value, listed) in enumerate(members.items(), 1)
            }
        return groups

    async def _rest_of_group(self, tx: ReadTx, walk: Walk, key: str, value: str, end: Hit, last: Place) -> str | None:
        """Where a group goes on, if it does."""
        place = replace(last, entry=end.entry, rank=end.rank, group=key, value=value)
        criteria = replace(walk.criteria, limit=1)
        _, hits, _ = await self._page(tx, walk.reader, criteria, walk.terms, place)
        return place_token(place) if hits else None


def _rank(walk: Walk, hit: Hit, edit: StoredEvent | None) -> int:
    words = words_of(hit.event.pdu, None if edit is None else edit.pdu)
    return 0 if words is None else rank(walk.terms, words, walk.criteria.columns)


def _by_rank(hit: Hit) -> tuple[int, int]:
    return -hit.rank, -hit.entry
