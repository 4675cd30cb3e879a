"""Device-list changes that the follower has not copied into the table yet, by the log's own bell.

So a reader never misses a change between its commit and its copy. Deliberately absent: anything older; that is in the
table.
"""

from bisect import bisect_left
from collections.abc import Sequence

from watchword.protocol.ids import UserId
from watchword.server.changes import Change, CrossSigningChanged, DeviceListChanged
from watchword.storage.log import Logged, Position


class RecentChanges:
    """Changes since the follower's cursor, in order. Give `listen` to `Log.listen`."""

    def __init__(self) -> None:
        self._changes: list[Logged[DeviceListChanged | CrossSigningChanged]] = []

    def listen(self, logged: Logged[Change]) -> None:
        """Take note of a change."""
        if isinstance(logged.change, DeviceListChanged | CrossSigningChanged):
            self._changes.append(Logged(logged.position, logged.change))

    def drop(self, until: Position) -> None:
        """Forget what is in the table by now."""
        del self._changes[: self._index(Position(until + 1))]

    def between(self, after: Position, until: Position) -> Sequence[tuple[UserId, Position]]:
        """Who changed after one position and not after another."""
        start, stop = self._index(Position(after + 1)), self._index(Position(until + 1))
        return [(logged.change.user_id, logged.position) for logged in self._changes[start:stop]]

    def last(self, user_id: UserId, before: int, device_id: str | None = None) -> Position:
        """The last change of a user's devices (or of one device) below a position; 0 if there is none here."""
        for logged in reversed(self._changes[: self._index(Position(before))]):
            change = logged.change
            if not isinstance(change, DeviceListChanged) or change.user_id != user_id:
                continue
            if device_id is None or device_id == (change.device_id or ""):
                return logged.position
        return Position(0)

    def _index(self, position: Position) -> int:
        return bisect_left(self._changes, position, key=lambda logged: logged.position)
