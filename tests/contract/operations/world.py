"""The small world in which every operation is asked: who there is, in which rooms, and who knows which secret.

A role is a session: somebody's relation to the room `hall`, or the state of his account. Names in braces stand for what
only the running server knows: `{room:hall}`, `{user:owner}`, `{event:before}`, `{device:me}`.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import quote

from tests.contract.operations.stage import AS_TOKEN, FAR, HERE, NEAR, SHARED_SECRET, SHUT, Stage, key_of, loaded
from tests.end_to_end.harness.peer_rooms import PeerRoom
from tests.end_to_end.harness.peers import Peer
from tests.end_to_end.harness.servers import Server
from tests.end_to_end.harness.wire import Answer
from watchword.protocol.room_versions import ROOM_VERSIONS
from watchword.protocol.signatures import SigningKey, sign_json

V3 = "/_matrix/client/v3"
V1 = "/_matrix/client/v1"
PASSWORD = "correct horse"
_WHEN_MS = 1_700_000_000_000

OUTSIDE = ("nobody", "unknown")
PEOPLE = ("owner", "member", "stranger", "left", "banned", "invited", "admin", "suspended", "locked")
ROLES = (*OUTSIDE, "guest", *PEOPLE, "service")
SERVERS = ("unsigned", "forged", "near", "far", "shut")
SERVER_NAMES = {"near": NEAR, "far": FAR, "shut": SHUT}


@dataclass(frozen=True)
class Session:
    """One role. token: None for nobody; user_id and device_id of nobody are not there."""

    role: str
    token: str | None
    user_id: str = ""
    device_id: str = ""


@dataclass(frozen=True)
class Secret:
    """Words that only some may ever be told."""

    text: str
    known_to: frozenset[str]


@dataclass
class Cast:
    """Everybody and everything. names: what stands in braces → what it is; values: the same for whole JSON values."""

    sessions: dict[str, Session] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    secrets: list[Secret] = field(default_factory=list)

    def resolve(self, value: Any, me: Session) -> Any:
        """A JSON value with every name in braces replaced, in keys as well."""
        if isinstance(value, str):
            return self.values[value] if value in self.values else self._text(value, me)
        if isinstance(value, dict):
            return {self._text(key, me) if isinstance(key, str) else key: self.resolve(each, me) for key, each in value.items()}
        if isinstance(value, list):
            return [self.resolve(each, me) for each in value]
        return value

    def _text(self, text: str, me: Session) -> str:
        if "{" not in text:
            return text
        server = me.user_id.partition(":")[2]
        mine = {
            "{role}": me.role,
            f"{{alias:{me.role}}}": f"#{me.role}:{HERE}",
            "{user:me}": me.user_id,
            "{user:peer}": me.user_id,
            "{user:other}": f"@other:{server}",
            "{device:me}": me.device_id,
            "{server:peer}": server,
        }
        # His own names first: what they leave may be a name again.
        for name, found in (*mine.items(), *self.names.items()):
            text = text.replace(name, found)
        return text

    def told(self, role: str, body: bytes) -> list[str]:
        """Which secrets a role learns from these bytes although they are not for it."""
        return [each.text for each in self.secrets if role not in each.known_to and each.text.encode() in body]


class _PlayedPeer:
    """As much of a peer as a room of it needs."""

    def __init__(self, stage: Stage, name: str) -> None:
        self.name = name
        self.key = key_of(name)
        self._stage = stage

    def ask(self, _: object, method: str, target: str, body: object = None) -> Answer:
        return self._stage.ask_as_server(self.name, method, target, body)


class Builder:
    """Makes the world, once, on a fresh server."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.cast = Cast()
        self._count = 0

    def build(self) -> Cast:
        """Everything, in an order in which everybody may do what he has to do."""
        self._people()
        self._hall()
        self._other_rooms()
        self._events_of_peers()
        self._owner_has_things()
        self._secrets()
        self._name("token:now", self.ask("stranger", "GET", f"{V3}/sync?timeout=0")["next_batch"])
        page = self.in_room("member", "hall", "GET", "messages?dir=b&limit=2")
        self._name("token:page", page["end"])
        for role, verb in (("suspended", "suspend"), ("locked", "lock")):
            target = f"{V1}/admin/{verb}/{quote(self.user(role))}"
            self.ask("admin", "PUT", target, {verb + "ed" if verb == "suspend" else "locked": True})
        return self.cast

    # Asking

    def ask(self, role: str, method: str, target: str, body: object = None) -> Any:
        """A request that must succeed."""
        return loaded(self.stage.ask(method, target, body, self.cast.sessions[role].token))

    def in_room(self, role: str, room: str, method: str, rest: str, body: object = None) -> Any:
        """A request about a room by its name."""
        return self.ask(role, method, f"{V3}/rooms/{quote(self.room(room))}/{rest}", body)

    def user(self, role: str) -> str:
        return self.cast.sessions[role].user_id

    def room(self, name: str) -> str:
        return self.cast.names[f"{{room:{name}}}"]

    def _name(self, name: str, value: str) -> str:
        self.cast.names[f"{{{name}}}"] = value
        return value

    def _says(self, role: str, room: str, content: Mapping[str, Any], event_type: str = "m.room.message") -> str:
        self._count += 1
        body = {"msgtype": "m.text", **content} if event_type == "m.room.message" else content
        sent = self.in_room(role, room, "PUT", f"send/{event_type}/built{self._count}", body)
        event_id: str = sent["event_id"]
        return event_id

    # People

    def _people(self) -> None:
        sessions = self.cast.sessions
        sessions["nobody"] = Session("nobody", None, f"@nobody:{HERE}", "NOBODY")
        sessions["unknown"] = Session("unknown", "guessed", f"@nobody:{HERE}", "NOBODY")
        for role in PEOPLE:
            answer = self._provisioned(role) if role == "admin" else self._registered(role)
            self._enters(role, answer)
        self._enters("guest", loaded(self.stage.ask("POST", f"{V3}/register?kind=guest", {})))
        sessions["service"] = Session("service", AS_TOKEN, f"@bridge:{HERE}", "BRIDGE")
        self._name("user:nobody", f"@nobody:{HERE}")
        self._name("user:remote", f"@mallory:{NEAR}")
        self._name("user:elsewhere", "@somebody:gone.example")
        self._name("server:here", HERE)
        self._name("server:near", NEAR)
        self._name("key:master", "masterkey" + "A" * 34)

    def _enters(self, role: str, answer: Mapping[str, Any]) -> None:
        session = Session(role, answer["access_token"], answer["user_id"], answer["device_id"])
        self.cast.sessions[role] = session
        self._name(f"user:{role}", session.user_id)
        self._name(f"device:{role}", session.device_id)

    def _registered(self, name: str) -> Any:
        body = {"username": name, "password": PASSWORD, "auth": {"type": "m.login.dummy"}}
        return loaded(self.stage.ask("POST", f"{V3}/register", body))

    def _provisioned(self, name: str) -> Any:
        where = "/_synapse/admin/v1/register"
        nonce = loaded(self.stage.ask("GET", where))["nonce"]
        said = "\0".join((nonce, name, PASSWORD, "admin"))
        mac = hmac.new(SHARED_SECRET.encode(), said.encode(), hashlib.sha1).hexdigest()
        body = {"nonce": nonce, "username": name, "password": PASSWORD, "admin": True, "mac": mac}
        return loaded(self.stage.ask("POST", where, body))

    # Rooms

    def _hall(self) -> None:
        """Private by the time it is ready; some were in and are not any more."""
        room_id = self.ask("owner", "POST", f"{V3}/createRoom", {"preset": "public_chat", "name": "The hall"})["room_id"]
        self._name("room:hall", room_id)
        for role in ("member", "left", "banned", "suspended", "locked"):
            self.in_room(role, "hall", "POST", "join", {})
        for name in (NEAR, SHUT):
            # The room asks no more of a peer than its name, its key and a way to ask.
            PeerRoom.joined_by(cast(Peer, _PlayedPeer(self.stage, name)), cast(Server, self.stage), room_id)
        self._name("event:before", self._says("owner", "hall", {"body": "secret of the hall, before"}))
        self.in_room("left", "hall", "POST", "leave", {})
        self.in_room("owner", "hall", "POST", "ban", {"user_id": self.user("banned")})
        self.in_room("owner", "hall", "PUT", "state/m.room.join_rules", {"join_rule": "invite"})
        acl = {"allow": ["*"], "deny": [SHUT], "allow_ip_literals": True}
        self.in_room("owner", "hall", "PUT", "state/m.room.server_acl", acl)
        self.in_room("owner", "hall", "POST", "invite", {"user_id": self.user("invited")})
        root = self._name("event:after", self._says("owner", "hall", {"body": "secret of the hall, after"}))
        self._name("event:own", self._says("member", "hall", {"body": f"for {self.user('owner')}: secret of the member"}))
        self._name("event:suspended", self._says("suspended", "hall", {"body": "what the suspended said"}))
        self.in_room("owner", "hall", "PUT", "state/org.example.plan", {"plan": "secret plan of the hall"})
        thread = {"rel_type": "m.thread", "event_id": root}
        self._name("event:reply", self._says("member", "hall", {"body": "secret reply in a thread", "m.relates_to": thread}))
        annotation = {"m.relates_to": {"rel_type": "m.annotation", "event_id": root, "key": "secret reaction"}}
        self._says("member", "hall", annotation, "m.reaction")
        self._name("event:unknown", "$" + "A" * 43)
        self._name("room:unknown", "!" + "A" * 43)

    def _other_rooms(self) -> None:
        guests = {"type": "m.room.guest_access", "content": {"guest_access": "can_join"}}
        readable = {"type": "m.room.history_visibility", "content": {"history_visibility": "world_readable"}}
        public = {"preset": "public_chat", "visibility": "public", "room_alias_name": "square", "name": "The square"}
        square = self.ask("owner", "POST", f"{V3}/createRoom", {**public, "initial_state": [guests, readable]})["room_id"]
        self._name("room:square", square)
        self._name("alias:square", f"#square:{HERE}")
        self._name("alias:new", f"#new:{HERE}")
        self.in_room("member", "square", "POST", "join", {})
        self._name("event:square", self._says("owner", "square", {"body": "word of the square"}))
        knock = {"type": "m.room.join_rules", "content": {"join_rule": "knock"}}
        gate = self.ask("owner", "POST", f"{V3}/createRoom", {"name": "The gate", "initial_state": [knock]})["room_id"]
        self._name("room:gate", gate)
        children = [
            {"type": "m.space.child", "state_key": room, "content": {"via": [HERE]}}
            for room in (self.room("hall"), square, gate)
        ]
        space = {"creation_content": {"type": "m.space"}, "name": "secret name of the space", "initial_state": children}
        self._name("room:space", self.ask("owner", "POST", f"{V3}/createRoom", space)["room_id"])
        self.in_room("owner", "space", "POST", "invite", {"user_id": self.user("member")})
        self.in_room("member", "space", "POST", "join", {})

    def _events_of_peers(self) -> None:
        """Events that other servers could hand over now: signed, and right at this moment of the rooms."""
        for name, peer_name, room, membership in (
            ("far-join", FAR, "square", "join"),
            ("far-knock", FAR, "gate", "knock"),
            ("near-leave", NEAR, "hall", "leave"),
        ):
            peer = _PlayedPeer(self.stage, peer_name)
            hosted = PeerRoom(cast(Peer, peer), ROOM_VERSIONS["12"], self.room(room))
            where = f"/_matrix/federation/v1/make_{membership}/{quote(hosted.room_id)}/{quote(hosted.user)}?ver=12"
            template = loaded(peer.ask(None, "GET", where))["event"]
            self._event_of_peer(name, hosted, hosted.seal({**template, "origin_server_ts": _WHEN_MS}))
        theirs = PeerRoom(cast(Peer, _PlayedPeer(self.stage, FAR)), ROOM_VERSIONS["12"])
        theirs._make()
        self._name("room:far", theirs.room_id)
        self.cast.values["{state:far}"] = [theirs.events[theirs.state["m.room.create", ""]]]
        invite = theirs.event("m.room.member", {"membership": "invite"}, self.user("stranger"))
        self._event_of_peer("far-invite", theirs, invite)
        near = cast(Peer, _PlayedPeer(self.stage, NEAR))
        after = self.cast.names["{event:after}"]
        text = {"msgtype": "m.text", "body": "from near"}
        message = PeerRoom(near, ROOM_VERSIONS["12"], self.room("hall"), ends=[after], depth=20).event("m.room.message", text)
        self.cast.values["{pdu:near-message}"] = message

    def _event_of_peer(self, name: str, room: PeerRoom, event: dict[str, Any]) -> None:
        self.cast.values[f"{{pdu:{name}}}"] = event
        self._name(f"event:{name}", room.id_of(event))

    # What is the owner's alone

    def _owner_has_things(self) -> None:
        owner = quote(self.user("owner"))
        own = f"{V3}/user/{owner}"
        self.ask("owner", "PUT", f"{own}/account_data/org.example.note", {"note": "secret note of the owner"})
        self.ask("owner", "PUT", f"{own}/account_data/io.example.drafts", {"draft": "secret draft of the owner"})
        room = f"{own}/rooms/{quote(self.room('hall'))}"
        self.ask("owner", "PUT", f"{room}/account_data/org.example.note", {"note": "secret note in the hall"})
        self.ask("owner", "PUT", f"{room}/tags/u.secret-tag", {"order": 0.5})
        # The second one: filters are numbered for each user.
        for types in (["m.room.message"], ["secret.filter"]):
            made = self.ask("owner", "POST", f"{own}/filter", {"room": {"timeline": {"types": types}}})
            self._name("filter:owner", made["filter_id"])
        rule = {"actions": ["notify"], "pattern": "secret-pattern"}
        self.ask("owner", "PUT", f"{V3}/pushrules/global/content/org.example.rule", rule)
        self.ask("owner", "POST", f"{V3}/pushers/set", _PUSHER)
        self._backup()
        self._keys()
        self._name("token:start", "s0")
        letter = {"messages": {self.user("owner"): {"*": {"letter": "secret letter to the owner"}}}}
        self.ask("member", "PUT", f"{V3}/sendToDevice/org.example.letter/built", letter)
        self.ask("owner", "PUT", f"{V3}/profile/{owner}/displayname", {"displayname": "Olga"})
        receipt = f"receipt/m.read.private/{quote(self.cast.names['{event:before}'])}"
        self.in_room("owner", "hall", "POST", receipt, {})
        self.in_room("owner", "hall", "POST", f"receipt/m.read/{quote(self.cast.names['{event:before}'])}", {})
        uploaded = self.stage.ask(
            "POST",
            "/_matrix/media/v3/upload?filename=picture.png",
            PICTURE,
            self.cast.sessions["owner"].token,
            {"content-type": "image/png"},
        )
        self._name("media:picture", loaded(uploaded)["content_uri"].rpartition("/")[2])
        created = self.ask("owner", "POST", "/_matrix/media/v1/create")["content_uri"]
        self._name("media:empty", created.rpartition("/")[2])

    def _backup(self) -> None:
        auth = {"public_key": "A" * 43, "signatures": {}}
        version = {"algorithm": "m.megolm_backup.v1.curve25519-aes-sha2", "auth_data": auth}
        for role, ciphertext in (("owner", "secretbackup"), ("suspended", "anything")):
            number = self.ask(role, "POST", f"{V3}/room_keys/version", version)["version"]
            self._name(f"backup:{role}", number)
            session = {
                "first_message_index": 1,
                "forwarded_count": 0,
                "is_verified": True,
                "session_data": {"ciphertext": ciphertext, "ephemeral": "A" * 43, "mac": "A" * 11},
            }
            where = f"{V3}/room_keys/keys/{quote(self.room('hall'))}/session?version={number}"
            self.ask(role, "PUT", where, session)

    def _keys(self) -> None:
        session = self.cast.sessions["owner"]
        key = SigningKey(b"owner".ljust(32, b"."), session.device_id)
        device = {
            "user_id": session.user_id,
            "device_id": session.device_id,
            "algorithms": ["m.megolm.v1.aes-sha2"],
            "keys": {key.key_id: key.verify_key.to_base64(), f"curve25519:{session.device_id}": "A" * 43},
        }
        one_time = {f"signed_curve25519:{number}": {"key": "A" * 43, "signatures": {}} for number in range(20)}
        uploaded = {"device_keys": sign_json(device, session.user_id, key), "one_time_keys": one_time}
        self.ask("owner", "POST", f"{V3}/keys/upload", uploaded)

    def _secrets(self) -> None:
        inside = {"owner", "member", "suspended", "locked", "near"}
        were_in = inside | {"left", "banned"}
        known = [
            ("secret of the hall, before", were_in | {"shut"}),
            ("secret of the hall, after", inside),
            ("secret of the member", inside),
            ("secret plan of the hall", inside),
            ("secret reply in a thread", inside),
            ("secret reaction", inside),
            ("secret name of the space", {"owner", "member"}),
            ("secret letter to the owner", {"owner"}),
            *((text, {"owner"}) for text in _OWNERS),
            ("$argon2", set()),
            (SHARED_SECRET, set()),
            ("hs_token_of_the_bridge", set()),
            ("of the turn server", set()),
        ]
        # A token is never repeated to anybody, its owner included.
        known += [(each.token, set()) for each in self.cast.sessions.values() if each.token and each.role != "unknown"]
        self.cast.secrets = [Secret(text, frozenset(roles)) for text, roles in known]


_OWNERS = (
    "secret note of the owner",
    "secret draft of the owner",
    "secret note in the hall",
    "u.secret-tag",
    "secret.filter",
    "secret-pattern",
    "secretbackup",
    "secret pushkey",
)
_PUSHER = {
    "app_id": "org.example.app",
    "app_display_name": "App",
    "device_display_name": "Phone",
    "kind": "http",
    "lang": "en",
    "pushkey": "secret pushkey",
    "data": {"url": "https://push.example/_matrix/push/v1/notify"},
}
# One pixel.
PICTURE = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360606060000000050001a5f64540"
    "0000000049454e44ae426082"
)
