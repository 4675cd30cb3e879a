"""Operations that servers ask of each other, each asked once as it should be. `test_every_operation` calls and counts them."""

from typing import Any

from tests.end_to_end.harness import wire
from tests.end_to_end.harness.peer_rooms import PeerRoom, signed
from tests.end_to_end.harness.peers import FEDERATION, Asked, Peer, now_ms, segments
from tests.end_to_end.harness.people import Person, fresh
from tests.end_to_end.harness.servers import Server
from watchword.protocol.room_versions import ROOM_VERSIONS
from watchword.protocol.signatures import SigningKey, sign_json


def reading(alice: Person, server: Server, peer: Peer) -> None:
    """What servers ask of a room that they are in, of users and of keys."""
    name = fresh("square")
    room_id = alice.makes_room(preset="public_chat", visibility="public", room_alias_name=name)
    room = PeerRoom.joined_by(peer, server, room_id)
    event = room.message("from the peer")
    event_id = room.keep(event)
    assert peer.delivers(server, event) == {event_id: {}}
    latest = alice.says(room_id, "from here")
    v1 = f"{FEDERATION}/v1"
    for target in (
        f"{v1}/version",
        segments(f"{v1}/backfill", room_id) + f"?v={latest}&limit=10",
        segments(f"{v1}/event", latest),
        segments(f"{v1}/event_auth", room_id, latest),
        segments(f"{v1}/state", room_id) + f"?event_id={latest}",
        segments(f"{v1}/state_ids", room_id) + f"?event_id={latest}",
        f"{v1}/publicRooms?limit=5",
        f"{v1}/query/directory?room_alias=%23{name}%3Anorth.example",
        f"{v1}/query/profile?user_id={alice.user_id.replace('@', '%40')}",
        segments(f"{v1}/user/devices", alice.user_id),
        "/_matrix/key/v2/server",
        f"/_matrix/key/v2/query/{server.name}",
    ):
        assert peer.ask(server, "GET", target).status == 200, target
    asked = {"server_keys": {peer.name: {peer.key.key_id: {"minimum_valid_until_ts": now_ms()}}}}
    token = alice.post("user", alice.user_id, "openid", "request_token")["access_token"]
    assert peer.ask(server, "GET", f"{v1}/openid/userinfo?access_token={token}").json == {"sub": alice.user_id}
    devices = {alice.user_id: [alice.device_id]}
    claims = {alice.user_id: {alice.device_id: "signed_curve25519"}}
    missing = {"earliest_events": [], "latest_events": [latest], "limit": 5}
    for target, body in (
        ("/_matrix/key/v2/query", asked),
        (f"{v1}/publicRooms", {"limit": 5, "filter": {"generic_search_term": "x"}}),
        (f"{v1}/user/keys/query", {"device_keys": devices}),
        (f"{v1}/user/keys/claim", {"one_time_keys": claims}),
        (segments(f"{v1}/get_missing_events", room_id), missing),
    ):
        assert peer.ask(server, "POST", target, body).status == 200, target


def membership(alice: Person, server: Server, peer: Peer) -> None:
    """A knock, a leave, invites in both forms."""
    rule = {"type": "m.room.join_rules", "content": {"join_rule": "knock"}}
    closed = PeerRoom(peer, ROOM_VERSIONS["12"], alice.makes_room(initial_state=[rule]))
    knock = _handed_in(closed, server, "knock", "v1")
    assert knock["content"]["membership"] == "knock"
    room = PeerRoom.joined_by(peer, server, alice.makes_room(preset="public_chat"))
    _handed_in(room, server, "leave", "v2")
    for version, form in (("1", "v1"), ("12", "v2")):
        hosted = PeerRoom.made_by(peer, version)
        invite = hosted.event("m.room.member", {"membership": "invite"}, alice.user_id)
        shown = [hosted.events[hosted.state["m.room.create", ""]]]
        body = {"event": invite, "room_version": version, "invite_room_state": shown} if form == "v2" else invite
        target = segments(f"{FEDERATION}/{form}/invite", hosted.room_id, hosted.id_of(invite))
        assert peer.ask(server, "PUT", target, body).status == 200
        alice.is_invited_to(hosted.room_id)


def _handed_in(room: PeerRoom, server: Server, membership: str, form: str) -> dict[str, Any]:
    target = segments(f"{FEDERATION}/v1/make_{membership}", room.room_id, room.user)
    made = room.peer.ask(server, "GET", f"{target}?ver=12")
    assert made.status == 200, made
    event = room.seal({**made.json["event"], "origin_server_ts": now_ms()})
    target = segments(f"{FEDERATION}/{form}/send_{membership}", room.room_id, room.id_of(event))
    assert room.peer.ask(server, "PUT", target, event).status == 200
    return event


def walks(alice: Person, server: Server, peer: Peer) -> None:
    """What another server asks to walk a space and to find a moment."""
    room_id = alice.makes_room(preset="public_chat", creation_content={"type": "m.space"}, name="Yard")
    PeerRoom.joined_by(peer, server, room_id)
    walked = peer.ask(server, "GET", segments(f"{FEDERATION}/v1/hierarchy", room_id) + "?suggested_only=false")
    assert (walked.status, walked.json["room"]["room_id"]) == (200, room_id)
    target = segments(f"{FEDERATION}/v1/timestamp_to_event", room_id) + f"?ts={now_ms()}&dir=b"
    assert peer.ask(server, "GET", target).json["event_id"].startswith("$")


def promised_invites(alice: Person, bob: Person, server: Server, peer: Peer) -> None:
    """A room promises an invite to whoever an identity server vouches for: to a user of ours, and to one of a peer."""
    vouching = SigningKey(b"identity server of a test, 32 b.", "0")
    room_id = alice.makes_room(preset="private_chat")
    public_key = {"public_key": vouching.verify_key.to_base64()}
    for token in ("for bob", "for the peer"):
        promise = {"display_name": "b...@example.org", **public_key, "public_keys": [public_key]}
        alice.sets(room_id, "m.room.third_party_invite", promise, token)
    vouched = sign_json({"mxid": bob.user_id, "token": "for bob"}, "identity.example", vouching)
    invite = {"room_id": room_id, "sender": alice.user_id, "mxid": bob.user_id, "signed": vouched}
    body = {"medium": "email", "address": "bob@example.org", "mxid": bob.user_id, "invites": [invite]}
    bound = wire.ask(server.federation, "PUT", f"{FEDERATION}/v1/3pid/onbind", wire.compact(body))
    assert (bound.status, bound.json) == (200, {})
    bob.is_invited_to(room_id)

    def accept(asked: Asked) -> tuple[int, object]:
        version = ROOM_VERSIONS[asked.json["room_version"]]
        return 200, {"event": signed(asked.json["event"], version, peer.name, peer.key)}

    peer.answers("PUT", f"{FEDERATION}/v2/invite/.*", accept)
    stranger = f"@stranger:{peer.name}"
    vouched = sign_json({"mxid": stranger, "token": "for the peer"}, "identity.example", vouching)
    content = {"membership": "invite", "third_party_invite": {"display_name": "s...", "signed": vouched}}
    event = {
        "type": "m.room.member",
        "room_id": room_id,
        "sender": alice.user_id,
        "state_key": stranger,
        "content": content,
    }
    exchanged = peer.ask(server, "PUT", segments(f"{FEDERATION}/v1/exchange_third_party_invite", room_id), event)
    assert (exchanged.status, exchanged.json) == (200, {})
    assert alice.get("rooms", room_id, "state", "m.room.member", stranger)["membership"] == "invite"
