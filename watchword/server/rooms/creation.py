"""Making a room: the fixed order of its first events, all in one transaction, so that no half-made room is ever seen.

What the events say is worked out by pure functions; each is authorised in its turn against the room as made so far.

Spec: client-server-api#post_matrixclientv3createroom
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from watchword.base.clock import Clock
from watchword.base.entropy import Entropy
from watchword.base.errors import BadRequest
from watchword.protocol import event_types
from watchword.protocol.ids import RoomAlias, RoomId, ServerName, UserId, domain_of
from watchword.protocol.room_versions import ROOM_VERSIONS, RoomVersion
from watchword.server.rooms import decide, member_tables, tables
from watchword.server.rooms.append import NewPdu
from watchword.server.rooms.commands import CreateRoom, SendEvent
from watchword.server.rooms.room import Members, Room
from watchword.server.rooms.writer import RoomWriter, refusal_of
from watchword.storage import Database, Tx

_OPAQUE = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

PRESETS: Mapping[str, tuple[str, str, str]] = {
    "private_chat": ("invite", "shared", "can_join"),
    "trusted_private_chat": ("invite", "shared", "can_join"),
    "public_chat": ("public", "shared", "forbidden"),
}
"""preset → join rule, history visibility, guest access."""


@dataclass(frozen=True, slots=True)
class Step:
    """One event to send: (type, state_key, content)."""

    type: str
    state_key: str
    content: Mapping[str, Any]


def create_content(command: CreateRoom, version: RoomVersion) -> dict[str, Any]:
    """The content of m.room.create: what the client asked for may not override what the version decides."""
    content = {key: value for key, value in command.creation_content.items() if key != "creator"}
    content["room_version"] = version.identifier
    if version.creator_in_content:
        content["creator"] = command.creator
    if version.privileged_creators and command.preset == "trusted_private_chat" and command.invite:
        listed = content.get("additional_creators", [])
        if not isinstance(listed, list) or not all(isinstance(creator, str) for creator in listed):
            raise BadRequest("M_BAD_JSON", "additional_creators must be a list of user IDs.")
        content["additional_creators"] = list(dict.fromkeys([*listed, *command.invite]))
    return content


def power_levels_content(command: CreateRoom, version: RoomVersion) -> dict[str, Any]:
    """The first power levels, with the client's override laid over key by key."""
    users: dict[str, int] = {} if version.privileged_creators else {command.creator: 100}
    if command.preset == "trusted_private_chat" and not version.privileged_creators:
        users.update(dict.fromkeys(command.invite, 100))
    content: dict[str, Any] = {
        "ban": 50,
        "events": {
            event_types.AVATAR: 50,
            event_types.CANONICAL_ALIAS: 50,
            event_types.ENCRYPTION: 100,
            event_types.HISTORY_VISIBILITY: 100,
            event_types.NAME: 50,
            event_types.POWER_LEVELS: 100,
            event_types.SERVER_ACL: 100,
            # Above state_default in version 12, where replacing a room is its creators' business.
            event_types.TOMBSTONE: 150 if version.privileged_creators else 100,
            **command.event_levels,
        },
        "events_default": 0,
        "historical": 100,
        "invite": 0,
        "kick": 50,
        "redact": 50,
        "state_default": 50,
        "users": users,
        "users_default": 0,
    }
    content.update(command.power_level_override)
    return content


def steps(command: CreateRoom, version: RoomVersion) -> Iterator[Step]:
    """Everything after the create event and the creator's join, before the invites, in the order of the specification."""
    initial = {(kind, key): content for kind, key, content in command.initial_state}
    yield Step(event_types.POWER_LEVELS, "", power_levels_content(command, version))
    if command.alias is not None:
        yield Step(event_types.CANONICAL_ALIAS, "", {"alias": command.alias})
    join_rule, visibility, guest_access = PRESETS[command.preset]
    preset: Mapping[str, Mapping[str, Any]] = {
        event_types.JOIN_RULES: {"join_rule": join_rule},
        event_types.HISTORY_VISIBILITY: {"history_visibility": visibility},
        event_types.GUEST_ACCESS: {"guest_access": guest_access},
    }
    for kind, content in preset.items():
        if (kind, "") not in initial:
            yield Step(kind, "", content)
    for (kind, state_key), content in initial.items():
        beaten = (kind == event_types.NAME and command.name is not None) or (
            kind == event_types.TOPIC and command.topic is not None
        )
        if not beaten:
            yield Step(kind, state_key, content)
    if command.name is not None:
        yield Step(event_types.NAME, "", {"name": command.name})
    if command.topic is not None:
        yield Step(event_types.TOPIC, "", topic_content(command.topic))


