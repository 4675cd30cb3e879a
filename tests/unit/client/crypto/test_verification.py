"""Verifications between devices, honest and otherwise."""

from typing import Any

import pytest

from tests.unit.client.crypto.key_server import ALICE, BOB, KeyServer, TestDevice, a_device, with_identity
from watchword.base.clock import ManualClock
from watchword.client.crypto.devices import Trust
from watchword.client.crypto.failures import NotPrepared
from watchword.client.crypto.verification import Stage, Verification


class Meeting:
    """Two devices that know each other."""

    def __init__(self, user_id: str = BOB, device_id: str = "B1", *, with_identities: bool = True) -> None:
        self.server = KeyServer()
        self.clock = ManualClock()
        self.alice = a_device(self.server, ALICE, "A1", self.clock)
        self.other = a_device(self.server, user_id, device_id, self.clock)
        if with_identities:
            with_identity(self.alice)
            if user_id != ALICE:
                with_identity(self.other)
        self.alice.machine.devices.track([user_id])
        self.other.machine.devices.track([ALICE])
        self.pass_on()

    def pass_on(self) -> None:
        for _ in range(3):
            for device in (self.alice, self.other):
                device.settle()
                device.sync()

    def run(self, device: TestDevice, transaction_id: str) -> Verification:
        run = device.machine.verifications.get(transaction_id)
        assert run is not None
        return run

    def compare(self) -> str:
        """Up to the strings."""
        transaction_id = self.alice.machine.verifications.request(self.other.user_id)
        self.pass_on()
        self.other.machine.verifications.accept(transaction_id)
        self.pass_on()
        self.alice.machine.verifications.start(transaction_id)
        self.pass_on()
        return transaction_id

    def stages(self, transaction_id: str) -> tuple[Stage, Stage]:
        return self.run(self.alice, transaction_id).stage, self.run(self.other, transaction_id).stage


def test_two_users_verify_each_other() -> None:
    meeting = Meeting()
    transaction_id = meeting.compare()
    strings = [meeting.run(device, transaction_id).short_string for device in (meeting.alice, meeting.other)]
    assert strings[0] == strings[1]
    assert strings[0] is not None
    for device in (meeting.alice, meeting.other):
        device.machine.verifications.confirm(transaction_id)
    meeting.pass_on()
    assert meeting.stages(transaction_id) == (Stage.DONE, Stage.DONE)
    assert meeting.alice.machine.devices.is_verified(BOB)
    assert meeting.other.machine.devices.is_verified(ALICE)
    assert meeting.alice.machine.trust_of(BOB, "B1") is Trust.VERIFIED


def test_users_without_identities_verify_their_devices() -> None:
    meeting = Meeting(with_identities=False)
    transaction_id = meeting.compare()
    for device in (meeting.other, meeting.alice):
        device.machine.verifications.confirm(transaction_id)
    meeting.pass_on()
    assert meeting.alice.machine.trust_of(BOB, "B1") is Trust.VERIFIED
    assert meeting.other.machine.trust_of(ALICE, "A1") is Trust.VERIFIED


def test_a_new_device_of_ours_becomes_verified_and_trusts_our_identity() -> None:
    meeting = Meeting(ALICE, "A2")
    transaction_id = meeting.compare()
    for device in (meeting.alice, meeting.other):
        device.machine.verifications.confirm(transaction_id)
    meeting.pass_on()
    assert meeting.other.machine.devices.own_identity_is_trusted
    assert meeting.other.machine.trust_of(ALICE, "A2") is Trust.VERIFIED
    assert meeting.alice.machine.trust_of(ALICE, "A2") is Trust.VERIFIED


def test_nothing_is_believed_before_both_have_confirmed() -> None:
    meeting = Meeting()
    transaction_id = meeting.compare()
    meeting.other.machine.verifications.confirm(transaction_id)
    meeting.pass_on()
    assert meeting.stages(transaction_id) == (Stage.COMPARING, Stage.CONFIRMED)
    assert not meeting.alice.machine.devices.is_verified(BOB)
    assert not meeting.other.machine.devices.is_verified(ALICE)


def test_strings_that_differ_end_it_for_both() -> None:
    meeting = Meeting()
    transaction_id = meeting.compare()
    meeting.alice.machine.verifications.cancel(transaction_id, "m.mismatched_sas")
    meeting.pass_on()
    assert meeting.stages(transaction_id) == (Stage.CANCELLED, Stage.CANCELLED)
    assert meeting.run(meeting.other, transaction_id).code == "m.mismatched_sas"


