"""`python -m bench.core`: what the pure parts cost in CPU time of this process, beside the signature they go with."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from watchword.protocol import canonical_json
from watchword.protocol.auth_rules import check
from watchword.protocol.auth_state import AuthState
from watchword.protocol.event_building import EventDraft, build_event
from watchword.protocol.events import Pdu, StateKey, content_hash, event_id_of, parse_pdu
from watchword.protocol.ids import EventId, RoomId, ServerName, UserId
from watchword.protocol.redaction import redact
from watchword.protocol.room_versions import ROOM_VERSIONS, RoomVersion
from watchword.protocol.signatures import SigningKey, VerifyKey, signable_event, verify_event
from watchword.protocol.state_resolution import resolve_state

_SERVER = ServerName("example.org")
_ALICE = UserId("@alice:example.org")
_ROOM = RoomId("!room:example.org")
_SECONDS = 0.3
_MEMBERS = 10_000
_FORKED = 100


def microseconds(action: Callable[[], object]) -> float:
    """CPU time of one call, repeated for long enough to be believed."""
    action()
    count, begin = 0, time.process_time()
    while (took := time.process_time() - begin) < _SECONDS:
        for _ in range(20):
            action()
        count += 20
    return took / count * 1e6


def event_parts(version: RoomVersion) -> Mapping[str, float]:
    """Microseconds of each thing done to a typical message."""
    key = SigningKey(bytes(32), "a")
    room = make_room(version, members=3)
    draft = EventDraft(
        type="m.room.message",
        sender=_ALICE,
        room_id=room.room_id,
        content={"msgtype": "m.text", "body": "The quick brown fox jumps over the lazy dog — žąsų šeima, 猫, 🦊."},
        origin_server_ts=1_800_000_000_000,
        depth=12,
        prev_events=[EventId("$" + "p" * 43)],
        auth_events=[EventId("$" + "a" * 43), EventId("$" + "b" * 43)],
    )
    pdu, encoded = build_event(draft, version, _SERVER, key)
    raw: Mapping[str, Any] = pdu.json
    public = VerifyKey.from_base64(key.key_id, key.verify_key.to_base64())
    state = AuthState.of(room.current(), version)
    message = signable_event(raw, version)
    return {
        "sign (bytes)": microseconds(lambda: key.sign(message)),
        "verify a signed event": microseconds(lambda: verify_event(raw, version, _SERVER, public)),
        "canonical encode": microseconds(lambda: canonical_json.encode(raw)),
        "canonical decode": microseconds(lambda: canonical_json.decode(encoded)),
        "content hash": microseconds(lambda: content_hash(raw)),
        "event ID (reference hash)": microseconds(lambda: event_id_of(raw, version)),
        "redact": microseconds(lambda: redact(raw, version)),
        "check the form (parse_pdu)": microseconds(lambda: parse_pdu(raw, version)),
        "authorise": microseconds(lambda: check(pdu, state)),
        "build, hash and sign, everything": microseconds(lambda: build_event(draft, version, _SERVER, key)),
    }


class SyntheticRoom:
    """A room made of unsigned events, for resolving its state."""

    def __init__(self, version: RoomVersion) -> None:
        self.version = version
        self.events: dict[EventId, Pdu] = {}
        self.room_id = _ROOM
        self._state: dict[StateKey, EventId] = {}
        self._depth = 0

    def current(self) -> dict[StateKey, Pdu]:
        """The state as events."""
        return {key: self.events[event_id] for key, event_id in self._state.items()}

    def state(self) -> dict[StateKey, EventId]:
        """The state as event IDs; a copy."""
        return dict(self._state)

    def go_back_to(self, state: Mapping[StateKey, EventId]) -> None:
        """Begin a fork."""
        self._state = dict(state)

    def add(self, event_type: str, state_key: str, content: Mapping[str, Any], sender: UserId = _ALICE) -> None:
        """Append a state event, authorised by what now holds."""
        self._depth += 1
        event_id = EventId(f"${self._depth:043}")
        wanted = [("m.room.power_levels", ""), ("m.room.member", sender), ("m.room.member", state_key)]
        if event_type == "m.room.member":
            wanted.append(("m.room.join_rules", ""))
        if not self.version.room_id_is_create_hash:
            wanted.append(("m.room.create", ""))
        elif event_type == "m.room.create":
            self.room_id = RoomId("!" + event_id[1:])
        cited = (
            [] if event_type == "m.room.create" else [self._state[key] for key in dict.fromkeys(wanted) if key in self._state]
        )
        self.events[event_id] = Pdu(
            event_id=event_id,
            room_id=self.room_id,
            sender=sender,
            type=event_type,
            state_key=state_key,
            content=content,
            origin_server_ts=1_800_000_000_000 + self._depth,
            depth=self._depth,
            prev_events=[EventId(f"${self._depth - 1:043}")],
            auth_events=cited,
            json={},
        )
        self._state[event_type, state_key] = event_id


def make_room(version: RoomVersion, members: int) -> SyntheticRoom:
    """A public room with so many joined members."""
    room = SyntheticRoom(version)
    room.add("m.room.create", "", {"room_version": version.identifier, "creator": _ALICE})
    room.add("m.room.member", _ALICE, {"membership": "join"})
    room.add("m.room.power_levels", "", _levels(version))
    room.add("m.room.join_rules", "", {"join_rule": "public"})
    for number in range(members):
        user = UserId(f"@member{number}:server{number % 50}.example")
        room.add("m.room.member", user, {"membership": "join", "displayname": f"Member {number}"}, user)
    return room


def _levels(version: RoomVersion, **users: int) -> Mapping[str, Any]:
    # In version 12 the creator stands above all levels and may not be named.
    creator = {} if version.room_id_is_create_hash else {_ALICE: 100}
    named = {f"@{name}:server{name.removeprefix('member')}.example": level for name, level in users.items()}
    return {"users": {**creator, **named}, "users_default": 0, "ban": 50, "kick": 50, "invite": 0, "state_default": 50}


def resolution(version: RoomVersion) -> float:
    """CPU milliseconds to resolve two forks of a large room, each with its own levels, bans, renamings and a topic."""
    room = make_room(version, _MEMBERS)
    base = room.state()
    forks = []
    for fork in (0, 1):
        room.go_back_to(base)
        room.add("m.room.power_levels", "", _levels(version, **{f"member{fork}": 50}))
        room.add("m.room.topic", "", {"topic": f"Fork {fork}"})
        for number in range(_FORKED // 2):
            banned, renamed = 100 + number + fork * 25, 1_000 + number + fork * 25
            room.add("m.room.member", f"@member{banned}:server{banned % 50}.example", {"membership": "ban"})
            user = UserId(f"@member{renamed}:server{renamed % 50}.example")
            room.add("m.room.member", user, {"membership": "join", "displayname": f"Renamed in {fork}"}, user)
        forks.append(room.state())
    return microseconds(lambda: resolve_state(forks, room.events, version)) / 1000


def main() -> None:
    """Print both tables in Markdown."""
    parts = event_parts(ROOM_VERSIONS["12"])
    signature = parts["sign (bytes)"]
    print("| a typical message, room version 12 | µs | of a signature |\n|---|---:|---:|")
    for name, cost in parts.items():
        print(f"| {name} | {cost:.1f} | {cost / signature:.0%} |")
    print(f"\n| two forks of a room of {_MEMBERS:,} members, {_FORKED} changes in each | CPU ms |\n|---|---:|")
    for identifier in ("1", "2", "11", "12"):
        print(f"| room version {identifier} | {resolution(ROOM_VERSIONS[identifier]):.1f} |")


if __name__ == "__main__":
    main()
