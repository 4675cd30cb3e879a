"""The body of a transaction."""

import orjson

from tests.unit.server.federation.stacks import ALICE, ROOM, A
from watchword.protocol import canonical_json
from watchword.protocol.ids import UserId
from watchword.server.federation.transactions import Edu, EduBundle, transaction_body

ANN = UserId("@ann:a.example")


def receipt(user: str, event: str, room: str = ROOM) -> Edu:
    return ("m.receipt", {room: {"m.read": {user: {"event_ids": [event], "data": {"ts": 1}}}}})


def test_the_body_is_canonical_json_around_the_stored_bytes() -> None:
    edus = [canonical_json.encode({"content": {"ü": 1}, "edu_type": "x"})]
    body = transaction_body(A, 5, [b'{"a":1}', b'{"b":2}'], edus)
    assert body == canonical_json.encode(orjson.loads(body))
    assert orjson.loads(body)["pdus"] == [{"a": 1}, {"b": 2}]
    assert orjson.loads(transaction_body(A, 5, [], [])) == {"edus": [], "origin": A, "origin_server_ts": 5, "pdus": []}


def test_receipts_share_an_edu_unless_one_would_hide_the_other() -> None:
    bundle = EduBundle()
    for edu in (receipt(ALICE, "$1"), receipt(ANN, "$1"), receipt(ALICE, "$2", "!other:a"), receipt(ALICE, "$3")):
        assert bundle.add([edu])
    first, second = (orjson.loads(edu)["content"] for edu in bundle.encoded())
    assert set(first) == {ROOM, "!other:a"}
    assert set(first[ROOM]["m.read"]) == {ALICE, ANN}
    assert second[ROOM]["m.read"][ALICE]["event_ids"] == ["$3"]


def test_presence_shares_an_edu() -> None:
    bundle = EduBundle()
    bundle.add([("m.presence", {"push": [{"user_id": ALICE}]})])
    bundle.add([("m.presence", {"push": [{"user_id": ANN}]})])
    (edu,) = bundle.encoded()
    assert [each["user_id"] for each in orjson.loads(edu)["content"]["push"]] == [ALICE, ANN]


def test_a_hundred_fit_and_what_does_not_is_left_for_the_next() -> None:
    bundle = EduBundle()
    assert bundle.add([("x", {})] * 99)
    assert not bundle.add([("x", {})] * 2)
    assert bundle.add([("x", {})])
    assert not bundle.add([("x", {})])
    assert len(bundle.encoded()) == 100


def test_bytes_are_bounded_but_one_large_letter_goes_alone() -> None:
    bundle = EduBundle()
    large = ("m.direct_to_device", {"x": "y" * 5_000_000})
    assert bundle.add([large])
    assert not bundle.add([large])
