"""The door of device keys and cross-signing, for clients."""

import re

from watchword.base import limits
from watchword.base.errors import BadRequest, Refused
from watchword.edge.endpoint import Body, Endpoint, Rate
from watchword.edge.replies import Reply
from watchword.edge.request import Request
from watchword.edge.requester import Requester
from watchword.protocol.ids import DeviceId
from watchword.server.e2ee import decide
from watchword.server.e2ee.service import E2eeService
from watchword.storage.log import Position

_TOKEN = re.compile(r"s?([0-9]{1,18})")


async def upload_keys(request: Request, requester: Requester, service: E2eeService) -> Reply:
    """POST keys/upload."""
    device_id = _device(requester)
    upload = decide.keys_upload(request.json, requester.user_id, device_id)
    if isinstance(upload, Refused):
        raise upload.refusal()
    return Reply.json({"one_time_key_counts": await service.keys.upload(requester.user_id, device_id, upload)})


async def query_keys(request: Request, requester: Requester, service: E2eeService) -> Reply:
    """POST keys/query."""
    wanted = request.field("device_keys", dict)
    answer = await service.keys.query(requester.user_id, wanted, _timeout_ms(request))
    return Reply.json(answer.for_client())


async def claim_keys(request: Request, requester: Requester, service: E2eeService) -> Reply:
    """POST keys/claim."""
    found, failures = await service.keys.claim(request.field("one_time_keys", dict), _timeout_ms(request))
    return Reply.json({"one_time_keys": found, "failures": failures})


async def key_changes(request: Request, requester: Requester, service: E2eeService) -> Reply:
    """GET keys/changes."""
    after, until = _position(request, "from"), _position(request, "to")
    changed, left = await service.device_list_changes(requester.user_id, after, until)
    return Reply.json({"changed": sorted(changed), "left": sorted(left)})


async def upload_cross_signing_keys(request: Request, requester: Requester, service: E2eeService) -> Reply:
    """POST keys/device_signing/upload."""
    await service.cross_signing.upload(request, requester)
    return Reply.EMPTY


async def upload_signatures(request: Request, requester: Requester, service: E2eeService) -> Reply:
    """POST keys/signatures/upload."""
    return Reply.json({"failures": await service.cross_signing.upload_signatures(requester.user_id, request.json)})


def _device(requester: Requester) -> DeviceId:
    if requester.device_id is None:
        raise BadRequest("M_INVALID_PARAM", "Keys belong to a device, and this request is made by none.")
    return requester.device_id


def _timeout_ms(request: Request) -> int:
    asked = request.field_or("timeout", int, limits.keys_timeout_ms_default)
    return max(0, min(asked, limits.keys_timeout_ms_max))


def _position(request: Request, name: str) -> Position:
    token = request.query_one(name)
    if token is None:
        raise BadRequest("M_MISSING_PARAM", f"{name} is missing.")
    match = _TOKEN.fullmatch(token)
    if match is None:
        raise BadRequest("M_INVALID_PARAM", f"{name} is not a sync token.")
    return Position(int(match[1]))


_KEYS = "/_matrix/client/v3/keys/"
_SPEC = "client-server-api#"

ROWS: tuple[Endpoint, ...] = (
    Endpoint(
        "POST",
        _KEYS + "upload",
        upload_keys,
        _SPEC + "post_matrixclientv3keysupload",
        rate=Rate.WRITE,
        body=Body.JSON,
        body_bytes_max=limits.keys_body_bytes_max,
        guests=True,
    ),
    # COMPAT(Element classic on iOS, until: nobody uses it): it names its device in the path, which the token says as well.
    Endpoint(
        "POST",
        _KEYS + "upload/{deviceId}",
        upload_keys,
        _SPEC + "post_matrixclientv3keysupload",
        rate=Rate.WRITE,
        body=Body.JSON,
        body_bytes_max=limits.keys_body_bytes_max,
        guests=True,
    ),
    Endpoint(
        "POST",
        _KEYS + "query",
        query_keys,
        _SPEC + "post_matrixclientv3keysquery",
        body=Body.JSON,
        body_bytes_max=limits.keys_body_bytes_max,
        guests=True,
    ),
    Endpoint(
        "POST",
        _KEYS + "claim",
        claim_keys,
        _SPEC + "post_matrixclientv3keysclaim",
        body=Body.JSON,
        body_bytes_max=limits.keys_body_bytes_max,
        guests=True,
    ),
    Endpoint("GET", _KEYS + "changes", key_changes, _SPEC + "get_matrixclientv3keyschanges"),
    Endpoint(
        "POST",
        _KEYS + "device_signing/upload",
        upload_cross_signing_keys,
        _SPEC + "post_matrixclientv3keysdevice_signingupload",
        rate=Rate.WRITE,
        body=Body.JSON,
    ),
    # COMPAT(clients that began before v1.1, until: none of them is left): the path before it was stable.
    Endpoint(
        "POST",
        "/_matrix/client/unstable/keys/device_signing/upload",
        upload_cross_signing_keys,
        _SPEC + "post_matrixclientv3keysdevice_signingupload",
        rate=Rate.WRITE,
        body=Body.JSON,
    ),
    Endpoint(
        "POST",
        _KEYS + "signatures/upload",
        upload_signatures,
        _SPEC + "post_matrixclientv3keyssignaturesupload",
        rate=Rate.WRITE,
        body=Body.JSON,
        body_bytes_max=limits.keys_body_bytes_max,
    ),
)
