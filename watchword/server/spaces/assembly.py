"""Spaces put together: the one object that the doors are mounted with."""

from watchword.base.clock import Clock
from watchword.base.entropy import Entropy
from watchword.protocol.ids import ServerName
from watchword.server.rooms.summaries import RoomSummaries
from watchword.server.spaces.ports import RemoteSpaces, Resolver, RoomParts
from watchword.server.spaces.remote import RemoteRooms
from watchword.server.spaces.service import Spaces
from watchword.server.spaces.sight import Sight
from watchword.server.spaces.walk import HierarchyWalks


def assemble_spaces(
    server_name: ServerName, clock: Clock, entropy: Entropy, rooms: RoomParts, resolver: Resolver, servers: RemoteSpaces
) -> Spaces:
    """Build everything of this feature."""
    sight = Sight(rooms, RoomSummaries(rooms.reader))
    remote = RemoteRooms(servers, server_name, clock)
    return Spaces(sight, remote, HierarchyWalks(sight, remote, clock, entropy), resolver)
