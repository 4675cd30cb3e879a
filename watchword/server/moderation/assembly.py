"""Moderation put together: the one object that the doors are mounted with, and from which `app` takes its parts."""

from collections.abc import Collection
from dataclasses import dataclass

from watchword.base.clock import Clock
from watchword.protocol.ids import RoomId
from watchword.server.changes import Change
from watchword.server.moderation.bans import BanList
from watchword.server.moderation.policy_lists import PolicyLists
from watchword.server.moderation.rejections import Rejections
from watchword.server.moderation.reports import Reports
from watchword.server.rooms.membership import Membership
from watchword.server.rooms.reader import RoomReader
from watchword.storage import Database, Log


@dataclass(frozen=True, slots=True)
class ModerationGround:
    """What moderation stands on. bans: the same that `rooms` asks."""

    database: Database
    log: Log[Change]
    clock: Clock
    rooms: RoomReader
    membership: Membership
    bans: BanList


@dataclass(frozen=True, slots=True)
class Moderation:
    """The parts. `lists.start()` before the doors open; `lists.run()` for the server's task group."""

    reports: Reports
    bans: BanList
    rejections: Rejections
    lists: PolicyLists


def assemble_moderation(ground: ModerationGround, policy_rooms: Collection[RoomId] = ()) -> Moderation:
    """Build everything of this feature. policy_rooms: the lists that are applied to the whole server."""
    rejections = Rejections(ground.membership)
    lists = PolicyLists(ground.rooms, ground.bans, rejections, ground.clock, frozenset(policy_rooms))
    lists.listen(ground.log)
    return Moderation(Reports(ground.database, ground.rooms, ground.clock), ground.bans, rejections, lists)
