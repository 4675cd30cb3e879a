"""Delayed events put together."""

from dataclasses import dataclass

from watchword.base.clock import Clock
from watchword.base.entropy import Entropy
from watchword.edge.rate_limits import RateLimiter
from watchword.server.accounts.reader import AccountReader
from watchword.server.changes import Change
from watchword.server.delayed.commands import DelaySettings
from watchword.server.delayed.sending import DelayedSending
from watchword.server.delayed.service import DelayedEvents
from watchword.server.delayed.timer import DelayedTimer
from watchword.server.rooms.posting import Posting
from watchword.storage import Database, Log


@dataclass(frozen=True, slots=True)
class DelayGround:
    """What delayed events stand on."""

    database: Database
    log: Log[Change]
    clock: Clock
    entropy: Entropy


@dataclass(frozen=True, slots=True)
class Delayed:
    """The parts. `timer.run()` is for the server's task group."""

    service: DelayedEvents
    timer: DelayedTimer


def assemble_delayed(
    ground: DelayGround, settings: DelaySettings, posting: Posting, accounts: AccountReader, limiter: RateLimiter
) -> Delayed:
    """Build everything of this feature; it listens to the log from now on."""
    sending = DelayedSending(ground.database, posting, accounts, limiter, ground.clock)
    timer = DelayedTimer(ground.database, ground.log, sending, ground.clock)
    service = DelayedEvents(ground.database, ground.log, settings, sending, ground.clock, ground.entropy, timer.scheduled)
    return Delayed(service, timer)
