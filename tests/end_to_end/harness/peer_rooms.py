"""Rooms as a played peer keeps them: enough of a graph to make events that are right, or wrong in one chosen way."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from tests.end_to_end.harness.peers import FEDERATION, Asked, Peer, now_ms, segments, standard_base64
from tests.end_to_end.harness.people import Person, fresh
from tests.end_to_end.harness.servers import Server
from tests.end_to_end.harness.wire import Answer, compact
from watchword.protocol.auth_event_selection import auth_events_for
from watchword.protocol.ids import EventId
from watchword.protocol.redaction import redact
from watchword.protocol.room_versions import ROOM_VERSIONS, EventIdFormat, RoomVersion
from watchword.protocol.signatures import SigningKey

Raw = dict[str, Any]


def hashed(raw: Mapping[str, Any]) -> Raw:
    """The event with the hash of its content, written here anew so that the server's own code is not its judge."""
    covered = {name: value for name, value in raw.items() if name not in ("hashes", "signatures", "unsigned")}
    return {**raw, "hashes": {"sha256": standard_base64(hashlib.sha256(compact(covered)).digest())}}


def _signable(raw: Mapping[str, Any], version: RoomVersion) -> bytes:
    kept = redact(raw, version)
    kept.pop("signatures", None)
    kept.pop("unsigned", None)
    return compact(kept)


def signed(raw: Mapping[str, Any], version: RoomVersion, name: str, key: SigningKey) -> Raw:
    """The event with one signature more."""
    signatures = {**raw.get("signatures", {}), name: {key.key_id: key.sign(_signable(raw, version))}}
    return {**raw, "signatures": signatures}


def event_id_of(raw: Mapping[str, Any], version: RoomVersion) -> str:
    """The ID of an event."""
    if version.event_ids_in_events:
        return str(raw["event_id"])
    digest = hashlib.sha256(_signable(raw, version)).digest()
    if version.event_id_format is EventIdFormat.HASH:
        return "$" + standard_base64(digest)
    return "$" + base64.urlsafe_b64encode(digest).decode().rstrip("=")


