"""Notifications on their whole way: a real server tells a gateway over TLS, and counts in what it syncs."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.end_to_end.harness.peers import Hub, Peer
from tests.end_to_end.harness.people import Person
from tests.end_to_end.harness.servers import Server, unused_port
from watchword.base.clock import SystemClock
from watchword.cli.demonstration.authority import DemoAuthority

NOTIFY = "/_matrix/push/v1/notify"
_DOCUMENT = Path(__file__).parents[1] / "data" / "plain" / "push-gateway.openapi.json"
_SETTINGS = """
[egress]
push_allowed_networks = ["127.0.0.0/8"]
"""


@pytest.fixture
def gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Server, Peer, str]]:
    """A server, a gateway that it trusts, and the gateway's URL."""
    authority = DemoAuthority(tmp_path, SystemClock())
    hub = Hub(unused_port(), authority, ["localhost"])
    server = Server("push.example", tmp_path, authority)
    # Gateways have certificates that everybody trusts: here the system does.
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    try:
        peer = hub.peers[f"localhost:{hub.port}"] = hub.peer()
        peer.answers_plainly("POST", NOTIFY, {"rejected": []})
        server.configure([], _SETTINGS)
        server.start()
        yield server, peer, f"https://localhost:{hub.port}{NOTIFY}"
    finally:
        hub.close()
        server.stop()


def told(peer: Peer, count: int) -> list[dict[str, Any]]:
    """Wait until the gateway was told so often; each time in its shape."""
    peer.waits_for(lambda: len(peer.was_asked(NOTIFY)) >= count)
    bodies = [asked.json for asked in peer.was_asked(NOTIFY)]
    operation = json.loads(_DOCUMENT.read_text("utf-8"))["paths"][NOTIFY]["post"]
    shape = Draft202012Validator(operation["requestBody"]["content"]["application/json"]["schema"])
    for body in bodies:
        shape.validate(body)
    assert len(bodies) == count
    return [body["notification"] for body in bodies]


def a_pusher(url: str, **more: Any) -> dict[str, Any]:
    names = {"app_display_name": "App", "device_display_name": "Phone", "lang": "en"}
    return {"kind": "http", "app_id": "app", "pushkey": "key", "data": {"url": url}, **names, **more}


def counted(person: Person, room_id: str) -> dict[str, int]:
    """What a sync says is unread in a room."""
    answer = person.call("GET", "/_matrix/client/v3/sync")
    found: dict[str, int] = answer["rooms"]["join"][room_id]["unread_notifications"]
    return found


def test_a_gateway_is_told_until_the_session_ends(gateway: tuple[Server, Peer, str]) -> None:
    server, peer, url = gateway
    alice, bob = Person.provisioned(server, "alice"), Person.provisioned(server, "bob")
    phone = bob.on_another_device()
    room_id = alice.makes_room(preset="public_chat", name="Room")
    bob.joins(room_id)
    phone.post("pushers", "set", **a_pusher(url))

    event_id = alice.says(room_id, "hello")
    (first,) = told(peer, 1)
    assert (first["event_id"], first["room_name"], first["counts"]) == (event_id, "Room", {"unread": 1})
    assert counted(bob, room_id) == {"notification_count": 1, "highlight_count": 0}

    bob.post("rooms", room_id, "receipt", "m.read", event_id)
    assert told(peer, 2)[1]["counts"] == {}
    assert counted(bob, room_id)["notification_count"] == 0

    phone.post("pushers", "set", **a_pusher(url, data={"url": url, "format": "event_id_only"}))
    mention = {"msgtype": "m.text", "body": "bob", "m.mentions": {"user_ids": [bob.user_id]}}
    event_id = alice.sends(room_id, "m.room.message", mention)
    last = told(peer, 3)[2]
    assert set(last) == {"event_id", "room_id", "counts", "devices"}
    assert last["event_id"] == event_id
    assert counted(bob, room_id) == {"notification_count": 1, "highlight_count": 1}
    (listed,) = bob.call("GET", "/_matrix/client/v3/notifications?only=highlight")["notifications"]
    assert listed["event"]["event_id"] == event_id

    phone.post("logout")
    bob.waits_for(lambda: None if bob.get("pushers")["pushers"] else True)


def test_a_device_that_a_gateway_gives_up_is_forgotten(gateway: tuple[Server, Peer, str]) -> None:
    server, peer, url = gateway
    alice, bob = Person.provisioned(server, "alice"), Person.provisioned(server, "bob")
    room_id = alice.makes_room(preset="public_chat")
    bob.joins(room_id)
    bob.post("pushers", "set", **a_pusher(url))
    peer.answers_plainly("POST", NOTIFY, {"rejected": ["key"]})
    alice.says(room_id, "hello")
    told(peer, 1)
    bob.waits_for(lambda: None if bob.get("pushers")["pushers"] else True)


def test_rules_are_made_kept_over_a_restart_and_obeyed(gateway: tuple[Server, Peer, str]) -> None:
    server, _, _ = gateway
    alice, bob = Person.provisioned(server, "alice"), Person.provisioned(server, "bob")
    room_id = alice.makes_room(preset="public_chat")
    bob.joins(room_id)
    bob.put("pushrules", "global", "content", "cake", actions=["notify", {"set_tweak": "highlight"}], pattern="cake")
    server.stop()
    server.start()
    alice.says(room_id, "there is cake")
    assert counted(bob, room_id) == {"notification_count": 1, "highlight_count": 1}
    rules = bob.get("user", bob.user_id, "account_data", "m.push_rules")
    assert rules == bob.call("GET", "/_matrix/client/v3/pushrules/")
    assert rules["global"]["content"][0]["rule_id"] == "cake"
