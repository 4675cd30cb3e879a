"""When and from where devices were last seen: noted in memory, written in batches, at worst a minute lost in a crash."""

import logging

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.errors import StorageError
from watchword.edge.request import Request
from watchword.edge.requester import Requester
from watchword.protocol.ids import DeviceId, UserId
from watchword.server.accounts import tables
from watchword.storage import Database

logger = logging.getLogger(__name__)

_AGENT_CHARACTERS_MAX = 256


class LastSeen:
    """Sightings that are not written yet. Bounded by the tokens in memory, because those are what is noted."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._unsaved: dict[tuple[UserId, DeviceId], tuple[int, str, str]] = {}

    def note(self, requester: Requester, request: Request, now_ms: int) -> None:
        """This device asked for something."""
        if requester.device_id is None or len(self._unsaved) >= limits.tokens_in_memory_max:
            return
        agent = request.headers.get("user-agent", "")[:_AGENT_CHARACTERS_MAX].encode("utf-8", "replace").decode()
        self._unsaved[(requester.user_id, requester.device_id)] = (now_ms, request.client_address, agent)

    async def save(self) -> None:
        """Write what was noted; call it once more before stopping."""
        if not self._unsaved:
            return
        unsaved, self._unsaved = self._unsaved, {}
        async with self._database.write() as tx:
            await tables.save_last_seen(tx, ((*seen, user_id, device_id) for (user_id, device_id), seen in unsaved.items()))

    async def run(self) -> None:
        """Write every minute, for ever."""
        while True:
            await self._clock.sleep(limits.last_seen_flush_ms)
            try:
                await self.save()
            except StorageError as error:
                logger.warning("last-seen times were not saved", extra={"cause": str(error)})
