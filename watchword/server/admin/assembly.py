"""Administration put together: the one object that the doors are mounted with, and from which `app` takes its parts."""

from dataclasses import dataclass
from pathlib import Path

from watchword.base.clock import Clock
from watchword.base.entropy import Entropy
from watchword.server.accounts.assembly import Accounts
from watchword.server.admin.audit import AuditLog
from watchword.server.admin.blocks import RoomBlocks
from watchword.server.admin.door import Admin
from watchword.server.admin.ports import Notices
from watchword.server.admin.removals import RoomRemovals
from watchword.server.admin.rooms import RoomDesk
from watchword.server.admin.statistics import Statistics
from watchword.server.admin.users import Users
from watchword.server.changes import Change
from watchword.server.federation.backoff import Backoff
from watchword.server.media.assembly import Repository
from watchword.server.moderation.assembly import Moderation
from watchword.server.push.journal import PushJournal
from watchword.server.rooms.assembly import Rooms
from watchword.storage import Database, Log


@dataclass(frozen=True, slots=True)
class AdminGround:
    """What administration stands on. audit: the same that other features write to."""

    database: Database
    log: Log[Change]
    clock: Clock
    entropy: Entropy
    audit: AuditLog


@dataclass(frozen=True, slots=True)
class AdminFeatures:
    """What is administered."""

    accounts: Accounts
    rooms: Rooms
    media: Repository
    moderation: Moderation
    destinations: Backoff
    push: PushJournal
    notices: Notices


@dataclass(frozen=True, slots=True)
class AdminSettings:
    """base_url: of links in invitations. database_path: None for a server that keeps its database nowhere."""

    server_name: str
    base_url: str
    invitation_lifetime_ms: int
    version: str
    database_path: Path | None


@dataclass(frozen=True, slots=True)
class Administration:
    """The parts. `start()` comes before the doors open; `run` of audit and removals is for the server's task group."""

    door: Admin
    audit: AuditLog
    blocks: RoomBlocks
    removals: RoomRemovals

    async def start(self) -> None:
        """Read what is blocked, and what was going on before."""
        await self.blocks.start()
        await self.removals.start()


def assemble_admin(ground: AdminGround, features: AdminFeatures, settings: AdminSettings) -> Administration:
    """Build everything of this feature."""
    accounts, rooms, media, moderation = features.accounts, features.rooms, features.media, features.moderation
    database, clock = ground.database, ground.clock
    blocks = RoomBlocks(database, clock, moderation.bans)
    removals = RoomRemovals(database, clock, ground.entropy, blocks, rooms.membership, rooms.estate)
    door = Admin(
        server_name=settings.server_name,
        base_url=settings.base_url,
        invitation_lifetime_ms=settings.invitation_lifetime_ms,
        clock=clock,
        audit=ground.audit,
        users=Users(accounts, rooms.reader, media.inventory, features.push),
        invitations=accounts.invitations,
        rooms=RoomDesk(rooms.reader, rooms.estate, blocks, removals),
        media=media.removal,
        inventory=media.inventory,
        reports=moderation.reports.queue,
        rejections=moderation.rejections,
        destinations=features.destinations,
        notices=features.notices,
        statistics=Statistics(
            settings.version,
            clock,
            database,
            ground.log,
            accounts.listing,
            rooms.estate,
            media.inventory,
            moderation.reports.queue,
            settings.database_path,
            clock.monotonic_ms(),
        ),
    )
    return Administration(door, ground.audit, blocks, removals)
