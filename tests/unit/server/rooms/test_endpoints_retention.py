import orjson

from watchword.edge.replies import Reply
from watchword.edge.request import Request
from watchword.server.rooms.endpoints_retention import ENDPOINTS
from watchword.server.rooms.retention_policy import RetentionSettings


async def test_clients_can_ask_how_long_messages_are_kept() -> None:
    (endpoint,) = ENDPOINTS
    reply = await endpoint.handler(Request("GET", endpoint.path), None, RetentionSettings(True, 1))
    assert isinstance(reply, Reply)
    assert orjson.loads(reply.body)["policies"] == {"*": {"max_lifetime": 1}}
