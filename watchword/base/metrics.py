"""What the server counts about itself, in the form Prometheus reads.

The road of a request counts in plain integers (`RouteStats`), read only when somebody asks; everything rarer uses
prometheus-client's own counters. Nothing is global: there is one `Metrics` for one server, made by `app.py`.
Deliberately absent: labels that grow with users, rooms or servers, and anything that names one.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from watchword.base.clock import Clock

SECONDS_BOUNDS: Sequence[float] = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

LOOP_LAG_INTERVAL_MS = 1_000


class RouteStats:
    """The requests of one method and path template: how many by status, and how long they took."""

    __slots__ = ("buckets", "by_status", "method", "path", "seconds")

    def __init__(self, method: str, path: str) -> None:
        self.method = method
        self.path = path
        self.by_status: dict[int, int] = {}
        self.buckets = [0] * (len(SECONDS_BOUNDS) + 1)
        self.seconds = 0.0

    def observe(self, status: int, seconds: float) -> None:
        """Count one finished request."""
        self.by_status[status] = self.by_status.get(status, 0) + 1
        self.buckets[bisect_left(SECONDS_BOUNDS, seconds)] += 1
        self.seconds += seconds


class _Requests(Collector):
    def __init__(self) -> None:
        self.routes: list[RouteStats] = []

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        count = CounterMetricFamily(
            "watchword_requests", "Requests answered, by method, path template and status.", labels=("method", "path", "status")
        )
        times = HistogramMetricFamily(
            "watchword_request_seconds", "Seconds from the head of a request to its reply.", labels=("method", "path")
        )
        for route in self.routes:
            if not route.by_status:
                continue
            for status, number in route.by_status.items():
                count.add_metric((route.method, route.path, str(status)), number)
            times.add_metric((route.method, route.path), list(_cumulated(route.buckets)), route.seconds)
        yield count
        yield times


def _cumulated(buckets: Sequence[int]) -> Iterator[tuple[str, float]]:
    total = 0
    for bound, number in zip((*map(str, SECONDS_BOUNDS), "+Inf"), buckets, strict=True):
        total += number
        yield bound, total


class Metrics:
    """One server's numbers. Names begin with `watchword_` and end with their unit."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._requests = _Requests()
        self._registry.register(self._requests)
        ProcessCollector(registry=self._registry)

    def route(self, method: str, path: str) -> RouteStats:
        """A place to count the requests of one route."""
        stats = RouteStats(method, path)
        self._requests.routes.append(stats)
        return stats

    def counter(self, name: str, text: str, labels: Sequence[str] = ()) -> Counter:
        """A number that only grows. text is the HELP an operator reads."""
        return Counter(name, text, labels, registry=self._registry)

    def gauge(self, name: str, text: str, labels: Sequence[str] = ()) -> Gauge:
        """A number that goes up and down."""
        return Gauge(name, text, labels, registry=self._registry)

    def read_gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        """A number that is looked up when somebody asks: log position, rows waiting, open connections."""
        Gauge(name, text, registry=self._registry).set_function(read)

    def histogram(self, name: str, text: str, bounds: Sequence[float] = SECONDS_BOUNDS) -> Histogram:
        """How a quantity is spread: commit times, batch sizes."""
        return Histogram(name, text, buckets=bounds, registry=self._registry)

    def text(self) -> bytes:
        """Everything, in Prometheus' text format."""
        return generate_latest(self._registry)


class LoopLag:
    """How late the event loop wakes a sleeper: the one number that says the process is too busy. `app.py` runs `run`."""

    def __init__(self, metrics: Metrics, clock: Clock) -> None:
        self._clock = clock
        self._lag = metrics.gauge("watchword_loop_lag_seconds", "How late the event loop woke its last sleeper.")
        self._worst = metrics.gauge("watchword_loop_lag_worst_seconds", "The longest lag since the start.")
        self._worst_ms = 0

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            await self.measure()

    async def measure(self) -> None:
        """Measure once; takes about a second."""
        before_ms = self._clock.monotonic_ms()
        await self._clock.sleep(LOOP_LAG_INTERVAL_MS)
        late_ms = max(0, self._clock.monotonic_ms() - before_ms - LOOP_LAG_INTERVAL_MS)
        self._worst_ms = max(self._worst_ms, late_ms)
        self._lag.set(late_ms / 1000)
        self._worst.set(self._worst_ms / 1000)
