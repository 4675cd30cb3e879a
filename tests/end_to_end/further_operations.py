"""More operations, each asked once as it should be: finding, reporting, the old streams, bridges, single sign-on.

`test_every_operation` calls them in order and counts.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.end_to_end.conftest import Town
from tests.end_to_end.harness import wire
from tests.end_to_end.harness.bridge import AS_TOKEN, BRIDGE_ID, Bridge
from tests.end_to_end.harness.peers import segments
from tests.end_to_end.harness.people import V3, Person, path
from tests.end_to_end.harness.servers import Server, unused_port
from tests.end_to_end.harness.wire import Answer

_V1 = "/_matrix/client/v1"
_THIRD_PARTY = f"{V3}/thirdparty"

Proven = Callable[[Person, str, str, Mapping[str, Any]], Any]


def search(alice: Person, bob: Person) -> None:
    """Messages, people, rooms in common, rooms within rooms, moments."""
    room_id = alice.makes_room(preset="public_chat", name="Library", invite=[bob.user_id])
    bob.accepts(room_id)
    event_id = alice.says(room_id, "the unfindable word is peculiarity")
    criteria = {
        "search_term": "peculiarity",
        "event_context": {"before_limit": 1, "after_limit": 1, "include_profile": True},
        "groupings": {"group_by": [{"key": "room_id"}, {"key": "sender"}]},
        "include_state": True,
    }
    found = bob.post("search", search_categories={"room_events": criteria})["search_categories"]["room_events"]
    assert [each["result"]["event_id"] for each in found["results"]] == [event_id]
    bob.waits_for(lambda: bob.post("user_directory", "search", search_term=alice.user_id)["results"])
    assert room_id in alice.call("GET", f"{_V1}/mutual_rooms", user_id=bob.user_id)["joined"]
    space = alice.makes_room(preset="public_chat", creation_content={"type": "m.space"}, name="House")
    alice.sets(space, "m.space.child", {"via": ["north.example"]}, room_id)
    walked = bob.call("GET", segments(f"{_V1}/rooms", space, "hierarchy"), limit="5")
    assert [room["room_id"] for room in walked["rooms"]] == [space, room_id]
    assert bob.call("GET", segments(f"{_V1}/room_summary", space))["room_type"] == "m.space"
    at = bob.call("GET", segments(f"{_V1}/rooms", room_id, "timestamp_to_event"), ts="0", dir="f")
    assert at["event_id"].startswith("$")


def reports(alice: Person, bob: Person) -> None:
    """A message, a room, a person."""
    room_id = alice.makes_room(preset="public_chat")
    bob.joins(room_id)
    event_id = alice.says(room_id, "something rude")
    bob.post("rooms", room_id, "report", event_id, reason="rude")
    bob.post("rooms", room_id, "report", reason="all of it")
    bob.post("users", alice.user_id, "report", reason="again and again")


def old_streams(alice: Person) -> None:
    """What clients did before /sync."""
    room_id = alice.makes_room(name="Attic")
    event_id = alice.says(room_id, "from before")
    snapshot = alice.get("initialSync", limit="2", archived="true")
    assert room_id in {room["room_id"] for room in snapshot["rooms"]}
    assert alice.get("rooms", room_id, "initialSync")["room_id"] == room_id
    assert alice.get("events", event_id)["event_id"] == event_id
    alice.says(room_id, "from after")
    news = alice.get("events", timeout="0", **{"from": snapshot["end"]})
    assert "from after" in [event["content"].get("body") for event in news["chunk"]]


def upgrade(alice: Person) -> None:
    """A room goes on in another."""
    room_id = alice.makes_room(room_version="10", preset="public_chat", name="Old")
    replacement = alice.post("rooms", room_id, "upgrade", new_version="12")["replacement_room"]
    assert alice.get("rooms", room_id, "state", "m.room.tombstone")["replacement_room"] == replacement


# A server with a bridge, with a provider of single sign-on, and with tokens for other devices


@contextmanager
def _well_connected(town: Town, folder: Path) -> Iterator[Server]:
    bridge = Bridge(unused_port())
    server = Server("west.example", folder, town.authority)
    extra = f"""
[appservices]
registration_files = [{json.dumps(str(bridge.registration(folder)))}]

[[oauth.providers]]
id = "guild"
name = "The guild"
issuer = "https://login.example.org"
client_id = "west"
"""
    try:
        server.configure([], extra)
        settings = server.plan.config_file.read_text("utf-8")
        server.plan.config_file.write_text(
            settings.replace("[registration]\n", "[registration]\nlogin_tokens = true\n"), "utf-8"
        )
        server.start()
        yield server
    finally:
        server.stop()
        bridge.close()


def bridges_and_ways_in(town: Town, folder: Path, proven: Proven) -> None:
    """Third-party networks, the ping of a bridge; tokens for another device, and where a browser goes to sign in."""
    with _well_connected(town, folder) as server:
        person = Person.provisioned(server, "carol")
        _bridge(server, person)
        given = proven(person, "POST", f"{_V1}/login/get_token", {})
        session = {"type": "m.login.token", "token": given["login_token"]}
        assert wire.ask(server.client, "POST", f"{V3}/login", wire.compact(session)).json["user_id"] == person.user_id
        metadata = wire.ask(server.client, "GET", f"{_V1}/auth_metadata").json
        assert "S256" in metadata["code_challenge_methods_supported"]
        for provider in ("", "/guild"):
            query = urlencode({"redirectUrl": "https://client.example.org/"})
            answer = wire.ask(server.client, "GET", f"{V3}/login/sso/redirect{provider}?{query}")
            assert (answer.status, "/_watchword/" in answer.headers["location"]) == (302, True), answer


def _bridge(server: Server, person: Person) -> None:
    for target in ("protocols", "protocol/harbour", "location/harbour?berth=quay", "user/harbour?berth=pilot"):
        assert person.call("GET", f"{_THIRD_PARTY}/{target}")
    located = person.call("GET", f"{_THIRD_PARTY}/location", alias="#_harbour_quay:west.example")
    assert located[0]["fields"] == {"berth": "quay"}
    found = person.call("GET", f"{_THIRD_PARTY}/user", userid="@_harbour_pilot:west.example")
    assert found[0]["fields"] == {"berth": "pilot"}
    ping = segments(f"{_V1}/appservice", BRIDGE_ID, "ping")
    assert _as_bridge(server, "POST", ping, {"transaction_id": "1"}).json["duration_ms"] >= 0
    room_id = person.makes_room(preset="public_chat")
    listed = path("directory", "list", "appservice", "harbour", room_id)
    assert _as_bridge(server, "PUT", listed, {"visibility": "public"}).status == 200


def _as_bridge(server: Server, method: str, target: str, body: object) -> Answer:
    return wire.ask(server.client, method, target, wire.compact(body), {"authorization": f"Bearer {AS_TOKEN}"})
