"""Replacing a room by one of another version: the new room, the tombstone, the aliases and the closed door in one transaction.

So a room is never half replaced: either the old one names the new one, which is complete, or nothing has happened. What may
follow later follows after: bans beyond a bound, and links of spaces in other rooms.
Deliberately absent: what members take along when they join (`upgrade_follow`).

Spec: client-server-api#room-upgrades
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from watchword.base import limits
from watchword.base.errors import Forbidden, Refusal, RemoteProtocolError
from watchword.protocol import canonical_json, event_types
from watchword.protocol.events import StateKey
from watchword.protocol.ids import EventId, RoomId, UserId
from watchword.protocol.power_levels import creators_of
from watchword.protocol.room_versions import ROOM_VERSIONS, RoomVersion
from watchword.server.rooms import decide, member_tables, tables, upgrade_content
from watchword.server.rooms.append import NewPdu
from watchword.server.rooms.commands import ChangeMembership, SendEvent, UpgradeRoom
from watchword.server.rooms.creation import RoomMaker, Step
from watchword.server.rooms.reader import RoomReader
from watchword.server.rooms.room import Room
from watchword.server.rooms.writer import NOT_IN_ROOM, RoomWriter
from watchword.storage import Tx

logger = logging.getLogger(__name__)

_REPLACED = "This room has been replaced."
_BANS_AT_ONCE = 50

Contents = Mapping[StateKey, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class _Old:
    """The room to replace: contents of what the upgrade reads, its local aliases, and the bans."""

    room: Room
    contents: Contents
    aliases: Sequence[str]
    bans: Mapping[UserId, Mapping[str, Any]]

    @property
    def is_space(self) -> bool:
        return self.content(event_types.CREATE).get("type") == upgrade_content.SPACE

    def content(self, kind: str) -> Mapping[str, Any]:
        return self.contents.get((kind, ""), {})


@dataclass(frozen=True)
class RoomUpgrader:
    """Replaces rooms."""

    writer: RoomWriter
    reader: RoomReader
    maker: RoomMaker

    async def upgrade(self, command: UpgradeRoom) -> RoomId:
        """Make the new room and close the old one; returns once that is durable. Raises Refusal."""
        async with self.writer.registry.locked(command.room_id) as room:
            if room is None or not room.is_alive or room.members.membership.get(command.sender) != "join":
                raise Forbidden(NOT_IN_ROOM)
            reason = decide.authorise(room, self._tombstone(room, command, room.room_id))
            if reason is not None:
                raise Forbidden(f"You may not replace this room: {reason}")
            old = await self._read(room, command)
            is_guarded = room.policy_server is not None
            replacement, durable = await (self._make_alone if is_guarded else self._replace)(old, command)
        await durable()
        if is_guarded:
            await self._close_guarded(old, command, replacement)
        await self._ban_others(old, command, replacement)
        await self._relink(command, replacement)
        return replacement

    # The old room

    async def _read(self, room: Room, command: UpgradeRoom) -> _Old:
        create = room.current(event_types.CREATE)
        is_space = create is not None and create.content.get("type") == upgrade_content.SPACE
        single = (*upgrade_content.COPIED_TYPES, event_types.CREATE, event_types.POWER_LEVELS, event_types.CANONICAL_ALIAS)
        links = (event_types.SPACE_PARENT, event_types.SPACE_CHILD) if is_space else (event_types.SPACE_PARENT,)
        keys = [(kind, "") for kind in single] + [key for key in room.state if key[0] in links]
        contents = await self._contents(room, [key for key in keys if key in room.state])
        # A banned user may have been made a creator of the new room: then he is welcome there.
        spared = {command.sender, *command.additional_creators}
        banned = [
            (event_types.MEMBER, user)
            for user, membership in room.members.membership.items()
            if membership == "ban" and user not in spared and (event_types.MEMBER, user) in room.state
        ]
        bans = {UserId(key[1]): content for key, content in (await self._contents(room, banned)).items()}
        async with self.writer.database.read() as tx:
            aliases = await member_tables.aliases_of(tx, room.room_id, limits.aliases_moved_max)
        return _Old(room, contents, aliases, bans)

    async def _contents(self, room: Room, keys: Sequence[StateKey]) -> Contents:
        found = await self.reader.found([room.state[key] for key in keys])
        return {key: found[room.state[key]].pdu.content for key in keys if room.state[key] in found}

    def _tombstone(self, room: Room, command: UpgradeRoom, replacement: RoomId) -> decide.Draft:
        content = {"body": _REPLACED, "replacement_room": replacement}
        return self._draft(room, command, event_types.TOMBSTONE, content)

    def _draft(self, room: Room, command: UpgradeRoom, kind: str, content: Mapping[str, Any]) -> decide.Draft:
        event = SendEvent(room.room_id, command.sender, kind, content, "")
        return decide.draft_event(room, event, self.writer.clock.now_ms())

    # One transaction

    async def _replace(self, old: _Old, command: UpgradeRoom) -> tuple[RoomId, Callable[[], Awaitable[None]]]:
        """Write both rooms. The lock of the old one is held; of the new one nobody knows."""
        version = ROOM_VERSIONS[command.version]
        fresh = self.maker.fresh(version)
        tombstone: NewPdu | None = None
        if not version.room_id_is_create_hash:
            # The tombstone names the new room, and is the last event that the new room names.
            tombstone = await self.writer.build(old.room, self._tombstone(old.room, command, fresh.room_id))
        last: EventId | None = None if tombstone is None else tombstone.pdu.event_id
        predecessor = (old.room.room_id, last)
        content = upgrade_content.create_content(
            old.content(event_types.CREATE), version, predecessor, command.sender, command.additional_creators
        )
        create = await self.maker.begin(fresh, command.sender, content)
        if tombstone is None:
            tombstone = await self.writer.build(old.room, self._tombstone(old.room, command, fresh.room_id))
        async with self.writer.appending(old.room) as (tx, durable):
            tx.after_failure(lambda: self.writer.registry.evict(fresh))
            self.writer.registry.unsettle(fresh, tx)
            await self._append_fresh(tx, old, command, fresh, create)
            await self.writer.appender.append(tx, old.room, tombstone)
            await self._close(tx, old, command, fresh.room_id)
            old.room.is_public = False
        self.writer.registry.add(fresh)
        return fresh.room_id, durable

    async def _append_fresh(self, tx: Tx, old: _Old, command: UpgradeRoom, fresh: Room, create: NewPdu) -> None:
        await self.maker.claim(tx, fresh, is_public=old.room.is_public)
        await self.writer.appender.append(tx, fresh, create)
        for step in self._steps(old, command, fresh):
            await self.writer.appender.append(tx, fresh, await self.maker.build(fresh, command.sender, step))

    def _steps(self, old: _Old, command: UpgradeRoom, fresh: Room) -> Iterator[Step]:
        """Everything after the create event. The power levels come last: until then, whoever upgrades may do everything."""
        version = fresh.version
        yield Step(event_types.MEMBER, command.sender, {**command.creator_profile, "membership": "join"})
        for kind in upgrade_content.COPIED_TYPES:
            content = old.contents.get((kind, ""))
            if content is not None and kind == event_types.JOIN_RULES:
                content = upgrade_content.join_rules(content, version)
            if content and _is_sendable(content, version):
                yield Step(kind, "", content)
        naming, _ = upgrade_content.split_aliases(old.content(event_types.CANONICAL_ALIAS), old.aliases)
        if naming:
            yield Step(event_types.CANONICAL_ALIAS, "", naming)
        for (kind, state_key), content in old.contents.items():
            if state_key and content.get("via") and _is_sendable(content, version):
                yield Step(kind, state_key, content)
        for user_id in list(old.bans)[: limits.upgrade_bans_max]:
            yield Step(event_types.MEMBER, user_id, _ban(old.bans[user_id]))
        levels = old.contents.get((event_types.POWER_LEVELS, ""))
        create = old.room.current(event_types.CREATE)
        old_creators = () if create is None else creators_of(create, old.room.version)
        yield Step(
            event_types.POWER_LEVELS,
            "",
            upgrade_content.power_levels(levels, (old.room.version, version), old_creators, fresh.creators),
        )

    # With a policy server

    async def _make_alone(self, old: _Old, command: UpgradeRoom) -> tuple[RoomId, Callable[[], Awaitable[None]]]:
        """The new room alone. Where a policy server must sign what closes the old one, that cannot be the same transaction."""
        fresh = self.maker.fresh(ROOM_VERSIONS[command.version])
        last = max(old.room.extremities, key=lambda event_id: old.room.extremities[event_id])
        predecessor = (old.room.room_id, None if fresh.version.room_id_is_create_hash else last)
        content = upgrade_content.create_content(
            old.content(event_types.CREATE), fresh.version, predecessor, command.sender, command.additional_creators
        )
        create = await self.maker.begin(fresh, command.sender, content)
        async with self.writer.appending(fresh) as (tx, durable):
            await self._append_fresh(tx, old, command, fresh, create)
        self.writer.registry.add(fresh)
        return fresh.room_id, durable

    async def _close_guarded(self, old: _Old, command: UpgradeRoom, replacement: RoomId) -> None:
        """Close the old room by events that its policy server signs. Raises Refusal if it does not sign the tombstone."""
        room, room_id = old.room, old.room.room_id

        def event(kind: str, content: Mapping[str, Any]) -> SendEvent:
            return SendEvent(room_id, command.sender, kind, content, "")

        tombstone = self._tombstone(room, command, replacement)
        await self.writer.send(event(tombstone.type, tombstone.content))
        async with self.writer.database.write() as tx:
            await member_tables.move_aliases(tx, room_id, replacement)
            await tables.set_public(tx, room.room_nid, False)
        room.is_public = False
        for kind, content in self._closing(old):
            await self._try(self.writer.send(event(kind, content)))

    async def _close(self, tx: Tx, old: _Old, command: UpgradeRoom, replacement: RoomId) -> None:
        """Move the aliases and the place in the directory; keep people from talking and inviting here, if that is allowed."""
        await member_tables.move_aliases(tx, old.room.room_id, replacement)
        await tables.set_public(tx, old.room.room_nid, False)
        for kind, content in self._closing(old):
            await self._send_if_allowed(tx, old.room, self._draft(old.room, command, kind, content))

    def _closing(self, old: _Old) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """State events that the old room gets after its tombstone, as far as whoever upgrades may send them."""
        moved, left = upgrade_content.split_aliases(old.content(event_types.CANONICAL_ALIAS), old.aliases)
        if moved:
            yield event_types.CANONICAL_ALIAS, left
        levels = upgrade_content.closed_levels(old.content(event_types.POWER_LEVELS), old.room.version)
        if levels is not None and (event_types.POWER_LEVELS, "") in old.room.state:
            yield event_types.POWER_LEVELS, levels

    async def _send_if_allowed(self, tx: Tx, room: Room, draft: decide.Draft) -> None:
        if decide.authorise(room, draft) is None:
            await self.writer.appender.append(tx, room, await self.writer.build(room, draft))

    # What may follow later

    async def _ban_others(self, old: _Old, command: UpgradeRoom, replacement: RoomId) -> None:
        """The bans that did not fit into the transaction, as far as the power levels of the new room let."""
        others = list(old.bans)[limits.upgrade_bans_max :]
        for start in range(0, len(others), _BANS_AT_ONCE):
            async with asyncio.TaskGroup() as group:
                for user_id in others[start : start + _BANS_AT_ONCE]:
                    content = _ban(old.bans[user_id])
                    ban = ChangeMembership(replacement, command.sender, user_id, "ban", content)
                    group.create_task(self._try(self.writer.change_membership(ban)))

    async def _relink(self, command: UpgradeRoom, replacement: RoomId) -> None:
        """Have the spaces and rooms that name the old room name the new one, where whoever upgrades may.

        Spec: client-server-api#room-upgrades
        """
        joined = await self.reader.joined_rooms(command.sender)
        for room_id in joined[: limits.upgrade_rooms_scanned_max]:
            room = await self.reader.room(room_id)
            if room is None or not room.is_alive or room_id in (command.room_id, replacement):
                continue
            keys = [(kind, command.room_id) for kind in (event_types.SPACE_CHILD, event_types.SPACE_PARENT)]
            for (kind, _), content in (await self._contents(room, [key for key in keys if key in room.state])).items():
                link = upgrade_content.moved_link(content, self.writer.identity.server_name)
                if link is not None:
                    new = SendEvent(room_id, command.sender, kind, link, replacement)
                    gone = SendEvent(room_id, command.sender, kind, {}, command.room_id)
                    if await self._try(self.writer.send(new)):
                        await self._try(self.writer.send(gone))

    async def _try(self, sending: Awaitable[EventId]) -> bool:
        try:
            await sending
        except Refusal:
            logger.info("An event could not follow the upgrade of a room.")
            return False
        return True


def _ban(content: Mapping[str, Any]) -> dict[str, Any]:
    reason = content.get("reason")
    return {"membership": "ban", "reason": reason} if isinstance(reason, str) else {"membership": "ban"}


def _is_sendable(content: Mapping[str, Any], version: RoomVersion) -> bool:
    """Old versions let pass what has no canonical form in new ones."""
    try:
        canonical_json.encode(content, version.strict_canonical_json)
    except RemoteProtocolError:
        return False
    return True
