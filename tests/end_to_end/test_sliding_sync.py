"""Sliding sync on a real server: windows over HTTP, waiting, a restart that forgets nobody."""

import threading
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.conftest import Town
from tests.end_to_end.harness.people import Person
from tests.end_to_end.harness.servers import Server

_IN_USE = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync"
_ACCEPTED = "/_matrix/client/v4/sync"
_LIST = {"ranges": [[0, 9]], "timeline_limit": 5, "required_state": [["m.room.create", ""]]}
_ACCEPTED_LIST = {"range": [0, 9], "timeline_limit": 5, "required_state": {"include": [{"type": "m.room.create"}]}}


def slides(person: Person, pos: str | None = None, timeout_ms: int = 0) -> Any:
    query = {"timeout": str(timeout_ms)} | ({} if pos is None else {"pos": pos})
    return person.call("POST", _IN_USE, {"lists": {"all": _LIST}, "extensions": {"e2ee": {"enabled": True}}}, **query)


def accepted(person: Person, pos: str | None = None) -> Any:
    return person.call("POST", _ACCEPTED, {"lists": {"all": _ACCEPTED_LIST}} | ({} if pos is None else {"pos": pos}))


def bodies(room: Any) -> list[str]:
    return [event["content"]["body"] for event in room["timeline"] if "body" in event["content"]]


def test_both_forms_tell_a_room_and_then_what_is_new(north: Server) -> None:
    alice = Person.provisioned(north, "alice")
    assert alice.call("GET", "/_matrix/client/versions")["unstable_features"]["org.matrix.simplified_msc3575"] is True
    room_id = alice.makes_room(name="Window")
    alice.says(room_id, "one")
    first, other = slides(alice), accepted(alice)
    for answer in (first, other):
        assert answer["lists"] == {"all": {"count": 1}}
        assert (answer["rooms"][room_id]["name"], bodies(answer["rooms"][room_id])) == ("Window", ["one"])
    assert other["rooms"][room_id]["membership"] == "join"
    # One connection: the second request without a position took the place of the first.
    assert alice.ask("POST", _IN_USE, {"lists": {}}, pos=first["pos"]).refusal == (400, "M_UNKNOWN_POS")
    alice.says(room_id, "two")
    assert bodies(accepted(alice, other["pos"])["rooms"][room_id]) == ["two"]


def test_a_message_ends_the_wait(north: Server) -> None:
    alice, bob = Person.provisioned(north, "alice"), Person.provisioned(north, "bob")
    room_id = alice.makes_room(invite=[bob.user_id])
    bob.accepts(room_id)
    pos = slides(bob)["pos"]
    speaking = threading.Timer(0.3, lambda: alice.says(room_id, "good morning"))
    speaking.start()
    answer = slides(bob, pos, timeout_ms=20_000)
    speaking.join()
    assert bodies(answer["rooms"][room_id]) == ["good morning"]


@pytest.mark.parametrize("body", [[], {"lists": 1}, {"lists": {"a": {"ranges": "x"}}}, {"extensions": {"to_device": []}}])
def test_bad_requests_are_refused(north: Server, body: Any) -> None:
    alice = Person.provisioned(north, "alice")
    assert alice.ask("POST", _IN_USE, body).status == 400
    assert alice.ask("POST", _ACCEPTED, body).status == 400


def test_nobody_slides_without_a_token(north: Server) -> None:
    alice = Person.provisioned(north, "alice")
    alice.token = "wrong"
    assert alice.ask("POST", _IN_USE, {}).refusal == (401, "M_UNKNOWN_TOKEN")


def test_a_restart_forgets_nobody_and_a_crash_says_so(town: Town, tmp_path: Path) -> None:
    server = Server("sliding.example", tmp_path, town.authority)
    server.configure([])
    server.start()
    try:
        alice = Person.provisioned(server, "alice")
        room_id = alice.makes_room()
        pos = slides(alice)["pos"]
        server.stop()
        server.start()
        alice.says(room_id, "after the restart")
        answer = slides(alice, pos)
        room = answer["rooms"][room_id]
        assert ("initial" in room, bodies(room)) == (False, ["after the restart"])
        server.kill()
        server.start()
        assert alice.ask("POST", _IN_USE, {}, pos=answer["pos"]).refusal == (400, "M_UNKNOWN_POS")
        assert slides(alice)["rooms"][room_id]["initial"] is True
    finally:
        if server.is_running:
            server.stop()
