"""The extensions of a sliding sync response: everything but the rooms' events.

Each tells what is new since the client was told last, and of a room that it was never told about, all that there is. A room
that nobody asks about at the moment loses nothing: it is told later what it missed.

Definition: MSC3884, MSC3885, MSC3959, MSC3960, MSC3961, MSC4308, MSC4480.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import orjson

from watchword.protocol import event_types
from watchword.protocol.ids import DeviceId, EventId, RoomId, UserId
from watchword.server.accounts.reader import AccountReader
from watchword.server.e2ee.reader import E2eeReader
from watchword.server.rooms.ephemeral import Ephemeral
from watchword.server.rooms.reader import RoomReader
from watchword.server.rooms.records import MembershipRow, ReceiptRow
from watchword.server.rooms.room import Room
from watchword.server.rooms.thread_subscriptions import ThreadSubscriptions
from watchword.server.rooms.tokens import sync_token
from watchword.server.rooms.view import Reader
from watchword.server.sync.device_lists import DeviceLists, MemberChanges
from watchword.server.sync.ports import PushRules
from watchword.server.sync.rooms import receipts_content
from watchword.server.sync.sliding.commands import ExtensionsWanted, Scope, StickyWanted, ThreadsWanted, ToDeviceWanted
from watchword.server.sync.sliding.connections import Snapshot, Told
from watchword.server.sync.sliding.plan import Plan, Wanted
from watchword.server.sync.sliding.sticky_events import StickyExtension
from watchword.server.sync.window import Window
from watchword.storage import Position

_PUSH_RULES = "m.push_rules"
_DELETED = b"{}"
_FIRST = 1
"""Account data stand behind the first position of the log: of what came after it, deletions are told, too."""


@dataclass(slots=True)
class Telling:
    """A response being built, as extensions see it.

    base: what the client has; None for a connection that begins. told: what it will know of each room; changed here.
    fresh: rooms that are in a window, or wanted in another way, since this response. shown: room → events told just now.
    sticky_rooms: rooms with sticky events that a list or subscription is about, in its window or not.
    """

    reader: Reader
    wanted: ExtensionsWanted
    base: Snapshot | None
    window: Window
    memberships: Mapping[RoomId, MembershipRow]
    plan: Plan
    told: dict[RoomId, Told]
    fresh: Collection[RoomId]
    shown: Mapping[RoomId, Collection[EventId]] = field(default_factory=dict)
    sticky_rooms: Collection[RoomId] = ()

    def know(self, room_id: RoomId, told: Told) -> None:
        """What the client will know of a room. What it knows now stays as it is: the response may be lost."""
        if self.base is not None and self.told is self.base.rooms:
            self.told = dict(self.told)
        self.told[room_id] = told

    def rooms(self, scope: Scope, was: Scope | None, stirred: Iterable[RoomId]) -> list[RoomId]:
        """The rooms that an extension looks at: those in its scope that are fresh, or where something happened.

        was: the scope in the request before; where that was another one, all rooms are fresh.
        """
        rooms = self.plan.rooms
        if self.base is None or was != scope or self.window.everything:
            looked_at: Iterable[RoomId] = rooms
        else:
            looked_at = dict.fromkeys((*self.fresh, *stirred))
        return [room_id for room_id in looked_at if room_id in rooms and _covers(scope, room_id, rooms[room_id])]


def _covers(scope: Scope, room_id: RoomId, wanted: Wanted) -> bool:
    if wanted.lists and (scope.lists is None or any(name in scope.lists for name in wanted.lists)):
        return True
    return wanted.subscribed and (scope.rooms is None or room_id in scope.rooms)


@dataclass(frozen=True)
class Extensions:
    """Builds the extensions' part of a response."""

    rooms: RoomReader
    accounts: AccountReader
    e2ee: E2eeReader
    device_lists: DeviceLists
    ephemeral: Ephemeral
    push_rules: PushRules
    subscriptions: ThreadSubscriptions
    sticky: StickyExtension

    async def acknowledge(self, reader: Reader, wanted: ToDeviceWanted, position: Position) -> None:
        """The client has the messages up to `since`: they are deleted."""
        if wanted.since is not None and wanted.since <= position and reader.device_id is not None:
            await self.e2ee.delete_to_device(reader.user_id, _device(reader), Position(wanted.since))

    async def answer(self, telling: Telling) -> tuple[list[bytes], bool]:
        """Encoded `name: value` pairs, and whether any of them says something new."""
        wanted, was = telling.wanted, None if telling.base is None else telling.base.extensions
        parts: list[bytes] = []
        news = False
        if wanted.to_device is not None and telling.reader.device_id is not None:
            encoded, has = await self._to_device(telling, wanted.to_device)
            parts.append(b'"to_device":' + encoded)
            news |= has
        if wanted.e2ee and telling.reader.device_id is not None:
            encoded, has = await self._e2ee(telling)
            parts.append(b'"e2ee":' + encoded)
            news |= has
        if wanted.account_data is not None:
            encoded, has = await self._account_data(telling, wanted.account_data, None if was is None else was.account_data)
            if has:
                parts.append(b'"account_data":' + encoded)
                news = True
        if wanted.receipts is not None:
            receipts = await self._receipts(telling, wanted.receipts, None if was is None else was.receipts)
            if receipts:
                parts.append(b'"receipts":{"rooms":{%b}}' % b",".join(receipts))
                news = True
        if wanted.typing is not None:
            typing = self._typing(telling, wanted.typing, None if was is None else was.typing)
            if typing:
                parts.append(b'"typing":{"rooms":{%b}}' % b",".join(typing))
                news = True
        if wanted.threads is not None:
            encoded, has = await self._threads(telling, wanted.threads)
            if has:
                parts.append(orjson.dumps(wanted.threads.name) + b":" + encoded)
                news = True
        sticky = await self._sticky(telling, wanted.sticky)
        if sticky is not None:
            parts.append(sticky)
            news = True
        return parts, news

    async def _sticky(self, telling: Telling, wanted: StickyWanted | None) -> bytes | None:
        if wanted is None:
            return None
        until = int(telling.window.until)
        encoded = await self.sticky.answer(telling.reader, wanted, telling.sticky_rooms, until, telling.shown)
        return None if encoded is None else orjson.dumps(wanted.name) + b":" + encoded

    async def _threads(self, telling: Telling, wanted: ThreadsWanted) -> tuple[bytes, bool]:
        """The newest changes of thread subscriptions; `prev_batch` leads to the others."""
        base, window = telling.base, telling.window
        told_until = -1 if base is None else base.threads
        if told_until >= window.after and not (window.threads or window.everything):
            return b"", False
        after = Position(max(0, told_until))
        rows = await self.subscriptions.changes(telling.reader.user_id, after, window.until, wanted.limit + 1)
        body: dict[str, Any] = {}
        for row in rows[: wanted.limit]:
            told: dict[str, Any] = {"automatic": row.is_automatic} if row.is_subscribed else {}
            section = body.setdefault("subscribed" if row.is_subscribed else "unsubscribed", {})
            section.setdefault(row.room_id, {})[row.root_id] = {**told, "bump_stamp": row.position}
        if len(rows) > wanted.limit:
            body["prev_batch"] = sync_token(Position(rows[wanted.limit - 1].position - 1))
        return orjson.dumps(body), bool(body)

    # Devices

    async def _to_device(self, telling: Telling, wanted: ToDeviceWanted) -> tuple[bytes, bool]:
        until = telling.window.until
        # A position from before a restore of the database acknowledges nothing and hides nothing.
        after = wanted.since if wanted.since is not None and wanted.since <= until else 0
        user_id, device_id = telling.reader.user_id, _device(telling.reader)
        messages, last = await self.e2ee.to_device(user_id, device_id, Position(after), until, wanted.limit)
        return b'{"next_batch":"%d","events":[%b]}' % (last, b",".join(messages)), bool(messages)

    async def _e2ee(self, telling: Telling) -> tuple[bytes, bool]:
        user_id, window = telling.reader.user_id, telling.window
        parts = []
        if telling.base is not None:
            members = await self._member_changes(telling)
            if window.device_lists or members:
                lists = await self.device_lists.changes(user_id, (window.after, window.until), members)
                if lists is not None:
                    parts.append(b'"device_lists":' + orjson.dumps(lists))
        news = bool(parts) or window.key_counts
        counts, unused = await self.e2ee.key_counts(user_id, _device(telling.reader))
        parts.append(b'"device_one_time_keys_count":' + orjson.dumps(counts))
        # "MUST be present": clients tell by it that the server knows fallback keys at all.
        parts.append(b'"device_unused_fallback_key_types":' + orjson.dumps(list(unused)))
        return b"{" + b",".join(parts) + b"}", news

    async def _member_changes(self, telling: Telling) -> MemberChanges:
        """With whom an encrypted room is newly shared in the span, and with whom perhaps none is; all rooms count."""
        window, changes = telling.window, MemberChanges()
        concerned = telling.memberships.keys() if window.everything else window.rooms & telling.memberships.keys()
        for room_id in tuple(concerned):
            row = telling.memberships[room_id]
            if row.membership in ("leave", "ban") and not window.after < row.position <= window.until:
                continue
            room = await self.rooms.room(room_id)
            if room is None or room.last_state_position <= window.after or (event_types.ENCRYPTION, "") not in room.state:
                continue
            if row.membership == "join":
                await self._in_room(changes, room, telling.reader.user_id, window)
            elif row.membership in ("leave", "ban"):
                changes.maybe_left.update(await self.device_lists.joined_at(room, row.position))
        return changes

    async def _in_room(self, changes: MemberChanges, room: Room, user_id: UserId, window: Window) -> None:
        async with self.rooms.database.read() as tx:
            newly = await self.rooms.sights.joined_since(tx, room, user_id) > window.after
            newly = newly or (await self.rooms.encrypted_since(tx, room) or 0) > window.after
            changed = {} if newly else await self.rooms.member_changes(tx, room, window.after, window.until)
        if newly:
            changes.newly_shared.update(room.members.joined)
        for user, (was, now) in changed.items():
            if now == "join" != was:
                changes.newly_shared.add(user)
            elif was == "join" != now:
                changes.maybe_left.add(user)

    # Account data

    async def _account_data(self, telling: Telling, scope: Scope, was: Scope | None) -> tuple[bytes, bool]:
        base, window = telling.base, telling.window
        told_until = -1 if base is None else base.account_data
        moved = window.account_data or told_until < window.after
        rooms = {
            room_id: telling.told[room_id].account_data
            for room_id in telling.rooms(scope, was, telling.plan.rooms if moved else ())
            if room_id in telling.told
        }
        if not moved and not any(position < window.after for position in rooms.values()):
            return b"", False
        after = min((told_until, *rooms.values()))
        everywhere: list[bytes] = []
        by_room: dict[RoomId, list[bytes]] = {}
        has_rules = False
        for row in await self.accounts.account_data_since(telling.reader.user_id, Position(max(_FIRST, after))):
            known = told_until if row.room_id is None else rooms.get(row.room_id, window.until)
            # What was deleted is empty: nothing for those who never had it.
            if not known < row.position <= window.until or (known < 0 and row.content == _DELETED):
                continue
            is_rules = row.room_id is None and row.type == _PUSH_RULES
            # As they are today: rules may have been predefined since they were stored.
            content = await self.push_rules.content(telling.reader.user_id) if is_rules else row.content
            encoded = b'{"content":%b,"type":%b}' % (content, orjson.dumps(row.type))
            has_rules |= is_rules
            if row.room_id is None:
                everywhere.append(encoded)
            else:
                by_room.setdefault(row.room_id, []).append(encoded)
        if told_until < 0 and not has_rules:
            content = await self.push_rules.content(telling.reader.user_id)
            everywhere.append(b'{"content":%b,"type":"m.push_rules"}' % content)
        for room_id, position in rooms.items():
            if position < window.after or room_id in by_room:
                telling.know(room_id, msgspec.structs.replace(telling.told[room_id], account_data=int(window.until)))
        listed = b",".join(_named(room_id, b"[" + b",".join(events) + b"]") for room_id, events in by_room.items())
        return b'{"global":[%b],"rooms":{%b}}' % (b",".join(everywhere), listed), bool(everywhere or by_room)

    # Receipts and typing

    async def _receipts(self, telling: Telling, scope: Scope, was: Scope | None) -> list[bytes]:
        found = []
        until = telling.window.until
        for room_id in telling.rooms(scope, was, telling.window.receipts):
            told, room = telling.told.get(room_id), await self._joined(telling, room_id)
            if told is None or room is None or 0 <= told.receipts >= room.receipts_position:
                continue
            telling.know(room_id, msgspec.structs.replace(told, receipts=int(until)))
            if not room.receipts_position:
                continue
            user_id = telling.reader.user_id
            rows = await self.ephemeral.receipts_since(room, user_id, Position(max(0, told.receipts)), until)
            if told.receipts < 0:
                rows = _first_receipts(rows, user_id, room, telling.shown.get(room_id, ()))
            if rows:
                event = {"type": "m.receipt", "content": receipts_content(rows)}
                found.append(_named(room_id, orjson.dumps(event)))
        return found

    def _typing(self, telling: Telling, scope: Scope, was: Scope | None) -> list[bytes]:
        typing, window = self.ephemeral.typing, telling.window
        found = []
        for room_id in telling.rooms(scope, was, window.typing):
            row = telling.memberships.get(room_id)
            moved_at = typing.moved_at(room_id)
            if row is None or row.membership != "join" or not moved_at:
                continue
            room = self.rooms.registry.at_hand(room_id)
            joined = set() if room is None else room.members.joined
            users = [user_id for user_id in typing.users(room_id) if user_id in joined]
            # Nobody types: news only for those who may believe otherwise.
            if users or (telling.base is not None and room_id in telling.base.rooms):
                event = {"type": "m.typing", "content": {"user_ids": users}}
                found.append(_named(room_id, orjson.dumps(event)))
        return found

    async def _joined(self, telling: Telling, room_id: RoomId) -> Room | None:
        row = telling.memberships.get(room_id)
        return await self.rooms.room(room_id) if row is not None and row.membership == "join" else None


def _first_receipts(
    rows: Sequence[ReceiptRow], user_id: UserId, room: Room, shown: Collection[EventId]
) -> Sequence[ReceiptRow]:
    """Of all receipts of a room the user's own, and those at events that the client has: the rest is of no use to it."""
    events = set(shown) or {event.event_id for event in room.recent}
    return [row for row in rows if row.user_id == user_id or row.event_id in events]


def _device(reader: Reader) -> DeviceId:
    assert reader.device_id is not None
    return DeviceId(reader.device_id)


def _named(room_id: RoomId, encoded: bytes) -> bytes:
    return orjson.dumps(room_id) + b":" + encoded
