"""The door of dehydrated devices."""

import re

from watchword.base import limits
from watchword.base.errors import BadRequest
from watchword.edge.endpoint import Body, Endpoint, Rate
from watchword.edge.replies import Reply
from watchword.edge.request import Request
from watchword.edge.requester import Requester
from watchword.protocol.ids import parse_device_id
from watchword.server.e2ee.service import E2eeService
from watchword.storage.log import Position

_TOKEN = re.compile(r"[0-9]{1,18}")


async def put_device(request: Request, requester: Requester, service: E2eeService) -> Reply:
    """PUT dehydrated_device."""
    device_id = request.field_parsed("device_id", parse_device_id)
    data = request.field("device_data", dict)
    name = request.field_or_none("initial_device_display_name", str)
    await service.dehydrated.put(requester.user_id, device_id, data, name, request.json)
    return Reply.json({"device_id": device_id})


async def get_device(_request: Request, requester: Requester, service: E2eeService) -> Reply:
    """GET dehydrated_device."""
    device_id, data = await service.dehydrated.get(requester.user_id)
    return Reply.json({"device_id": device_id, "device_data": data})


async def delete_device(_request: Request, requester: Requester, service: E2eeService) -> Reply:
    """DELETE dehydrated_device."""
    return Reply.json({"device_id": await service.dehydrated.delete(requester.user_id)})


async def device_events(request: Request, requester: Requester, service: E2eeService) -> Reply:
    """POST, or GET, dehydrated_device/{deviceId}/events."""
    token = request.field_or_none("next_batch", str) or request.query_one("next_batch") or "0"
    if _TOKEN.fullmatch(token) is None:
        raise BadRequest("M_INVALID_PARAM", "next_batch is not a token of this server.")
    device_id = request.param("deviceId", parse_device_id)
    messages, until = await service.dehydrated.events(requester.user_id, device_id, Position(int(token)))
    return Reply.encoded(b'{"events":[%b],"next_batch":"%d"}' % (b",".join(messages), until))


_PATH = "/_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device"
_SPEC = "proposals/3814"

ROWS: tuple[Endpoint, ...] = (
    Endpoint("PUT", _PATH, put_device, _SPEC, rate=Rate.WRITE, body=Body.JSON, body_bytes_max=limits.keys_body_bytes_max),
    Endpoint("GET", _PATH, get_device, _SPEC),
    Endpoint("DELETE", _PATH, delete_device, _SPEC, rate=Rate.WRITE),
    # The text of the proposal has POST, and said GET before.
    Endpoint("POST", _PATH + "/{deviceId}/events", device_events, _SPEC, body=Body.OPTIONAL_JSON),
    Endpoint("GET", _PATH + "/{deviceId}/events", device_events, _SPEC),
)