def topic_content(topic: str) -> dict[str, Any]:
    """The content of m.room.topic, with the extensible form beside the plain one. Spec: client-server-api#mroomtopic"""
    return {"topic": topic, "m.topic": {"m.text": [{"body": topic}]}}


class RoomMaker:
    """Makes rooms."""

    def __init__(self, writer: RoomWriter, database: Database, clock: Clock, entropy: Entropy, server_name: ServerName) -> None:
        self._writer = writer
        self._database = database
        self._clock = clock
        self._entropy = entropy
        self._server_name = server_name
        self._last_ts = 0

    async def create(self, command: CreateRoom) -> RoomId:
        """Make the room with everything but its invites to other servers; returns once it is durable.

        Raises Refusal: M_ROOM_IN_USE, M_INVALID_ROOM_STATE, M_BAD_JSON.
        """
        version = ROOM_VERSIONS[command.version]
        room = self.fresh(version)
        async with room.lock:
            create = await self.begin(room, command.creator, create_content(command, version))
            async with self._writer.appending(room) as (tx, durable):
                await self._claim(tx, room, command)
                await self._writer.appender.append(tx, room, create)
                for step in self._steps(command, version):
                    await self._writer.appender.append(tx, room, await self.build(room, command.creator, step))
            self._writer.registry.add(room)
        await durable()
        return room.room_id

    def fresh(self, version: RoomVersion) -> Room:
        """A room of which nothing is written yet; its ID is known where it is not made from the create event."""
        room = Room(RoomId(""), 0, version, Members(self._server_name))
        if not version.room_id_is_create_hash:
            room.room_id = RoomId(f"!{self._entropy.letters(18, _OPAQUE)}:{self._server_name}")
        return room

    async def begin(self, room: Room, creator: UserId, content: Mapping[str, Any]) -> NewPdu:
        """The create event of a fresh room, which has its ID from here on. Raises Refusal."""
        # The ID of a room of version 12 is the hash of this event: two rooms must not begin with the same one.
        self._last_ts = max(self._clock.now_ms(), self._last_ts + 1)
        create = await self.build(room, creator, Step(event_types.CREATE, "", content), self._last_ts)
        room.room_id = create.pdu.room_id
        return create

    async def claim(self, tx: Tx, room: Room, *, is_public: bool) -> None:
        """Write the row of a fresh room."""
        room.room_nid = await self._writer.names.number(tx, room.room_id)
        room.is_public = is_public
        await tables.insert_room(tx, room.room_nid, room.room_id, room.version.identifier)
        await tables.set_public(tx, room.room_nid, is_public)

    async def _claim(self, tx: Tx, room: Room, command: CreateRoom) -> None:
        await self.claim(tx, room, is_public=command.is_public)
        if command.alias is not None:
            alias = RoomAlias(command.alias)
            if not await member_tables.insert_alias(tx, alias, room.room_id, command.creator):
                raise BadRequest("M_ROOM_IN_USE", "This alias is taken.")

    def _steps(self, command: CreateRoom, version: RoomVersion) -> Iterator[Step]:
        yield Step(event_types.MEMBER, command.creator, {**command.creator_profile, "membership": "join"})
        yield from steps(command, version)
        for user_id in command.invite:
            if domain_of(user_id) == self._server_name:
                yield invite_step(command, user_id)

    async def build(self, room: Room, sender: UserId, step: Step, ts: int | None = None) -> NewPdu:
        """One of a room's first events, allowed by what was appended before it. Raises Refusal."""
        if step.type == event_types.POWER_LEVELS and step.state_key == "":
            refused = decide.power_levels_refused(room, step.content)
            if refused is not None:
                raise refusal_of(refused)
        event = SendEvent(room.room_id, sender, step.type, step.content, step.state_key)
        draft = decide.draft_event(room, event, self._clock.now_ms() if ts is None else ts)
        reason = decide.authorise(room, draft)
        if reason is not None:
            raise BadRequest("M_INVALID_ROOM_STATE", f"The room cannot begin with this {step.type}: {reason}")
        return await self._writer.build(room, draft)


def invite_step(command: CreateRoom, user_id: UserId) -> Step:
    """The invite of one user."""
    content: dict[str, Any] = {**command.extra_invite_content.get(user_id, {}), "membership": "invite"}
    if command.is_direct:
        content["is_direct"] = True
    return Step(event_types.MEMBER, user_id, content)
