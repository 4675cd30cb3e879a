"""What another server may see of a room's history: what any of its users could; pure.

Like `visibility`, with one difference: `shared` history is for every server in the room.
Spec: client-server-api#room-history-visibility, server-server-api#backfilling-and-retrieving-missing-events
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from watchword.protocol.events import StateKey
from watchword.server.rooms.visibility import History, Interval

OPEN = ("shared", "world_readable")


@dataclass(frozen=True, slots=True)
class ServerSight:
    """joined, invited: when any user of the server was, as merged intervals on the line. visibility: on the line."""

    visibility: History
    joined: History
    invited: History

    @property
    def sees_everything(self) -> bool:
        """Whether the history was never narrower than `shared`."""
        return all(interval.value in OPEN for interval in self.visibility.intervals)

    def sees(self, position: int, *, visibility: str | None = None, memberships: Iterable[str] | None = None) -> bool:
        """Whether the server may see an event at this position.

        visibility, memberships of the server's users: where the event's own state says otherwise than the line.
        """
        seen = visibility or self.visibility.at(position - 1)
        if seen in OPEN or seen is None:
            return True
        if memberships is not None:
            own = set(memberships)
            return "join" in own or (seen == "invited" and "invite" in own)
        if self.joined.at(position - 1) is not None:
            return True
        return seen == "invited" and self.invited.at(position - 1) is not None


def merged(intervals: Sequence[Interval], value: str) -> History:
    """When at least one of several histories had this value."""
    spans: list[tuple[int, int]] = []
    for interval in sorted((each for each in intervals if each.value == value), key=lambda each: each.start):
        if spans and interval.start <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(spans[-1][1], interval.end))
        else:
            spans.append((interval.start, interval.end))
    return History([Interval(start, end, value) for start, end in spans], None)


def member_keys_of(state: Iterable[StateKey], server_name: str) -> list[StateKey]:
    """The addresses of the member events of one server's users."""
    suffix = ":" + server_name
    return [key for key in state if key[0] == "m.room.member" and key[1].endswith(suffix)]
