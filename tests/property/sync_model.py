"""What both kinds of sync must say, from a list of events alone: who was in a room when, who may see what, and the state.

Events are taken from the server's store in the order of their arrival; everything else is worked out here, in another way
than the server does it. Rooms without forks only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import orjson

from tests.unit.server.rooms.world import World
from watchword.protocol.ids import RoomId, UserId

MEMBER, VISIBILITY = "m.room.member", "m.room.history_visibility"


@dataclass(frozen=True)
class Happened:
    """One event and its position in the log."""

    position: int
    event_id: str
    event: Mapping[str, Any]

    @property
    def address(self) -> tuple[str, str] | None:
        return (self.event["type"], self.event["state_key"]) if "state_key" in self.event else None


@dataclass(frozen=True)
class Story:
    """A room as a list of events, for one reader."""

    user_id: UserId
    events: Sequence[Happened]

    def value(self, index: int, address: tuple[str, str], key: str, default: str) -> str:
        """A string of the state's content before the event at an index."""
        for event in reversed(self.events[:index]):
            if event.address == address:
                found = event.event["content"].get(key, default)
                return found if isinstance(found, str) else default
        return default

    def membership(self, index: int) -> str:
        return self.value(index, (MEMBER, self.user_id), "membership", "none")

    def is_seen(self, index: int) -> bool:
        """Whether the reader may see the event at an index. Spec: client-server-api#room-history-visibility"""
        event = self.events[index]
        if event.address == (MEMBER, self.user_id):
            return True
        ends = (index, index + 1) if event.address == (VISIBILITY, "") else (index,)
        return any(self._allows(self.value(end, (VISIBILITY, ""), "history_visibility", "shared"), index) for end in ends)

    def _allows(self, visibility: str, index: int) -> bool:
        membership = self.membership(index)
        if visibility == "world_readable" or membership == "join":
            return True
        if visibility == "invited":
            return membership == "invite"
        return visibility == "shared" and any(self.membership(later) == "join" for later in range(index, len(self.events) + 1))

    @cached_property
    def seen(self) -> Sequence[Happened]:
        return [event for index, event in enumerate(self.events) if self.is_seen(index)]

    def told(self, after: int, until: int) -> list[str]:
        """What the reader may see of a span, oldest first."""
        return [event.event_id for event in self.seen if after < event.position <= until]

    def state(self, until: int) -> dict[tuple[str, str], str]:
        """The state after everything up to a position."""
        return {event.address: event.event_id for event in self.events if event.address and event.position <= until}

    @cached_property
    def own(self) -> Sequence[tuple[int, str, str]]:
        """The reader's memberships: (position, membership, by whom)."""
        mine = [event for event in self.events if event.address == (MEMBER, self.user_id)]
        return [(event.position, event.event["content"]["membership"], event.event["sender"]) for event in mine]

    @property
    def standing(self) -> str:
        return self.own[-1][1] if self.own else "none"

    @property
    def stay(self) -> int | None:
        """Where the reader's last stay began; None if he was never in the room."""
        start, before = None, ""
        for position, membership, _ in self.own:
            if membership == "join" != before:
                start = position
            before = membership
        return start

    @property
    def is_listed(self) -> bool:
        """Whether the room is in the reader's list of sliding sync: who left by himself knows it."""
        match self.standing:
            case "join" | "invite" | "knock":
                return True
            case "leave":
                return self.stay is not None and self.own[-1][2] != self.user_id
            case "ban":
                return self.stay is not None
            case _:
                return False

    @property
    def recency(self) -> int:
        """The room's place in that list."""
        return self.events[-1].position if self.standing == "join" else self.own[-1][0]


async def story(world: World, room_id: RoomId, user_id: UserId) -> Story:
    """A room as it is stored."""
    async with world.database.read() as tx:
        rows = await tx.fetch_all(
            "SELECT e.ordering, e.event_id, e.json FROM events AS e JOIN rooms AS r ON r.room_nid = e.room_nid "
            "WHERE r.room_id = ? AND e.ordering IS NOT NULL ORDER BY e.ordering",
            room_id,
        )
    return Story(user_id, [Happened(int(row[0]) >> 24, str(row[1]), orjson.loads(row[2])) for row in rows])
