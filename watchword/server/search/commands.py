"""The words of search: what is wanted, what is indexed, and what was found. No behaviour beyond conversion."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from watchword.protocol.ids import UserId
from watchword.server.rooms.event_filters import RoomEventFilter

FOREVER = (1 << 63) - 1


class Words(NamedTuple):
    """What one event is found by, a column each, as `segmentation.indexed` gives it."""

    body: str = ""
    name: str = ""
    topic: str = ""


class HitRow(NamedTuple):
    """An entry of the index that fits."""

    entry: int
    event_nid: int
    room_nid: int


class Order(Enum):
    """How results are ordered. Spec: client-server-api#post_matrixclientv3search"""

    RANK = "rank"
    RECENT = "recent"


@dataclass(frozen=True, slots=True)
class ContextWanted:
    """What is to be given around each result."""

    before: int
    after: int
    profiles: bool


@dataclass(frozen=True, slots=True)
class Criteria:
    """What is searched for. columns: of the index. context: None for none. group_by: `room_id`, `sender`."""

    term: str
    columns: Sequence[str]
    event_filter: RoomEventFilter
    limit: int
    order: Order
    context: ContextWanted | None
    include_state: bool
    group_by: Sequence[str]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page ends, and the next begins.

    entry: the last result. rank: its rank, in millionths, if they are ordered by it. first: the newest entry of the first
    page: what came later is not in the following ones. is_open: words are taken as beginnings of words. group, value: the
    page is of one group alone.
    """

    entry: int
    rank: int
    first: int
    is_open: bool
    group: str = ""
    value: str = ""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who can be found."""

    user_id: UserId
    displayname: str | None
    avatar_url: str | None
