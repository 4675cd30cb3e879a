"""The doors of devices."""

from watchword.base import limits
from watchword.base.errors import BadRequest, NotFound, ProtocolError
from watchword.edge.endpoint import Body, Endpoint, Rate
from watchword.edge.replies import Reply
from watchword.edge.request import Request
from watchword.edge.requester import Requester
from watchword.protocol.ids import DeviceId, parse_device_id
from watchword.server.accounts.assembly import Accounts
from watchword.server.accounts.commands import Device


def _shown(device: Device) -> dict[str, object]:
    shown: dict[str, object] = {"device_id": device.device_id}
    if device.display_name is not None:
        shown["display_name"] = device.display_name
    if device.last_seen_ts is not None:
        shown["last_seen_ts"] = device.last_seen_ts
        shown["last_seen_ip"] = device.last_seen_ip
    return shown


async def list_devices(request: Request, requester: Requester, accounts: Accounts) -> Reply:
    return Reply.json({"devices": [_shown(device) for device in await accounts.reader.devices(requester.user_id)]})


async def get_device(request: Request, requester: Requester, accounts: Accounts) -> Reply:
    device = await accounts.reader.device(requester.user_id, request.param("deviceId", parse_device_id))
    if device is None:
        raise NotFound("You have no such device.")
    return Reply.json(_shown(device))


async def put_device(request: Request, requester: Requester, accounts: Accounts) -> Reply:
    name = request.field_or_none("display_name", str)
    is_new = await accounts.devices.rename(requester, request.param("deviceId", parse_device_id), name)
    return Reply.encoded(b"{}", 201 if is_new else 200)


async def delete_device(request: Request, requester: Requester, accounts: Accounts) -> Reply:
    device_id = request.param("deviceId", parse_device_id)
    await accounts.uia.authorise(request, requester, "devices/delete", device_id)
    await accounts.devices.delete(requester, [device_id])
    return Reply.EMPTY


async def delete_devices(request: Request, requester: Requester, accounts: Accounts) -> Reply:
    device_ids = _device_ids(request.field("devices", list))
    await accounts.uia.authorise(request, requester, "delete_devices", device_ids)
    await accounts.devices.delete(requester, device_ids)
    return Reply.EMPTY


def _device_ids(wanted: list[object]) -> list[DeviceId]:
    if len(wanted) > limits.devices_deleted_at_once_max:
        raise BadRequest("M_INVALID_PARAM", "Too many devices at once.")
    found: set[DeviceId] = set()
    for item in wanted:
        if not isinstance(item, str):
            raise BadRequest("M_BAD_JSON", "devices must be a list of strings.")
        try:
            found.add(parse_device_id(item))
        except ProtocolError as error:
            raise BadRequest("M_INVALID_PARAM", "One of the devices is not valid.") from error
    return sorted(found)


_DEVICES = "/_matrix/client/v3/devices"
_DEVICE = "/_matrix/client/v3/devices/{deviceId}"

ENDPOINTS = (
    Endpoint("GET", _DEVICES, list_devices, "client-server-api#get_matrixclientv3devices", guests=True),
    Endpoint("GET", _DEVICE, get_device, "client-server-api#get_matrixclientv3devicesdeviceid", guests=True),
    Endpoint(
        "PUT",
        _DEVICE,
        put_device,
        "client-server-api#put_matrixclientv3devicesdeviceid",
        rate=Rate.WRITE,
        body=Body.OPTIONAL_JSON,
        guests=True,
    ),
    Endpoint(
        "DELETE",
        _DEVICE,
        delete_device,
        "client-server-api#delete_matrixclientv3devicesdeviceid",
        rate=Rate.LOGIN,
        body=Body.OPTIONAL_JSON,
    ),
    Endpoint(
        "POST",
        "/_matrix/client/v3/delete_devices",
        delete_devices,
        "client-server-api#post_matrixclientv3delete_devices",
        rate=Rate.LOGIN,
        body=Body.JSON,
    ),
)
