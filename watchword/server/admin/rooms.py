"""What an administrator sees of rooms and does to them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from watchword.base import limits
from watchword.base.errors import BadRequest, NotFound
from watchword.edge.auditing import Entry
from watchword.protocol.ids import RoomAlias, RoomId, UserId
from watchword.server.admin.blocks import RoomBlocks
from watchword.server.admin.commands import Removal, RemoveRoom
from watchword.server.admin.removals import RoomRemovals
from watchword.server.rooms.estate import Estate, RoomEntry, RoomSize
from watchword.server.rooms.reader import RoomReader
from watchword.server.rooms.room import Room

_Key = Callable[[RoomEntry], str | int | bool | None]
ORDERS: Mapping[str, _Key] = {
    "name": lambda room: room.name,
    "canonical_alias": lambda room: room.canonical_alias,
    "joined_members": lambda room: room.joined,
    "joined_local_members": lambda room: room.joined_local,
    "version": lambda room: room.version,
    "creator": lambda room: room.creator,
    "encryption": lambda room: room.encryption,
    "federatable": lambda room: room.is_federated,
    "public": lambda room: room.is_public,
    "join_rules": lambda room: room.join_rule,
    "guest_access": lambda room: room.guest_access,
    "history_visibility": lambda room: room.history_visibility,
    "state_events": lambda room: room.state_events,
}
"""What a list of rooms may be ordered by."""
_MOST_FIRST = frozenset(("joined_members", "joined_local_members", "state_events"))
_MEMBERSHIPS = ("join", "invite", "knock", "leave", "ban")


@dataclass(frozen=True, slots=True)
class RoomQuery:
    """Which rooms, in which order. search: a part of the name or an alias, or a whole room ID, whatever the case.

    empty: whether nobody of this server is in them; None for both, as with public.
    """

    search: str | None = None
    public: bool | None = None
    empty: bool | None = None
    order_by: str = "name"
    backwards: bool = False
    start: int = 0
    limit: int = limits.admin_page_default


@dataclass(frozen=True, slots=True)
class RoomSheet:
    """What there is to know of a room."""

    entry: RoomEntry
    topic: str | None
    avatar_url: str | None
    aliases: Sequence[RoomAlias]
    servers: int
    state_types: Mapping[str, int]
    size: RoomSize
    blocked_by: UserId | None


@dataclass(frozen=True)
class RoomDesk:
    """Shows, blocks, removes."""

    reader: RoomReader
    estate: Estate
    blocks: RoomBlocks
    removals: RoomRemovals

    # Looking

    async def page(self, query: RoomQuery) -> tuple[Sequence[RoomEntry], int]:
        """A page, and how many fit in all. Raises BadRequest for an unknown order."""
        key = ORDERS.get(query.order_by)
        if key is None:
            raise BadRequest("M_INVALID_PARAM", "Rooms cannot be ordered by this.")
        fitting = [room for room in await self.estate.rooms() if _fits(room, query)]
        # Numbers are more interesting the larger they are; what has no name comes after what has one.
        known = sorted((room for room in fitting if key(room) is not None), key=key, reverse=query.order_by in _MOST_FIRST)  # type: ignore[arg-type]  # None was taken out
        fitting = [*known, *(room for room in fitting if key(room) is None)]
        if query.backwards:
            fitting.reverse()
        stop = query.start + min(query.limit, limits.admin_page_max)
        return fitting[query.start : stop], len(fitting)

    async def room(self, room_id: RoomId) -> Room:
        """A room that this server knows. Raises NotFound."""
        room = await self.reader.room(room_id)
        if room is None:
            raise NotFound("There is no such room.")
        return room

    async def sheet(self, room_id: RoomId) -> RoomSheet:
        """What there is to know of a room. Raises NotFound."""
        room = await self.room(room_id)
        texts = {("m.room.topic", ""): "topic", ("m.room.avatar", ""): "url"}
        ids = {key: room.state[key] for key in texts if key in room.state}
        found = await self.reader.found(ids.values())
        topic, avatar = (
            _text(found[ids[key]].pdu.content.get(name)) if key in ids and ids[key] in found else None
            for key, name in texts.items()
        )
        return RoomSheet(
            entry=await self.estate.entry(room),
            topic=topic,
            avatar_url=avatar,
            aliases=await self.reader.aliases_of(room_id),
            servers=len(room.members.servers),
            state_types=await self.estate.state_types(room),
            size=await self.estate.size(room),
            blocked_by=await self.blocks.blocked_by(room_id),
        )

    async def members(self, room_id: RoomId, membership: str, after: str, limit: int) -> Sequence[tuple[UserId, bool]]:
        """Those with a membership, and whether they are of this server, by user ID. Raises NotFound, BadRequest."""
        if membership not in _MEMBERSHIPS:
            raise BadRequest("M_INVALID_PARAM", "There is no such membership.")
        return await self.estate.members(await self.room(room_id), membership, after, limit)

    # Doing

    async def remove(self, command: RemoveRoom, entry: Entry) -> Removal:
        """Begin to remove a room. Raises NotFound for one that is not known, unless it is to be blocked."""
        if not command.block:
            await self.room(command.room_id)
        entry.add(purge=command.purge, block=command.block)
        return await self.removals.begin(command, entry)


def _fits(room: RoomEntry, query: RoomQuery) -> bool:
    if query.public is not None and room.is_public != query.public:
        return False
    if query.empty is not None and (room.joined_local == 0) != query.empty:
        return False
    if query.search is None:
        return True
    text = query.search.lower()
    return room.room_id == query.search or any(text in (name or "").lower() for name in (room.name, room.canonical_alias))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
