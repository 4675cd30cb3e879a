"""Users' push rules: kept as account data `m.push_rules`, changed one at a time, compiled once for those who read.

Nothing is stored for users who changed nothing, and they share one compiled set.

Spec: client-server-api#push-rules-api
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import cachebox
import orjson

from watchword.base import limits
from watchword.protocol.default_push_rules import DEFAULTS, Predefined
from watchword.protocol.ids import RoomId, UserId
from watchword.protocol.push_conditions import RELATED_EVENT_MATCH, THREAD_SUBSCRIPTION
from watchword.protocol.push_rule_editing import with_room_replaced
from watchword.protocol.push_rules import CompiledRules, RuleSet
from watchword.server.accounts.reader import AccountReader
from watchword.server.accounts.user_data import UserData
from watchword.server.changes import AccountDataChanged, AccountDeactivated, Change
from watchword.storage import Database, Log, Logged

PUSH_RULES = "m.push_rules"
_WHOSE = "@the owner of these rules"
_ENCODED_WHOSE = orjson.dumps(_WHOSE)


@dataclass(frozen=True, slots=True)
class ReadyRules:
    """A user's rules for evaluation.

    by_name: whether they ask for the user's display name in the room. by_thread: for the threads he is subscribed to.
    by_relation: for what an event relates to. by_related_content: for more of that than whose event it is.
    """

    compiled: CompiledRules
    by_name: bool = False
    by_thread: bool = False
    by_relation: bool = False
    by_related_content: bool = False


@dataclass
class PushRules:
    """Reads and changes push rules. Listens to the log from `listen` on. predefined: what every user has."""

    database: Database
    accounts: AccountReader
    user_data: UserData
    predefined: Predefined = field(default_factory=lambda: DEFAULTS)
    _ready: "cachebox.LRUCache[UserId, ReadyRules | None]" = field(
        default_factory=lambda: cachebox.LRUCache(limits.push_rules_cached_max)
    )
    _generation: int = 0
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        # Of everybody who changed nothing: what is compiled of predefined rules does not depend on whose they are.
        self._untouched = _compiled(RuleSet.default("", self.predefined))
        # Their content differs by their own names alone.
        self._untouched_content = orjson.dumps(RuleSet.default(_WHOSE, self.predefined).to_account_data())

    def listen(self, log: Log[Change]) -> None:
        """Drop what is kept in memory when it changes."""
        log.listen(self._heard)

    def _heard(self, logged: Logged[Change]) -> None:
        match logged.change:
            case AccountDataChanged(user_id=user_id, room_id=None, type=data_type) if data_type == PUSH_RULES:
                self._forget(user_id)
            case AccountDeactivated(user_id=user_id):
                self._forget(user_id)
            case _:
                pass

    def _forget(self, user_id: UserId) -> None:
        self._generation += 1
        self._ready.pop(user_id, None)

    async def ready(self, user_id: UserId) -> ReadyRules:
        """A user's rules for evaluation, from memory if they were asked for before."""
        known = self._ready.get(user_id, None)
        if known is None:
            generation = self._generation
            stored = await self._stored(user_id)
            known = self._untouched if stored is None else _compiled(RuleSet.from_json(stored, user_id, self.predefined))
            if generation == self._generation:
                self._ready[user_id] = known
        return known

    async def rule_set(self, user_id: UserId) -> RuleSet:
        """A user's rules as he sees them."""
        return RuleSet.from_json(await self._stored(user_id) or {}, user_id, self.predefined)

    async def content(self, user_id: UserId) -> bytes:
        """The content of the user's m.push_rules as JSON, also if he changed nothing."""
        if await self.ready(user_id) is self._untouched:
            return self._untouched_content.replace(_ENCODED_WHOSE, orjson.dumps(user_id))
        return orjson.dumps((await self.rule_set(user_id)).to_account_data())

    async def change(self, user_id: UserId, edit: Callable[[RuleSet], RuleSet]) -> None:
        """Change a user's rules and tell his devices. Raises what edit raises, and TooLarge."""
        async with self._turn:
            old = await self.rule_set(user_id)
            new = edit(old)
            if new == old:
                return
            async with self.database.write() as tx:
                await self.user_data.put_account_data(tx, user_id, None, PUSH_RULES, new.to_account_data())

    async def copy_room_rules(self, user_id: UserId, old: RoomId, new: RoomId) -> None:
        """Give the rules about one room to the room that replaces it. Fits `rooms.ports.RoomPushRules`."""
        await self.change(user_id, lambda rules: with_room_replaced(rules, old, new))

    async def _stored(self, user_id: UserId) -> Mapping[str, Any] | None:
        content = await self.accounts.account_data(user_id, None, PUSH_RULES)
        if content is None:
            return None
        stored = orjson.loads(content).get("global")
        return stored if isinstance(stored, dict) else {}


def _compiled(rules: RuleSet) -> ReadyRules:
    conditions = [
        condition
        for rule in (*rules.override, *rules.postcontent, *rules.underride)
        if rule.enabled
        for condition in rule.conditions
    ]
    related = [condition for condition in conditions if condition.get("kind") == RELATED_EVENT_MATCH]
    kinds = {condition.get("kind") for condition in conditions}
    return ReadyRules(
        CompiledRules.of(rules),
        by_name="contains_display_name" in kinds,
        by_thread=THREAD_SUBSCRIPTION in kinds,
        by_relation=bool(related),
        by_related_content=any(condition.get("key", "sender") != "sender" for condition in related),
    )
