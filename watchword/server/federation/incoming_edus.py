"""Takes EDUs apart and hands each to whom it concerns. Every user named must belong to the server that sends it.

Unknown types are ignored; what is malformed or foreign is dropped and counted in the log, never answered.
Spec: server-server-api#edus
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.errors import ProtocolError, Refusal
from watchword.protocol.ids import EventId, RoomId, ServerName, UserId, domain_of, parse_event_id, parse_room_id, parse_user_id
from watchword.server.accounts.commands import PresenceState
from watchword.server.federation.ports import IncomingE2ee, Presence, RoomAcls, RoomEdus
from watchword.server.rooms.ephemeral import Receipt

logger = logging.getLogger(__name__)

_RECEIPTS_MAX = 500
_PRESENCE_MAX = 500
_STATUS_CHARACTERS_MAX = 1_024


class _BadEdu(ProtocolError):
    """Malformed, or about somebody else's user."""


@dataclass(frozen=True, slots=True)
class IncomingEdus:
    """presence: None if it is off."""

    rooms: RoomEdus
    acls: RoomAcls
    e2ee: IncomingE2ee
    presence: Presence | None
    clock: Clock

    async def receive(self, origin: ServerName, edu: object) -> None:
        """Act on one EDU. Raises nothing for what is in it."""
        kind = edu.get("edu_type") if isinstance(edu, dict) else None
        content = edu.get("content") if isinstance(edu, dict) else None
        if not isinstance(kind, str) or not isinstance(content, dict):
            return
        try:
            await self._dispatch(origin, kind, content)
        except (ProtocolError, Refusal) as error:
            logger.info("An EDU was dropped.", extra={"server_name": origin, "edu_type": kind[:64], "cause": str(error)})
        except Exception:
            # The neighbours in the same transaction must not suffer.
            logger.exception("An EDU could not be handled.", extra={"server_name": origin, "edu_type": kind[:64]})

    async def _dispatch(self, origin: ServerName, kind: str, content: Mapping[str, Any]) -> None:
        match kind:
            case "m.typing":
                await self._typing(origin, content)
            case "m.receipt":
                await self._receipts(origin, content)
            case "m.presence":
                await self._presence(origin, content)
            case "m.device_list_update":
                _user_of(origin, content.get("user_id"))
                await self.e2ee.receive_device_list_update(origin, content)
            case "m.signing_key_update" | "org.matrix.signing_key_update":
                _user_of(origin, content.get("user_id"))
                await self.e2ee.receive_signing_key_update(origin, content)
            case "m.direct_to_device":
                _user_of(origin, content.get("sender"))
                await self.e2ee.receive_direct_to_device(origin, content)
            case _:
                return

    async def _typing(self, origin: ServerName, content: Mapping[str, Any]) -> None:
        room_id, user_id = _room(content.get("room_id")), _user_of(origin, content.get("user_id"))
        typing = content.get("typing")
        if not isinstance(typing, bool):
            raise _BadEdu("typing is not true or false")
        if await self.acls.may_take_part(room_id, origin):
            await self.rooms.receive_typing(room_id, user_id, limits.typing_from_peers_ms if typing else 0)

    async def _receipts(self, origin: ServerName, content: Mapping[str, Any]) -> None:
        budget = _RECEIPTS_MAX
        for room, kinds in content.items():
            users = kinds.get("m.read") if isinstance(kinds, dict) else None
            if not isinstance(users, dict) or budget <= 0:
                continue
            room_id = _room(room)
            # "The receipt EDU is checked per room": one room's ACL does not touch the others.
            if not await self.acls.may_take_part(room_id, origin):
                continue
            for user, receipt in list(users.items())[:budget]:
                budget -= 1
                await self._receipt(origin, room_id, user, receipt)

    async def _receipt(self, origin: ServerName, room_id: RoomId, user: object, receipt: object) -> None:
        try:
            user_id = _user_of(origin, user)
            event_ids = receipt.get("event_ids") if isinstance(receipt, dict) else None
            data = receipt.get("data", {}) if isinstance(receipt, dict) else None
            if not isinstance(event_ids, list) or not event_ids or not isinstance(data, dict):
                raise _BadEdu("a receipt is malformed")
            thread_id, ts = data.get("thread_id"), data.get("ts", 0)
            if not isinstance(thread_id, str | None) or len(thread_id or "") > limits.identifier_bytes_max:
                raise _BadEdu("a receipt's thread is malformed")
            event_id = _event(event_ids[0])
        except ProtocolError as error:
            logger.info("A receipt was dropped.", extra={"server_name": origin, "cause": str(error)})
            return
        await self.rooms.receive_receipt(Receipt(room_id, user_id, "m.read", event_id, thread_id), self._plausible_ts(ts))

    def _plausible_ts(self, ts: object) -> int:
        now = self.clock.now_ms()
        return min(ts, now) if isinstance(ts, int) and not isinstance(ts, bool) and ts >= 0 else now

    async def _presence(self, origin: ServerName, content: Mapping[str, Any]) -> None:
        updates = content.get("push")
        if self.presence is None or not isinstance(updates, list):
            return
        for update in updates[:_PRESENCE_MAX]:
            if not isinstance(update, dict):
                continue
            state = self._presence_state(update)
            user = update.get("user_id")
            if state is not None and isinstance(user, str) and domain_of(user) == origin:
                await self.presence.receive(_user_of(origin, user), state)

    def _presence_state(self, update: Mapping[str, Any]) -> PresenceState | None:
        presence, status = update.get("presence"), update.get("status_msg")
        ago = update.get("last_active_ago", 0)
        if presence not in ("online", "offline", "unavailable") or not isinstance(ago, int):
            return None
        status = status[:_STATUS_CHARACTERS_MAX] if isinstance(status, str) else None
        last_active_ts = max(0, self.clock.now_ms() - max(0, ago))
        return PresenceState(presence, status, last_active_ts, update.get("currently_active") is True)


def _user_of(origin: ServerName, user: object) -> UserId:
    """A user of the origin. Raises _BadEdu for anybody else."""
    if not isinstance(user, str):
        raise _BadEdu("no user is named")
    user_id = parse_user_id(user)
    if domain_of(user_id) != origin:
        raise _BadEdu("it names a user of another server")
    return user_id


def _room(value: object) -> RoomId:
    if not isinstance(value, str):
        raise _BadEdu("no room is named")
    return parse_room_id(value)


def _event(value: object) -> EventId:
    if not isinstance(value, str):
        raise _BadEdu("no event is named")
    return parse_event_id(value)
