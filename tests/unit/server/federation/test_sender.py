"""Transactions from one whole stack to another, with all that may go wrong on the way."""

import asyncio

import orjson

from tests.unit.server.federation.stacks import ALICE, ROOM, A, B, Net, Stack, json_answer, running, settle
from watchword.base.clock import ManualClock
from watchword.protocol.ids import EventId, ServerName
from watchword.server.changes import ReceiptChanged, ToDeviceOutgoing, TypingChanged
from watchword.server.federation.ports import PeerCall, WholeAnswer

C = ServerName("c.example")


def ids_received(stack: Stack) -> list[str]:
    return [raw["id"] for _, raw in stack.rooms.received]


async def test_a_message_reaches_the_other_server(two: tuple[Stack, Stack]) -> None:
    a, b = two
    async with running(a, b):
        await a.say(1)
        await settle(lambda: b.rooms.received)
    assert b.rooms.received == [(A, {"id": "$event1", "n": 1})]
    assert not a.rooms.received


async def test_what_others_said_is_not_sent_on(two: tuple[Stack, Stack]) -> None:
    a, b = two
    async with running(a, b):
        await a.say(1, sender=ALICE.replace("a.example", "c.example"))  # type: ignore[arg-type]
        await a.say(2)
        await settle(lambda: b.rooms.received)
    assert ids_received(b) == ["$event2"]


async def test_many_messages_come_in_order_and_in_transactions_of_fifty(two: tuple[Stack, Stack], net: Net) -> None:
    a, b = two
    for number in range(120):
        await a.say(number)
    async with running(a, b):
        await settle(lambda: len(b.rooms.received) == 120)
    assert ids_received(b) == [f"$event{number}" for number in range(120)]
    sizes = [len(orjson.loads(call.body or b"{}")["pdus"]) for call in net.calls if "/send/" in call.uri]
    assert max(sizes) <= 50


async def test_a_server_that_was_down_gets_everything_when_it_is_back(
    two: tuple[Stack, Stack], net: Net, clock: ManualClock
) -> None:
    a, b = two
    net.down.add("b.example:8448")
    async with running(a, b):
        for number in range(200):
            await a.say(number)
        await settle(lambda: a.out.backoff.failures(B) >= 4, clock=clock)
        await a.say(200)
        net.down.clear()
        await settle(lambda: len(set(ids_received(b))) == 201, clock=clock)
    assert sorted(set(ids_received(b)), key=lambda name: int(name[6:])) == [f"$event{n}" for n in range(201)]


async def test_a_dead_destination_keeps_one_number_and_no_list(two: tuple[Stack, Stack], net: Net, clock: ManualClock) -> None:
    a, b = two
    net.down.add("b.example:8448")
    async with running(a, b):
        for number in range(50):
            await a.say(number)
        await settle(lambda: a.out.backoff.failures(B) >= 4, clock=clock)
        (outbox,) = a.inn.sender.outboxes()
        assert (len(outbox), outbox.in_flight, outbox.resume_after) == (0, None, 0)


async def test_a_server_that_speaks_to_us_is_tried_at_once(two: tuple[Stack, Stack], net: Net, clock: ManualClock) -> None:
    a, b = two
    net.down.add("b.example:8448")
    async with running(a, b):
        await a.say(1)
        await settle(lambda: a.out.backoff.failures(B) >= 3, clock=clock)
        net.down.clear()
        assert a.out.backoff.wait_ms(B) > 1_000
        await b.out.client.query_directory(A, "#room:a.example")  # type: ignore[arg-type]
        await settle(lambda: b.rooms.received)


async def test_typing_and_public_receipts_go_out_and_private_ones_never(two: tuple[Stack, Stack]) -> None:
    a, b = two
    event_id = EventId("$e")
    async with running(a, b):
        await a.happen(
            ReceiptChanged(ROOM, ALICE, "m.read.private", event_id, None, 5),
            ReceiptChanged(ROOM, ALICE, "m.read", event_id, "main", 5),
            TypingChanged(ROOM, ALICE, True, 1_000),
        )
        await settle(lambda: b.rooms.typing, lambda: b.rooms.receipts)
    assert [(user, ms > 0) for _, user, ms in b.rooms.typing] == [(ALICE, True)]
    (receipt, ts) = b.rooms.receipts[0]
    assert (receipt.receipt_type, receipt.thread_id, ts, len(b.rooms.receipts)) == ("m.read", "main", 5, 1)


