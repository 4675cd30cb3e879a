"""What waits to be delivered survives, in order."""

from watchword.base.entropy import SeededEntropy
from watchword.client.crypto.outbox import Outbox
from watchword.client.crypto.records import Records
from watchword.client.crypto.requests import SignaturesUpload, ToDevice


def test_requests_leave_in_order_and_are_the_same_until_answered() -> None:
    outbox = Outbox(Records(), SeededEntropy(1))
    first = outbox.add_to_device("m.dummy", {"@a:b": {"D": {}}})
    second = outbox.add_signatures({"@a:b": {}})
    expected = [ToDevice(first, "m.dummy", {"@a:b": {"D": {}}}), SignaturesUpload(second, {"@a:b": {}})]
    assert list(outbox.requests()) == expected
    assert list(outbox.requests()) == expected
    assert outbox.receive_answer(first)
    assert list(outbox.requests()) == expected[1:]
    assert not outbox.receive_answer(first)


def test_a_room_waits_for_its_own_requests_alone() -> None:
    outbox = Outbox(Records(), SeededEntropy(1))
    outbox.add_to_device("m.dummy", {}, "!one")
    wanted = outbox.add_to_device("m.dummy", {}, "!two")
    assert [request.request_id for request in outbox.requests("!two")] == [wanted]
    assert not outbox.requests("!three")


def test_what_failed_stays_and_what_is_hopeless_goes() -> None:
    outbox = Outbox(Records(), SeededEntropy(1))
    request_id = outbox.add_to_device("m.dummy", {})
    assert outbox.receive_failure(request_id, permanent=False)
    assert len(outbox.requests()) == 1
    assert outbox.receive_failure(request_id, permanent=True)
    assert not outbox.requests()
    assert not outbox.receive_failure(request_id, permanent=True)


def test_order_and_ids_survive_a_restart() -> None:
    records = Records()
    outbox = Outbox(records, SeededEntropy(1))
    ids = [outbox.add_to_device("m.dummy", {}) for _ in range(3)]
    rows = {key: value for key, value in records.take().items() if value is not None}
    again = Outbox(Records(rows), SeededEntropy(2))
    ids.append(again.add_to_device("m.dummy", {}))
    assert [request.request_id for request in again.requests()] == ids
