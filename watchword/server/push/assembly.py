"""Push put together: the one object that the doors are mounted with, and from which `app.py` takes its parts."""

from dataclasses import dataclass

from watchword.base.clock import Clock
from watchword.base.entropy import Entropy
from watchword.server.accounts.assembly import Accounts
from watchword.server.changes import Change
from watchword.server.push.addresses import AccountAddresses
from watchword.server.push.askers import Askers
from watchword.server.push.audience import Audience
from watchword.server.push.commands import PushSettings
from watchword.server.push.compose import Composer
from watchword.server.push.counts import UnreadCounter
from watchword.server.push.digests import Digests
from watchword.server.push.follower import PushFollower
from watchword.server.push.journal import PushJournal
from watchword.server.push.missed import MissedRooms
from watchword.server.push.noted import NotedEvents
from watchword.server.push.notifications import Notifications
from watchword.server.push.ports import Gateways, Mailbox, RoomParts
from watchword.server.push.pushers import Pushers
from watchword.server.push.rules import PushRules
from watchword.server.push.sender import PushSender
from watchword.server.push.threads import SubscribedThreads
from watchword.storage import Database, Log


@dataclass(frozen=True, slots=True)
class PushPorts:
    """What others fit. mailbox: None where no mail is sent."""

    rooms: RoomParts
    accounts: Accounts
    gateways: Gateways
    mailbox: Mailbox | None = None


@dataclass(frozen=True, slots=True)
class Push:
    """The parts. `run()` is for the server's task group."""

    rules: PushRules
    unread: UnreadCounter
    pushers: Pushers
    notifications: Notifications
    journal: PushJournal
    follower: PushFollower

    async def run(self) -> None:
        """Tell gateways and mailboxes of what is new, for ever."""
        await self.follower.run()


def assemble_push(
    database: Database,
    log: Log[Change],
    clock: Clock,
    entropy: Entropy,
    ports: PushPorts,
    settings: PushSettings = PushSettings(),  # noqa: B008 (frozen)
) -> Push:
    """Build everything of this feature. The log must not have begun to speak: counts listen to it."""
    rooms, accounts = ports.rooms, ports.accounts
    rules = PushRules(database, accounts.reader, accounts.user_data, settings.predefined)
    rules.listen(log)
    threads = SubscribedThreads(rooms.relations.subscriptions, log)
    threads.listen()
    events = NotedEvents(rooms.reader)
    askers = Askers(rooms.reader, rules, events, threads)
    unread = UnreadCounter(database, rooms.reader, rooms.ephemeral, accounts.reader, askers, events, log)
    unread.listen()
    mailbox, wanted = ports.mailbox, settings.digests
    addresses = None if mailbox is None or wanted is None else AccountAddresses(accounts.threepids)
    pushers = Pushers(database, log, clock, settings.plain_http, addresses)
    composer = Composer(rooms.reader, unread)
    notifications = Notifications(database, rooms.reader, accounts.reader, askers, events, unread, clock)
    digests = None
    if mailbox is not None and wanted is not None:
        missed = MissedRooms(notifications, composer, events, wanted.bodies)
        digests = Digests(database, log, clock, entropy, pushers, missed, wanted, mailbox)
    sender = PushSender(database, pushers, ports.gateways, composer.unread_rooms, clock, entropy)
    audience = Audience(rooms.reader, accounts.reader, askers, events, composer)
    return Push(
        rules=rules,
        unread=unread,
        pushers=pushers,
        notifications=notifications,
        journal=PushJournal(database),
        follower=PushFollower(database, log, clock, audience, pushers, sender, digests),
    )