async def test_letters_to_devices_are_deleted_only_when_acknowledged(
    two: tuple[Stack, Stack], net: Net, clock: ManualClock
) -> None:
    a, b = two
    a.e2ee.letters["m1"] = {"sender": ALICE, "type": "t", "message_id": "m1", "messages": {}}
    net.down.add("b.example:8448")
    async with running(a, b):
        await a.happen(ToDeviceOutgoing(B, "m1"))
        await settle(lambda: a.out.backoff.failures(B) >= 4, clock=clock)
        assert not a.e2ee.deleted_until
        net.down.clear()
        await settle(lambda: a.e2ee.deleted_until, clock=clock)
    assert [kind for kind, _, _ in b.e2ee.updates] == ["direct"]
    assert a.e2ee.deleted_until == {B: 1}


async def test_a_dead_destination_costs_one_alarm_however_much_is_said(
    two: tuple[Stack, Stack], net: Net, clock: ManualClock
) -> None:
    a, _ = two
    net.down.add("b.example:8448")
    async with running(a):
        for number in range(100):
            await a.say(number)
            a.inn.sender.wake(B)
            await asyncio.sleep(0)
        await settle(lambda: a.out.backoff.failures(B) >= 4, clock=clock)
        assert len(a.inn.sender._alarms) <= 5
        assert len(net.calls) <= 10


async def test_an_answer_out_of_shape_is_an_acknowledgement_all_the_same(two: tuple[Stack, Stack], net: Net) -> None:
    a, _ = two
    for pdus in (5, {"$event0": 5, "$x": None, "$y": {"error": "no"}}):
        net.hosts["b.example:8448"] = lambda call, answer=pdus: json_answer({"pdus": answer})  # type: ignore[misc]
        async with running(a):
            await a.say(0)
            await settle(lambda: net.calls, lambda: not list(a.inn.sender.outboxes()))
        net.calls.clear()


async def test_stale_typing_is_not_sent_when_a_server_is_back(two: tuple[Stack, Stack], net: Net, clock: ManualClock) -> None:
    a, b = two
    net.down.add("b.example:8448")
    async with running(a, b):
        await a.happen(TypingChanged(ROOM, ALICE, True, 1_000))
        await a.say(1)
        await settle(lambda: a.out.backoff.failures(B) >= 4, clock=clock)
        net.down.clear()
        await settle(lambda: b.rooms.received, clock=clock)
    assert not b.rooms.typing


async def test_one_poisoned_item_does_not_hold_up_the_others(two: tuple[Stack, Stack], net: Net, clock: ManualClock) -> None:
    a, _ = two

    def grumpy(call: PeerCall) -> WholeAnswer:
        assert call.body is not None
        if "/send/" in call.uri:
            pdus = orjson.loads(call.body)["pdus"]
            seen.extend(pdu["id"] for pdu in pdus if not any(each["id"] == "$event1" for each in pdus))
            if any(pdu["id"] == "$event1" for pdu in pdus):
                return json_answer({"errcode": "M_BAD_JSON", "error": "no"}, 400)
        return json_answer({"pdus": {}})

    seen: list[str] = []
    net.hosts["b.example:8448"] = grumpy
    for number in range(3):
        await a.say(number)
    async with running(a):
        await settle(lambda: {"$event0", "$event2"} <= set(seen), clock=clock)


async def test_a_destination_that_trips_over_us_is_tried_again_and_stops_no_other(
    two: tuple[Stack, Stack], clock: ManualClock
) -> None:
    a, b = two
    a.e2ee.fails = True
    a.e2ee.letters["m"] = {"sender": ALICE}
    async with running(a, b):
        await a.happen(ToDeviceOutgoing(B, "m"), ToDeviceOutgoing(C, "m"))
        await settle(lambda: len(a.inn.sender._alarms) >= 2)
        a.e2ee.fails = False
        await settle(lambda: b.e2ee.updates, clock=clock)


async def test_a_slow_server_does_not_hold_up_a_fast_one(two: tuple[Stack, Stack], net: Net) -> None:
    a, b = two
    a.rooms.servers[ROOM] = [A, B, "dead.example"]  # type: ignore[list-item]
    async with running(a, b):
        await a.say(1)
        await settle(lambda: b.rooms.received)
        await a.say(2)
        await settle(lambda: len(b.rooms.received) == 2)
