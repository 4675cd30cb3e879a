"""The door through which rooms are replaced by newer ones."""

from collections.abc import Sequence

from watchword.base.errors import BadRequest, Forbidden, ProtocolError
from watchword.edge.endpoint import Body, Endpoint, Rate
from watchword.edge.replies import Reply
from watchword.edge.request import Request
from watchword.edge.requester import Requester
from watchword.protocol.ids import UserId, parse_user_id
from watchword.protocol.room_versions import ROOM_VERSIONS
from watchword.server.rooms.commands import UpgradeRoom
from watchword.server.rooms.doors import RoomDoors, room_of

_CREATORS_MAX = 100


async def upgrade_room(request: Request, requester: Requester, doors: RoomDoors) -> Reply:
    if requester.is_suspended:
        raise Forbidden("Your account is suspended.", "M_USER_SUSPENDED")
    version = request.field("new_version", str)
    if version not in ROOM_VERSIONS:
        raise BadRequest("M_UNSUPPORTED_ROOM_VERSION", "This server does not support this room version.")
    command = UpgradeRoom(
        room_of(request),
        requester.user_id,
        version,
        _creators(request) if ROOM_VERSIONS[version].privileged_creators else (),
        await doors.membership.member_content(requester.user_id),
    )
    return Reply.json({"replacement_room": await doors.upgrader.upgrade(command)})


def _creators(request: Request) -> Sequence[UserId]:
    listed = request.field_or("additional_creators", list, [])
    if len(listed) > _CREATORS_MAX or not all(isinstance(each, str) for each in listed):
        raise BadRequest("M_INVALID_PARAM", f"additional_creators must be a list of at most {_CREATORS_MAX} user IDs.")
    try:
        return [parse_user_id(each) for each in listed]
    except ProtocolError as error:
        raise BadRequest("M_INVALID_PARAM", "additional_creators must be a list of user IDs.") from error


ENDPOINTS = (
    Endpoint(
        "POST",
        "/_matrix/client/v3/rooms/{roomId}/upgrade",
        upgrade_room,
        "client-server-api#post_matrixclientv3roomsroomidupgrade",
        rate=Rate.WRITE,
        body=Body.JSON,
    ),
)
