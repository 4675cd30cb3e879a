"""Scenarios across two servers, through real TLS: what people of two organisations do with one another."""

import time
from typing import Any

from tests.end_to_end.harness import wire
from tests.end_to_end.harness.peer_rooms import PeerRoom
from tests.end_to_end.harness.peers import Peer
from tests.end_to_end.harness.people import V3, Person, fresh, path
from tests.end_to_end.harness.servers import Server


def _together(north: Server, south: Server, **options: object) -> tuple[Person, Person, str]:
    """alice on the one server and bob on the other, in a room of hers that he was invited to."""
    alice, bob = Person.provisioned(north, "alice"), Person.provisioned(south, "bob")
    room_id = alice.makes_room(invite=[bob.user_id], **options)
    bob.accepts(room_id)
    alice.sees_membership(room_id, bob.user_id, "join")
    return alice, bob, room_id


def test_an_invited_neighbour_joins_and_both_talk(north: Server, south: Server) -> None:
    alice, bob = Person.provisioned(north, "alice"), Person.provisioned(south, "bob")
    room_id = alice.makes_room(name="Across", invite=[bob.user_id])
    stripped = {event["type"]: event["content"] for event in bob.is_invited_to(room_id)}
    assert stripped["m.room.name"] == {"name": "Across"}
    assert stripped["m.room.create"]["room_version"] == "12"
    bob.joins(room_id)
    for number in range(3):
        alice.says(room_id, f"north {number}")
        bob.hears(room_id, f"north {number}")
        bob.says(room_id, f"south {number}")
        alice.hears(room_id, f"south {number}")
    assert alice.history_bodies(room_id) == bob.history_bodies(room_id)


def test_a_public_room_is_joined_by_its_alias(north: Server, south: Server) -> None:
    alice, bob = Person.provisioned(north, "alice"), Person.provisioned(south, "bob")
    name = fresh("square")
    room_id = alice.makes_room(preset="public_chat", visibility="public", room_alias_name=name)
    alice.says(room_id, "said before he came")
    alias = f"#{name}:north.example"
    resolved = bob.get("directory", "room", alias)
    assert resolved["room_id"] == room_id
    assert "north.example" in resolved["servers"]
    assert bob.joins(alias) == room_id
    alice.sees_membership(room_id, bob.user_id, "join")
    bob.says(room_id, "hello from the south")
    alice.hears(room_id, "hello from the south")
    assert "said before he came" in bob.history_bodies(room_id)


def test_typing_receipts_and_read_state_cross(north: Server, south: Server) -> None:
    alice, bob, room_id = _together(north, south)
    event_id = alice.says(room_id, "read this")
    bob.sees(room_id, event_id)
    bob.put("rooms", room_id, "typing", bob.user_id, typing=True, timeout=20_000)
    alice.waits_for(lambda: any(bob.user_id in event["content"].get("user_ids", []) for event in _said(alice, room_id)))
    bob.post("rooms", room_id, "receipt", "m.read", event_id)
    alice.waits_for(lambda: any(event_id in event["content"] for event in _said(alice, room_id)))
    bob.put("rooms", room_id, "typing", bob.user_id, typing=False)
    alice.waits_for(
        lambda: [each for each in _said(alice, room_id) if each["type"] == "m.typing"][-1]["content"] == {"user_ids": []}
    )


def _said(person: Person, room_id: str) -> list[dict[str, Any]]:
    return person.ephemeral.get(room_id, [])


def _device_keys(person: Person) -> dict[str, object]:
    return {
        "user_id": person.user_id,
        "device_id": person.device_id,
        "algorithms": ["m.olm.v1.curve25519-aes-sha2", "m.megolm.v1.aes-sha2"],
        "keys": {
            f"curve25519:{person.device_id}": "A" * 43,
            f"ed25519:{person.device_id}": "B" * 43,
        },
        "signatures": {person.user_id: {f"ed25519:{person.device_id}": "C" * 86}},
    }


