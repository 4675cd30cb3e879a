"""What a stretch of the log is to an application service: the body of one transaction, from stored bytes.

Spec: application-service-api#pushing-events, application-service-api#pushing-ephemeral-data, proposals/3202, proposals/4203
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.protocol import client_events, event_types
from watchword.protocol.ids import DeviceId, RoomId, UserId
from watchword.server.appservices.commands import Letter
from watchword.server.appservices.interest import Interest
from watchword.server.appservices.ports import Accounts, Mailboxes, Presences
from watchword.server.appservices.registration import Registration
from watchword.server.changes import (
    Change,
    CrossSigningChanged,
    DeviceListChanged,
    EventAppended,
    KeyCountsChanged,
    OutOfBandMembership,
    PresenceChanged,
    ReceiptChanged,
    ToDeviceQueued,
    TypingChanged,
)
from watchword.server.rooms.ephemeral import Ephemeral
from watchword.server.rooms.reader import RoomReader
from watchword.server.rooms.stored import StoredEvent
from watchword.storage import Logged, Position


@dataclass(frozen=True)
class Sources:
    """Where what is told comes from."""

    rooms: RoomReader
    ephemeral: Ephemeral
    accounts: Accounts
    presence: Presences
    mail: Mailboxes
    clock: Clock


@dataclass(slots=True)
class Draft:
    """A transaction in the making. until: the position up to which the log is in it."""

    until: Position
    events: list[bytes] = field(default_factory=list)
    ephemeral: list[bytes] = field(default_factory=list)
    to_device: list[bytes] = field(default_factory=list)
    letters: list[Letter] = field(default_factory=list)
    changed: set[UserId] = field(default_factory=set)
    left: set[UserId] = field(default_factory=set)
    counted: set[tuple[UserId, DeviceId]] = field(default_factory=set)
    typing: set[RoomId] = field(default_factory=set)
    present: set[UserId] = field(default_factory=set)
    size: int = 0

    def add(self, section: list[bytes], encoded: bytes) -> None:
        """Take one more."""
        section.append(encoded)
        self.size += len(encoded)

    @property
    def is_full(self) -> bool:
        """Whether the rest has to wait for the next one."""
        many = len(self.events) + len(self.ephemeral) + len(self.to_device)
        return many >= limits.appservice_transaction_parts_max or self.size >= limits.appservice_transaction_bytes_max


@dataclass(frozen=True)
class Composer:
    """Writes transactions for one service."""

    registration: Registration
    interest: Interest
    sources: Sources

    async def compose(self, changes: Sequence[Logged[Change]]) -> tuple[bytes | None, tuple[Letter, ...], Position]:
        """(body, letters to delete once it is taken, position up to which it goes); body None if nothing concerns it."""
        draft = Draft(changes[0].position)
        for logged in changes:
            await self._take(draft, logged)
            draft.until = logged.position
            if draft.is_full:
                break
        return await self._body(draft), tuple(draft.letters), draft.until

    async def _take(self, draft: Draft, logged: Logged[Change]) -> None:
        registration, interest = self.registration, self.interest
        match logged.change:
            case EventAppended() as change:
                await self._event(draft, change)
            case OutOfBandMembership(user_id=user_id) as change if interest.owns(user_id):
                await self._invite(draft, change)
            case ReceiptChanged() | TypingChanged() | PresenceChanged() as change:
                if registration.ephemeral:
                    await self._ephemeral(draft, change)
            case ToDeviceQueued(user_ids=user_ids) if registration.ephemeral or registration.encryption:
                for user_id in filter(interest.owns, user_ids):
                    await self._letters(draft, UserId(user_id), logged.position)
            case DeviceListChanged() | CrossSigningChanged() | KeyCountsChanged() as change if registration.encryption:
                await self._keys(draft, change)
            case _:
                pass

    async def _ephemeral(self, draft: Draft, change: ReceiptChanged | TypingChanged | PresenceChanged) -> None:
        match change:
            case ReceiptChanged():
                await self._receipt(draft, change)
            case TypingChanged(room_id=room_id):
                if await self.interest.in_room(room_id):
                    draft.typing.add(room_id)
            case PresenceChanged(user_id=user_id):
                if await self.interest.meets(user_id):
                    draft.present.add(user_id)

    async def _keys(self, draft: Draft, change: DeviceListChanged | CrossSigningChanged | KeyCountsChanged) -> None:
        if isinstance(change, KeyCountsChanged):
            if self.interest.owns(change.user_id):
                draft.counted.add((change.user_id, change.device_id))
        elif await self.interest.meets(change.user_id):
            draft.changed.add(change.user_id)

    # Events

    async def _event(self, draft: Draft, change: EventAppended) -> None:
        if await self.interest.in_event(change):
            event = (await self.sources.rooms.found((change.event_id,))).get(change.event_id)
            if event is not None and event.is_shown:
                draft.add(draft.events, self._encoded(event))
        if self.registration.encryption and change.membership is not None and change.state_key:
            await self._sharing(draft, change.membership, UserId(change.state_key))

    def _encoded(self, event: StoredEvent) -> bytes:
        replaced = event.replaced
        redaction = event.redacted_because
        unsigned = client_events.encode_unsigned(
            age_ms=max(0, self.sources.clock.now_ms() - event.pdu.origin_server_ts),
            replaces_state=None if replaced is None else replaced.event_id,
            prev_content=None if replaced is None else replaced.encoded_content(),
            redacted_because=None if redaction is None else client_events.finish(redaction.base_in_room()),
        )
        return client_events.finish(event.base_in_room(), unsigned)

    async def _invite(self, draft: Draft, change: OutOfBandMembership) -> None:
        """A membership in a room that this server does not know: only what came with it can be told."""
        row = await self.sources.rooms.membership_of(change.user_id, change.room_id)
        if row is None or row.event_id != change.event_id:
            return
        shown: list[dict[str, Any]] = [] if row.stripped is None else orjson.loads(row.stripped)
        own = next(
            (each for each in shown if (each.get("type"), each.get("state_key")) == (event_types.MEMBER, row.user_id)), {}
        )
        event = {
            "type": event_types.MEMBER,
            "state_key": row.user_id,
            "sender": row.sender,
            "room_id": row.room_id,
            "event_id": row.event_id,
            "origin_server_ts": self.sources.clock.now_ms(),
            "content": {**own.get("content", {}), "membership": row.membership},
            "unsigned": {"invite_room_state": shown} if row.membership == "invite" else {},
        }
        draft.add(draft.events, orjson.dumps(event))

    # Ephemeral

    async def _receipt(self, draft: Draft, change: ReceiptChanged) -> None:
        # "private receipts only for own users"
        wanted = self.interest.owns(change.user_id) if change.receipt_type == "m.read.private" else True
        if not wanted or not await self.interest.in_room(change.room_id):
            return
        about: dict[str, Any] = {"ts": change.ts}
        if change.thread_id is not None:
            about["thread_id"] = change.thread_id
        content = {change.event_id: {change.receipt_type: {change.user_id: about}}}
        draft.add(draft.ephemeral, orjson.dumps({"type": "m.receipt", "room_id": change.room_id, "content": content}))

    def _last_words(self, draft: Draft) -> None:
        """What is told as it is now, not as it was at each change."""
        for room_id in sorted(draft.typing):
            users = sorted(self.sources.ephemeral.typing.users(room_id))
            content = {"type": "m.typing", "room_id": room_id, "content": {"user_ids": users}}
            draft.ephemeral.append(orjson.dumps(content))
        for user_id in sorted(draft.present):
            presence = self.sources.presence.content(user_id)
            if presence is not None:
                draft.ephemeral.append(orjson.dumps({"type": "m.presence", "sender": user_id, "content": presence}))

    # Encryption

    async def _letters(self, draft: Draft, user_id: UserId, position: Position) -> None:
        for device in await self.sources.accounts.devices(user_id):
            found, _ = await self.sources.mail.to_device(
                user_id, device.device_id, Position(position - 1), position, limits.to_device_page_max
            )
            for message in found:
                addressed = b'{"to_user_id":%b,"to_device_id":%b,%b' % (
                    orjson.dumps(user_id),
                    orjson.dumps(device.device_id),
                    message[1:],
                )
                draft.add(draft.to_device, addressed)
            if found:
                draft.letters.append(Letter(user_id, device.device_id, position))
                draft.counted.add((user_id, device.device_id))

    async def _sharing(self, draft: Draft, membership: str, user_id: UserId) -> None:
        if membership == "join" and await self.interest.meets(user_id):
            draft.changed.add(user_id)
            draft.left.discard(user_id)
        elif membership in ("leave", "ban") and not await self.interest.meets(user_id):
            draft.left.add(user_id)
            draft.changed.discard(user_id)

    async def _key_counts(self, draft: Draft) -> tuple[dict[str, Any], dict[str, Any]]:
        counts: dict[str, Any] = {}
        fallbacks: dict[str, Any] = {}
        for user_id, device_id in sorted(draft.counted):
            left, unused = await self.sources.mail.key_counts(user_id, device_id)
            counts.setdefault(user_id, {})[device_id] = dict(left)
            fallbacks.setdefault(user_id, {})[device_id] = list(unused)
        return counts, fallbacks

    # The body

    async def _body(self, draft: Draft) -> bytes | None:
        self._last_words(draft)
        registration = self.registration
        lists = draft.changed or draft.left
        if not (draft.events or draft.ephemeral or draft.to_device or (registration.encryption and (lists or draft.counted))):
            return None
        parts = [b'"events":[%b]' % b",".join(draft.events)]
        if draft.ephemeral:
            parts += _under(b"ephemeral", b"de.sorunome.msc2409.ephemeral", b"[%b]" % b",".join(draft.ephemeral), registration)
        if draft.to_device:
            parts += _under(b"to_device", b"de.sorunome.msc2409.to_device", b"[%b]" % b",".join(draft.to_device), registration)
        if registration.encryption:
            parts += await self._encryption(draft)
        return b"{%b}" % b",".join(parts)

    async def _encryption(self, draft: Draft) -> list[bytes]:
        parts = []
        if draft.changed or draft.left:
            parts.append((b"device_lists", {"changed": sorted(draft.changed), "left": sorted(draft.left)}))
        if draft.counted:
            counts, fallbacks = await self._key_counts(draft)
            parts.append((b"device_one_time_keys_count", counts))
            parts.append((b"device_unused_fallback_key_types", fallbacks))
        return [
            b'"%b":%b' % (name, orjson.dumps(value))
            for plain, value in parts
            for name in (plain, b"org.matrix.msc3202." + plain)
        ]


def _under(name: bytes, old_name: bytes, value: bytes, registration: Registration) -> list[bytes]:
    names = (name, old_name) if registration.old_ephemeral or registration.encryption else (name,)
    return [b'"%b":%b' % (each, value) for each in names]
