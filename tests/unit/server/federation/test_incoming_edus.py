"""EDUs in: nobody speaks for another server's users."""

from typing import Any

import pytest

from tests.unit.server.federation.stacks import ALICE, BOB, ROOM, B, Stack


async def receive(stack: Stack, kind: str, content: Any) -> None:
    await stack.inn.doors.transactions.receive(B, f"{kind}{content}", {"edus": [{"edu_type": kind, "content": content}]})


def receipt(user: str, **data: Any) -> dict[str, Any]:
    return {ROOM: {"m.read": {user: {"event_ids": ["$e"], "data": data}}}}


async def test_edus_about_own_users_arrive(two: tuple[Stack, Stack]) -> None:
    a, _ = two
    await receive(a, "m.typing", {"room_id": ROOM, "user_id": BOB, "typing": False})
    await receive(a, "m.receipt", receipt(BOB, ts=7, thread_id="$root"))
    await receive(a, "m.device_list_update", {"user_id": BOB, "device_id": "D", "stream_id": 1})
    await receive(a, "m.signing_key_update", {"user_id": BOB})
    await receive(a, "m.direct_to_device", {"sender": BOB, "type": "t", "message_id": "m", "messages": {}})
    await receive(a, "m.presence", {"push": [{"user_id": BOB, "presence": "online", "last_active_ago": 5}]})
    assert a.rooms.typing == [(ROOM, BOB, 0)]
    assert [(each.user_id, each.thread_id, ts) for each, ts in a.rooms.receipts] == [(BOB, "$root", 7)]
    assert [kind for kind, _, _ in a.e2ee.updates] == ["devices", "signing", "direct"]
    assert a.people.states[BOB].presence == "online"


async def test_edus_about_foreign_users_are_dropped(two: tuple[Stack, Stack]) -> None:
    a, _ = two
    await receive(a, "m.typing", {"room_id": ROOM, "user_id": ALICE, "typing": True})
    await receive(a, "m.receipt", receipt(ALICE, ts=7))
    await receive(a, "m.device_list_update", {"user_id": ALICE, "device_id": "D", "stream_id": 1})
    await receive(a, "m.signing_key_update", {"user_id": ALICE})
    await receive(a, "m.direct_to_device", {"sender": ALICE, "type": "t", "message_id": "m", "messages": {}})
    await receive(a, "m.presence", {"push": [{"user_id": ALICE, "presence": "online", "last_active_ago": 5}]})
    assert [a.rooms.typing, a.rooms.receipts, a.e2ee.updates, a.people.states] == [[], [], [], {}]


async def test_a_denied_server_s_room_edus_are_dropped(two: tuple[Stack, Stack]) -> None:
    a, _ = two
    a.rooms.denied.add(B)
    await receive(a, "m.typing", {"room_id": ROOM, "user_id": BOB, "typing": True})
    await receive(a, "m.receipt", receipt(BOB, ts=7))
    assert [a.rooms.typing, a.rooms.receipts] == [[], []]


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("m.typing", {}),
        ("m.typing", {"room_id": 5, "user_id": BOB, "typing": True}),
        ("m.typing", {"room_id": ROOM, "user_id": BOB, "typing": 1}),
        ("m.typing", {"room_id": ROOM, "user_id": ["x"], "typing": True}),
        ("m.receipt", {"no room": {"m.read": {BOB: {"event_ids": ["$e"], "data": {}}}}}),
        ("m.receipt", {ROOM: []}),
        ("m.receipt", {ROOM: {"m.read": {BOB: {"event_ids": [], "data": {}}}}}),
        ("m.receipt", {ROOM: {"m.read": {BOB: {"event_ids": [5], "data": {}}}}}),
        ("m.receipt", {ROOM: {"m.read": {BOB: {"event_ids": ["$e"], "data": {"thread_id": 4}}}}}),
        ("m.receipt", {ROOM: {"m.read": {BOB: 5}}}),
        ("m.receipt", {ROOM: {"m.read.private": {BOB: {"event_ids": ["$e"], "data": {}}}}}),
        ("m.presence", {"push": 3}),
        ("m.presence", {"push": [3, {"user_id": BOB}, {"user_id": 5, "presence": "online"}]}),
        ("m.direct_to_device", {}),
        ("com.example.unknown", {"anything": 1}),
        (5, {}),
        ("m.typing", 5),
    ],
)
async def test_malformed_and_unknown_edus_are_dropped(two: tuple[Stack, Stack], kind: Any, content: Any) -> None:
    a, _ = two
    await receive(a, kind, content)
    assert [a.rooms.typing, a.rooms.receipts, a.e2ee.updates, a.people.states] == [[], [], [], {}]


async def test_an_edu_that_trips_harms_no_neighbour(two: tuple[Stack, Stack]) -> None:
    a, _ = two
    a.e2ee.fails = True
    edus = [
        {"edu_type": "m.device_list_update", "content": {"user_id": BOB}},
        {"edu_type": "m.typing", "content": {"room_id": ROOM, "user_id": BOB, "typing": True}},
    ]
    await a.inn.doors.transactions.receive(B, "t", {"edus": edus})
    assert len(a.rooms.typing) == 1


async def test_a_receipt_from_the_future_is_dated_now(two: tuple[Stack, Stack]) -> None:
    a, _ = two
    await receive(a, "m.receipt", receipt(BOB, ts=2**53 - 1))
    await receive(a, "m.receipt", receipt(BOB, ts="x"))
    assert [ts for _, ts in a.rooms.receipts] == [a.clock.now_ms()] * 2
