"""Who is to be told of what happened, and what: push rules asked for users with pushers, once an event and user.

Of an invite to a room that we do not know, the rules are asked about what came with it.
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import partial

from watchword.base import limits
from watchword.protocol import event_types
from watchword.protocol.ids import RoomId, UserId
from watchword.protocol.push_conditions import PushContext, PushEvent
from watchword.server.accounts.reader import AccountReader
from watchword.server.changes import EventAppended, OutOfBandMembership
from watchword.server.push.askers import Askers
from watchword.server.push.commands import Subject
from watchword.server.push.compose import Composer
from watchword.server.push.noted import NotedEvent, NotedEvents
from watchword.server.push.sender import Notice
from watchword.server.rooms.reader import RoomReader
from watchword.server.rooms.room import Room
from watchword.storage import Position


@dataclass(frozen=True)
class Audience:
    """Finds out whom to tell."""

    reader: RoomReader
    accounts: AccountReader
    askers: Askers
    events: NotedEvents
    composer: Composer

    async def of_event(
        self, position: Position, change: EventAppended, users: AbstractSet[UserId]
    ) -> list[tuple[UserId, Notice]]:
        """Who of these users is to be told of a new event: members whose rules want it, and the one invited."""
        room = await self.reader.room(change.room_id)
        if room is None:
            return []
        readers = set(users & room.members.joined_local)
        if change.membership == "invite" and change.state_key is not None and change.state_key in users:
            readers.add(UserId(change.state_key))
        readers.discard(change.sender)
        if not readers:
            return []
        event = (await self.reader.found((change.event_id,))).get(change.event_id)
        if event is None or event.redacted_by_nid is not None or not event.is_shown:
            return []
        noted = await self.events.note(event, room)
        told = [(user_id, await self._notice(position, room, noted, user_id)) for user_id in readers]
        return [(user_id, notice) for user_id, notice in told if notice is not None]

    async def _notice(self, position: Position, room: Room, noted: NotedEvent, user_id: UserId) -> Notice | None:
        if noted.sender in await self.accounts.ignored_users(user_id):
            return None
        if room.members.membership.get(user_id) != "join" and await self.accounts.hides_invite(user_id, noted.sender):
            return None
        actions = noted.evaluate(await self.askers.asker(user_id, room, (noted,)))
        if not actions.notify:
            return None
        return Notice(position, noted.event_id, actions, partial(self._about, room.room_id, noted, user_id))

    async def _about(self, room_id: RoomId, noted: NotedEvent, user_id: UserId) -> Subject | None:
        """What to say of an event; None if the user has read it or has gone, or if it was redacted meanwhile."""
        room = await self.reader.room(room_id)
        event = (await self.reader.found((noted.event_id,))).get(noted.event_id)
        if room is None or event is None or event.redacted_by_nid is not None or event.ordering is None:
            return None
        if room.members.membership.get(user_id) == "join":
            read = await self.composer.unread.read_up_to(user_id, room)
            if event.ordering <= read.of(noted.thread):
                return None
        elif event.pdu.type != event_types.MEMBER or event.pdu.state_key != user_id:
            return None
        return await self.composer.about_event(room, event, user_id)

    async def of_invite(self, position: Position, change: OutOfBandMembership) -> Notice | None:
        """What to tell the one who is invited to a room that we do not know."""
        user_id = change.user_id
        about = partial(self.composer.about_invite, change.room_id, change.event_id, user_id)
        subject = await about()
        if subject is None or await self.accounts.hides_invite(user_id, subject.sender):
            return None
        shown = {
            "type": subject.type,
            "sender": subject.sender,
            "room_id": subject.room_id,
            "state_key": user_id,
            "content": subject.content,
        }
        context = PushContext(user_id, None, 0, 0, lambda _: limits.canonical_integer_max)
        actions = (await self.askers.rules.ready(user_id)).compiled.evaluate(PushEvent(shown), context)
        return Notice(position, change.event_id, actions, about) if actions.notify else None