def test_device_keys_claims_and_letters_cross(north: Server, south: Server) -> None:
    alice, bob, room_id = _together(north, south)
    bob.says(room_id, "so that we are in touch")
    alice.hears(room_id, "so that we are in touch")
    alice.changed.clear()
    one_time = {f"signed_curve25519:AA{number}": {"key": "D" * 43, "signatures": {}} for number in range(2)}
    counts = bob.post("keys", "upload", device_keys=_device_keys(bob), one_time_keys=one_time)
    assert counts["one_time_key_counts"]["signed_curve25519"] == 2
    alice.waits_for(lambda: bob.user_id in alice.changed)

    queried = alice.post("keys", "query", device_keys={bob.user_id: []})
    assert queried["failures"] == {}
    assert queried["device_keys"][bob.user_id][bob.device_id]["keys"] == _device_keys(bob)["keys"]

    claim = {bob.user_id: {bob.device_id: "signed_curve25519"}}
    claimed = [alice.post("keys", "claim", one_time_keys=claim)["one_time_keys"] for _ in range(3)]
    names = [name for answer in claimed for name in answer.get(bob.user_id, {}).get(bob.device_id, {})]
    assert names == ["signed_curve25519:AA0", "signed_curve25519:AA1"]

    letter = {bob.user_id: {bob.device_id: {"secret": "ciphertext"}}}
    alice.put("sendToDevice", "m.room.encrypted", fresh("letter"), messages=letter)
    bob.waits_for(lambda: bob.letters)
    expected = {"type": "m.room.encrypted", "sender": alice.user_id, "content": {"secret": "ciphertext"}}
    assert bob.letters == [expected]
    bob.syncs()
    assert bob.letters == [expected]


def test_a_new_device_is_announced_and_a_deleted_one_is_gone(north: Server, south: Server) -> None:
    alice, bob, _ = _together(north, south)
    bob.post("keys", "upload", device_keys=_device_keys(bob))
    tablet = bob.on_another_device()
    tablet.post("keys", "upload", device_keys=_device_keys(tablet))
    alice.waits_for(lambda: bob.user_id in alice.changed)

    def devices() -> set[str]:
        return set(alice.post("keys", "query", device_keys={bob.user_id: []})["device_keys"][bob.user_id])

    alice.waits_for(lambda: devices() == {bob.device_id, tablet.device_id})
    alice.changed.clear()
    tablet.post("logout")
    alice.waits_for(lambda: bob.user_id in alice.changed)
    alice.waits_for(lambda: devices() == {bob.device_id})


def test_a_kick_a_ban_and_their_end_cross(north: Server, south: Server) -> None:
    alice, bob, room_id = _together(north, south, preset="public_chat")
    alice.post("rooms", room_id, "kick", user_id=bob.user_id, reason="be kind")
    bob.waits_for(lambda: room_id in bob.left)
    assert bob.ask("PUT", path("rooms", room_id, "send", "m.room.message", "x"), {"body": "still here?"}).status == 403
    bob.joins(room_id, via="north.example")
    alice.sees_membership(room_id, bob.user_id, "join")

    alice.post("rooms", room_id, "ban", user_id=bob.user_id)
    bob.sees_membership(room_id, bob.user_id, "ban")
    assert bob.ask("POST", path("join", room_id), {}, via="north.example").refusal == (403, "M_FORBIDDEN")
    alice.post("rooms", room_id, "unban", user_id=bob.user_id)
    bob.joins(room_id, via="north.example")
    alice.sees_membership(room_id, bob.user_id, "join")
    bob.says(room_id, "back again")
    alice.hears(room_id, "back again")


def test_who_leaves_hears_no_more_and_reads_on_after_coming_back(north: Server, south: Server) -> None:
    alice, bob, room_id = _together(north, south, preset="public_chat")
    alice.says(room_id, "with him")
    bob.hears(room_id, "with him")
    bob.post("rooms", room_id, "leave")
    alice.sees_membership(room_id, bob.user_id, "leave")
    for number in range(30):
        alice.says(room_id, f"without him {number}")
    assert all(not text.startswith("without") for text in bob.history_bodies(room_id))
    bob.joins(room_id, via="north.example")
    bob.says(room_id, "what did I miss?")
    alice.hears(room_id, "what did I miss?")
    texts = bob.history_bodies(room_id)
    assert texts == ["with him", *(f"without him {number}" for number in range(30)), "what did I miss?"]


