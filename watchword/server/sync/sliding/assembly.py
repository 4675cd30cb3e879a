"""Sliding sync put together."""

from dataclasses import dataclass

from watchword.base.clock import Clock
from watchword.base.entropy import Entropy
from watchword.edge.stopping import Stopping
from watchword.server.accounts.reader import AccountReader
from watchword.server.changes import Change
from watchword.server.e2ee.reader import E2eeReader
from watchword.server.rooms.ephemeral import Ephemeral
from watchword.server.rooms.facts import FactsReader
from watchword.server.rooms.reader import RoomReader
from watchword.server.rooms.thread_subscriptions import ThreadSubscriptions
from watchword.server.sync.device_lists import DeviceLists
from watchword.server.sync.invites import InviteSections
from watchword.server.sync.ports import Presence, PushRules, UnreadCounts
from watchword.server.sync.sliding.bump_stamps import BumpStamps
from watchword.server.sync.sliding.connections import Connections
from watchword.server.sync.sliding.extensions import Extensions
from watchword.server.sync.sliding.room_list import RoomLists
from watchword.server.sync.sliding.room_results import RoomResults
from watchword.server.sync.sliding.service import SlidingSync
from watchword.server.sync.sliding.state_parts import StateParts
from watchword.server.sync.sliding.sticky_events import StickyExtension
from watchword.server.sync.waiting import WaitingRoom
from watchword.storage import Database, Log


@dataclass(frozen=True, slots=True)
class SlidingPorts:
    """What sliding sync is built from."""

    database: Database
    log: Log[Change]
    rooms: RoomReader
    ephemeral: Ephemeral
    accounts: AccountReader
    e2ee: E2eeReader
    presence: Presence
    unread: UnreadCounts
    push_rules: PushRules
    waiting: WaitingRoom
    stopping: Stopping
    clock: Clock
    entropy: Entropy


def assemble_sliding(ports: SlidingPorts) -> SlidingSync:
    """Build everything; room lists, stamps and connections listen to the log from now on."""
    rooms, log = ports.rooms, ports.log
    facts = FactsReader(rooms)
    invites = InviteSections(rooms)
    return SlidingSync(
        log=log,
        rooms=rooms,
        lists=RoomLists(log, rooms, facts, ports.accounts, invites),
        results=RoomResults(rooms, invites, StateParts(rooms, facts), BumpStamps(log, facts), ports.unread, ports.clock),
        extensions=Extensions(
            rooms,
            ports.accounts,
            ports.e2ee,
            DeviceLists(rooms, ports.e2ee),
            ports.ephemeral,
            ports.push_rules,
            ThreadSubscriptions(rooms, log, rooms.sights.names),
            StickyExtension(rooms, ports.accounts, ports.clock),
        ),
        connections=Connections(ports.database, log, ports.clock, ports.entropy),
        accounts=ports.accounts,
        presence=ports.presence,
        waiting=ports.waiting,
        stopping=ports.stopping,
        clock=ports.clock,
    )
