"""A user's client: makes requests, retries, follows /sync and remembers exactly what it was given."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any
from urllib.parse import quote, urlencode

from tests.simulation.network import Letter
from tests.simulation.world import Server, Simulation

_TIMEOUT_MS = 60_000
_RETRIES_MAX = 400


@dataclass(frozen=True)
class Acknowledged:
    """Something that a server has promised to keep."""

    server: str
    room_id: str
    event_id: str
    sender: str
    marker: str | None


@dataclass(frozen=True)
class Delivery:
    """One room of one /sync response.

    gap: what /messages gave for the part that the timeline left out. is_closed: it gave nothing, since the user may not
    look into the room any more.
    """

    since: int
    until: int
    room_id: str
    section: str
    timeline: tuple[str, ...]
    gap: tuple[str, ...] = ()
    is_closed: bool = False


@dataclass
class RoomView:
    """A room as the client believes it to be."""

    joined: bool = False
    state: dict[tuple[str, str], str] = field(default_factory=dict)


@dataclass
class Client:
    """One user with one device."""

    simulation: Simulation
    server: Server
    name: str
    random: Random
    token: str = ""
    since: str | None = None
    deliveries: list[Delivery] = field(default_factory=list)
    rooms: dict[str, RoomView] = field(default_factory=dict)
    invites: dict[str, str] = field(default_factory=dict)
    acknowledged: list[Acknowledged] = field(default_factory=list)
    timeline_limit: int = 100
    seen: dict[str, list[str]] = field(default_factory=dict)
    """Own and others' message events, by room: something to redact or to receipt."""

    @property
    def user_id(self) -> str:
        return f"@{self.name}:{self.server.name}"

    # Requests

    async def ask_once(self, method: str, path: str, body: object = None, **query: str) -> tuple[int, dict[str, Any]]:
        """One request. Raises OSError."""
        simulation = self.simulation
        uri = f"/_matrix/client/v3{path}" + (f"?{urlencode(query)}" if query else "")
        headers = {"content-type": "application/json"}
        if self.token:
            headers["authorization"] = f"Bearer {self.token}"
        letter = Letter(method, uri, headers, b"" if body is None else json.dumps(body).encode())
        network = simulation.network
        await simulation.clock.sleep(self.random.randrange(1, 20))
        answer = await network.hand_over(self.server.name, letter)
        await simulation.clock.sleep(self.random.randrange(1, 20))
        simulation.trace(f"{self.user_id} {method} {path} {answer.status}")
        if answer.status == 500:
            simulation.fail(f"{self.user_id}: {method} {path} answered {answer.body!r}")
        if network.weather.answer_lost and self.random.random() < network.weather.answer_lost:
            raise ConnectionResetError("the answer was lost on its way to the client")
        return answer.status, json.loads(answer.body)

    async def ask(self, method: str, path: str, body: object = None, **query: str) -> tuple[int, dict[str, Any]]:
        """Ask until there is an answer that is no breakdown."""
        for attempt in range(_RETRIES_MAX):
            try:
                status, answer = await self.ask_once(method, path, body, **query)
            except OSError:
                status, answer = 0, {}
            if status not in (0, 429, 502, 503, 504):
                return status, answer
            await self.simulation.clock.sleep(self.random.randrange(200, 3_000) * (1 + min(attempt, 8)))
            if status == 502 and attempt > 3:
                return status, answer
        self.simulation.fail(f"{self.user_id}: {method} {path} never got an answer")
        return 0, {}

    async def register(self) -> None:
        """Make the account."""
        body = {"username": self.name, "password": f"password of {self.name}", "auth": {"type": "m.login.dummy"}}
        status, answer = await self.ask("POST", "/register", body)
        if status == 401:
            body["auth"] = {"type": "m.login.dummy", "session": answer["session"]}
            status, answer = await self.ask("POST", "/register", body)
        assert status == 200, answer
        self.token = answer["access_token"]

    async def send(self, room_id: str, kind: str, content: Mapping[str, object], txn_id: str, marker: str | None) -> str | None:
        """Send, with the same transaction ID until it is acknowledged."""
        path = f"/rooms/{quote(room_id)}/send/{kind}/{txn_id}"
        status, answer = await self.ask("PUT", path, content)
        return self._note(room_id, status, answer, marker)

    async def redact(self, room_id: str, event_id: str, txn_id: str) -> str | None:
        """Redact an event."""
        status, answer = await self.ask("PUT", f"/rooms/{quote(room_id)}/redact/{quote(event_id, safe='')}/{txn_id}", {})
        return self._note(room_id, status, answer, None)

    async def set_state(self, room_id: str, kind: str, content: Mapping[str, object], key: str = "") -> str | None:
        """Set state."""
        status, answer = await self.ask("PUT", f"/rooms/{quote(room_id)}/state/{kind}/{quote(key, safe='')}", content)
        return self._note(room_id, status, answer, None)

    def _note(self, room_id: str, status: int, answer: Mapping[str, Any], marker: str | None) -> str | None:
        if status != 200:
            return None
        event_id: str = answer["event_id"]
        self.acknowledged.append(Acknowledged(self.server.name, room_id, event_id, self.user_id, marker))
        self.simulation.trace(f"acknowledged {event_id}")
        return event_id

    # Sync

    async def sync(self, timeout_ms: int = 0) -> bool:
        """One /sync; False if there was no answer. What the timeline left out is fetched from /messages."""
        query = {"timeout": str(timeout_ms), "filter": json.dumps({"room": {"timeline": {"limit": self.timeline_limit}}})}
        if self.since is not None:
            query["since"] = self.since
        try:
            status, answer = await self.ask_once("GET", "/sync", **query)
        except OSError:
            return False
        if status != 200:
            if status != 503:
                self.simulation.fail(f"{self.user_id}: sync answered {status} {answer}")
            return False
        since, until = _position(self.since), _position(answer["next_batch"])
        if until < since:
            self.simulation.fail(f"{self.user_id}: next_batch {until} is before since {since}")
        self.server.promised = max(self.server.promised, until)
        rooms = answer.get("rooms", {})
        taken = []
        for section in ("join", "leave"):
            for room_id, room in rooms.get(section, {}).items():
                taken.append(await self._room(room_id, section, room, since, until))
        for room_id, room in rooms.get("invite", {}).items():
            self.invites[room_id] = next(
                (each["sender"] for each in room["invite_state"]["events"] if each.get("state_key") == self.user_id), ""
            )
        self.deliveries += taken
        self.since = answer["next_batch"]
        return True

    async def _room(self, room_id: str, section: str, room: Mapping[str, Any], since: int, until: int) -> Delivery:
        events = room.get("timeline", {}).get("events", [])
        gap: tuple[str, ...] | None = ()
        if room.get("timeline", {}).get("limited"):
            gap = await self._fill(room_id, room["timeline"]["prev_batch"])
        view = self.rooms.setdefault(room_id, RoomView())
        view.joined = section == "join"
        self.invites.pop(room_id, None)
        for event in (*room.get("state", {}).get("events", []), *events):
            if "state_key" in event:
                view.state[event["type"], event["state_key"]] = event["event_id"]
        for event in events:
            self.simulation.trace(f"{self.user_id} got {event['event_id']}")
            if event["type"] == "m.room.message":
                self.seen.setdefault(room_id, []).append(event["event_id"])
        return Delivery(since, until, room_id, section, tuple(event["event_id"] for event in events), gap or (), gap is None)

    async def _fill(self, room_id: str, token: str) -> tuple[str, ...] | None:
        """Page back from a gap to where the last response ended; None if that is not allowed any more."""
        found: list[str] = []
        for _ in range(100):
            query = {"dir": "b", "from": token, "limit": str(self.random.choice((5, 20, 100)))}
            if self.since is not None:
                query["to"] = self.since
            status, answer = await self.ask("GET", f"/rooms/{quote(room_id)}/messages", **query)
            if status == 403:
                return None
            if status != 200:
                self.simulation.fail(f"{self.user_id}: /messages answered {status} {answer}")
                break
            found += [event["event_id"] for event in answer["chunk"]]
            if "end" not in answer:
                break
            token = answer["end"]
        return tuple(found)

    async def history(self, room_id: str) -> list[str]:
        """Everything of a room, newest first, page by page."""
        found: list[str] = []
        query = {"dir": "b", "limit": str(self.random.choice((7, 30, 100)))}
        for _ in range(300):
            status, answer = await self.ask("GET", f"/rooms/{quote(room_id)}/messages", **query)
            if status != 200:
                self.simulation.fail(f"{self.user_id}: /messages answered {status} {answer}")
                break
            found += [event["event_id"] for event in answer["chunk"]]
            if "end" not in answer:
                break
            query["from"] = answer["end"]
        return found


def _position(token: str | None) -> int:
    return 0 if token is None else int(token[1:])
