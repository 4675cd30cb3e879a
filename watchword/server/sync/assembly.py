"""Sync put together."""

from dataclasses import dataclass

from watchword.base.clock import Clock
from watchword.base.entropy import Entropy
from watchword.edge.stopping import Stopping
from watchword.server.accounts.reader import AccountReader
from watchword.server.changes import Change
from watchword.server.e2ee.reader import E2eeReader
from watchword.server.rooms.assembly import Rooms
from watchword.server.sync.device_lists import DeviceLists
from watchword.server.sync.endpoints import SyncDoors
from watchword.server.sync.filters import Filters
from watchword.server.sync.invites import InviteSections
from watchword.server.sync.old_streams import OldStreams, RoomBell
from watchword.server.sync.ports import Presence, PushRules, UnreadCounts
from watchword.server.sync.rooms import RoomSections
from watchword.server.sync.service import SyncService
from watchword.server.sync.sliding.assembly import SlidingPorts, assemble_sliding
from watchword.server.sync.sliding.service import SlidingSync
from watchword.server.sync.waiting import WaitingRoom
from watchword.storage import Database, Log


@dataclass(frozen=True, slots=True)
class SyncPorts:
    """What sync is built from."""

    database: Database
    log: Log[Change]
    rooms: Rooms
    accounts: AccountReader
    e2ee: E2eeReader
    presence: Presence
    unread: UnreadCounts
    push_rules: PushRules
    stopping: Stopping
    clock: Clock
    entropy: Entropy


@dataclass(frozen=True, slots=True)
class Sync:
    """The parts. `waiting.run()` and `sliding.connections.run()` are for the server's task group."""

    service: SyncService
    waiting: WaitingRoom
    doors: SyncDoors
    old_streams: OldStreams
    sliding: SlidingSync


def assemble_sync(ports: SyncPorts) -> Sync:
    """Build everything of this feature; the waiting room listens to the log from now on."""
    rooms = ports.rooms.reader
    waiting = WaitingRoom(ports.log, ports.rooms.registry, rooms, ports.clock)
    service = SyncService(
        log=ports.log,
        rooms=rooms,
        sections=RoomSections(ports.database, rooms, ports.rooms.ephemeral, ports.unread, ports.clock),
        invites=InviteSections(rooms),
        accounts=ports.accounts,
        e2ee=ports.e2ee,
        device_lists=DeviceLists(rooms, ports.e2ee),
        presence=ports.presence,
        push_rules=ports.push_rules,
        waiting=waiting,
        stopping=ports.stopping,
        clock=ports.clock,
    )
    bell = RoomBell()
    bell.listen(ports.log)
    old_streams = OldStreams(ports.log, rooms, ports.accounts, ports.presence, waiting, bell, ports.stopping, ports.clock)
    sliding = assemble_sliding(
        SlidingPorts(
            database=ports.database,
            log=ports.log,
            rooms=rooms,
            ephemeral=ports.rooms.ephemeral,
            accounts=ports.accounts,
            e2ee=ports.e2ee,
            presence=ports.presence,
            unread=ports.unread,
            push_rules=ports.push_rules,
            waiting=waiting,
            stopping=ports.stopping,
            clock=ports.clock,
            entropy=ports.entropy,
        )
    )
    return Sync(service, waiting, SyncDoors(service, Filters(ports.accounts)), old_streams, sliding)