def test_a_declined_invitation_is_seen_as_a_leave(north: Server, south: Server) -> None:
    alice, bob = Person.provisioned(north, "alice"), Person.provisioned(south, "bob")
    room_id = alice.makes_room(invite=[bob.user_id])
    bob.is_invited_to(room_id)
    bob.post("rooms", room_id, "leave")
    alice.sees_membership(room_id, bob.user_id, "leave")
    bob.syncs()
    assert room_id not in bob.invites


def test_a_redaction_crosses(north: Server, south: Server) -> None:
    alice, bob, room_id = _together(north, south)
    event_id = alice.says(room_id, "I should not have said that")
    bob.sees(room_id, event_id)
    redaction = alice.put("rooms", room_id, "redact", event_id, fresh("txn"), reason="regret")["event_id"]
    seen = bob.sees(room_id, redaction)
    assert seen["content"]["redacts"] == event_id
    assert bob.get("rooms", room_id, "event", event_id)["content"] == {}
    assert all("I should not" not in text for text in bob.history_bodies(room_id))


def test_a_file_crosses_unchanged(north: Server, south: Server) -> None:
    alice, bob, _ = _together(north, south)
    data = bytes(range(256)) * 3_000
    headers = {"authorization": f"Bearer {alice.token}", "content-type": "application/octet-stream"}
    uploaded = wire.ask(north.client, "POST", "/_matrix/media/v3/upload?filename=caf%C3%A9.bin", data, headers)
    media = uploaded.json["content_uri"].removeprefix("mxc://")
    found = bob.ask("GET", f"/_matrix/client/v1/media/download/{media}")
    assert (found.status, found.body) == (200, data)
    assert found.headers["content-disposition"].startswith("attachment")
    assert wire.ask(south.client, "GET", f"/_matrix/client/v1/media/download/{media}").refusal == (401, "M_MISSING_TOKEN")
    assert bob.ask("GET", "/_matrix/client/v1/media/download/north.example/nothing").refusal == (404, "M_NOT_FOUND")


def test_profiles_cross_and_a_new_name_reaches_the_room(north: Server, south: Server) -> None:
    alice, bob, room_id = _together(north, south)
    alice.put("profile", alice.user_id, "displayname", displayname="Alice of the North")
    assert bob.get("profile", alice.user_id) == {"displayname": "Alice of the North"}
    assert bob.get("profile", alice.user_id, "displayname") == {"displayname": "Alice of the North"}
    bob.waits_for(
        lambda: any(event["content"].get("displayname") == "Alice of the North" for event in bob.timelines.get(room_id, []))
    )
    assert bob.ask("GET", path("profile", "@nobody:north.example")).refusal == (404, "M_NOT_FOUND")


def test_a_message_to_a_neighbour_who_is_away_arrives_when_he_is_back(north: Server, south: Server) -> None:
    alice, bob, room_id = _together(north, south)
    south.stop()
    alice.says(room_id, "while you were away")
    time.sleep(0.3)
    south.start()
    bob.hears(room_id, "while you were away")
    bob.says(room_id, "I am back")
    alice.hears(room_id, "I am back")


def test_a_sender_that_is_killed_delivers_after_its_start(north: Server, south: Server) -> None:
    alice, bob, room_id = _together(north, south)
    for number in range(5):
        alice.says(room_id, f"acknowledged {number}")
    north.kill()
    north.start()
    bob.hears(room_id, "acknowledged 4")
    assert bob.history_bodies(room_id) == [f"acknowledged {number}" for number in range(5)]
    assert alice.ask("GET", f"{V3}/account/whoami").status == 200


def test_a_late_comer_reads_all_pages_of_a_long_history(north: Server, south: Server) -> None:
    alice, bob = Person.provisioned(north, "alice"), Person.provisioned(south, "bob")
    room_id = alice.makes_room(preset="public_chat")
    for number in range(250):
        alice.says(room_id, f"page {number}")
    bob.joins(room_id, via="north.example")
    assert bob.history_bodies(room_id) == [f"page {number}" for number in range(250)]
    beginning = bob.history(room_id)[-1]
    assert beginning["type"] == "m.room.create"


