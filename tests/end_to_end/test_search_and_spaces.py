"""Finding messages, people, rooms and moments, on real servers and across them."""

import time
from typing import Any
from urllib.parse import quote

import pytest

from tests.end_to_end.harness import wire
from tests.end_to_end.harness.people import Person, fresh
from tests.end_to_end.harness.servers import Server

_CLIENT = "/_matrix/client"


def asks(person: Person | None, server: Server, method: str, target: str, body: object = None) -> tuple[int, Any]:
    """Any request: (status, answer)."""
    headers = {} if person is None else {"authorization": f"Bearer {person.token}"}
    data = None if body is None else wire.compact(body)
    answer = wire.ask(server.client, method, f"{_CLIENT}/{target}", data, headers)
    return answer.status, answer.json


def finds(person: Person, term: str, **criteria: Any) -> list[str]:
    body = {"search_categories": {"room_events": {"search_term": term, **criteria}}}
    status, answer = asks(person, person.server, "POST", "v3/search", body)
    assert status == 200, answer
    return [each["result"]["content"].get("body", "") for each in answer["search_categories"]["room_events"]["results"]]


def people(person: Person, term: str) -> list[str]:
    status, answer = asks(person, person.server, "POST", "v3/user_directory/search", {"search_term": term})
    assert status == 200, answer
    return [each["user_id"] for each in answer["results"]]


def awaits(found: Any, wanted: Any, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while (last := found()) != wanted:
        assert time.monotonic() < deadline, (last, wanted)
        time.sleep(0.05)


def _across(north: Server, south: Server) -> tuple[Person, Person, str]:
    alice, bob = Person.provisioned(north, "alice"), Person.provisioned(south, "bob")
    alias = fresh("square")
    room_id = alice.makes_room(preset="public_chat", visibility="public", room_alias_name=alias, name=f"Square {alias}")
    alice.says(room_id, "お茶を飲みましょう")
    alice.says(room_id, "Привет всем")
    bob.joins(f"#{alias}:north.example")
    alice.sees_membership(room_id, bob.user_id, "join")
    return alice, bob, room_id


def test_messages_are_found_on_both_servers(north: Server, south: Server) -> None:
    alice, bob, room_id = _across(north, south)
    bob.says(room_id, "ένα μήνυμα")
    alice.hears(room_id, "ένα μήνυμα")
    assert finds(alice, "お茶", event_context={"include_profile": True}, include_state=True) == ["お茶を飲みましょう"]
    assert finds(alice, "μηνυμα", groupings={"group_by": [{"key": "sender"}]}) == ["ένα μήνυμα"]
    assert finds(bob, "μηνυμα", order_by="recent") == ["ένα μήνυμα"]
    # What was said before he came is found once it has been fetched.
    bob.history_bodies(room_id)
    assert finds(bob, "привет") == ["Привет всем"]
    assert finds(Person.provisioned(north, "carol"), "привет", filter={"rooms": [room_id]}) == []


def test_people_are_found_across_servers(north: Server, south: Server) -> None:
    alice, bob, room_id = _across(north, south)
    assert people(alice, bob.user_id) == [bob.user_id]
    awaits(lambda: people(bob, alice.user_id), [alice.user_id])
    stranger = Person.provisioned(south, "stranger")
    awaits(lambda: people(stranger, alice.user_id), [alice.user_id])
    status, answer = asks(alice, north, "GET", f"v1/mutual_rooms?user_id={quote(bob.user_id)}")
    assert (status, answer) == (200, {"joined": [room_id], "count": 1})
    assert asks(alice, north, "GET", f"v1/mutual_rooms?user_id={quote(alice.user_id)}")[0] == 400


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_lists_of_other_servers_can_be_read(north: Server, south: Server, method: str) -> None:
    alice, bob, room_id = _across(north, south)
    target, body = "v3/publicRooms?server=north.example", None
    if method == "POST":
        body = {"filter": {"generic_search_term": alice.get("rooms", room_id, "state", "m.room.name")["name"]}}
    seen: list[str] = []
    status, answer = asks(bob, south, method, target, body)
    while True:
        assert status == 200, answer
        seen += [room["room_id"] for room in answer["chunk"]]
        if "next_batch" not in answer:
            break
        if method == "GET":
            status, answer = asks(bob, south, method, f"{target}&since={answer['next_batch']}")
        else:
            status, answer = asks(bob, south, method, target, {**(body or {}), "since": answer["next_batch"]})
    assert room_id in seen
    assert asks(bob, south, "GET", "v3/publicRooms?server=nobody.example")[0] == 502


def test_a_space_is_walked_across_servers(north: Server, south: Server) -> None:
    alice, bob, room_id = _across(north, south)
    hidden = bob.makes_room(preset="private_chat")
    far = bob.makes_room(preset="public_chat", name="Far")
    space = alice.makes_room(preset="public_chat", creation_content={"type": "m.space"})
    for child, via in ((room_id, "north.example"), (far, "south.example"), (hidden, "south.example")):
        target = f"v3/rooms/{quote(space)}/state/m.space.child/{quote(child)}"
        assert asks(alice, north, "PUT", target, {"via": [via]})[0] == 200
    status, answer = asks(alice, north, "GET", f"v1/rooms/{quote(space)}/hierarchy?limit=2")
    assert status == 200
    rooms = answer["rooms"]
    status, answer = asks(alice, north, "GET", f"v1/rooms/{quote(space)}/hierarchy?limit=2&from={answer['next_batch']}")
    assert [room["room_id"] for room in (*rooms, *answer["rooms"])] == [space, room_id, far]
    for person in (bob, None):
        status, summary = asks(person, south, "GET", f"v1/room_summary/{quote(space)}?via=north.example")
        assert (status, summary["room_type"]) == (200, "m.space")
    assert asks(None, north, "GET", f"v1/room_summary/{quote(hidden)}?via=south.example")[0] == 404


def test_a_moment_before_one_came_is_found(north: Server, south: Server) -> None:
    alice, bob = Person.provisioned(north, "alice"), Person.provisioned(south, "bob")
    room_id = alice.makes_room(preset="public_chat")
    said = [alice.says(room_id, f"number {number}") for number in range(5)]
    bob.joins(room_id, via="north.example")
    moment = alice.get("rooms", room_id, "event", said[2])["origin_server_ts"]
    for person, server in ((alice, north), (bob, south)):
        target = f"v1/rooms/{quote(room_id)}/timestamp_to_event?ts={moment}&dir=b"
        status, answer = asks(person, server, "GET", target)
        assert (status, answer["origin_server_ts"]) == (200, moment)
        assert asks(person, server, "GET", f"v3/rooms/{quote(room_id)}/context/{quote(answer['event_id'])}")[0] == 200
