"""The signed road to a peer."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from tests.unit.server.federation.stacks import A, B, Net, Stack, json_answer
from watchword.base import limits
from watchword.base.errors import PeerError
from watchword.protocol.ids import ServerName
from watchword.server.federation.discovery_rules import SrvRecord
from watchword.server.federation.peer import Ask, path_of
from watchword.server.federation.ports import PeerCall, WholeAnswer

PLACE = "b.example:8448"
ASK = Ask("GET", "/x")


def test_segments_are_encoded_whole_and_queries_after_them() -> None:
    assert path_of("/p", "!a/b:c", "$d+e%") == "/p/%21a%2Fb%3Ac/%24d%2Be%25"
    assert Ask("GET", "/x", [("a", "b c&"), ("a", "ü")]).uri == "/x?a=b+c%26&a=%C3%BC"


@pytest.mark.parametrize(
    ("status", "body", "failures"),
    [
        (403, {"errcode": "M_FORBIDDEN"}, 0),
        (404, {}, 0),
        (500, {"errcode": "M_UNKNOWN"}, 0),
        (502, {}, 1),
        (429, {"errcode": "M_LIMIT_EXCEEDED", "retry_after_ms": 90_000}, 1),
        (302, {}, 0),
    ],
)
async def test_only_silence_and_overload_count_as_failures(
    two: tuple[Stack, Stack], net: Net, status: int, body: dict[str, object], failures: int
) -> None:
    a, _ = two
    net.hosts[PLACE] = lambda call: json_answer(body, status)
    with pytest.raises(PeerError) as refused:
        await a.out.transport.json(B, ASK)
    assert (refused.value.status, refused.value.errcode) == (status, body.get("errcode"))
    assert a.out.backoff.failures(B) == failures
    if status == 429:
        assert refused.value.retry_after_ms == a.out.backoff.wait_ms(B) == 90_000


async def test_a_transaction_takes_any_refusal_for_a_failure(two: tuple[Stack, Stack], net: Net) -> None:
    a, _ = two
    net.hosts[PLACE] = lambda call: json_answer({"errcode": "M_FORBIDDEN"}, 403)
    with pytest.raises(PeerError):
        await a.out.client.send_transaction(B, "t", b"{}")
    assert a.out.backoff.failures(B) == 1


async def test_the_next_target_is_tried_when_one_is_dead(two: tuple[Stack, Stack], net: Net) -> None:
    a, _ = two
    net.services["_matrix-fed._tcp.b.example"] = [SrvRecord(1, 1, 1, "dead"), SrvRecord(2, 1, 2, "alive")]
    net.hosts["alive:2"] = lambda call: json_answer({"host": call.headers.get("host"), "name": call.target.certificate_name})
    assert await a.out.transport.json(B, ASK) == {"host": None, "name": "b.example"}
    assert a.out.backoff.failures(B) == 0


async def test_after_an_answer_no_other_target_is_tried(two: tuple[Stack, Stack], net: Net) -> None:
    a, _ = two
    asked = []

    def long(call: PeerCall) -> WholeAnswer:
        asked.append(call)
        return WholeAnswer(200, {}, b"x" * 10_000_000)

    net.services["_matrix-fed._tcp.b.example"] = [SrvRecord(1, 1, 1, "one"), SrvRecord(2, 1, 2, "two")]
    net.hosts.update({"one:1": long, "two:2": long})
    with pytest.raises(PeerError):
        await a.out.transport.json(B, ASK)
    assert len(asked) == 1


async def test_a_dead_server_is_asked_once_and_then_left_alone(two: tuple[Stack, Stack], net: Net) -> None:
    a, _ = two
    net.down.add(PLACE)
    for _ in range(3):
        with pytest.raises(PeerError):
            await a.out.transport.json(B, ASK)
    assert len(net.calls) == 1


async def test_we_do_not_ask_ourselves_and_do_not_sign_when_not_told_to(two: tuple[Stack, Stack], net: Net) -> None:
    a, _ = two
    with pytest.raises(PeerError):
        await a.out.transport.json(A, ASK)
    net.hosts[PLACE] = lambda call: json_answer({"signed": "authorization" in call.headers})
    assert await a.out.transport.json(B, Ask("GET", "/x", signed=False)) == {"signed": False}
    assert await a.out.transport.json(B, ASK) == {"signed": True}
    with pytest.raises(PeerError):
        await a.out.transport.json(ServerName("not a name"), ASK)


async def test_one_server_that_stalls_does_not_take_the_slots_of_all(two: tuple[Stack, Stack], net: Net) -> None:
    a, _ = two
    net.hosts[PLACE] = net.hosts["c.example:8448"] = lambda call: json_answer({})
    async with AsyncExitStack() as stalled:
        for _ in range(limits.peer_requests_of_one_max):
            await stalled.enter_async_context(a.out.transport.open(B, ASK))
        waiting = [
            asyncio.ensure_future(a.out.transport.json(B, ASK))
            for _ in range(limits.peer_requests_waiting_max - limits.peer_requests_of_one_max)
        ]
        await asyncio.sleep(0.01)
        with pytest.raises(PeerError):
            await a.out.transport.json(B, ASK)
        assert await a.out.transport.json(ServerName("c.example"), ASK) == {}
    assert await asyncio.gather(*waiting) == [{}] * len(waiting)
