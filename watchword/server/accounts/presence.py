"""Presence: in memory only, with a Change whenever somebody's becomes another.

After a restart everybody is offline until seen again. Remote users' presence comes in through `receive`.
"""

from collections.abc import Mapping

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.protocol.ids import ServerName, UserId, domain_of
from watchword.server.accounts.commands import PresenceState
from watchword.server.accounts.decide import BUSY, presence_refusal, rested
from watchword.server.changes import Change, PresenceChanged
from watchword.storage import Database, Log

_REST_CHECK_MS = 30_000


class PresenceBook:
    """Everybody's presence, bounded; who was active longest ago is forgotten first."""

    def __init__(self, database: Database, log: Log[Change], clock: Clock, server_name: ServerName, *, enabled: bool) -> None:
        self._database = database
        self._log = log
        self._clock = clock
        self._server_name = server_name
        self._states: dict[UserId, PresenceState] = {}
        self._shown: dict[UserId, dict[str, str]] = {}
        self.enabled = enabled

    def state(self, user_id: UserId) -> PresenceState | None:
        """Somebody's presence, or None if nothing is known."""
        return self._states.get(user_id)

    def content(self, user_id: UserId) -> Mapping[str, object] | None:
        """The content of an m.presence event. Spec: client-server-api#mpresence"""
        state = self._states.get(user_id)
        if state is None:
            return None
        content: dict[str, object] = {"presence": state.presence}
        if state.presence != "offline" or state.last_active_ts:
            content["last_active_ago"] = max(0, self._clock.now_ms() - state.last_active_ts)
        if state.status_msg is not None:
            content["status_msg"] = state.status_msg
        content["currently_active"] = state.currently_active
        return {**content, **self._shown.get(user_id, {})}

    async def set(self, user_id: UserId, presence: str, status_msg: str | None) -> None:
        """A user says how he is; the time of activity is now. Raises BadRequest. Without effect if presence is off.

        Spec: client-server-api#put_matrixclientv3presenceuseridstatus
        """
        refused = presence_refusal(presence, status_msg)
        if refused is not None:
            raise refused.error()
        if self.enabled:
            await self._become(user_id, PresenceState(presence, status_msg, self._clock.now_ms(), presence == "online"))

    async def seen(self, user_id: UserId, presence: str) -> None:
        """A client syncs, with this `set_presence`. Costs nothing while nothing changes. Raises BadRequest."""
        refused = presence_refusal(presence, None)
        if refused is not None:
            raise refused.error()
        # "offline" asks that this sync shall not count as a sign of life.
        if not self.enabled or presence == "offline":
            return
        known = self._states.get(user_id)
        status_msg = None if known is None else known.status_msg
        if known is not None and known.presence == BUSY and presence == "online":
            # "online" is what clients say that do not know better: it does not end what the user chose.
            presence = BUSY
        await self._become(user_id, PresenceState(presence, status_msg, self._clock.now_ms(), presence == "online"))

    async def receive(self, user_id: UserId, state: PresenceState) -> None:
        """What another server says of its user; the caller checked that it is its user."""
        if self.enabled and presence_refusal(state.presence, state.status_msg) is None:
            await self._become(user_id, state)

    async def show(self, user_id: UserId, field: str, value: str | None) -> None:
        """A local user's name or picture became another, or none: that is told with the presence of whoever was seen.

        Spec: client-server-api#events-on-change-of-profile-information
        """
        if user_id not in self._states:
            return
        shown = self._shown.setdefault(user_id, {})
        shown.pop(field, None)
        if value is not None:
            shown[field] = value
        async with self._database.write() as tx:
            await self._log.append(tx, PresenceChanged(user_id))

    async def _become(self, user_id: UserId, state: PresenceState) -> None:
        known = self._states.pop(user_id, None)
        self._states[user_id] = state
        while len(self._states) > limits.presence_users_max:
            forgotten = next(iter(self._states))
            del self._states[forgotten]
            self._shown.pop(forgotten, None)
        if known is not None and _looks_same(known, state):
            return
        async with self._database.write() as tx:
            await self._log.append(tx, PresenceChanged(user_id))

    async def rest(self) -> None:
        """Let local users become unavailable, then offline, who give no sign of life. Other servers tell of their own."""
        now_ms = self._clock.now_ms()
        for user_id, state in list(self._states.items()):
            tired = rested(state, now_ms) if domain_of(user_id) == self._server_name else state
            if tired is not state and self._states.get(user_id) is state:
                await self._become(user_id, tired)

    async def run(self) -> None:
        """Look for idle users twice a minute, for ever."""
        while True:
            await self._clock.sleep(_REST_CHECK_MS)
            await self.rest()


def _looks_same(a: PresenceState, b: PresenceState) -> bool:
    return (a.presence, a.status_msg, a.currently_active) == (b.presence, b.status_msg, b.currently_active)
