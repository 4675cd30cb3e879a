"""What an operator's machines ask: is it well, and how much is it doing.

`/health` answers on every listener, so that a load balancer needs no other; the numbers answer only where a listener
serves `metrics`, because they tell strangers how busy the server is.
"""

from collections.abc import Callable
from dataclasses import dataclass

from watchword.base.metrics import CONTENT_TYPE, Metrics
from watchword.edge.endpoint import Auth, Endpoint, Rate
from watchword.edge.replies import Reply
from watchword.edge.request import Request


@dataclass(frozen=True)
class Operations:
    """What the doors here need. failure: a sentence on why the server cannot do its work now, or None."""

    metrics: Metrics
    failure: Callable[[], str | None] = lambda: None
    metrics_enabled: bool = True


async def health(request: Request, requester: None, service: Operations) -> Reply:
    """200 while requests are answered and the database takes writes, else 503."""
    failure = service.failure()
    if failure is None:
        return _HEALTHY
    return Reply.json({"status": "failing", "reason": failure}, 503)


async def metrics(request: Request, requester: None, service: Operations) -> Reply:
    """Every number, in Prometheus' text format."""
    if not service.metrics_enabled:
        return Reply.json({"errcode": "M_UNRECOGNIZED", "error": "Metrics are switched off."}, 404)
    return Reply(200, service.metrics.text(), {"content-type": CONTENT_TYPE})


_HEALTHY = Reply.json({"status": "ok"})

ENDPOINTS = (
    Endpoint("GET", "/health", health, spec="", auth=Auth.NONE, rate=Rate.NONE),
    Endpoint("GET", "/_watchword/metrics", metrics, spec="", auth=Auth.NONE, rate=Rate.NONE),
)
