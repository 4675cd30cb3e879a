"""Rejecting the pending invites of local users in bulk: those of a spammer, of his server, into a room.

What an invite says is not looked at; who sent it, and where to, is.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from watchword.base import limits
from watchword.base.errors import StorageError, WatchwordError
from watchword.protocol.globs import Globs
from watchword.protocol.ids import RoomId, domain_of, host_of
from watchword.server.rooms.commands import ChangeMembership
from watchword.server.rooms.membership import Membership
from watchword.server.rooms.records import MembershipRow

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Criteria:
    """Which invites. Each that is given must fit; sender and server are globs. None at all fits nothing."""

    sender: str | None = None
    server: str | None = None
    room_id: RoomId | None = None

    def compiled(self) -> Callable[[MembershipRow], bool]:
        """What says of an invite whether it fits."""
        senders = None if self.sender is None else Globs([self.sender])
        servers = None if self.server is None else Globs([self.server.lower()])

        def fits(row: MembershipRow) -> bool:
            if senders is None and servers is None and self.room_id is None:
                return False
            server = domain_of(row.sender).lower()
            return (
                (senders is None or senders.match(row.sender))
                and (servers is None or servers.match(server) or servers.match(host_of(server)))
                and (self.room_id is None or row.room_id == self.room_id)
            )

        return fits


@dataclass(frozen=True)
class Rejections:
    """Rejects invites."""

    membership: Membership

    async def reject(self, criteria: Criteria, *, tell: bool = True) -> int:
        """Reject all invites that fit; how many. tell: also the inviters' servers, where those must be asked."""
        return await self.reject_where(criteria.compiled(), tell=tell)

    async def reject_where(self, fits: Callable[[MembershipRow], bool], *, tell: bool = True) -> int:
        """The same for whatever fits."""
        count = 0
        after = (0, 0)
        while page := await self.membership.reader.pending_invites(after, limits.pending_invites_page):
            after = page[-1][0]
            found = [row for _, row in page if fits(row)]
            for start in range(0, len(found), limits.rejections_at_once):
                some = found[start : start + limits.rejections_at_once]
                async with asyncio.TaskGroup() as group:
                    tasks = [group.create_task(self._reject(row, tell=tell)) for row in some]
                count += sum(task.result() for task in tasks)
        return count

    async def _reject(self, row: MembershipRow, *, tell: bool) -> bool:
        command = ChangeMembership(row.room_id, row.user_id, row.user_id, "leave")
        room = await self.membership.registry.find(row.room_id)
        try:
            if tell or (room is not None and room.is_alive):
                await self.membership.leave(command)
            else:
                await self.membership.remote.leave(command, ())
        except StorageError:
            raise
        except WatchwordError:
            logger.info("An invite could not be rejected.", extra={"room_id": row.room_id, "user_id": row.user_id})
            return False
        return True
