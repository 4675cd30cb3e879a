"""The whole door of push, one table; `Router.mount(ENDPOINTS, push)` with a `Push`."""

from watchword.edge.endpoint import Endpoint
from watchword.server.push import endpoints_notifications, endpoints_pushers, endpoints_rules, endpoints_unsubscribe

ENDPOINTS: tuple[Endpoint, ...] = (
    *endpoints_rules.ENDPOINTS,
    *endpoints_pushers.ENDPOINTS,
    *endpoints_notifications.ENDPOINTS,
    *endpoints_unsubscribe.ENDPOINTS,
)
