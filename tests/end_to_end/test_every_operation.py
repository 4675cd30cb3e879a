"""Every operation that we serve is asked once as it should be, and answers in the specification's shape.

The shape of each answer is checked by the fixture that watches all tests; here it is counted that none was left out.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end import further_operations as further
from tests.end_to_end import operations_among_servers as among_servers
from tests.end_to_end.conftest import Town
from tests.end_to_end.harness import shapes, wire
from tests.end_to_end.harness.peers import FEDERATION, Peer, segments
from tests.end_to_end.harness.people import V3, Person, fresh, path
from tests.end_to_end.harness.servers import Server
from tests.end_to_end.harness.wire import Answer, compact
from tests.house.operations import blanked, served
from watchword.cli.demonstration.conversation import picture
from watchword.protocol.signatures import SigningKey, sign_json

_V1 = "/_matrix/client/v1"

# Operations that never succeed here, each with its reason.
_NEVER = {
    ("GET", "/_matrix/media/v3/download/{serverName}/{mediaId}"),  # frozen since v1.11, and we have nothing older
    ("GET", "/_matrix/media/v3/download/{serverName}/{mediaId}/{fileName}"),
    ("GET", "/_matrix/media/v3/thumbnail/{serverName}/{mediaId}"),
    ("GET", "/_matrix/client/v1/media/preview_url"),  # off unless an operator wants it
    ("GET", "/_matrix/media/v3/preview_url"),
    # They need a mail relay, a gateway or an identity server; the tests of accounts ask them against all three.
    ("POST", "/_matrix/client/v3/account/3pid"),
    ("POST", "/_matrix/client/v3/account/3pid/add"),
    ("POST", "/_matrix/client/v3/account/3pid/bind"),
    ("POST", "/_matrix/client/v3/account/3pid/email/requestToken"),
    ("POST", "/_matrix/client/v3/account/3pid/msisdn/requestToken"),
    ("POST", "/_matrix/client/v3/account/password/email/requestToken"),
    ("POST", "/_matrix/client/v3/account/password/msisdn/requestToken"),
    ("POST", "/_matrix/client/v3/register/email/requestToken"),
    ("POST", "/_matrix/client/v3/register/msisdn/requestToken"),
    (
        "GET",
        "/_matrix/federation/v1/query/{queryType}",
    ),  # no kind of query is defined beside the two that have rows of their own
}

# Keys that the schema of an answer does not name, each with its reason.
_STRANGERS_KNOWN = {
    "GET /_matrix/client/v3/sync 200: device_unused_fallback_key_types",  # described in prose, with the fallback keys
    "GET /_matrix/client/v3/sync 200: org.matrix.msc2732.device_unused_fallback_key_types",  # as older clients read it
    "PUT /_matrix/federation/v2/send_join/{roomId}/{eventId} 200: origin",  # required until v1.3; older servers look for it
    "GET /_matrix/client/versions 200: server",  # proposals/4383, as it was accepted, and as it was tried
    "GET /_matrix/client/versions 200: net.zemos.msc4383.server",
    "GET /_matrix/client/v3/pushrules/global/ 200: postcontent",  # proposals/4306: rules after those about content
    # RFC 8414 and RFC 9207: general OAuth libraries look for them
    "GET /_matrix/client/v1/auth_metadata 200: authorization_response_iss_parameter_supported",
    "GET /_matrix/client/v1/auth_metadata 200: revocation_endpoint_auth_methods_supported",
    "GET /_matrix/client/v1/auth_metadata 200: token_endpoint_auth_methods_supported",
}


class Counted:
    """Which operations have succeeded, and which keys came that the specification does not name."""

    def __init__(self) -> None:
        self.operations: set[tuple[str, str]] = set()
        self.strangers: set[str] = set()

    def __call__(self, method: str, target: str, answer: Answer) -> None:
        operation = shapes.operation_of(method, target)
        if operation is not None and answer.status < 400:
            self.operations.add(operation.name)
            if answer.headers.get("content-type") == "application/json":
                self.strangers.update(shapes.strangers(method, target, answer.status, answer.body))


@pytest.fixture
def counted() -> Iterator[Counted]:
    """Counts while the test runs."""
    counter = Counted()
    wire.watchers.append(counter)
    yield counter
    wire.watchers.remove(counter)


def test_every_operation_answers_in_its_shape(
    town: Town, north: Server, south: Server, peer: Peer, counted: Counted, tmp_path: Path
) -> None:
    alice, bob = Person.provisioned(north, "alice", admin=True), Person.provisioned(north, "bob")
    _discovery(north)
    _accounts(north, alice)
    _devices(alice)
    _user_data(alice, bob)
    _rooms(alice, bob)
    _reading(alice)
    _directory(alice)
    _push(alice, bob)
    _keys(alice, bob)
    _backup(alice)
    _media(alice, north, peer)
    among_servers.reading(alice, north, peer)
    among_servers.membership(alice, north, peer)
    further.search(alice, bob)
    further.reports(alice, bob)
    further.old_streams(alice)
    further.upgrade(alice)
    among_servers.walks(alice, north, peer)
    among_servers.promised_invites(alice, bob, north, peer)
    further.bridges_and_ways_in(town, tmp_path, _proven)
    _endings(north, alice)
    expected = {operation for operation in _served() if operation not in _NEVER}
    assert sorted(expected - counted.operations) == []
    assert sorted(counted.strangers - _STRANGERS_KNOWN) == []


def _served() -> set[tuple[str, str]]:
    rows = {(row.method, blanked(row.path)) for _, row in served()}
    return {operation.name for operation in shapes.operations() if (operation.method, blanked(operation.path)) in rows}


def _ask(server: Server, method: str, target: str, body: object = None) -> Answer:
    return wire.ask(server.client, method, target, None if body is None else compact(body))


def _discovery(server: Server) -> None:
    assert "v1.1" in _ask(server, "GET", "/_matrix/client/versions").json["versions"]
    assert _ask(server, "GET", "/.well-known/matrix/client").status == 200
    assert _ask(server, "GET", "/.well-known/matrix/support").status == 200
    assert _ask(server, "GET", "/.well-known/matrix/policy_server").status == 200
    assert _ask(server, "GET", f"{V3}/login").status == 200
    assert wire.ask(server.federation, "GET", "/.well-known/matrix/server").status == 200


def _accounts(server: Server, alice: Person) -> None:
    token = server.command("invite", "--token-only")
    validity = f"{_V1}/register/m.login.registration_token/validity?token="
    assert _ask(server, "GET", validity + token).json == {"valid": True}
    assert _ask(server, "GET", validity + "guessed").json == {"valid": False}
    name = fresh("newcomer")
    assert _ask(server, "GET", f"{V3}/register/available?username={name}").json == {"available": True}
    wish: dict[str, Any] = {"username": name, "password": "correct horse", "refresh_token": True}
    session = _ask(server, "POST", f"{V3}/register", wish).json["session"]
    wish["auth"] = {"type": "m.login.registration_token", "token": token, "session": session}
    assert _ask(server, "POST", f"{V3}/register", wish).json["completed"] == ["m.login.registration_token"]
    wish["auth"] = {"type": "m.login.dummy", "session": session}
    registered = _ask(server, "POST", f"{V3}/register", wish).json
    assert _ask(server, "POST", f"{V3}/refresh", {"refresh_token": registered["refresh_token"]}).status == 200
    alice.get("account", "whoami")
    alice.get("account", "3pid")
    for kind in ("unbind", "delete"):
        unbound = alice.post("account", "3pid", kind, medium="email", address="alice@example.org")
        assert unbound == {"id_server_unbind_result": "no-support"}
    assert alice.get("voip", "turnServer")["username"].endswith(alice.user_id)
    alice.get("capabilities")
    alice.get("admin", "whois", alice.user_id)
    other = registered["user_id"]
    for kind, field in (("lock", "locked"), ("suspend", "suspended")):
        target = segments(f"{_V1}/admin/{kind}", other)
        assert alice.call("GET", target) == {field: False}
        alice.call("PUT", target, {field: True})
        alice.call("PUT", target, {field: False})
    alice.post("user", alice.user_id, "openid", "request_token")


def _proven(person: Person, method: str, target: str, body: Mapping[str, Any]) -> Any:
    """A request that needs the password again."""
    asked = person.ask(method, target, body)
    assert asked.status == 401, asked
    identifier = {"type": "m.id.user", "user": person.user_id}
    auth = {
        "type": "m.login.password",
        "identifier": identifier,
        "password": person.password,
        "session": asked.json["session"],
    }
    return person.call(method, target, {**body, "auth": auth})


def _devices(alice: Person) -> None:
    others = [alice.on_another_device() for _ in range(2)]
    assert len(alice.get("devices")["devices"]) == 3
    alice.put("devices", others[0].device_id, display_name="The old one")
    assert alice.get("devices", others[0].device_id)["display_name"] == "The old one"
    _proven(alice, "DELETE", path("devices", others[0].device_id), {})
    _proven(alice, "POST", path("delete_devices"), {"devices": [others[1].device_id]})
    _proven(alice, "POST", path("account", "password"), {"new_password": "battery staple", "logout_devices": False})
    alice.password = "battery staple"


def _user_data(alice: Person, bob: Person) -> None:
    user = alice.user_id
    alice.put("profile", user, "displayname", displayname="Alice")
    alice.put("profile", user, "avatar_url", avatar_url="mxc://north.example/face")
    alice.put("profile", user, "m.tz", **{"m.tz": "Europe/Vilnius"})
    assert bob.get("profile", user)["displayname"] == "Alice"
    assert bob.get("profile", user, "m.tz") == {"m.tz": "Europe/Vilnius"}
    alice.call("DELETE", path("profile", user, "m.tz"))
    alice.put("presence", user, "status", presence="online", status_msg="here")
    alice.get("presence", user, "status")
    alice.put("user", user, "account_data", "org.example", kept=True)
    assert alice.get("user", user, "account_data", "org.example") == {"kept": True}
    made = alice.post("user", user, "filter", room={"timeline": {"limit": 3}})
    assert alice.get("user", user, "filter", made["filter_id"])["room"]["timeline"] == {"limit": 3}
    room_id = alice.makes_room()
    alice.put("user", user, "rooms", room_id, "account_data", "org.example", kept="here")
    alice.get("user", user, "rooms", room_id, "account_data", "org.example")
    alice.put("user", user, "rooms", room_id, "tags", "m.favourite", order=0.5)
    assert alice.get("user", user, "rooms", room_id, "tags") == {"tags": {"m.favourite": {"order": 0.5}}}
    alice.call("DELETE", path("user", user, "rooms", room_id, "tags", "m.favourite"))


def _rooms(alice: Person, bob: Person) -> None:
    room_id = alice.makes_room(preset="public_chat", name="Square")
    alice.post("rooms", room_id, "invite", user_id=bob.user_id)
    bob.syncs()
    bob.post("rooms", room_id, "join")
    bob.joins(room_id)
    for deed in ("kick", "ban", "unban"):
        alice.post("rooms", room_id, deed, user_id=bob.user_id, reason="to see how it is")
    bob.joins(room_id)
    bob.post("rooms", room_id, "leave")
    bob.syncs()
    bob.post("rooms", room_id, "forget")
    closed = alice.makes_room(initial_state=[{"type": "m.room.join_rules", "content": {"join_rule": "knock"}}])
    bob.call("POST", path("knock", closed), {"reason": "let me in"})
    alice.get("joined_rooms")
    event_id = alice.says(room_id, "soon gone")
    alice.put("rooms", room_id, "redact", event_id, fresh("txn"), reason="gone")
    alice.put("rooms", room_id, "typing", alice.user_id, typing=True, timeout=1_000)
    alice.post("rooms", room_id, "receipt", "m.read", event_id)
    alice.post("rooms", room_id, "read_markers", **{"m.fully_read": event_id})
    alice.sets(room_id, "m.room.topic", {"topic": "everything"})
    alice.syncs()
    bob.syncs()


def _reading(alice: Person) -> None:
    room_id = alice.makes_room(name="Archive", topic="old", is_direct=False)
    event_id = alice.says(room_id, "one")
    alice.says(room_id, "two")
    for segment in (("state",), ("state", "m.room.name", ""), ("members",), ("joined_members",), ("aliases",)):
        alice.get("rooms", room_id, *segment)
    assert "event_id" in alice.call("GET", path("rooms", room_id, "state", "m.room.name", ""), format="event")
    relation = {"m.relates_to": {"rel_type": "m.thread", "event_id": event_id}}
    alice.sends(room_id, "m.room.message", {"msgtype": "m.text", "body": "three", **relation})
    for kinds in ((), ("m.thread",), ("m.thread", "m.room.message")):
        found = alice.call("GET", segments(f"{_V1}/rooms", room_id, "relations", event_id, *kinds))
        assert len(found["chunk"]) == 1
    assert alice.call("GET", segments(f"{_V1}/rooms", room_id, "threads"))["chunk"][0]["event_id"] == event_id
    alice.get("rooms", room_id, "event", event_id)
    alice.get("rooms", room_id, "context", event_id)
    alice.get("rooms", room_id, "messages", dir="b", filter=json.dumps({"lazy_load_members": True}))
    alice.get("rooms", room_id, "messages", dir="f", limit="1")
    lazy = json.dumps({"room": {"state": {"lazy_load_members": True}, "timeline": {"limit": 1}}})
    for query in ({"filter": lazy}, {"full_state": "true"}, {"use_state_after": "true"}):
        alice.get("sync", **query)


def _directory(alice: Person) -> None:
    name = fresh("square")
    room_id = alice.makes_room(preset="public_chat", name="Listed", topic="everything")
    alias = f"#{name}:north.example"
    alice.put("directory", "room", alias, room_id=room_id)
    assert alice.get("directory", "room", alias)["room_id"] == room_id
    assert alice.get("rooms", room_id, "aliases") == {"aliases": [alias]}
    alice.sets(room_id, "m.room.canonical_alias", {"alias": alias})
    alice.put("directory", "list", "room", room_id, visibility="public")
    assert alice.get("directory", "list", "room", room_id) == {"visibility": "public"}
    assert room_id in {room["room_id"] for room in alice.get("publicRooms")["chunk"]}
    found = alice.post("publicRooms", filter={"generic_search_term": "listed"}, limit=5)
    assert room_id in {room["room_id"] for room in found["chunk"]}
    alice.call("DELETE", path("directory", "room", alias))


def _push(alice: Person, bob: Person) -> None:
    assert "global" in alice.call("GET", f"{V3}/pushrules/")
    alice.call("GET", f"{V3}/pushrules/global/")
    rule = ("pushrules", "global", "content", "org.example.rule")
    alice.put(*rule, pattern="news", actions=["notify"])
    alice.get(*rule)
    alice.put(*rule, "enabled", enabled=False)
    assert alice.get(*rule, "enabled") == {"enabled": False}
    alice.put(*rule, "actions", actions=["notify", {"set_tweak": "sound", "value": "default"}])
    alice.get(*rule, "actions")
    alice.call("DELETE", path(*rule))
    alice.post(
        *("pushers", "set"),
        kind="http",
        app_id="org.example",
        pushkey="key",
        app_display_name="Example",
        device_display_name="Telephone",
        lang="en",
        data={"url": "https://127.0.0.1:1/_matrix/push/v1/notify"},
    )
    assert len(alice.get("pushers")["pushers"]) == 1
    alice.post("pushers", "set", kind=None, app_id="org.example", pushkey="key")
    room_id = alice.makes_room(invite=[bob.user_id])
    bob.accepts(room_id)
    bob.says(room_id, f"for you, {alice.user_id}")
    alice.hears(room_id, f"for you, {alice.user_id}")
    alice.waits_for(lambda: alice.get("notifications", limit="5")["notifications"])


def _signer(name: str) -> SigningKey:
    return SigningKey(hashlib.sha256(name.encode()).digest(), name)


def _device_keys(person: Person, key: SigningKey) -> dict[str, Any]:
    keys = {
        "user_id": person.user_id,
        "device_id": person.device_id,
        "algorithms": ["m.megolm.v1.aes-sha2"],
        "keys": {key.key_id: key.verify_key.to_base64(), f"curve25519:{person.device_id}": "A" * 43},
    }
    return sign_json(keys, person.user_id, key)


def _cross_signing_key(person: Person, usage: str, key: SigningKey, by: SigningKey | None) -> dict[str, Any]:
    public = key.verify_key.to_base64()
    keys = {"user_id": person.user_id, "usage": [usage], "keys": {f"ed25519:{public}": public}}
    if by is None:
        return keys
    signing = SigningKey(by.export_seed(), by.verify_key.to_base64().replace("/", "_").replace("+", "_"))
    name = f"ed25519:{by.verify_key.to_base64()}"
    signature = next(iter(sign_json(keys, person.user_id, signing)["signatures"][person.user_id].values()))
    return {**keys, "signatures": {person.user_id: {name: signature}}}


def _keys(alice: Person, bob: Person) -> None:
    device = _signer(alice.device_id)
    one_time = {f"signed_curve25519:{number}": {"key": "A" * 43, "signatures": {}} for number in range(2)}
    fallback = {"signed_curve25519:last": {"key": "B" * 43, "fallback": True, "signatures": {}}}
    uploaded = _device_keys(alice, device)
    alice.post("keys", "upload", device_keys=uploaded, one_time_keys=one_time, fallback_keys=fallback)
    since = bob.syncs()["next_batch"]
    master, own, others = (_signer(alice.user_id.strip("@").partition(":")[0] + name) for name in "mso")
    alice.post(
        *("keys", "device_signing", "upload"),
        master_key=_cross_signing_key(alice, "master", master, None),
        self_signing_key=_cross_signing_key(alice, "self_signing", own, master),
        user_signing_key=_cross_signing_key(alice, "user_signing", others, master),
    )
    public = own.verify_key.to_base64()
    bare = {name: value for name, value in uploaded.items() if name != "signatures"}
    signature = next(iter(sign_json(bare, alice.user_id, own)["signatures"][alice.user_id].values()))
    signed = {**bare, "signatures": {alice.user_id: {f"ed25519:{public}": signature}}}
    done = alice.call("POST", path("keys", "signatures", "upload"), {alice.user_id: {alice.device_id: signed}})
    assert done == {"failures": {}}
    queried = bob.post("keys", "query", device_keys={alice.user_id: []})
    assert f"ed25519:{public}" in queried["device_keys"][alice.user_id][alice.device_id]["signatures"][alice.user_id]
    assert "user_signing_keys" in alice.post("keys", "query", device_keys={alice.user_id: []})
    for _ in range(3):
        claimed = bob.post("keys", "claim", one_time_keys={alice.user_id: {alice.device_id: "signed_curve25519"}})
        assert claimed["one_time_keys"][alice.user_id][alice.device_id]
    until = bob.syncs()["next_batch"]
    assert alice.user_id in bob.get("keys", "changes", **{"from": since, "to": until})["changed"]
    bob.put("sendToDevice", "m.room.encrypted", fresh("txn"), messages={alice.user_id: {"*": {"hidden": True}}})
    alice.waits_for(lambda: alice.letters)


def _backup(alice: Person) -> None:
    auth = {"public_key": "A" * 43, "signatures": {}}
    algorithm = "m.megolm_backup.v1.curve25519-aes-sha2"
    version = alice.post("room_keys", "version", algorithm=algorithm, auth_data=auth)["version"]
    alice.get("room_keys", "version")
    alice.put("room_keys", "version", version, algorithm=algorithm, auth_data=auth, version=version)
    alice.get("room_keys", "version", version)
    session = {"first_message_index": 1, "forwarded_count": 0, "is_verified": True, "session_data": {"ciphertext": "x"}}
    room = {"sessions": {"session": session}}
    where: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
        ((), {"rooms": {"!room:north.example": room}}),
        (("!room:north.example",), room),
        (("!room:north.example", "session"), session),
    )
    for segment, body in where:
        target = path("room_keys", "keys", *segment)
        alice.call("PUT", target, body, version=version)
        assert alice.call("GET", target, version=version) == body
    for segment, _ in reversed(where):
        alice.call("DELETE", path("room_keys", "keys", *segment), version=version)
    alice.call("DELETE", path("room_keys", "version", version))


def _media(alice: Person, server: Server, peer: Peer) -> None:
    data = picture(bytes(range(32)))
    headers = {"authorization": f"Bearer {alice.token}", "content-type": "image/png"}
    uploaded = wire.ask(server.client, "POST", "/_matrix/media/v3/upload?filename=p.png", data, headers).json
    created = alice.call("POST", "/_matrix/media/v1/create")
    later = created["content_uri"].removeprefix("mxc://")
    assert wire.ask(server.client, "PUT", f"/_matrix/media/v3/upload/{later}", data, headers).json == {}
    media = uploaded["content_uri"].removeprefix("mxc://")
    for target in (f"{_V1}/media/config", "/_matrix/media/v3/config"):
        assert alice.call("GET", target)["m.upload.size"] == 2_000_000
    for target in (f"{_V1}/media/download/{media}", f"{_V1}/media/download/{media}/other.png"):
        assert alice.ask("GET", target).body == data
    size = "?width=32&height=32&method=crop"
    assert alice.ask("GET", f"{_V1}/media/thumbnail/{media}{size}").status == 200
    media_id = media.partition("/")[2]
    for target in (f"{FEDERATION}/v1/media/download/{media_id}", f"{FEDERATION}/v1/media/thumbnail/{media_id}{size}"):
        found = peer.ask(server, "GET", target)
        assert found.headers["content-type"].startswith("multipart/mixed")
    for target in (f"download/{media}", f"download/{media}/p.png", f"thumbnail/{media}{size}"):
        assert _ask(server, "GET", f"/_matrix/media/v3/{target}").refusal == (404, "M_NOT_FOUND")


def _endings(server: Server, alice: Person) -> None:
    leaver = Person.provisioned(server, "leaver")
    _proven(leaver, "POST", path("account", "deactivate"), {"erase": True})
    alice.on_another_device().post("logout")
    alice.post("logout", "all")
