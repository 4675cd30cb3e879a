"""The words of spaces. No behaviour beyond conversion."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from watchword.protocol.ids import RoomId, ServerName, UserId
from watchword.protocol.space_order import ChildOrder


@dataclass(frozen=True, slots=True)
class Child:
    """A child that a space names. stripped: its event as clients see it. order: among its siblings."""

    room_id: RoomId
    via: Sequence[ServerName]
    suggested: bool
    order: ChildOrder
    stripped: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Described:
    """A room as somebody may be told of it. entry: a summary, without the children. children: in their order.

    relatives: what the server that described it said of its children, too; None for one that may be told to nobody.
    """

    entry: Mapping[str, Any]
    children: Sequence[Child] = ()
    relatives: Mapping[RoomId, "Described | None"] = field(default_factory=dict)

    @property
    def allowed_rooms(self) -> Sequence[RoomId]:
        """The rooms whose members may join."""
        rooms: Sequence[RoomId] = self.entry.get("allowed_room_ids", ())
        return rooms


@dataclass(frozen=True, slots=True)
class Looker:
    """What decides over whether a room is shown to somebody. membership: his in it. meets_condition: of a restricted room."""

    membership: str | None = None
    meets_condition: bool = False


@dataclass(frozen=True, slots=True)
class HierarchyQuery:
    """A page of a walk through a space."""

    user_id: UserId
    room_id: RoomId
    suggested_only: bool
    max_depth: int
    limit: int
    token: str | None = None