@dataclass
class PeerRoom:
    """A room of a peer: one that it made itself, or joined. state: what it believes; ends: what new events follow."""

    peer: Peer
    version: RoomVersion
    room_id: str = ""
    state: dict[tuple[str, str], str] = field(default_factory=dict)
    events: dict[str, Raw] = field(default_factory=dict)
    ends: list[str] = field(default_factory=list)
    depth: int = 0

    @property
    def user(self) -> str:
        """A user of the peer."""
        return f"@mallory:{self.peer.name}"

    # Events

    def draft(self, event_type: str, content: Mapping[str, Any], state_key: str | None = None, **changes: Any) -> Raw:
        """An event at the end of the room, not yet hashed. changes: fields that are to be otherwise; `...` leaves one out."""
        sender = str(changes.get("sender", self.user))
        state = {key: EventId(event_id) for key, event_id in self.state.items()}
        raw: Raw = {
            "type": event_type,
            "sender": sender,
            "content": dict(content),
            "origin_server_ts": now_ms(),
            "depth": self.depth + 1,
            "prev_events": self._cited(self.ends),
            "auth_events": self._cited(auth_events_for(event_type, state_key, sender, content, self.version, state=state)),
            "room_id": self.room_id,
        }
        if state_key is not None:
            raw["state_key"] = state_key
        if self.version.event_ids_in_events:
            raw["event_id"] = f"${fresh('event')}:{self.peer.name}"
        return {name: value for name, value in {**raw, **changes}.items() if value is not ...}

    def _cited(self, event_ids: Sequence[str]) -> list[Any]:
        if self.version.event_ids_in_events:
            return [[each, {"sha256": standard_base64(b"?" * 32)}] for each in event_ids]
        return list(event_ids)

    def seal(self, raw: Mapping[str, Any]) -> Raw:
        """Hash and sign a draft."""
        return signed(hashed(raw), self.version, self.peer.name, self.peer.key)

    def event(self, event_type: str, content: Mapping[str, Any], state_key: str | None = None, **changes: Any) -> Raw:
        """A hashed and signed event that the peer does not keep."""
        return self.seal(self.draft(event_type, content, state_key, **changes))

    def message(self, text: str, **changes: Any) -> Raw:
        """A message that the peer does not keep."""
        return self.event("m.room.message", {"msgtype": "m.text", "body": text}, **changes)

    def id_of(self, raw: Mapping[str, Any]) -> str:
        """The ID of an event of this room."""
        return event_id_of(raw, self.version)

    def keep(self, raw: Raw) -> str:
        """Take an event into the peer's view of the room, as its new end."""
        event_id = self.id_of(raw)
        self.events[event_id] = raw
        if "state_key" in raw:
            self.state[raw["type"], raw["state_key"]] = event_id
        self.ends = [event_id]
        self.depth = raw["depth"]
        return event_id

    # A room of the peer's own

    @staticmethod
    def made_by(peer: Peer, version: str = "12") -> "PeerRoom":
        """A public room on the peer, which answers joins and whatever is asked about it."""
        room = PeerRoom(peer, ROOM_VERSIONS[version])
        room._make()
        peer.answers("GET", f"{FEDERATION}/v1/make_join/.*", room.answer_make_join)
        peer.answers("PUT", f"{FEDERATION}/v2/send_join/.*", room.answer_send_join)
        peer.answers("GET", f"{FEDERATION}/v1/event/.*", room.answer_event)
        return room

    def _make(self) -> None:
        content = {"room_version": self.version.identifier}
        if self.version.creator_in_content:
            content["creator"] = self.user
        if self.version.room_id_is_create_hash:
            create = self.event("m.room.create", content, "", room_id=..., auth_events=[], prev_events=[])
            self.room_id = "!" + self.id_of(create)[1:]
        else:
            self.room_id = f"!{fresh('room')}:{self.peer.name}"
            create = self.event("m.room.create", content, "", auth_events=[], prev_events=[])
        self.keep(create)
        self.keep(self.event("m.room.member", {"membership": "join"}, self.user))
        users = {} if self.version.privileged_creators else {self.user: 100}
        self.keep(self.event("m.room.power_levels", {"users": users}, ""))
        self.keep(self.event("m.room.join_rules", {"join_rule": "public"}, ""))

    def template(self, user_id: str) -> Raw:
        """What a resident proposes as somebody's join."""
        return self.draft("m.room.member", {"membership": "join"}, user_id, sender=user_id)

    def answer_make_join(self, asked: Asked) -> tuple[int, object]:
        """A template."""
        user_id = asked.target.partition("?")[0].rpartition("/")[2].replace("%40", "@").replace("%3A", ":")
        return 200, {"event": self.template(user_id), "room_version": self.version.identifier}

    def answer_send_join(self, asked: Asked) -> tuple[int, object]:
        """The state before the join, which is taken."""
        state = [self.events[event_id] for event_id in self.state.values()]
        join = asked.json
        self.keep(join)
        return 200, {"event": join, "state": state, "auth_chain": state, "members_omitted": False, "origin": self.peer.name}

    def answer_event(self, asked: Asked) -> tuple[int, object]:
        """One event, if the peer has it."""
        event_id = asked.target.rpartition("/")[2].replace("%24", "$")
        if event_id not in self.events:
            return 404, {"errcode": "M_NOT_FOUND", "error": "There is no such event."}
        return 200, {"origin": self.peer.name, "origin_server_ts": now_ms(), "pdus": [self.events[event_id]]}

    # A room of somebody else's

    @staticmethod
    def joined_by(peer: Peer, server: Server, room_id: str) -> "PeerRoom":
        """The peer's user joins a room of a server under test, as an honest peer does."""
        room = PeerRoom(peer, ROOM_VERSIONS["12"], room_id)
        made = room.make_join(server)
        assert made.status == 200, made
        room.version = ROOM_VERSIONS[made.json["room_version"]]
        join = room.seal({**made.json["event"], "origin_server_ts": now_ms()} | room._own_id())
        answer = room.send_join(server, join)
        assert answer.status == 200, answer
        for event in answer.json["state"]:
            room.keep(event)
        room.keep(join)
        return room

    def _own_id(self) -> Raw:
        return {"event_id": f"${fresh('join')}:{self.peer.name}"} if self.version.event_ids_in_events else {}

    def make_join(self, server: Server, versions: Sequence[str] = tuple(ROOM_VERSIONS)) -> Answer:
        """Ask for a template."""
        target = segments(f"{FEDERATION}/v1/make_join", self.room_id, self.user)
        return self.peer.ask(server, "GET", f"{target}?{urlencode([('ver', each) for each in versions])}")

    def send_join(self, server: Server, join: Mapping[str, Any]) -> Answer:
        """Hand a join over."""
        return self.peer.ask(server, "PUT", segments(f"{FEDERATION}/v2/send_join", self.room_id, self.id_of(join)), join)


def tampered(event: Raw) -> Raw:
    """The event with signatures that are none."""
    forged = {name: dict.fromkeys(keys, "A" * 86) for name, keys in event["signatures"].items()}
    return {**event, "signatures": forged}


def met(server: Server, peer: Peer, version: str = "12") -> tuple[Person, PeerRoom]:
    """alice, and a peer whose user is in a public room of hers."""
    alice = Person.provisioned(server, "alice")
    room_id = alice.makes_room(preset="public_chat", room_version=version)
    room = PeerRoom.joined_by(peer, server, room_id)
    alice.sees_membership(room_id, room.user, "join")
    return alice, room
