"""Requests are made durable, carried out once, and answered."""

import asyncio

import pytest

from tests.unit.client.homeserver import Fault, Homeserver
from watchword.base.errors import PeerError
from watchword.client.http import SignedOut
from watchword.client.session import Session


async def test_a_request_that_is_under_way_is_not_sent_beside_itself(alice: Session, homeserver: Homeserver) -> None:
    alice.machine.outbox.add_to_device("m.dummy", {"@b:x": {"B": {}}})
    await asyncio.gather(*(alice._courier.settle() for _ in range(5)))
    assert sum("sendToDevice" in request for request in homeserver.requests) == 1


async def test_what_the_server_refuses_for_good_is_dropped(alice: Session, homeserver: Homeserver) -> None:
    homeserver.faults.append(Fault("sendToDevice", 400, {"errcode": "M_BAD_JSON"}))
    alice.machine.outbox.add_to_device("m.dummy", {"@b:x": {"B": {}}})
    error = await alice._courier.settle()
    assert error is not None
    assert error.errcode == "M_BAD_JSON"
    assert await alice._courier.settle() is None


async def test_what_a_proxy_refuses_is_kept(alice: Session, homeserver: Homeserver) -> None:
    homeserver.faults.append(Fault("sendToDevice", 404))
    alice.machine.outbox.add_to_device("m.dummy", {"@b:x": {"B": {}}})
    assert await alice._courier.settle() is not None
    assert await alice._courier.settle() is None
    assert homeserver.keys.to_device[("@b:x", "B")]


async def test_the_end_of_a_session_is_raised_as_it_is(alice: Session, homeserver: Homeserver) -> None:
    homeserver.tokens.clear()
    homeserver.refresh_tokens.clear()
    alice.machine.outbox.add_to_device("m.dummy", {})
    with pytest.raises(SignedOut):
        await alice._courier.settle()


async def test_a_room_is_not_prepared_while_its_key_cannot_be_delivered(alice: Session, homeserver: Homeserver) -> None:
    room_id = "!r:x"
    alice.machine.receive_room_state(room_id, "m.room.encryption", "", {"algorithm": "m.megolm.v1.aes-sha2"})
    alice.machine.outbox.add_to_device("m.room.encrypted", {"@b:x": {"B": {}}}, room_id)
    homeserver.faults.append(Fault("sendToDevice", 404))
    with pytest.raises(PeerError):
        await alice._courier.prepare_room(room_id, frozenset([alice.user_id]))
    await alice._courier.prepare_room(room_id, frozenset([alice.user_id]))
    assert homeserver.keys.to_device[("@b:x", "B")]


async def test_a_failed_query_does_not_hold_up_a_room(alice: Session, homeserver: Homeserver) -> None:
    homeserver.faults.append(Fault("keys/query", 400, {"errcode": "M_BAD_JSON"}))
    await alice._courier.prepare_room("!r:x", frozenset([alice.user_id, "@b:x"]))
