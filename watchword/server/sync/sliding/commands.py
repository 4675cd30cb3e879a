"""The words of sliding sync: what a client asks, whichever form it speaks.

`Required` and the records of connections are stored; a field is only ever added at their end, with a default.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from watchword.edge.requester import Requester
from watchword.protocol.events import StateKey
from watchword.protocol.ids import RoomId

Pattern = tuple[str | None, str | None]
"""(event type, state key) of state; None stands for any."""

Range = tuple[int, int]
"""First and last index of a window, both included."""


class Required(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Which state a client wants of a room. lazy: of members only those who appear in the timeline."""

    include: tuple[Pattern, ...] = ()
    exclude: tuple[Pattern, ...] = ()
    lazy: bool = False


@dataclass(frozen=True, slots=True)
class RoomConfig:
    """How much of a room is told. required: one per rule that matches the room; state is told if one of them wants it.

    is_lazy: whether members are told as they appear. addresses: all of the wanted state; None where patterns say which.
    """

    timeline_limit: int
    required: tuple[Required, ...]
    is_lazy: bool = field(init=False, compare=False)
    addresses: tuple[StateKey, ...] | None = field(init=False, compare=False)

    def __post_init__(self) -> None:
        # Asked once a room, and the same for all rooms of a list.
        object.__setattr__(self, "is_lazy", any(required.lazy for required in self.required))
        object.__setattr__(self, "addresses", _addresses(self.required))


def _addresses(required: tuple[Required, ...]) -> tuple[StateKey, ...] | None:
    found: dict[StateKey, None] = {}
    for one in required:
        if one.exclude:
            return None
        for kind, state_key in one.include:
            if kind is None or state_key is None:
                return None
            found[kind, state_key] = None
    return tuple(found)


@dataclass(frozen=True, slots=True)
class RoomFilter:
    """Which rooms a list has. None: not asked. room_types: None in it stands for rooms without a type."""

    is_dm: bool | None = None
    spaces: tuple[RoomId, ...] | None = None
    is_encrypted: bool | None = None
    is_invited: bool | None = None
    room_types: tuple[str | None, ...] | None = None
    not_room_types: tuple[str | None, ...] = ()
    room_name_like: str | None = None
    tags: tuple[str, ...] | None = None
    not_tags: tuple[str, ...] = ()

    @property
    def needs_facts(self) -> bool:
        """Whether it asks what only the room's state tells."""
        return (
            self.is_encrypted is not None
            or self.room_types is not None
            or bool(self.not_room_types)
            or self.room_name_like is not None
        )

    @property
    def needs_tags(self) -> bool:
        """Whether it asks for the user's tags."""
        return self.tags is not None or bool(self.not_tags)


ALL_ROOMS = RoomFilter()


@dataclass(frozen=True, slots=True)
class ListRule:
    """A window. ranges None: the whole list."""

    name: str
    config: RoomConfig
    room_filter: RoomFilter
    ranges: tuple[Range, ...] | None


@dataclass(frozen=True, slots=True)
class Rules:
    """Everything that says which rooms are told, and how much of them."""

    lists: tuple[ListRule, ...] = ()
    subscriptions: tuple[tuple[RoomId, RoomConfig], ...] = ()


@dataclass(frozen=True, slots=True)
class Scope:
    """Which rooms an extension speaks of: those in these lists and among these subscriptions; None for all."""

    lists: frozenset[str] | None = None
    rooms: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class ToDeviceWanted:
    """The to-device extension. since: None to begin with the oldest."""

    since: int | None
    limit: int


@dataclass(frozen=True, slots=True)
class ThreadsWanted:
    """The extension for thread subscriptions. name: as the client knows it, under which it is answered."""

    name: str
    limit: int


@dataclass(frozen=True, slots=True)
class StickyWanted:
    """The extension for sticky events. name: as the client knows it. since: None to begin with all there are."""

    name: str
    since: int | None
    limit: int


@dataclass(frozen=True, slots=True)
class ExtensionsWanted:
    """The extensions that are on."""

    to_device: ToDeviceWanted | None = None
    e2ee: bool = False
    account_data: Scope | None = None
    receipts: Scope | None = None
    typing: Scope | None = None
    threads: ThreadsWanted | None = None
    sticky: StickyWanted | None = None


@dataclass(frozen=True, slots=True)
class WireForm:
    """What the two forms say differently. Differences are data.

    has_counts: unread counts of each room. tells_lists: the user's membership and the matching lists of each room.
    has_stubs: state that was taken away is named.
    """

    timeline: bytes
    expanded: bytes
    stripped: bytes
    has_counts: bool
    tells_lists: bool
    has_stubs: bool


@dataclass(frozen=True, slots=True)
class SlidingRequest:
    """What a client asks. pos: None to begin a connection."""

    requester: Requester
    form: WireForm
    pos: str | None
    rules: Rules
    extensions: ExtensionsWanted = field(default_factory=ExtensionsWanted)
    conn_id: str = ""
    timeout_ms: int = 0
    set_presence: str = "online"


Body = Mapping[str, Any]
