"""What the doors of rooms parse alike."""

import pytest

from tests.unit.server.rooms.world import ALICE, PHONE
from watchword.base.errors import BadRequest, ProtocolError
from watchword.edge.request import Request
from watchword.edge.requester import Requester
from watchword.server.rooms.commands import Transaction
from watchword.server.rooms.doors import object_of, reader_of, room_id_or_alias, room_of, transaction_of, via_of
from watchword.server.rooms.membership import VIA_MAX


def a_request(query: str = "", **params: str) -> Request:
    return Request("GET", "/", query, params=params)


def test_servers_are_taken_in_order_and_those_of_older_clients_last() -> None:
    assert via_of(a_request("server_name=c.example&via=a.example&via=b.example:8448")) == [
        "a.example",
        "b.example:8448",
        "c.example",
    ]


def test_no_servers_are_none() -> None:
    assert via_of(a_request()) == []


def test_very_many_servers_are_cut_short() -> None:
    query = "&".join(f"via=s{number}.example" for number in range(VIA_MAX + 5))
    assert len(via_of(a_request(query))) == VIA_MAX


@pytest.mark.parametrize("name", ["", "a_b/c", "http://x", "x:port"])
def test_what_is_no_server_name_is_refused(name: str) -> None:
    with pytest.raises(BadRequest, match="M_INVALID_PARAM"):
        via_of(a_request(f"via=a.example&via={name}"))


@pytest.mark.parametrize("text", ["!room:here.example", "#alias:here.example", "!" + "a" * 43])
def test_rooms_and_aliases_are_both_understood(text: str) -> None:
    assert room_id_or_alias(text) == text


@pytest.mark.parametrize("text", ["", "room", "@alice:here.example", "#alias", "$event"])
def test_what_is_neither_room_nor_alias_is_refused(text: str) -> None:
    with pytest.raises(ProtocolError):
        room_id_or_alias(text)


def test_the_room_of_the_path_must_be_one() -> None:
    assert room_of(a_request(roomId="!room:here.example")) == "!room:here.example"
    with pytest.raises(BadRequest, match="M_INVALID_PARAM"):
        room_of(a_request(roomId="#alias:here.example"))


def test_a_transaction_belongs_to_device_and_endpoint() -> None:
    assert transaction_of(Requester(ALICE, PHONE, 1), "send", "t") == Transaction(ALICE, PHONE, "send", "t")


def test_who_acts_without_a_device_has_transactions_too() -> None:
    assert transaction_of(Requester(ALICE, None, 1), "send", "t") == Transaction(ALICE, "", "send", "t")


def test_a_transaction_id_has_at_most_255_characters() -> None:
    transaction_of(Requester(ALICE, PHONE, 1), "send", "t" * 255)
    with pytest.raises(BadRequest, match="M_INVALID_PARAM"):
        transaction_of(Requester(ALICE, PHONE, 1), "send", "t" * 256)


def test_a_reader_is_a_user_on_a_device() -> None:
    reader = reader_of(Requester(ALICE, PHONE, 1))
    assert (reader.user_id, reader.device_id) == (ALICE, PHONE)


def test_an_object_is_an_object() -> None:
    assert object_of({"a": 1}, "filter") == {"a": 1}


@pytest.mark.parametrize("value", [None, [], "x", 5])
def test_what_is_no_object_is_bad_json(value: object) -> None:
    with pytest.raises(BadRequest, match=r"M_BAD_JSON: filter must be an object\."):
        object_of(value, "filter")
