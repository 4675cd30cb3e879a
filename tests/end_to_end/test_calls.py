"""What calls are made of, through real processes: leaving later, being seen by all, and surviving a kill."""

import time
from typing import Any

from tests.end_to_end.harness.people import Person, path
from tests.end_to_end.harness.servers import Server

_UNSTABLE = "/_matrix/client/unstable/org.matrix.msc4140"
_STICKY = "org.matrix.msc4354.sticky_duration_ms"


def _schedules(person: Person, room_id: str, text: str, delay: int) -> str:
    target = f"{_UNSTABLE}/rooms/{room_id}/delayed_event/m.room.message/{delay}"
    answer = person.ask("PUT", target, {"delay": delay, "content": {"msgtype": "m.text", "body": text}})
    assert answer.status == 200, answer
    return str(answer.json["delay_id"])


def _sticks(person: Person, room_id: str, text: str) -> str:
    answer = person.ask("PUT", path("rooms", room_id, "send", "m.rtc.member", text), {"body": text}, **{_STICKY: "600000"})
    assert answer.status == 200, answer
    return str(answer.json["event_id"])


def _stuck(person: Person, room_id: str) -> dict[str, Any]:
    """The sticky events that a first sync tells of, in the timeline or beside it."""
    answer = person.ask("GET", path("sync"), filter='{"room":{"timeline":{"limit":1}}}')
    room = answer.json["rooms"]["join"][room_id]
    events = [*room["timeline"]["events"], *room.get("msc4354_sticky", {}).get("events", [])]
    return {event["event_id"]: event for event in events if "msc4354_sticky" in event}


def test_who_is_cut_off_leaves_the_call_unless_somebody_says_that_he_is_there(north: Server) -> None:
    alice = Person.provisioned(north, "alice")
    room_id = alice.makes_room()
    delay_id = _schedules(alice, room_id, "gone", 2_000)
    for _ in range(3):
        time.sleep(1)
        # Whoever knows the ID may say so.
        answer = alice.ask("POST", f"{_UNSTABLE}/delayed_events/{delay_id}/restart")
        assert answer.status == 200, answer
    assert "gone" not in alice.history_bodies(room_id)
    alice.hears(room_id, "gone")


def test_what_is_due_is_sent_once_after_a_kill(north: Server) -> None:
    alice = Person.provisioned(north, "alice")
    room_id = alice.makes_room()
    for number in range(5):
        _schedules(alice, room_id, f"later {number}", 700 + number)
    north.kill()
    time.sleep(1)
    north.start()
    for number in range(5):
        alice.hears(room_id, f"later {number}")
    bodies = alice.history_bodies(room_id)
    assert sorted(bodies) == [f"later {number}" for number in range(5)]


def test_sticky_events_reach_whoever_joins_the_call(north: Server, south: Server) -> None:
    alice, bob = Person.provisioned(north, "alice"), Person.provisioned(south, "bob")
    carol = Person.provisioned(north, "carol")
    state = [{"type": "m.room.history_visibility", "content": {"history_visibility": "joined"}}]
    room_id = alice.makes_room(preset="public_chat", initial_state=state)
    event_id = _sticks(alice, room_id, "alice is here")
    alice.says(room_id, "said before they came")
    carol.joins(room_id)
    assert event_id in _stuck(carol, room_id)
    alice.post("rooms", room_id, "invite", user_id=bob.user_id)
    bob.accepts(room_id)
    bob.waits_for(lambda: event_id in _stuck(bob, room_id))
    event = _stuck(bob, room_id)[event_id]
    assert 0 < event["unsigned"]["msc4354_sticky_duration_ttl_ms"] <= 600_000
    assert "said before they came" not in bob.history_bodies(room_id)
