"""Keeps the index of people: everybody with an account here, and everybody else who is joined to a room that we are in.

People of this server are known by their profile, others by their member events. Which rooms are open to everybody is kept
at hand: it decides who may find whom.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from watchword.base import limits
from watchword.protocol import event_types
from watchword.protocol.events import Pdu
from watchword.protocol.ids import RoomId, ServerName, UserId, domain_of, localpart_of
from watchword.server.accounts.reader import AccountReader
from watchword.server.changes import AccountCreated, AccountDeactivated, Change, EventAppended, ProfileChanged, StateChanged
from watchword.server.rooms.catalogue import RoomCatalogue, is_open, text_of
from watchword.server.rooms.reader import RoomReader
from watchword.server.rooms.room import Room
from watchword.server.search import people_tables
from watchword.server.search.commands import Person
from watchword.server.search.segmentation import beginnings
from watchword.storage import Database, ReadTx, Tx

_OPENING = (event_types.JOIN_RULES, event_types.HISTORY_VISIBILITY)
_SHOWN_FIELDS = ("displayname", "avatar_url")


class Gone(NamedTuple):
    """Somebody who is to be found no more."""

    user_id: UserId


class RoomSeen(NamedTuple):
    """Whether a room is open to everybody."""

    room_id: RoomId
    is_open: bool


class Fill(NamedTuple):
    """Everybody who is in a room is to be taken over: we have just come into it."""

    room_id: RoomId


Step = Person | Gone | RoomSeen | Fill


def words_of(person: Person) -> list[str]:
    """What somebody is found by: the beginnings of words of his name and of his ID."""
    localpart = localpart_of(person.user_id)
    whole = person.user_id.lower()
    found = [whole, whole[1:], localpart.lower(), *beginnings(localpart, limits.people_words_max)]
    if person.displayname is not None:
        found += beginnings(person.displayname[: limits.displayname_characters_max], limits.people_words_max)
    return list(dict.fromkeys(word.encode(errors="replace").decode() for word in found if word))


@dataclass
class PeopleIndex:
    """rooms: the rooms whose members are in the index, and whether each is open. to_fill: those whose members are not, yet."""

    database: Database
    rooms_reader: RoomReader
    catalogue: RoomCatalogue
    accounts: AccountReader
    server_name: ServerName
    rooms: dict[RoomId, bool] = field(default_factory=dict)
    to_fill: dict[RoomId, None] = field(default_factory=dict)

    async def start(self) -> None:
        """Read which rooms are done."""
        async with self.database.read() as tx:
            self.rooms, to_fill = await people_tables.rooms(tx)
        self.to_fill.update(dict.fromkeys(to_fill))

    # What is to be done

    async def steps(self, tx: ReadTx, change: Change) -> Sequence[Step]:
        """What a change means for the index."""
        match change:
            case AccountCreated(user_id=user_id):
                return await self.local(user_id)
            case ProfileChanged(user_id=user_id, field=name) if name in _SHOWN_FIELDS:
                return await self.local(user_id)
            case AccountDeactivated(user_id=user_id):
                return (Gone(user_id),)
            case EventAppended(type=event_types.MEMBER) as event:
                return await self._member(tx, event)
            case EventAppended(room_id=room_id, type=kind, state_key="") if kind in _OPENING:
                return await self._room(room_id)
            case StateChanged() as changed:
                return await self._state(tx, changed)
            case _:
                return ()

    async def local(self, user_id: UserId) -> Sequence[Step]:
        """A user of this server as his profile says; guests are not to be found."""
        account = await self.accounts.account(user_id)
        if account is None or account.is_deactivated or account.is_guest:
            return (Gone(user_id),)
        profile = await self.accounts.profile(user_id)
        return (person_of(user_id, profile),)

    async def _member(self, tx: ReadTx, change: EventAppended) -> Sequence[Step]:
        user_id = UserId(change.state_key or "")
        if domain_of(user_id) == self.server_name:
            # The first to come or the last to leave decides whether we are in the room at all.
            return await self._room(change.room_id)
        if change.membership != "join":
            return () if await self.rooms_reader.joined_rooms(user_id) else (Gone(user_id),)
        event = await self.rooms_reader.events.one(tx, change.event_id)
        return () if event is None else (person_of(user_id, event.pdu.content),)

    async def _state(self, tx: ReadTx, change: StateChanged) -> Sequence[Step]:
        events = (await self.rooms_reader.events.many(tx, change.event_ids)).values()
        return [
            # Where nothing is named a room was joined: everybody in it may be new.
            *(() if change.event_ids else (Fill(change.room_id),)),
            *(person_of(UserId(event.pdu.state_key or ""), event.pdu.content) for event in events if self._came(event.pdu)),
            *await self._room(change.room_id),
        ]

    def _came(self, pdu: Pdu) -> bool:
        is_join = pdu.type == event_types.MEMBER and pdu.content.get("membership") == "join"
        return is_join and domain_of(pdu.state_key or "") != self.server_name

    async def _room(self, room_id: RoomId) -> Sequence[Step]:
        room = await self.rooms_reader.room(room_id)
        opened = room is not None and is_open(room)
        return () if self.rooms.get(room_id) == opened else (RoomSeen(room_id, opened),)

    # Doing it

    async def take(self, tx: Tx, steps: Iterable[Step]) -> None:
        """Do what is to be done."""
        for step in steps:
            match step:
                case Person():
                    await self._put(tx, step)
                case Gone(user_id=user_id):
                    await people_tables.delete_person(tx, await self.catalogue.names.number(tx, user_id))
                case RoomSeen(room_id=room_id, is_open=opened):
                    await people_tables.put_room(tx, room_id, opened)
                    tx.after_commit(partial(self.rooms.__setitem__, room_id, opened))
                case Fill(room_id=room_id):
                    await people_tables.mark_room(tx, room_id, True)
                    tx.after_commit(partial(self.to_fill.__setitem__, room_id, None))

    async def _put(self, tx: Tx, person: Person) -> None:
        user_nid = await self.catalogue.names.number(tx, person.user_id)
        if await people_tables.person(tx, user_nid) != person:
            await people_tables.put_person(tx, user_nid, person, words_of(person))

    # Rooms that were there before

    async def fill_some(self, room: Room, after: int) -> int | None:
        """Take over some members of a room, from a number on; where to go on, None if that was all."""
        async with self.database.read() as tx:
            members = await self.catalogue.joined_after(tx, room, after, limits.people_filled_at_once)
        people = [
            Person(member.user_id, member.displayname, member.avatar_url)
            for member in members
            if domain_of(member.user_id) != self.server_name
        ]
        done = len(members) < limits.people_filled_at_once
        async with self.database.write() as tx:
            await self.take(tx, people)
            if done:
                await self.take(tx, (RoomSeen(room.room_id, is_open(room)),))
                await people_tables.mark_room(tx, room.room_id, False)
        return None if done else members[-1].user_nid


def person_of(user_id: UserId, content: Mapping[str, Any]) -> Person:
    """Somebody as a profile or a member event describes him."""
    return Person(user_id, text_of(content, "displayname"), text_of(content, "avatar_url"))
