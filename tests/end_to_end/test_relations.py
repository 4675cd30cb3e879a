"""Scenarios of events that relate to others, on real processes and across two servers."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from tests.end_to_end.harness.people import Person, fresh, path
from tests.end_to_end.harness.servers import Server

_V1 = "/_matrix/client/v1/rooms"


def _target(*segments: str) -> str:
    return "/".join([_V1, *(quote(segment, safe="") for segment in segments)])


def _related(rel_type: str, event_id: str, **more: Any) -> dict[str, Any]:
    return {"m.relates_to": {"rel_type": rel_type, "event_id": event_id, **more}}


def _text(text: str, **more: Any) -> dict[str, Any]:
    return {"msgtype": "m.text", "body": text, **more}


def _bundle(person: Person, room_id: str, event_id: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = person.get("rooms", room_id, "event", event_id)["unsigned"].get("m.relations", {})
    return found


def test_both_servers_tell_the_same_of_a_thread(north: Server, south: Server) -> None:
    alice, bob = Person.provisioned(north, "alice"), Person.provisioned(south, "bob")
    room_id = alice.makes_room(invite=[bob.user_id])
    bob.joins(room_id)
    alice.sees_membership(room_id, bob.user_id, "join")
    root = alice.says(room_id, "root")
    bob.sees(room_id, root)
    first = bob.sends(room_id, "m.room.message", _text("first", **_related("m.thread", root)))
    new = {"m.new_content": _text("First!"), **_related("m.replace", first)}
    edited = bob.sends(room_id, "m.room.message", _text("* First!", **new))
    alice.sees(room_id, edited)
    for person, has_taken_part in ((alice, True), (bob, True)):
        thread = _bundle(person, room_id, root)["m.thread"]
        assert (thread["count"], thread["current_user_participated"]) == (1, has_taken_part)
        assert thread["latest_event"]["unsigned"]["m.relations"]["m.replace"]["event_id"] == edited
        listed = person.call("GET", _target(room_id, "threads"))["chunk"]
        assert [event["event_id"] for event in listed] == [root]
        children = person.call("GET", _target(room_id, "relations", root), recurse="true")
        assert [event["event_id"] for event in children["chunk"]] == [edited, first]
        assert children["recursion_depth"] == 3
    redaction = bob.put("rooms", room_id, "redact", first, fresh("txn"))["event_id"]
    alice.sees(room_id, redaction)
    for person in (alice, bob):
        assert _bundle(person, room_id, root) == {}
        assert person.call("GET", _target(room_id, "threads"))["chunk"] == []


def test_a_reaction_is_given_once(north: Server) -> None:
    alice = Person.provisioned(north, "alice")
    room_id = alice.makes_room()
    said = alice.says(room_id, "said")
    reaction = _related("m.annotation", said, key="👍")
    first = alice.sends(room_id, "m.reaction", reaction)
    again = alice.ask("PUT", path("rooms", room_id, "send", "m.reaction", fresh("txn")), reaction)
    assert again.refusal == (400, "M_DUPLICATE_ANNOTATION")
    alice.put("rooms", room_id, "redact", first, fresh("txn"))
    second = alice.sends(room_id, "m.reaction", reaction)
    found = alice.call("GET", _target(room_id, "relations", said, "m.annotation", "m.reaction"))["chunk"]
    assert [event["event_id"] for event in found] == [second]
    assert "m.relations" not in alice.get("rooms", room_id, "event", said)["unsigned"]


def test_a_ban_takes_what_was_said_with_it_on_every_server(north: Server, south: Server) -> None:
    alice, mallory = Person.provisioned(north, "alice"), Person.provisioned(south, "mallory")
    bob = Person.provisioned(south, "bob")
    room_id = alice.makes_room(preset="public_chat")
    for person in (mallory, bob):
        person.joins(room_id, "north.example")
        alice.sees_membership(room_id, person.user_id, "join")
    spam = [mallory.says(room_id, f"spam {number}") for number in range(3)]
    alice.sees(room_id, spam[-1])
    bob.sees(room_id, spam[-1])
    alice.post("rooms", room_id, "ban", user_id=mallory.user_id, reason="spam", redact_events=True)
    for person in (alice, bob):
        for event_id in spam:
            person.waits_for(lambda: person.get("rooms", room_id, "event", event_id)["content"] == {})  # noqa: B023
        because = person.get("rooms", room_id, "event", spam[0])["unsigned"]["redacted_because"]
        assert (because["type"], because["content"]["reason"]) == ("m.room.member", "spam")


def test_a_thread_is_subscribed_to(north: Server) -> None:
    alice = Person.provisioned(north, "alice")
    room_id = alice.makes_room()
    root = alice.says(room_id, "root")
    place = f"/_matrix/client/unstable/io.element.msc4306/rooms/{room_id}/thread/{root}/subscription"
    alice.call("PUT", place, {})
    assert alice.call("GET", place) == {"automatic": False}
    listed = alice.call("GET", "/_matrix/client/unstable/io.element.msc4308/thread_subscriptions", dir="b")
    assert listed["subscribed"][room_id].keys() == {root}
    alice.call("DELETE", place)
    assert alice.ask("GET", place).refusal == (404, "M_NOT_FOUND")
