from typing import Any

import pytest

from tests.unit.server.e2ee.world import ALICE, BOB, CAROL, LAPTOP, PHONE, THERE, World
from watchword.base import limits
from watchword.base.errors import Refusal
from watchword.protocol.ids import DeviceId, ServerName, UserId
from watchword.server.changes import ToDeviceOutgoing, ToDeviceQueued
from watchword.storage.log import Position


async def send(world: World, messages: object, txn: str = "t1", kind: str = "m.test", device: DeviceId | None = PHONE) -> None:
    path = f"sendToDevice/{kind}/{txn}"
    assert await world.ask("PUT", path, {"messages": messages}, user=BOB, device=device) == {}


def edu(sender: str = CAROL, message_id: str = "id", **more: Any) -> dict[str, Any]:
    return {"sender": sender, "type": "m.test", "message_id": message_id, "messages": {ALICE: {PHONE: {"n": 1}}}, **more}


async def test_a_message_waits_for_its_device_alone(world: World) -> None:
    await send(world, {ALICE: {PHONE: {"n": 1}}})
    assert await world.messages() == [{"sender": BOB, "type": "m.test", "content": {"n": 1}}]
    assert await world.messages(device=LAPTOP) == []
    assert (await world.log.read(Position(0), 10))[0].change == ToDeviceQueued([ALICE])


async def test_a_star_reaches_every_device_and_a_named_device_goes_before_it(world: World) -> None:
    await send(world, {ALICE: {"*": {"n": 1}, LAPTOP: {"n": 2}}})
    assert [message["content"] for message in await world.messages()] == [{"n": 1}]
    assert [message["content"] for message in await world.messages(device=LAPTOP)] == [{"n": 2}]


async def test_unknown_devices_and_users_are_passed_over(world: World) -> None:
    await send(world, {ALICE: {"NONE": {}}, "@nobody:here.example": {"*": {}}, "nonsense": {"*": {}}})
    assert world.log.position == 0


async def test_the_same_transaction_is_done_once_for_each_device_and_type(world: World) -> None:
    for _ in range(2):
        await send(world, {ALICE: {PHONE: {}}, CAROL: {"*": {}}})
    assert len(await world.messages()) == 1
    assert sum(isinstance(logged.change, ToDeviceOutgoing) for logged in await world.log.read(Position(0), 10)) == 1
    await send(world, {ALICE: {PHONE: {}}}, kind="m.other")
    await send(world, {ALICE: {PHONE: {}}}, device=LAPTOP)
    await send(world, {ALICE: {PHONE: {}}}, device=None)
    assert len(await world.messages()) == 4


async def test_messages_to_another_server_become_one_edu(world: World) -> None:
    dave = UserId("@dave:there.example")
    await send(world, {CAROL: {"C": {"n": 1}}, dave: {"*": {"n": 2}}, "@x:third.example": {"X": {}}})
    changes = [logged.change for logged in await world.log.read(Position(0), 10)]
    assert [change.server_name for change in changes if isinstance(change, ToDeviceOutgoing)] == [THERE, "third.example"]
    first = changes[0]
    assert isinstance(first, ToDeviceOutgoing)
    assert len(first.message_id) <= 32
    content = await world.reader.outgoing_to_device(THERE, first.message_id)
    assert content == {
        "sender": BOB,
        "type": "m.test",
        "message_id": first.message_id,
        "messages": {CAROL: {"C": {"n": 1}}, dave: {"*": {"n": 2}}},
    }
    await world.reader.delete_outgoing_to_device(THERE, Position(1))
    await world.settle()
    assert await world.reader.outgoing_to_device(THERE, first.message_id) is None


@pytest.mark.parametrize("messages", [{ALICE: []}, {ALICE: {PHONE: 1}}])
async def test_malformed_messages_are_refused(world: World, messages: object) -> None:
    with pytest.raises(Refusal, match="M_BAD_JSON"):
        await send(world, messages)


async def test_what_has_no_canonical_json_stays_on_this_server(world: World) -> None:
    await send(world, {ALICE: {PHONE: {"n": 0.5}}})
    for messages in ({CAROL: {"C": {"n": 0.5}}}, {ALICE: {PHONE: {"n": 1 << 70}}}, {ALICE: {PHONE: {"n": "\ud800"}}}):
        with pytest.raises(Refusal, match="M_BAD_JSON"):
            await send(world, messages, "t2")
    assert len(await world.messages()) == 1


async def test_an_edu_is_delivered_once(world: World) -> None:
    for message_id in ("one", "one", "two"):
        await world.service.receive_direct_to_device(THERE, edu(message_id=message_id))
    await world.service.receive_direct_to_device(ServerName("third.example"), edu("@x:third.example", "one"))
    assert [message["sender"] for message in await world.messages()] == [CAROL, CAROL, "@x:third.example"]


@pytest.mark.parametrize(
    "content",
    [
        edu("@mallory:third.example"),
        edu(ALICE),
        edu("there.example"),
        edu(message_id="x" * 33),
        edu(messages=[]),
        edu(messages={ALICE: {PHONE: "text"}}),
        edu(type=1),
        edu(messages={ALICE: {PHONE: {"n": 1 << 70}}}),
        {},
    ],
)
async def test_a_spoofed_or_malformed_edu_is_dropped(world: World, content: dict[str, Any]) -> None:
    await world.service.receive_direct_to_device(THERE, content)
    assert world.log.position == 0


async def test_an_edu_reaches_local_users_only(world: World) -> None:
    await world.service.receive_direct_to_device(THERE, edu(messages={CAROL: {"*": {}}, ALICE: {"*": {}}}))
    assert [logged.change for logged in await world.log.read(Position(0), 10)] == [ToDeviceQueued([ALICE])]


async def test_old_requests_and_edus_are_forgotten(world: World) -> None:
    await send(world, {ALICE: {PHONE: {}}})
    await world.service.receive_direct_to_device(THERE, edu())
    world.clock.advance(limits.to_device_received_kept_ms + 1)
    await world.service.to_device.forget_old()
    await send(world, {ALICE: {PHONE: {}}})
    await world.service.receive_direct_to_device(THERE, edu())
    assert len(await world.messages()) == 4


async def test_a_queue_and_the_memory_of_a_server_are_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "to_device_pending_max", 2)
    monkeypatch.setattr(limits, "to_device_received_per_origin_max", 1)
    for number in range(4):
        await world.service.receive_direct_to_device(
            THERE, edu(message_id=str(number), messages={ALICE: {PHONE: {"n": number}}})
        )
    await world.service.to_device.forget_old()
    assert [message["content"]["n"] for message in await world.messages()] == [2, 3]
    await world.service.receive_direct_to_device(THERE, edu(message_id="3"))
    assert len(await world.messages()) == 2
    await world.service.receive_direct_to_device(THERE, edu(message_id="0"))
    assert len(await world.messages()) == 3
