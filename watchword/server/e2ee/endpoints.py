"""The whole door of e2ee, one table; `Router.mount(ENDPOINTS, service)` with an `E2eeService`."""

from watchword.edge.endpoint import Endpoint
from watchword.server.e2ee import dehydrated_endpoints, key_endpoints, server_endpoints, to_device_endpoints
from watchword.server.e2ee.backup import endpoints as backup_endpoints

ENDPOINTS: tuple[Endpoint, ...] = (
    *key_endpoints.ROWS,
    *to_device_endpoints.ROWS,
    *backup_endpoints.ROWS,
    *dehydrated_endpoints.ROWS,
    *server_endpoints.ROWS,
)
