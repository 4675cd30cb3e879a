"""Transactions in."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import pytest

from tests.unit.server.federation.stacks import A, B, Stack
from watchword.base.errors import BadRequest, LimitExceeded
from watchword.protocol.ids import ServerName
from watchword.server.federation.incoming import TransactionReceiver


def pdus(*ids: str) -> dict[str, Any]:
    return {"pdus": [{"id": each} for each in ids]}


async def test_each_event_is_answered_with_its_own_error(two: tuple[Stack, Stack]) -> None:
    a, _ = two
    a.rooms.refused["$bad"] = "not allowed"
    answer = await a.inn.doors.transactions.receive(B, "t", pdus("$good", "$bad"))
    assert orjson.loads(answer) == {"pdus": {"$good": {}, "$bad": {"error": "not allowed"}}}


async def test_a_replayed_transaction_is_answered_alike_and_done_once(two: tuple[Stack, Stack]) -> None:
    a, _ = two
    receive = a.inn.doors.transactions.receive
    first, second = await asyncio.gather(receive(B, "t", pdus("$1")), receive(B, "t", pdus("$1")))
    assert first == second
    assert len(a.rooms.received) == 1
    await receive(ServerName("c.example"), "t", pdus("$1"))
    assert len(a.rooms.received) == 2


@pytest.mark.parametrize("body", [{"pdus": [{}] * 51}, {"edus": [{}] * 101}, {"pdus": {}}, {"pdus": [], "edus": 3}])
async def test_a_transaction_that_is_too_large_or_misshapen_is_refused(two: tuple[Stack, Stack], body: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        await two[0].inn.doors.transactions.receive(B, "t", body)


async def test_what_is_no_event_is_left_out(two: tuple[Stack, Stack]) -> None:
    answer = await two[0].inn.doors.transactions.receive(B, "t", {"pdus": [5, None, {"id": "$1"}], "edus": [7, {}]})
    assert orjson.loads(answer) == {"pdus": {"$1": {}}}


class Slow:
    """A receiver that counts how many are in it at once."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self.go = asyncio.Event()

    async def receive_pdus(self, origin: ServerName, raws: Sequence[dict[str, Any]]) -> Mapping[str, str | None]:
        self.now += 1
        self.most = max(self.most, self.now)
        await self.go.wait()
        self.now -= 1
        return {}


async def test_one_origin_has_one_transaction_at_a_time_and_a_short_queue(two: tuple[Stack, Stack]) -> None:
    slow = Slow()
    receiver = TransactionReceiver(slow, two[0].inn.doors.transactions._edus, two[0].out.backoff)
    waiting = [asyncio.ensure_future(receiver.receive(B, str(n), pdus("$1"))) for n in range(9)]
    other = asyncio.ensure_future(receiver.receive(A, "x", pdus("$1")))
    await asyncio.sleep(0.01)
    assert slow.now == 2
    with pytest.raises(LimitExceeded):
        await receiver.receive(B, "too many", pdus("$1"))
    slow.go.set()
    await asyncio.gather(other, *waiting)
    assert slow.most == 2


async def test_a_failure_of_ours_is_not_remembered_as_an_answer(two: tuple[Stack, Stack]) -> None:
    a, _ = two
    with pytest.raises(KeyError):
        await a.inn.doors.transactions.receive(B, "t", {"pdus": [{"no id": 1}]})
    assert orjson.loads(await a.inn.doors.transactions.receive(B, "t", pdus("$1"))) == {"pdus": {"$1": {}}}
