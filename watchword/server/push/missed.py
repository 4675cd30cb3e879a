"""What a user has missed since he was last told by mail: rooms with unread notifications, and invites.

Deliberately absent: when he is told (`digests`), and in which words (`digest_mails`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from watchword.base import limits
from watchword.protocol import event_types
from watchword.protocol.default_push_rules import DONT_EMAIL
from watchword.protocol.ids import UserId
from watchword.server.push.compose import Composer
from watchword.server.push.noted import NotedEvents
from watchword.server.push.notifications import Notifications, Notified, Span
from watchword.server.rooms.room import Room
from watchword.server.rooms.view import Reader
from watchword.storage import Position

_TITLE_CHARACTERS_MAX = 100
_ENCRYPTION = ("m.room.encryption", "")


@dataclass(frozen=True, slots=True)
class MissedText:
    """What somebody said."""

    sender: str
    text: str


@dataclass(frozen=True, slots=True)
class MissedRoom:
    """A room. count: unread events that notify, threads included; highlights: how many of them loudly. texts: the newest."""

    title: str
    count: int
    highlights: int
    texts: Sequence[MissedText] = ()


@dataclass(frozen=True, slots=True)
class Missed:
    """All of it, the newest first. more: how many rooms are left out."""

    rooms: Sequence[MissedRoom] = ()
    more: int = 0
    invites: int = 0

    @property
    def is_nothing(self) -> bool:
        """Whether there is no need for a mail."""
        return not self.rooms and not self.invites


@dataclass(frozen=True)
class MissedRooms:
    """Looks it up. with_texts: also what was said, in rooms without encryption."""

    notifications: Notifications
    composer: Composer
    events: NotedEvents
    with_texts: bool = False

    async def of(self, user_id: UserId, after: Position) -> Missed:
        """What a user has missed after a position, and in rooms where there is such a thing all that he has not read."""
        rooms: list[MissedRoom] = []
        more = 0
        for room in await self.notifications.rooms(user_id):
            if room.last_position <= after:
                break
            if (await self.composer.unread.unread(user_id, room)).is_nothing:
                continue
            if len(rooms) >= limits.digest_rooms_max:
                more += 1
                continue
            missed = await self._in_room(user_id, room, after)
            if missed is not None:
                rooms.append(missed)
        return Missed(rooms, more, await self._invites(user_id, after))

    async def _in_room(self, user_id: UserId, room: Room, after: Position) -> MissedRoom | None:
        found = [
            notified
            for notified in await self.notifications.in_room(room, Reader(user_id), Span(after=after))
            if not notified.is_read and notified.actions.tweaks.get(DONT_EMAIL) is not True
        ]
        if not found:
            return None
        unread = await self.composer.unread.unread(user_id, room)
        return MissedRoom(
            title=await self._title(room, found),
            count=max(len(found), unread.notifications + sum(count for count, _ in unread.threads.values())),
            highlights=unread.highlights + sum(loud for _, loud in unread.threads.values()),
            texts=await self._texts(room, found) if self.with_texts and _ENCRYPTION not in room.state else (),
        )

    async def _title(self, room: Room, found: Sequence[Notified]) -> str:
        """A room's name, its alias, or who speaks in it."""
        name = await self.composer.room_name(room)
        if name is None:
            senders = dict.fromkeys(notified.event.pdu.sender for notified in found)
            name = ", ".join([await self._name(room, sender) for sender in list(senders)[: limits.digest_texts_max]])
        return _on_one_line(name, _TITLE_CHARACTERS_MAX)

    async def _texts(self, room: Room, found: Sequence[Notified]) -> list[MissedText]:
        texts: list[MissedText] = []
        for notified in found:
            pdu = notified.event.pdu
            body = pdu.content.get("body")
            if pdu.type == event_types.MESSAGE and isinstance(body, str) and len(texts) < limits.digest_texts_max:
                texts.append(
                    MissedText(await self._name(room, pdu.sender), _on_one_line(body, limits.digest_text_characters_max))
                )
        return texts[::-1]

    async def _name(self, room: Room, user_id: UserId) -> str:
        return _on_one_line(await self.events.display_name(room, user_id) or user_id, _TITLE_CHARACTERS_MAX)

    async def _invites(self, user_id: UserId, after: Position) -> int:
        """How many invites came. Their rooms are not named: a stranger would choose what we mail."""
        reader, accounts = self.notifications.reader, self.notifications.accounts
        count = 0
        for row in list((await reader.memberships.of(user_id)).values())[: limits.push_badge_rooms_max]:
            if row.membership == "invite" and row.position > after and not await accounts.hides_invite(user_id, row.sender):
                count += 1
        return count


def _on_one_line(text: str, characters_max: int) -> str:
    line = " ".join("".join(each if each.isprintable() else " " for each in text[: 4 * characters_max]).split())
    return line if len(line) <= characters_max else line[: characters_max - 1] + "…"
