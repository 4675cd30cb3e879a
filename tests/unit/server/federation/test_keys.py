"""The key ring: which signatures of events hold."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.unit.server.federation.stacks import ALICE, BOB, A, B, Net, Stack, json_answer, signing_key
from watchword.base import limits
from watchword.protocol.ids import ServerName
from watchword.protocol.room_versions import V1, V4, V11, RoomVersion
from watchword.protocol.signatures import SigningKey, sign_event, sign_json
from watchword.server.federation.ports import PeerCall, WholeAnswer
from watchword.server.rooms.ports import KeyLacking

DAY = 86_400_000


def an_event(sender: str = BOB, ts: int = 0, **more: Any) -> dict[str, Any]:
    return {"type": "m.room.message", "sender": sender, "origin_server_ts": ts, "content": {"body": "x"}, **more}


def signed(event: dict[str, Any], name: str = B, version: RoomVersion = V11, key: SigningKey | None = None) -> dict[str, Any]:
    return sign_event(event, version, name, key or signing_key(name))


def key_answer(
    name: str, clock_ms: int, *, key: SigningKey | None = None, signer: SigningKey | None = None, **more: Any
) -> Any:
    key = key or signing_key(name)
    body = {
        "server_name": name,
        "valid_until_ts": clock_ms + DAY,
        "verify_keys": {key.key_id: {"key": key.verify_key.to_base64()}},
        "old_verify_keys": {},
        **more,
    }
    return sign_json(body, name, signer or key)


def fetches(net: Net) -> int:
    return sum(call.uri == "/_matrix/key/v2/server" for call in net.calls)


async def test_good_events_pass_and_one_bad_event_harms_no_other(two: tuple[Stack, Stack]) -> None:
    a, _ = two
    now = a.clock.now_ms()
    forged = {**signed(an_event(ts=now)), "content": {}, "type": "m.room.other"}
    foreign = signed(an_event(ts=now), key=signing_key("c"))
    unsigned, broken = an_event(ts=now), {"type": 5}
    good = [signed(an_event(ts=now, n=n)) for n in range(10)]
    answers = await a.out.keys.check_events([*good, forged, foreign, unsigned, broken], V11)
    assert answers[:10] == [None] * 10
    assert [answer is None for answer in answers[10:]] == [False] * 4


async def test_many_askers_cause_one_fetch(two: tuple[Stack, Stack], net: Net) -> None:
    a, _ = two
    event = signed(an_event(ts=a.clock.now_ms()))
    answers = await asyncio.gather(*(a.out.keys.check_events([event], V11) for _ in range(20)))
    assert answers == [[None]] * 20
    assert fetches(net) == 1


async def test_forged_key_ids_do_not_cause_a_fetch_each(two: tuple[Stack, Stack], net: Net) -> None:
    a, _ = two
    for number in range(20):
        event = signed(an_event(ts=a.clock.now_ms()), key=SigningKey(b"k" * 32, f"k{number}"))
        assert (await a.out.keys.check_events([event], V11))[0] is not None
    assert fetches(net) == 1


async def test_keys_survive_a_restart_and_the_end_of_their_server(two: tuple[Stack, Stack], net: Net, tmp_path: Any) -> None:
    a, _ = two
    event = signed(an_event(ts=a.clock.now_ms()))
    assert await a.out.keys.check_events([event], V11) == [None]
    net.down.add("b.example:8448")
    born = await Stack.build(tmp_path, A, net, a.clock, seed=9)
    assert await born.out.keys.check_events([event], V11) == [None]
    await born.close()


async def test_a_key_is_good_until_it_ran_out_from_version_5_on(two: tuple[Stack, Stack], net: Net) -> None:
    a, _ = two
    assert await a.out.keys.check_events([signed(an_event(ts=a.clock.now_ms()))], V11) == [None]
    net.down.add("b.example:8448")
    later = a.clock.now_ms() + 2 * DAY
    old_style = {**an_event(ts=later), "event_id": "$1:b.example"}
    assert (await a.out.keys.check_events([signed(an_event(ts=later))], V11))[0] is not None
    assert await a.out.keys.check_events([signed(an_event(ts=later), version=V4)], V4) == [None]
    assert await a.out.keys.check_events([signed(old_style, version=V1)], V1) == [None]


async def test_an_expired_key_serves_for_events_before_its_end(two: tuple[Stack, Stack], net: Net) -> None:
    a, _ = two
    now = a.clock.now_ms()
    old = SigningKey(b"o" * 32, "old")
    entry = {old.key_id: {"key": old.verify_key.to_base64(), "expired_ts": now - DAY}}
    net.hosts["b.example:8448"] = lambda call: json_answer(key_answer(B, now, old_verify_keys=entry))
    before, after = signed(an_event(ts=now - 2 * DAY), key=old), signed(an_event(ts=now - DAY), key=old)
    answers = await a.out.keys.check_events([before, after], V11)
    assert [answer is None for answer in answers] == [True, False]


async def test_validity_is_capped_at_seven_days(two: tuple[Stack, Stack], net: Net) -> None:
    a, _ = two
    now = a.clock.now_ms()
    net.hosts["b.example:8448"] = lambda call: json_answer(key_answer(B, now, valid_until_ts=now + 1_000 * DAY))
    answers = await a.out.keys.check_events([signed(an_event(ts=now + 6 * DAY)), signed(an_event(ts=now + 8 * DAY))], V11)
    assert [answer is None for answer in answers] == [True, False]


@pytest.mark.parametrize("lie", ["name", "signature", "no signature", "garbage", "huge", "slow"])
async def test_a_server_that_lies_about_its_keys_is_not_believed(two: tuple[Stack, Stack], net: Net, lie: str) -> None:
    a, _ = two
    now = a.clock.now_ms()

    def lies(call: PeerCall) -> WholeAnswer:
        good = key_answer(B, now)
        if lie == "slow":
            raise TimeoutError
        if lie == "garbage":
            return WholeAnswer(200, {}, b"<html>")
        if lie == "huge":
            return WholeAnswer(200, {}, b" " * 200_000)
        if lie == "no signature":
            good.pop("signatures")
        elif lie == "name":
            good = key_answer("c.example", now)
        else:
            good["valid_until_ts"] += 1
        return json_answer(good)

    net.hosts["b.example:8448"] = lies
    assert (await a.out.keys.check_events([signed(an_event(ts=now))], V11))[0] is not None


async def test_a_key_may_yet_come_while_its_server_is_silent_but_not_for_ever(two: tuple[Stack, Stack], net: Net) -> None:
    a, _ = two
    net.down.add("b.example:8448")
    event, unsigned = signed(an_event(ts=a.clock.now_ms())), an_event(ts=a.clock.now_ms())
    for wait_ms in (0, limits.key_patience_ms - 1):
        a.clock.advance(wait_ms)
        lacking, missing = await a.out.keys.check_events([event, unsigned], V11)
        assert isinstance(lacking, KeyLacking)
        assert missing is not None
        assert not isinstance(missing, KeyLacking)
    a.clock.advance(1)
    (reason,) = await a.out.keys.check_events([event], V11)
    assert reason is not None
    assert not isinstance(reason, KeyLacking)
    net.down.clear()
    a.clock.advance(DAY // 24)
    assert await a.out.keys.check_events([event], V11) == [None]


async def test_a_key_that_its_server_does_not_name_will_not_come(two: tuple[Stack, Stack], net: Net) -> None:
    a, _ = two
    event = signed(an_event(ts=a.clock.now_ms()), key=SigningKey(b"k" * 32, "lost"))
    for _ in range(2):
        (reason,) = await a.out.keys.check_events([event], V11)
        assert reason is not None
        assert not isinstance(reason, KeyLacking)
        # What it said is remembered when it is silent.
        net.down.add("b.example:8448")
        a.clock.advance(DAY)


async def test_a_notary_is_asked_when_the_server_is_silent(a_stack: Callable[..., Awaitable[Stack]], net: Net) -> None:
    notary = ServerName("n.example")
    n, b, a = await a_stack(notary), await a_stack(B), await a_stack(A, notaries=(notary,))
    now = a.clock.now_ms()
    assert await n.out.keys.key(B, "ed25519:1", now) is not None
    net.down.add("b.example:8448")
    assert b.name == B
    assert await a.out.keys.check_events([signed(an_event(ts=now))], V11) == [None]


async def test_a_notary_cannot_invent_keys(a_stack: Callable[..., Awaitable[Stack]], net: Net) -> None:
    notary = ServerName("n.example")
    a = await a_stack(A, notaries=(notary,))
    now = a.clock.now_ms()
    own, invented = signing_key(notary), SigningKey(b"i" * 32, "1")

    def liar(call: PeerCall) -> WholeAnswer:
        if call.uri.endswith("/server"):
            return json_answer(key_answer(notary, now))
        unsigned = key_answer(B, now, key=invented, signer=SigningKey(b"?" * 32, "other"))
        return json_answer({"server_keys": [sign_json(unsigned, notary, own)]})

    net.hosts["n.example:8448"] = liar
    assert (await a.out.keys.check_events([signed(an_event(ts=now), key=invented)], V11))[0] is not None


async def test_our_own_events_are_checked_with_our_own_keys(two: tuple[Stack, Stack], net: Net) -> None:
    a, _ = two
    event = an_event(ALICE, a.clock.now_ms())
    assert await a.out.keys.check_events([signed(event, A)], V11) == [None]
    assert (await a.out.keys.check_events([signed(event, A, key=SigningKey(b"z" * 32, "z"))], V11))[0] is not None
    assert not net.calls


async def test_a_flood_of_invented_servers_is_turned_away_at_once(two: tuple[Stack, Stack], net: Net) -> None:
    a, _ = two
    names = [ServerName(f"s{number}.example") for number in range(2 * limits.key_fetches_waiting_max)]
    found = await asyncio.gather(*(a.out.keys.key(name, "ed25519:1", a.clock.now_ms()) for name in names))
    assert set(found) == {None}
    assert fetches(net) <= limits.key_fetches_waiting_max
    assert await a.out.keys.key(B, "ed25519:1", a.clock.now_ms()) is not None
