"""Policy lists that the operator chose, applied to the whole server: rooms whose state says whom to ban.

The rules are read from the state of these rooms when it changes, and compiled; invites by whom they ban that wait for an
answer are rejected. Somebody of this server must be in a list's room, or its state is not here.
Deliberately absent: banning anybody from a room (that is for moderators and their bots), and what a ban means (`rooms`).

Spec: client-server-api#moderation-policy-lists
"""

import asyncio
import logging
from collections.abc import Collection
from dataclasses import dataclass, field

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.protocol.ids import RoomId
from watchword.protocol.policy_lists import RULE_TYPES, PolicyRules, Rule, rule_of
from watchword.server.changes import Change, EventAppended, StateChanged
from watchword.server.moderation.bans import BanList
from watchword.server.moderation.rejections import Rejections
from watchword.server.rooms.reader import RoomReader
from watchword.server.rooms.records import MembershipRow
from watchword.storage import Log, Logged

logger = logging.getLogger(__name__)


@dataclass
class PolicyLists:
    """Keeps the bans true to the lists. Call `start` before the doors open, and run `run`."""

    rooms: RoomReader
    bans: BanList
    rejections: Rejections
    clock: Clock
    room_ids: Collection[RoomId]
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def listen(self, log: Log[Change]) -> None:
        """Notice when a list changes."""
        if self.room_ids:
            log.listen(self._heard)

    def _heard(self, logged: Logged[Change]) -> None:
        match logged.change:
            case EventAppended(room_id=room_id, type=kind, state_key=state_key) if state_key is not None:
                # Also a redaction takes a rule back: it is no state, and StateChanged does not follow it.
                if room_id in self.room_ids and (kind in RULE_TYPES or kind == "m.room.member"):
                    self._changed.set()
            case EventAppended(room_id=room_id, type="m.room.redaction") | StateChanged(room_id=room_id):
                if room_id in self.room_ids:
                    self._changed.set()
            case _:
                pass

    async def start(self) -> None:
        """Read the lists."""
        await self._compile()

    async def run(self) -> None:
        """Follow the lists, until cancelled. Several changes at once are read once."""
        await self._reject_banned()
        while True:
            await self._changed.wait()
            await self.clock.sleep(limits.policy_lists_pause_ms)
            self._changed.clear()
            await self._compile()
            await self._reject_banned()

    async def _compile(self) -> None:
        rules: list[Rule] = []
        for room_id in self.room_ids:
            rules.extend(await self._rules_of(room_id))
        self.bans.rules = PolicyRules(rules)
        if self.room_ids:
            logger.info("Policy lists were read.", extra={"rooms": len(self.room_ids), "rules": len(rules)})

    async def _rules_of(self, room_id: RoomId) -> list[Rule]:
        room = await self.rooms.room(room_id)
        if room is None or not room.state:
            logger.warning("The room of a policy list is not known here.", extra={"room_id": room_id})
            return []
        wanted = [(key[0], event_id) for key, event_id in room.state.items() if key[0] in RULE_TYPES]
        rules: list[Rule] = []
        for start in range(0, min(len(wanted), limits.policy_rules_max), limits.policy_rules_at_once):
            some = wanted[start : start + limits.policy_rules_at_once]
            found = await self.rooms.found([event_id for _, event_id in some])
            read = (rule_of(kind, found[event_id].pdu.content) for kind, event_id in some if event_id in found)
            rules.extend(rule for rule in read if rule is not None)
            await self.clock.sleep(0)
        return rules

    async def _reject_banned(self) -> None:
        """Invites by the banned that wait already. Their servers are not told: they are not to be asked for anything."""
        if not self.room_ids:
            return
        count = await self.rejections.reject_where(self._is_banned, tell=False)
        if count:
            logger.info("Invites by the banned were rejected.", extra={"count": count})

    def _is_banned(self, row: MembershipRow) -> bool:
        return self.bans.bans_user(row.sender) or self.bans.bans_room(row.room_id)
