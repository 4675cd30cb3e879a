"""One /sync request: what changed for one device, or a wait for it.

Theory of operation. A response covers the span from `since` to the log's position now. The window says which rooms and
what else in the span concern the user; sections are built only for those. If there is nothing, the request waits in the
waiting room until a change that concerns the user is durable, and looks again. To-device messages set the upper end of
the span when there are more than a page of them, so that one integer stays the whole token.

Spec: client-server-api#get_matrixclientv3sync
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec
import orjson

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.edge.requester import Requester
from watchword.edge.stopping import Stopping
from watchword.protocol import event_types
from watchword.protocol.ids import RoomId, UserId
from watchword.server.accounts.reader import AccountReader
from watchword.server.changes import Change
from watchword.server.e2ee.reader import E2eeReader
from watchword.server.rooms.reader import MemberChange, RoomReader
from watchword.server.rooms.records import MembershipRow
from watchword.server.rooms.room import Room
from watchword.server.rooms.tokens import sync_token
from watchword.server.rooms.view import Reader
from watchword.server.sync.device_lists import DeviceLists, MemberChanges
from watchword.server.sync.filters import SyncFilter
from watchword.server.sync.invites import InviteSections
from watchword.server.sync.ports import Presence, PushRules
from watchword.server.sync.rooms import RoomSections
from watchword.server.sync.spans import STATE, Extras, RoomSpan
from watchword.server.sync.waiting import WaitingRoom
from watchword.server.sync.window import Window, open_window
from watchword.storage import Log, Position

_PRESENCE_MAX = 1_000
_PUSH_RULES = "m.push_rules"


class SyncRequest(msgspec.Struct, frozen=True):
    """What a client asks. since: None for an initial sync. messages_since: where its to-device messages begin, if not there."""

    requester: Requester
    since: Position | None
    sync_filter: SyncFilter
    timeout_ms: int = 0
    full_state: bool = False
    state_form: bytes = STATE
    set_presence: str = "online"
    messages_since: Position | None = None


@dataclass(slots=True)
class _Response:
    """A response being built: encoded pieces by section."""

    join: list[bytes] = field(default_factory=list)
    leave: list[bytes] = field(default_factory=list)
    invite: list[bytes] = field(default_factory=list)
    knock: list[bytes] = field(default_factory=list)
    members: MemberChanges = field(default_factory=MemberChanges)


@dataclass(frozen=True)
class SyncService:
    """Answers syncs."""

    log: Log[Change]
    rooms: RoomReader
    sections: RoomSections
    invites: InviteSections
    accounts: AccountReader
    e2ee: E2eeReader
    device_lists: DeviceLists
    presence: Presence
    push_rules: PushRules
    waiting: WaitingRoom
    stopping: Stopping
    clock: Clock

    async def sync(self, request: SyncRequest) -> bytes:
        """The body of the response; waits up to timeout_ms for something to say. Raises Refusal."""
        user_id = request.requester.user_id
        if request.since is not None and request.since > self.log.position:
            # A token from before a restore, or from nowhere: begin at what there is. It acknowledges nothing.
            request = msgspec.structs.replace(request, since=self.log.position, messages_since=Position(0))
        await self.presence.seen(user_id, request.set_presence)
        if request.since is not None and request.messages_since is None and request.requester.device_id is not None:
            await self.e2ee.delete_to_device(user_id, request.requester.device_id, request.since)
        deadline_ms = self.clock.monotonic_ms() + min(request.timeout_ms, limits.sync_timeout_ms_max)
        at_once = request.since is None or request.full_state
        look = at_once
        while True:
            woken = self.waiting.enter(user_id)
            try:
                left_ms = deadline_ms - self.clock.monotonic_ms()
                may_wait = left_ms > 0 and not self.stopping.is_set
                if not may_wait or look or await self._may_have_news(request):
                    body, news = await self._answer(request)
                    if news or not may_wait or at_once:
                        return body
                # Whoever is woken is woken by what concerns him: no need to ask again whether there is news.
                look = await self.waiting.wait(woken, left_ms)
            finally:
                self.waiting.leave(user_id, woken)

    async def _may_have_news(self, request: SyncRequest) -> bool:
        """Whether anything since the token could concern the device; cheap, and says yes when in doubt."""
        since, until = request.since or Position(0), self.log.position
        if since >= until:
            return False
        user_id, device_id = request.requester.user_id, request.requester.device_id
        memberships = await self.rooms.memberships.of(user_id)
        if not open_window(self.log, user_id, device_id, memberships, (since, until)).is_empty:
            return True
        return device_id is not None and await self.e2ee.has_to_device(user_id, device_id, since)

    async def _answer(self, request: SyncRequest) -> tuple[bytes, bool]:
        """The encoded response at the log's position now, and whether it says anything."""
        requester = request.requester
        user_id, device_id = requester.user_id, requester.device_id
        since = request.since or Position(0)
        until = self.log.position
        to_device: Sequence[bytes] = ()
        if device_id is not None:
            after = since if request.messages_since is None else request.messages_since
            to_device, found_until = await self.e2ee.to_device(user_id, device_id, after, until, limits.to_device_page_max)
            until = max(since, found_until)
        memberships = await self.rooms.memberships.of(user_id)
        window = open_window(self.log, user_id, device_id, memberships, (since, until))
        response = _Response()
        account_data = await self._rooms(request, window, memberships, response)
        parts = [b'"next_batch":"%b"' % sync_token(until).encode()]
        news = bool(to_device) or window.key_counts
        if to_device:
            parts.append(b'"to_device":{"events":[' + b",".join(to_device) + b"]}")
        if account_data:
            parts.append(b'"account_data":{"events":[' + b",".join(account_data) + b"]}")
        if request.since is not None and (window.device_lists or response.members):
            lists = await self.device_lists.changes(user_id, (since, until), response.members)
            if lists is not None:
                parts.append(b'"device_lists":' + orjson.dumps(lists))
        presence = await self._presence(request, window)
        if presence:
            parts.append(b'"presence":{"events":[' + b",".join(presence) + b"]}")
        rooms = _joined(response)
        if rooms:
            parts.append(b'"rooms":{' + rooms + b"}")
        news = news or len(parts) > 1
        if device_id is not None:
            counts, unused = await self.e2ee.key_counts(user_id, device_id)
            parts.append(b'"device_one_time_keys_count":' + orjson.dumps(counts))
            # The old name is the only one that Element classic on iOS knows; without it, it has no fallback keys.
            listed = orjson.dumps(list(unused))
            parts.append(b'"device_unused_fallback_key_types":' + listed)
            parts.append(b'"org.matrix.msc2732.device_unused_fallback_key_types":' + listed)
        return b"{" + b",".join(parts) + b"}", news

    async def _rooms(
        self, request: SyncRequest, window: Window, memberships: Mapping[RoomId, MembershipRow], response: _Response
    ) -> list[bytes]:
        """Build the sections of all rooms concerned; gives the global account data."""
        global_data, room_data = await self._account_data(request, window)
        whole = request.since is None or request.full_state or window.everything
        concerned: Collection[RoomId]
        if whole:
            # A copy: whatever becomes durable meanwhile is for the next response.
            concerned = tuple(memberships)
        else:
            concerned = (window.rooms | window.receipts | window.typing | room_data.keys()) & memberships.keys()
        ignored = await self.accounts.ignored_users(request.requester.user_id) if concerned else frozenset()
        for room_id in concerned:
            row = memberships[room_id]
            if request.sync_filter.rooms.allows_room(room_id):
                extras = Extras(
                    room_data.get(room_id, ()),
                    typing=room_id in window.typing
                    or (window.everything and self.sections.typing_moved_at(room_id) > window.after),
                    receipts=room_id in window.receipts or window.everything,
                )
                await self._one_room(request, window, row, extras, response, ignored)
        return global_data

    async def _one_room(
        self,
        request: SyncRequest,
        window: Window,
        row: MembershipRow,
        extras: Extras,
        response: _Response,
        ignored: frozenset[UserId],
    ) -> None:
        since, room_id = request.since, row.room_id
        room = await self.rooms.room(room_id)
        if row.position > window.until:
            then = None if room is None else await self._as_of(window.until, room, row, request.requester.user_id)
            if then is None:
                return
            row = then
        if row.membership in ("invite", "knock"):
            if (since is None or window.after < row.position) and not (
                row.membership == "invite" and await self.accounts.hides_invite(row.user_id, row.sender)
            ):
                encoded = await self.invites.section(row)
                target = response.invite if row.membership == "invite" else response.knock
                target.append(_named(room_id, encoded))
            await self._left_before(request, window, row, extras, response)
            return
        is_untold = row.by_server and since is not None and window.after < row.position
        if room is None or (row.forgotten and not is_untold):
            return
        if row.membership == "join":
            await self._joined_room(request, window, room, extras, response, ignored)
        elif row.membership in ("leave", "ban"):
            await self._left_room(request, window, (room, row), extras, response)

    async def _left_before(
        self, request: SyncRequest, window: Window, row: MembershipRow, extras: Extras, response: _Response
    ) -> None:
        """Who left and is invited again within one span is told of both."""
        if request.since is None or row.position <= window.after:
            return
        room = await self.rooms.room(row.room_id)
        if room is None:
            return
        async with self.rooms.database.read() as tx:
            user_id = request.requester.user_id
            found = await self.rooms.sights.left_between(tx, room, user_id, window.after, window.until)
        if found is not None:
            left = replace(row, membership=found[0], position=Position(found[1]))
            await self._left_room(request, window, (room, left), extras, response)

    async def _as_of(self, until: Position, room: Room, row: MembershipRow, user_id: UserId) -> MembershipRow | None:
        """What a membership was at the end of the span that it has outrun.

        The database is a moment ahead of the log, and a page of to-device messages may end the span early: what was said
        in the room before is in this span and in no other.
        """
        async with self.rooms.database.read() as tx:
            found = await self.rooms.sights.membership_at(tx, room, user_id, until)
        return None if found is None else replace(row, membership=found[0], position=Position(found[1]))

    async def _joined_room(
        self,
        request: SyncRequest,
        window: Window,
        room: Room,
        extras: Extras,
        response: _Response,
        ignored: frozenset[UserId],
    ) -> None:
        since = request.since
        if (
            since is not None
            and room.last_position <= since
            and self.rooms.sticky.newest_of(room.room_id) <= since
            and not (extras.account_data or extras.typing or extras.receipts or request.full_state)
        ):
            return
        reader = Reader(request.requester.user_id, request.requester.device_id)
        newly = since is None or window.until >= await self._joined_at(room, reader) > since
        span = RoomSpan(
            room,
            reader,
            None if newly else since,
            window.until,
            request.sync_filter,
            request.state_form,
            request.full_state,
            ignored=ignored,
        )
        if newly and since is not None:
            extras = replace(extras, account_data=await self._room_data(request, window, room.room_id))
        encoded, changed = await self.sections.section(span, extras)
        if encoded:
            response.join.append(_named(room.room_id, encoded))
        if since is not None:
            await self._note_members(response.members, span, since, changed)

    async def _note_members(
        self, changes: MemberChanges, span: RoomSpan, since: Position, changed: Mapping[UserId, MemberChange]
    ) -> None:
        room = span.room
        if (event_types.ENCRYPTION, "") not in room.state:
            return
        newly = span.since is None
        if not newly and room.last_state_position > since:
            async with self.rooms.database.read() as tx:
                newly = (await self.rooms.encrypted_since(tx, room) or 0) > since
        if newly:
            changes.newly_shared.update(room.members.joined)
        for user_id, (was, now) in changed.items():
            if now == "join" != was:
                changes.newly_shared.add(user_id)
            elif was == "join" != now:
                changes.maybe_left.add(user_id)

    async def _joined_at(self, room: Room, reader: Reader) -> int:
        """The position at which the reader's present stretch in the room began."""
        known = room.joined_since.get(reader.user_id)
        if known is not None:
            return known
        async with self.rooms.database.read() as tx:
            return await self.rooms.sights.joined_since(tx, room, reader.user_id)

    async def _left_room(
        self,
        request: SyncRequest,
        window: Window,
        left: tuple[Room, MembershipRow],
        extras: Extras,
        response: _Response,
    ) -> None:
        room, row = left
        since = request.since
        fresh = since is not None and window.after < row.position <= window.until
        if not fresh and not (request.sync_filter.include_leave and (since is None or request.full_state)):
            return
        if fresh and (event_types.ENCRYPTION, "") in room.state:
            response.members.maybe_left.update(await self.device_lists.joined_at(room, row.position))
        reader = Reader(request.requester.user_id, request.requester.device_id)
        until = Position(min(window.until, row.position))
        if since is not None:
            async with self.rooms.database.read() as tx:
                stay = await self.rooms.sights.last_stay(tx, room, reader.user_id)
            if stay is not None and since < stay[0] <= until:
                # He came and went: of what was before, his client knows nothing.
                since = None
        span = RoomSpan(
            room, reader, since, until, request.sync_filter, request.state_form, full_state=request.full_state, left=True
        )
        encoded, _ = await self.sections.section(span, extras)
        response.leave.append(_named(row.room_id, encoded or _nothing_of(request)))

    async def _account_data(self, request: SyncRequest, window: Window) -> tuple[list[bytes], dict[RoomId, list[bytes]]]:
        if request.since is not None and not window.account_data:
            return [], {}
        after = Position(0) if request.since is None else request.since
        everywhere: list[bytes] = []
        by_room: dict[RoomId, list[bytes]] = {}
        has_rules = False
        for row in await self.accounts.account_data_since(request.requester.user_id, after):
            if row.position > window.until:
                continue
            wanted = request.sync_filter.account_data if row.room_id is None else request.sync_filter.room_account_data
            if wanted.allows_type(row.type) and (row.room_id is None or wanted.allows_room(row.room_id)):
                is_rules = row.room_id is None and row.type == _PUSH_RULES
                # As they are today: rules may have been predefined since they were stored.
                content = await self.push_rules.content(request.requester.user_id) if is_rules else row.content
                encoded = b'{"content":%b,"type":%b}' % (content, orjson.dumps(row.type))
                (everywhere if row.room_id is None else by_room.setdefault(row.room_id, [])).append(encoded)
                has_rules |= is_rules
        if request.since is None and not has_rules and request.sync_filter.account_data.allows_type(_PUSH_RULES):
            content = await self.push_rules.content(request.requester.user_id)
            everywhere.append(b'{"content":%b,"type":"m.push_rules"}' % content)
        return everywhere, by_room

    async def _room_data(self, request: SyncRequest, window: Window, room_id: RoomId) -> list[bytes]:
        """All account data of a room, for a client that sees the room for the first time."""
        _, by_room = await self._account_data(msgspec.structs.replace(request, since=None), window)
        return by_room.get(room_id, [])

    async def _presence(self, request: SyncRequest, window: Window) -> list[bytes]:
        wanted = request.sync_filter.presence
        if not self.presence.enabled or not wanted.allows_type("m.presence"):
            return []
        user_id = request.requester.user_id
        users: Collection[UserId] = window.presence
        if request.since is None or window.everything:
            users = await self.rooms.users_sharing_room_with(user_id)
        events = []
        for other in sorted(users)[:_PRESENCE_MAX]:
            content = self.presence.content(other) if wanted.allows_sender(other) else None
            if content is None or (other != user_id and not await self.rooms.share_room(user_id, other)):
                continue
            events.append(orjson.dumps({"type": "m.presence", "sender": other, "content": content}))
        return events


def _nothing_of(request: SyncRequest) -> bytes:
    """The section of a room that the user is not in, of which there is nothing to show."""
    # "state_after MUST be present, even if empty."
    return b"{}" if request.state_form == STATE else b'{"%b":{"events":[]}}' % request.state_form


def _named(room_id: RoomId, encoded: bytes) -> bytes:
    return orjson.dumps(room_id) + b":" + encoded


def _joined(response: _Response) -> bytes:
    named = (
        (b"join", response.join),
        (b"invite", response.invite),
        (b"knock", response.knock),
        (b"leave", response.leave),
    )
    return b",".join(b'"%b":{%b}' % (name, b",".join(sections)) for name, sections in named if sections)
