"""The door that tells clients how long messages are kept. `app` mounts this table with `RetentionSettings`."""

from watchword.edge.endpoint import Endpoint
from watchword.edge.replies import Reply
from watchword.edge.request import Request
from watchword.edge.requester import Requester
from watchword.server.rooms.retention_policy import RetentionSettings


async def configuration(_request: Request, _requester: Requester, settings: RetentionSettings) -> Reply:
    return Reply.json(settings.configuration())


ENDPOINTS = (
    Endpoint("GET", "/_matrix/client/unstable/org.matrix.msc1763/retention/configuration", configuration, "proposals/1763"),
)
