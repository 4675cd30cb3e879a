"""The door of to-device messages, for clients."""

from watchword.base import limits
from watchword.base.errors import BadRequest
from watchword.edge.endpoint import Body, Endpoint, Rate
from watchword.edge.replies import Reply
from watchword.edge.request import Request
from watchword.edge.requester import Requester
from watchword.server.e2ee.service import E2eeService


async def send_to_device(request: Request, requester: Requester, service: E2eeService) -> Reply:
    """PUT sendToDevice/{eventType}/{txnId}."""
    kind, txn_id = request.params["eventType"], request.params["txnId"]
    if len(kind) > limits.identifier_bytes_max or len(txn_id) > limits.identifier_bytes_max:
        raise BadRequest("M_INVALID_PARAM", "The event type or the transaction ID is too long.")
    sender = requester.user_id, requester.device_id
    await service.to_device.send(sender, kind, txn_id, request.field("messages", dict))
    return Reply.EMPTY


ROWS: tuple[Endpoint, ...] = (
    Endpoint(
        "PUT",
        "/_matrix/client/v3/sendToDevice/{eventType}/{txnId}",
        send_to_device,
        "client-server-api#put_matrixclientv3sendtodeviceeventtypetxnid",
        rate=Rate.MESSAGE,
        body=Body.JSON,
        body_bytes_max=limits.keys_body_bytes_max,
        guests=True,
    ),
)
