from typing import Any

from watchword.base.metrics import Metrics
from watchword.edge.listener import Listen
from watchword.edge.operations import ENDPOINTS, Operations


async def test_health_is_answered_at_every_door_and_numbers_only_at_theirs(a_house: Any, serving: Any) -> None:
    house = a_house()
    house.router.mount(ENDPOINTS, Operations(house.metrics))
    doors = ("client", "federation", "metrics")
    async with serving(house, *(Listen(port=0, doors=frozenset({door})) for door in doors)) as served:
        for door, port in zip(doors, served.listeners.ports, strict=True):
            answer = await served.ask("GET", "/health", port=port)
            assert (answer.status, answer.json) == (200, {"status": "ok"})
            numbers = await served.ask("GET", "/_watchword/metrics", port=port)
            assert (door, numbers.status) == (door, 200 if door == "metrics" else 404)
    assert numbers.headers["content-type"].startswith("text/plain")
    assert b"# HELP watchword_requests_total" in numbers.body


async def test_a_server_that_cannot_work_says_so(a_house: Any, serving: Any) -> None:
    house = a_house()
    house.router.mount(ENDPOINTS, Operations(Metrics(), failure=lambda: "The disk is full."))
    async with serving(house) as served:
        answer = await served.ask("GET", "/health")
    assert (answer.status, answer.json["reason"]) == (503, "The disk is full.")


async def test_numbers_can_be_switched_off(a_house: Any, serving: Any) -> None:
    house = a_house()
    house.router.mount(ENDPOINTS, Operations(Metrics(), metrics_enabled=False))
    async with serving(house) as served:
        assert (await served.ask("GET", "/_watchword/metrics")).status == 404