def test_an_event_that_only_the_neighbour_was_told_of_is_fetched(north: Server, south: Server, peer: Peer) -> None:
    alice, bob, room_id = _together(north, south, preset="public_chat")
    room = PeerRoom.joined_by(peer, north, room_id)
    for person in (alice, bob):
        person.sees_membership(room_id, room.user, "join")
    for number in range(3):
        event = room.message(f"only to the north {number}")
        room.keep(event)
        assert peer.delivers(north, event) == {room.ends[0]: {}}
    alice.hears(room_id, "only to the north 2")
    alice.says(room_id, "did you hear?")
    bob.hears(room_id, "did you hear?")
    assert bob.history_bodies(room_id) == [*(f"only to the north {number}" for number in range(3)), "did you hear?"]


def test_a_knock_is_answered_across(north: Server, south: Server) -> None:
    alice, bob = Person.provisioned(north, "alice"), Person.provisioned(south, "bob")
    room_id = alice.makes_room(
        name="Club", initial_state=[{"type": "m.room.join_rules", "content": {"join_rule": "knock"}, "state_key": ""}]
    )
    assert bob.ask("POST", path("join", room_id), {}, via="north.example").refusal == (403, "M_FORBIDDEN")
    bob.call("POST", path("knock", room_id), {"reason": "it is raining"}, via="north.example")
    knocked = alice.sees_membership(room_id, bob.user_id, "knock")
    assert knocked["content"]["reason"] == "it is raining"
    alice.post("rooms", room_id, "invite", user_id=bob.user_id)
    bob.accepts(room_id)
    bob.says(room_id, "thank you")
    alice.hears(room_id, "thank you")


def test_members_of_a_space_may_enter_its_rooms_from_across(north: Server, south: Server) -> None:
    alice, bob = Person.provisioned(north, "alice"), Person.provisioned(south, "bob")
    space = alice.makes_room(invite=[bob.user_id], creation_content={"type": "m.space"})
    rule = {"join_rule": "restricted", "allow": [{"type": "m.room_membership", "room_id": space}]}
    room_id = alice.makes_room(initial_state=[{"type": "m.room.join_rules", "content": rule, "state_key": ""}])
    assert bob.ask("POST", path("join", room_id), {}, via="north.example").refusal == (403, "M_FORBIDDEN")
    bob.accepts(space)
    alice.sees_membership(space, bob.user_id, "join")
    bob.joins(room_id, via="north.example")
    joined = alice.sees_membership(room_id, bob.user_id, "join")
    assert joined["content"]["join_authorised_via_users_server"] == alice.user_id
    bob.says(room_id, "in by the side door")
    alice.hears(room_id, "in by the side door")


def test_who_was_invited_before_a_change_of_visibility_reads_from_there(north: Server, south: Server) -> None:
    alice, bob = Person.provisioned(north, "alice"), Person.provisioned(south, "bob")
    visibility = {"type": "m.room.history_visibility", "content": {"history_visibility": "joined"}, "state_key": ""}
    room_id = alice.makes_room(invite=[bob.user_id], initial_state=[visibility])
    alice.says(room_id, "before he was here")
    bob.accepts(room_id)
    alice.sees_membership(room_id, bob.user_id, "join")
    alice.says(room_id, "now he is")
    bob.hears(room_id, "now he is")
    assert bob.history_bodies(room_id) == ["now he is"]


def test_letters_to_all_devices_and_to_unknown_people_cross(north: Server, south: Server) -> None:
    alice, bob, _ = _together(north, south)
    tablet = bob.on_another_device()
    messages = {bob.user_id: {"*": {"n": 1}}, "@nobody:south.example": {"*": {"n": 1}}, "@x:nowhere.invalid": {"*": {}}}
    alice.put("sendToDevice", "org.example", fresh("txn"), messages=messages)
    for device in (bob, tablet):
        device.receives_a_letter()
        assert [letter["content"] for letter in device.letters] == [{"n": 1}]