def test_a_server_in_the_middle_is_noticed() -> None:
    meeting = Meeting()
    original = meeting.server.send

    def swap_keys(user_id: str, device_id: str, request: Any) -> None:
        if request.event_type == "m.key.verification.key":
            for devices in request.messages.values():
                for content in devices.values():
                    content["key"] = meeting.alice.machine.account.curve25519
        original(user_id, device_id, request)

    meeting.server.send = swap_keys  # type: ignore[method-assign]
    transaction_id = meeting.compare()
    assert Stage.CANCELLED in meeting.stages(transaction_id) or (
        meeting.run(meeting.alice, transaction_id).short_string != meeting.run(meeting.other, transaction_id).short_string
    )


def test_the_other_devices_of_a_user_are_told_that_one_has_accepted() -> None:
    meeting = Meeting()
    third = a_device(meeting.server, BOB, "B2", meeting.clock)
    third.machine.devices.track([ALICE])
    third.sync()
    meeting.pass_on()
    transaction_id = meeting.alice.machine.verifications.request(BOB)
    meeting.pass_on()
    third.sync()
    assert meeting.run(third, transaction_id).stage is Stage.REQUESTED
    meeting.other.machine.verifications.accept(transaction_id)
    meeting.pass_on()
    third.sync()
    assert (meeting.run(third, transaction_id).stage, meeting.run(third, transaction_id).code) == (
        Stage.CANCELLED,
        "m.accepted",
    )


def test_when_both_start_one_start_counts() -> None:
    meeting = Meeting()
    transaction_id = meeting.alice.machine.verifications.request(BOB)
    meeting.pass_on()
    meeting.other.machine.verifications.accept(transaction_id)
    meeting.pass_on()
    meeting.alice.machine.verifications.start(transaction_id)
    meeting.other.machine.verifications.start(transaction_id)
    meeting.pass_on()
    assert meeting.stages(transaction_id) == (Stage.COMPARING, Stage.COMPARING)
    alices, bobs = meeting.run(meeting.alice, transaction_id), meeting.run(meeting.other, transaction_id)
    assert alices.short_string == bobs.short_string


def test_a_verification_that_takes_too_long_expires() -> None:
    meeting = Meeting()
    transaction_id = meeting.compare()
    meeting.clock.advance(600_001)
    meeting.alice.machine.verifications.receive(BOB, "m.key.verification.done", {"transaction_id": "x"})
    assert meeting.alice.machine.verifications.get(transaction_id) is None


@pytest.mark.parametrize("shift_ms", [-600_001, 300_001])
def test_a_request_from_another_time_is_ignored(shift_ms: int) -> None:
    meeting = Meeting()
    content = {
        "transaction_id": "t",
        "from_device": "B1",
        "methods": ["m.sas.v1"],
        "timestamp": meeting.clock.now_ms() + shift_ms,
    }
    meeting.alice.machine.verifications.receive(BOB, "m.key.verification.request", content)
    assert meeting.alice.machine.verifications.get("t") is None


def test_a_request_of_a_stranger_is_ignored() -> None:
    meeting = Meeting()
    content = {"transaction_id": "t", "from_device": "S", "methods": ["m.sas.v1"], "timestamp": meeting.clock.now_ms()}
    meeting.alice.machine.verifications.receive("@stranger:x", "m.key.verification.request", content)
    assert meeting.alice.machine.verifications.get("t") is None


def test_somebody_else_cannot_step_into_a_verification() -> None:
    meeting = Meeting()
    transaction_id = meeting.compare()
    cancel = {"transaction_id": transaction_id, "code": "m.user"}
    meeting.alice.machine.verifications.receive("@mallory:x", "m.key.verification.cancel", cancel)
    assert meeting.run(meeting.alice, transaction_id).stage is Stage.COMPARING


def test_a_message_out_of_order_cancels() -> None:
    meeting = Meeting()
    transaction_id = meeting.alice.machine.verifications.request(BOB)
    meeting.pass_on()
    meeting.other.machine.verifications.accept(transaction_id)
    meeting.pass_on()
    meeting.alice.machine.verifications.receive(BOB, "m.key.verification.mac", {"transaction_id": transaction_id})
    assert meeting.run(meeting.alice, transaction_id).code == "m.unexpected_message"


def test_steps_of_a_verification_that_is_not_there_are_refused() -> None:
    verifications = Meeting().alice.machine.verifications
    for step in (verifications.accept, verifications.start, verifications.confirm):
        with pytest.raises(NotPrepared):
            step("nothing")
    with pytest.raises(NotPrepared):
        verifications.request("@nobody:x")
    verifications.cancel("nothing")
