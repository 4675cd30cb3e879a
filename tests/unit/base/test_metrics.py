import asyncio

from watchword.base.clock import ManualClock
from watchword.base.metrics import LOOP_LAG_INTERVAL_MS, LoopLag, Metrics


def test_requests_are_counted_and_timed_by_route() -> None:
    metrics = Metrics()
    route = metrics.route("GET", "/a/{b}")
    route.observe(200, 0.0009)
    route.observe(200, 0.02)
    route.observe(404, 100)
    text = metrics.text().decode()
    assert 'watchword_requests_total{method="GET",path="/a/{b}",status="200"} 2.0' in text
    assert 'watchword_requests_total{method="GET",path="/a/{b}",status="404"} 1.0' in text
    assert 'watchword_request_seconds_bucket{le="0.001",method="GET",path="/a/{b}"} 1.0' in text
    assert 'watchword_request_seconds_bucket{le="0.025",method="GET",path="/a/{b}"} 2.0' in text
    assert 'watchword_request_seconds_bucket{le="+Inf",method="GET",path="/a/{b}"} 3.0' in text
    assert 'watchword_request_seconds_count{method="GET",path="/a/{b}"} 3.0' in text


def test_a_route_that_nobody_asked_for_is_not_shown() -> None:
    metrics = Metrics()
    metrics.route("GET", "/a")
    assert "/a" not in metrics.text().decode()


def test_every_number_has_a_help_text() -> None:
    metrics = Metrics()
    metrics.route("GET", "/a").observe(200, 1)
    metrics.counter("watchword_commits", "Transactions that are durable.").inc()
    metrics.histogram("watchword_commit_seconds", "Time of a commit.").observe(0.1)
    metrics.read_gauge("watchword_log_position", "The last durable position.", lambda: 42)
    lines = metrics.text().decode().splitlines()
    named = {line.split(" ")[2] for line in lines if line.startswith("# TYPE")}
    helped = {line.split(" ")[2] for line in lines if line.startswith("# HELP") and len(line.split(" ")) > 3}
    assert named == helped
    assert "watchword_log_position 42.0" in lines


def test_two_servers_in_one_process_do_not_share_their_numbers() -> None:
    first, second = Metrics(), Metrics()
    first.counter("watchword_x", "X.").inc()
    second.counter("watchword_x", "X.")
    assert "watchword_x_total 0.0" in second.text().decode()


class LateClock(ManualClock):
    """Wakes everybody 70 ms too late."""

    async def sleep(self, duration_ms: int) -> None:
        self.advance(duration_ms + 70)


async def test_the_lag_of_the_loop_is_how_late_it_wakes() -> None:
    metrics = Metrics()
    await LoopLag(metrics, LateClock()).measure()
    assert "watchword_loop_lag_seconds 0.07" in metrics.text().decode()


async def test_the_worst_lag_is_kept() -> None:
    metrics, clock = Metrics(), ManualClock()
    lag = LoopLag(metrics, clock)
    for late_ms in (500, 0):
        task = asyncio.create_task(lag.measure())
        await asyncio.sleep(0)
        clock.advance(LOOP_LAG_INTERVAL_MS + late_ms)
        await task
    assert "watchword_loop_lag_seconds 0.0" in metrics.text().decode()
    assert "watchword_loop_lag_worst_seconds 0.5" in metrics.text().decode()
