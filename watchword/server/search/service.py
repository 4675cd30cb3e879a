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


@dataclass(frozen=True, slots=True)
class _Found:
    """A page, and what is beyond it as far as was looked; all of it may be seen by who asks.

    count: how many results were looked at. first: the newest entry of them.
    """

    walk: Walk
    hits: Sequence[Hit]
    beyond: Sequence[Hit]
    count: int
    first: int

    @property
    def more(self) -> bool:
        """Whether there may be more results."""
        return bool(self.beyond) or (self.walk.criteria.order is Order.RECENT and not self.walk.ended)


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
                found = await self._page(tx, reader, criteria, opened(wanted) if place.is_open else wanted, place)
            else:
                found = await self._first_page(tx, reader, criteria, wanted)
        await self.finder.forget(found.walk)
        return await self.answers.encode(_described(found, place))

    async def _first_page(self, tx: ReadTx, reader: Reader, criteria: Criteria, wanted: Sequence[Term]) -> _Found:
        found = await self._page(tx, reader, criteria, wanted, None)
        wider = opened(wanted)
        if found.more or wider == list(wanted):
            return found
        return await self._page(tx, reader, criteria, wider, None)

    async def _page(
        self, tx: ReadTx, reader: Reader, criteria: Criteria, wanted: Sequence[Term], place: Place | None
    ) -> _Found:
        """The results of a page, and what is beyond it."""
        walk = await self.finder.walk(tx, reader, criteria, wanted, place)
        if criteria.order is Order.RECENT:
            newest = await self.finder.take(tx, walk, FOREVER if place is None else place.entry, limits.search_ranked_max)
            hits = newest
        else:
            newest = await self.finder.take(tx, walk, FOREVER if place is None else place.first + 1, limits.search_ranked_max)
            hits = await self._ranked(tx, walk, newest, place)
        first = newest[0].entry if newest else 0
        return _Found(walk, hits[: criteria.limit], hits[criteria.limit :], len(newest), first)

    async def _ranked(self, tx: ReadTx, walk: Walk, newest: Sequence[Hit], place: Place | None) -> list[Hit]:
        """The newest results in order of rank, beyond a place."""
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


def _described(found: _Found, place: Place | None) -> Page:
    walk, hits = found.walk, found.hits
    is_open = any(term.is_open and len(term.words[0]) > 1 for term in walk.terms)
    first = found.first if place is None else place.first
    last = Place(hits[-1].entry, hits[-1].rank, first, is_open) if hits else Place(walk.last_entry, 0, first, is_open)
    if place is not None:
        last = replace(last, group=place.group, value=place.value)
    return Page(
        criteria=walk.criteria,
        terms=walk.terms,
        hits=hits,
        count=found.count,
        next_batch=place_token(last) if found.more else None,
        groups={key: _groups(found, key, last) for key in walk.criteria.group_by},
    )


def _groups(found: _Found, key: str, last: Place) -> Mapping[str, Group]:
    """The page's results by what they have in common; and where each group goes on, if it may."""
    members: dict[str, list[Hit]] = {}
    for hit in found.hits:
        members.setdefault(_value(hit, key), []).append(hit)
    beyond = {_value(hit, key) for hit in found.beyond}
    groups = {}
    for order, (value, listed) in enumerate(members.items(), 1):
        # What was not looked at may be of any group.
        goes_on = value in beyond or not found.walk.ended
        place = replace(last, entry=listed[-1].entry, rank=listed[-1].rank, group=key, value=value)
        groups[value] = Group(order, listed, place_token(place) if goes_on else None)
    return groups


def _value(hit: Hit, key: str) -> str:
    return hit.event.pdu.room_id if key == "room_id" else hit.event.pdu.sender


def _rank(walk: Walk, hit: Hit, edit: StoredEvent | None) -> int:
    # Of a long text its beginning: it is weighed while others wait.
    words = words_of(hit.event.pdu, None if edit is None else edit.pdu, limits.search_weighed_characters_max)
    return 0 if words is None else rank(walk.terms, words, walk.criteria.columns)


def _by_rank(hit: Hit) -> tuple[int, int]:
    return -hit.rank, -hit.entry
