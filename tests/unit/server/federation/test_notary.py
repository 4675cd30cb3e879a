"""Vouching for other servers' keys."""

from collections.abc import Awaitable, Callable

from tests.unit.server.federation.stacks import A, B, Net, Stack
from watchword.protocol.ids import ServerName

DAY = 86_400_000


async def test_an_answer_is_kept_for_half_its_life_and_then_asked_for_again(two: tuple[Stack, Stack], net: Net) -> None:
    a, _ = two
    notary = a.inn.doors.notary
    for _ in range(3):
        assert await notary.answer(B, {}, a.clock.now_ms()) is not None
    assert len(net.calls) == 1
    a.clock.advance(DAY * 2 // 3)
    assert await notary.answer(B, {}, a.clock.now_ms()) is not None
    assert len(net.calls) == 2


async def test_the_last_answer_is_given_when_the_server_is_gone(two: tuple[Stack, Stack], net: Net) -> None:
    a, _ = two
    first = await a.inn.doors.notary.answer(B, {}, a.clock.now_ms())
    net.down.add("b.example:8448")
    a.clock.advance(100 * DAY)
    last = await a.inn.doors.notary.answer(B, {"ed25519:1": a.clock.now_ms()}, a.clock.now_ms())
    assert first is not None
    assert last is not None
    assert last["valid_until_ts"] == first["valid_until_ts"]


async def test_a_longer_validity_is_asked_for_but_not_insisted_on(two: tuple[Stack, Stack], net: Net) -> None:
    a, _ = two
    await a.inn.doors.notary.answer(B, {}, 0)
    a.clock.advance(60_000)
    found = await a.inn.doors.notary.answer(B, {"ed25519:1": a.clock.now_ms() + 5 * DAY}, a.clock.now_ms())
    assert found is not None
    assert len(net.calls) == 2


async def test_we_vouch_for_ourselves_and_not_for_whom_we_do_not_talk_with(
    a_stack: Callable[..., Awaitable[Stack]],
) -> None:
    a = await a_stack(A, deny=("b.*",))
    assert await a.inn.doors.notary.answer(A, {}, 0) == a.out.own_keys.published()
    assert await a.inn.doors.notary.answer(B, {}, 0) is None
    assert await a.inn.doors.notary.answer(ServerName("dead.example"), {}, 0) is None
