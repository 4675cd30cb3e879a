"""People with clients: what a scenario's sentences are made of. `alice.says(room, "…")`, `bob.hears(room, "…")`."""

import hashlib
import hmac
import itertools
import json
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from tests.end_to_end.harness import wire
from tests.end_to_end.harness.servers import SHARED_SECRET, Server
from tests.end_to_end.harness.wire import Answer

T = TypeVar("T")
V3 = "/_matrix/client/v3"
_WAIT_SECONDS = 20
_numbers = itertools.count(1)


def path(*segments: str) -> str:
    """A path of the client API with every segment percent-encoded whole."""
    return V3 + "".join("/" + quote(segment, safe="") for segment in segments)


def fresh(name: str) -> str:
    """A name that no other test has."""
    return f"{name}{next(_numbers)}"


class Person:
    """One session of one user. What /sync says is gathered: timelines, invitations, to-device messages, device lists."""

    def __init__(self, server: Server, session: Mapping[str, Any], password: str) -> None:
        self.server = server
        self.password = password
        self.user_id: str = session["user_id"]
        self.token: str = session["access_token"]
        self.device_id: str = session["device_id"]
        self.since: str | None = None
        self.timelines: dict[str, list[dict[str, Any]]] = {}
        self.invites: dict[str, list[dict[str, Any]]] = {}
        self.left: set[str] = set()
        self.letters: list[dict[str, Any]] = []
        self.ephemeral: dict[str, list[dict[str, Any]]] = {}
        self.changed: set[str] = set()

    # Accounts

    @staticmethod
    def provisioned(server: Server, name: str = "user", *, admin: bool = False) -> "Person":
        """A new user, made as provisioning scripts make them; the name gets a number."""
        place, where = server.client, "/_synapse/admin/v1/register"
        nonce = wire.ask(place, "GET", where).json["nonce"]
        name, password = fresh(name), "correct horse"
        said = "\0".join((nonce, name, password, "admin" if admin else "notadmin"))
        mac = hmac.new(SHARED_SECRET.encode(), said.encode(), hashlib.sha1).hexdigest()
        body = {"nonce": nonce, "username": name, "password": password, "admin": admin, "mac": mac}
        answer = wire.ask(place, "POST", where, wire.compact(body))
        assert answer.status == 200, answer
        return Person(server, answer.json, password)

    def on_another_device(self) -> "Person":
        """The same user, logged in again."""
        body = {
            "type": "m.login.password",
            "identifier": {"type": "m.id.user", "user": self.user_id},
            "password": self.password,
        }
        answer = wire.ask(self.server.client, "POST", f"{V3}/login", wire.compact(body))
        assert answer.status == 200, answer
        return Person(self.server, answer.json, self.password)

    # Requests

    def ask(self, method: str, target: str, body: object = None, **query: str) -> Answer:
        """One request as this session. body: JSON value, or bytes as they are."""
        data = body if isinstance(body, bytes) else None if body is None else wire.compact(body)
        target = f"{target}?{urlencode(query)}" if query else target
        return wire.ask(self.server.client, method, target, data, {"authorization": f"Bearer {self.token}"})

    def call(self, method: str, target: str, body: object = None, **query: str) -> Any:
        """The JSON of a request that must succeed. A missing body is `{}` where there is one."""
        if body is None and method in ("POST", "PUT"):
            body = {}
        answer = self.ask(method, target, body, **query)
        assert answer.status == 200, (method, target, answer)
        return answer.json

    def get(self, *segments: str, **query: str) -> Any:
        """GET the JSON at a path of the client API."""
        return self.call("GET", path(*segments), **query)

    def post(self, *segments: str, **body: Any) -> Any:
        """POST these fields to a path of the client API."""
        return self.call("POST", path(*segments), body)

    def put(self, *segments: str, **body: Any) -> Any:
        """PUT these fields at a path of the client API."""
        return self.call("PUT", path(*segments), body)

    # Rooms

    def makes_room(self, **options: Any) -> str:
        """A new room; its ID."""
        room_id: str = self.post("createRoom", **options)["room_id"]
        return room_id

    def says(self, room_id: str, text: str) -> str:
        """Send a message; its event ID."""
        return self.sends(room_id, "m.room.message", {"msgtype": "m.text", "body": text})

    def sends(self, room_id: str, event_type: str, content: Mapping[str, Any]) -> str:
        """Send an event; its ID."""
        sent = self.put("rooms", room_id, "send", event_type, fresh("txn"), **content)
        event_id: str = sent["event_id"]
        return event_id

    def sets(self, room_id: str, event_type: str, content: Mapping[str, Any], state_key: str = "") -> str:
        """Send a state event; its ID."""
        sent = self.put("rooms", room_id, "state", event_type, state_key, **content)
        event_id: str = sent["event_id"]
        return event_id

    def joins(self, room: str, via: str | None = None) -> str:
        """Join a room by ID or alias; its ID."""
        query = {} if via is None else {"via": via}
        room_id: str = self.call("POST", path("join", room), {}, **query)["room_id"]
        return room_id

    def history(self, room_id: str) -> list[dict[str, Any]]:
        """All events of the room that this user may see, newest first."""
        found: list[dict[str, Any]] = []
        query = {"dir": "b", "limit": "100"}
        while True:
            page = self.get("rooms", room_id, "messages", **query)
            found += page["chunk"]
            if "end" not in page:
                return found
            query["from"] = page["end"]

    def history_bodies(self, room_id: str) -> list[str]:
        """The texts in the history, oldest first."""
        return [event["content"]["body"] for event in reversed(self.history(room_id)) if "body" in event["content"]]

    # Sync

    def syncs(self, timeout_ms: int = 0) -> dict[str, Any]:
        """One more sync, gathered."""
        query = {"timeout": str(timeout_ms), "set_presence": "offline"}
        if self.since is not None:
            query["since"] = self.since
        answer: dict[str, Any] = self.get("sync", **query)
        self.since = answer["next_batch"]
        self._gather(answer)
        return answer

    def _gather(self, answer: Mapping[str, Any]) -> None:
        rooms = answer.get("rooms", {})
        for room_id, room in rooms.get("join", {}).items():
            seen = room.get("state", {}).get("events", []) + room.get("timeline", {}).get("events", [])
            self.timelines.setdefault(room_id, []).extend(seen)
            self.ephemeral.setdefault(room_id, []).extend(room.get("ephemeral", {}).get("events", []))
            self.left.discard(room_id)
            self.invites.pop(room_id, None)
        for room_id, room in rooms.get("invite", {}).items():
            self.invites[room_id] = room["invite_state"]["events"]
        for room_id, room in rooms.get("leave", {}).items():
            self.timelines.setdefault(room_id, []).extend(room.get("timeline", {}).get("events", []))
            self.left.add(room_id)
            self.invites.pop(room_id, None)
        self.letters += answer.get("to_device", {}).get("events", [])
        self.changed.update(answer.get("device_lists", {}).get("changed", []))

    def waits_for(self, found: Callable[[], T | None], seconds: float = _WAIT_SECONDS) -> T:
        """Sync until something is there."""
        deadline = time.monotonic() + seconds
        while True:
            result = found()
            if result:
                return result
            assert time.monotonic() < deadline, self._gathered()
            self.syncs(1_000)

    def _gathered(self) -> str:
        return json.dumps({name: value for name, value in vars(self).items() if name in ("timelines", "invites", "letters")})

    def event(self, room_id: str, event_id: str) -> dict[str, Any] | None:
        """An event that sync has shown."""
        return next((event for event in self.timelines.get(room_id, []) if event["event_id"] == event_id), None)

    def hears(self, room_id: str, text: str) -> dict[str, Any]:
        """Wait for a message with this text."""

        def heard() -> dict[str, Any] | None:
            timeline = self.timelines.get(room_id, [])
            return next((event for event in timeline if event["content"].get("body") == text), None)

        return self.waits_for(heard)

    def sees(self, room_id: str, event_id: str) -> dict[str, Any]:
        """Wait for an event."""
        return self.waits_for(lambda: self.event(room_id, event_id))

    def sees_membership(self, room_id: str, user_id: str, membership: str) -> dict[str, Any]:
        """Wait for a member event."""

        def found() -> dict[str, Any] | None:
            for event in reversed(self.timelines.get(room_id, [])):
                if (event["type"], event.get("state_key")) == ("m.room.member", user_id):
                    return event if event["content"]["membership"] == membership else None
            return None

        return self.waits_for(found)

    def is_invited_to(self, room_id: str) -> list[dict[str, Any]]:
        """Wait for an invitation; its stripped state."""
        return self.waits_for(lambda: self.invites.get(room_id))

    def receives_a_letter(self) -> None:
        """Wait for a to-device message."""
        self.waits_for(lambda: self.letters)

    def accepts(self, room_id: str) -> None:
        """Wait for an invitation and join."""
        self.is_invited_to(room_id)
        self.joins(room_id)
