"""Finding people: the user directory, and the rooms that two people have in common.

Somebody is found by whoever shares a room with him, by everybody if he is in a room that is open to everybody, and by every
user of this server if he has an account here and the operator did not restrict that.

Spec: client-server-api#user-directory
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from watchword.base import limits
from watchword.base.errors import BadRequest
from watchword.protocol import event_types
from watchword.protocol.ids import RoomId, ServerName, UserId, domain_of, localpart_of
from watchword.server.accounts.reader import AccountReader
from watchword.server.rooms.catalogue import text_of
from watchword.server.rooms.reader import RoomReader
from watchword.server.search import people_tables
from watchword.server.search.commands import Person
from watchword.server.search.people_index import PeopleIndex, words_of
from watchword.server.search.segmentation import fold, runs
from watchword.server.search.service import Follows
from watchword.storage import Database

_AT_ONCE = 100


@dataclass(frozen=True)
class People:
    """Finds people. everybody_here: whether users of this server find each other without sharing anything."""

    database: Database
    rooms: RoomReader
    accounts: AccountReader
    index: PeopleIndex
    follower: Follows
    server_name: ServerName
    everybody_here: bool = True

    async def search(self, user_id: UserId, term: str, limit: int) -> dict[str, Any]:
        """The body of /user_directory/search."""
        await self.follower.catch_up()
        wanted = beginnings_of(term[: limits.search_term_characters_max])
        found = await self._found(user_id, wanted, limit + 1) if wanted and limit else []
        found.sort(key=lambda person: _by_rank(person, term, wanted))
        results = [_described(person) for person in found[:limit]]
        return {"results": results, "limited": len(found) > limit}

    async def _found(self, user_id: UserId, wanted: Sequence[str], most: int) -> list[Person]:
        """Those that fit and may be found by a user; looks at no more than a bounded number of those who fit."""
        seen: set[int] = set()
        found: list[Person] = []
        after = ("", 0)
        async with self.database.read() as tx:
            while len(seen) < limits.people_looked_at_max:
                rows = await people_tables.people_with(tx, wanted, after, _AT_ONCE)
                for word, nid, person in rows:
                    after = (word, nid)
                    if nid in seen:
                        continue
                    seen.add(nid)
                    shown = await self._as_seen(user_id, person)
                    if shown is not None and _fits(shown, wanted):
                        found.append(shown)
                # Beyond a page there is no telling who fits best: a few more are looked at.
                if len(rows) < _AT_ONCE or len(found) >= max(most, _AT_ONCE):
                    break
        return found

    async def _as_seen(self, user_id: UserId, person: Person) -> Person | None:
        """Somebody as a user may see him; None if he may not."""
        if domain_of(person.user_id) == self.server_name:
            account = await self.accounts.account(person.user_id)
            if account is None or account.is_deactivated or account.is_locked:
                return None
            may = self.everybody_here or user_id == person.user_id or await self.is_visible(user_id, person.user_id)
            return person if may else None
        room_id = await self._common_room(user_id, person.user_id)
        return None if room_id is None else await self._in_room(room_id, person.user_id)

    async def is_visible(self, user_id: UserId, other: UserId) -> bool:
        """Whether two users share a room, or the other is in one that is open to everybody."""
        return await self._common_room(user_id, other) is not None

    async def may_see_profile(self, viewer: UserId | None, user_id: UserId) -> bool:
        """Whether somebody may see the profile of another. viewer: None for who is not logged in.

        Spec: client-server-api#profiles
        """
        if viewer is None:
            return await self.is_public(user_id)
        return viewer == user_id or await self.is_visible(viewer, user_id)

    async def is_public(self, user_id: UserId) -> bool:
        """Whether somebody is in a room that is open to everybody."""
        return any(self.index.rooms.get(room_id) for room_id in await self.rooms.joined_rooms(user_id))

    async def _common_room(self, user_id: UserId, other: UserId) -> RoomId | None:
        """A room through which one may see the other, an open one first."""
        theirs = await self.rooms.joined_rooms(other)
        for room_id in theirs:
            if self.index.rooms.get(room_id):
                return room_id
        own = await self.rooms.memberships.of(user_id)
        return next((room_id for room_id in theirs if room_id in own and own[room_id].membership == "join"), None)

    async def _in_room(self, room_id: RoomId, user_id: UserId) -> Person | None:
        """Somebody of another server under the name that he has in a room: names in other rooms are not for everybody."""
        room = await self.rooms.room(room_id)
        event_id = None if room is None else room.state.get((event_types.MEMBER, user_id))
        found = {} if event_id is None else await self.rooms.found((event_id,))
        for event in found.values():
            content = event.pdu.content
            return Person(user_id, text_of(content, "displayname"), text_of(content, "avatar_url"))
        return None

    # Rooms in common

    async def mutual_rooms(self, user_id: UserId, other: UserId, token: str | None) -> dict[str, Any]:
        """The body of /mutual_rooms. Raises BadRequest M_INVALID_PARAM.

        Spec: client-server-api#get_matrixclientv1mutual_rooms
        """
        if other == user_id:
            raise BadRequest("M_INVALID_PARAM", "You share every room with yourself.")
        after = "" if token is None else _parse_token(token)
        own = set(await self.rooms.joined_rooms(user_id))
        common = sorted(own.intersection(await self.rooms.joined_rooms(other)))
        page = [room_id for room_id in common if room_id > after][: limits.mutual_rooms_page_max]
        body: dict[str, Any] = {"joined": page, "count": len(common)}
        if page and page[-1] != common[-1]:
            body["next_batch"] = base64.urlsafe_b64encode(page[-1].encode()).decode()
        return body


def _parse_token(token: str) -> str:
    """The room ID that a page ended with. It is good for ever: the next page is what comes after it."""
    try:
        room_id = base64.b64decode(token, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise BadRequest("M_INVALID_PARAM", "from was not given by this server.") from error
    if not room_id.startswith("!"):
        raise BadRequest("M_INVALID_PARAM", "from was not given by this server.")
    return room_id


def beginnings_of(term: str) -> list[str]:
    """What names must begin with, the longest first. What looks like a user ID is taken as it is."""
    wanted: dict[str, None] = {}
    for piece in term.split():
        if piece.startswith("@") or ":" in piece:
            wanted[piece.lower().encode(errors="replace").decode()] = None
        else:
            wanted.update((run.text, None) for run in runs(piece))
    return sorted(wanted, key=len, reverse=True)[: limits.search_terms_max]


def _fits(person: Person, wanted: Sequence[str]) -> bool:
    words = words_of(person)
    return all(any(word.startswith(beginning) for word in words) for beginning in wanted)


def _by_rank(person: Person, term: str, wanted: Sequence[str]) -> tuple[bool, bool, int, bool, str]:
    """Whoever is called exactly so comes first, then whose ID or name begins so, then who has a profile."""
    whole = fold(term.strip())
    name, local = fold(person.displayname or ""), fold(localpart_of(person.user_id))
    exact = whole in (name, local, person.user_id.lower(), person.user_id[1:].lower())
    begins = name.startswith(whole) or local.startswith(whole)
    words = set(words_of(person))
    return not exact, not begins, -sum(word in words for word in wanted), person.displayname is None, person.user_id


def _described(person: Person) -> Mapping[str, str]:
    body: dict[str, str] = {"user_id": person.user_id}
    if person.displayname is not None:
        body["display_name"] = person.displayname
    if person.avatar_url is not None:
        body["avatar_url"] = person.avatar_url
    return body
