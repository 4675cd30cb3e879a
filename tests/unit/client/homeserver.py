"""A homeserver of one process and no memory but a dict, on a loopback socket: enough for a session to live on."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.unit.client.crypto.key_server import KeyServer
from watchword.client.crypto.requests import (
    BackupUpload,
    KeysClaim,
    KeysQuery,
    KeysUpload,
    SignaturesUpload,
    SigningKeysUpload,
    ToDevice,
)

SERVER_NAME = "test.local"
TOKEN = "invited"


@dataclass
class Fault:
    """What the next request whose path contains `part` gets instead of an answer. after: it is carried out first."""

    part: str
    status: int
    body: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    after: bool = False


@dataclass
class Homeserver:
    """All state; `url` once it listens."""

    keys: KeyServer = field(default_factory=KeyServer)
    passwords: dict[str, str] = field(default_factory=dict)
    tokens: dict[str, tuple[str, str]] = field(default_factory=dict)
    refresh_tokens: dict[str, tuple[str, str]] = field(default_factory=dict)
    rooms: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    inbox: dict[tuple[str, str], list[tuple[int, dict[str, Any]]]] = field(default_factory=dict)
    account_data: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    media: dict[str, bytes] = field(default_factory=dict)
    versions: list[dict[str, Any]] = field(default_factory=list)
    sent: dict[tuple[str, str], str] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    position: int = 1
    signed_in: int = 0
    url: str = ""
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    # Doors

    def routes(self) -> list[web.RouteDef]:
        v3 = "/_matrix/client/v3"
        return [
            web.post(v3 + "/register", self.register),
            web.post(v3 + "/login", self.login),
            web.post(v3 + "/refresh", self.refresh),
            web.post(v3 + "/logout", self.logout),
            web.get(v3 + "/sync", self.sync),
            web.post(v3 + "/createRoom", self.create_room),
            web.post(v3 + "/join/{room}", self.join),
            web.post(v3 + "/rooms/{room}/{action:invite|leave|kick}", self.change_membership),
            web.put(v3 + "/rooms/{room}/send/{type}/{txn}", self.send),
            web.put(v3 + "/rooms/{room}/state/{type}/{key:.*}", self.send_state),
            web.get(v3 + "/rooms/{room}/messages", self.messages),
            web.post(v3 + "/keys/{what:upload|query|claim}", self.device_keys),
            web.post(v3 + "/keys/device_signing/upload", self.signing_keys),
            web.post(v3 + "/keys/signatures/upload", self.signatures),
            web.put(v3 + "/sendToDevice/{type}/{txn}", self.send_to_device),
            web.get(v3 + "/room_keys/version", self.backup_version),
            web.post(v3 + "/room_keys/version", self.create_backup),
            web.put(v3 + "/room_keys/keys", self.put_backup),
            web.get(v3 + "/room_keys/keys{rest:.*}", self.get_backup),
            web.get(v3 + "/user/{user}/account_data/{type}", self.get_account_data),
            web.put(v3 + "/user/{user}/account_data/{type}", self.put_account_data),
            web.post("/_matrix/media/v3/upload", self.upload),
            web.get("/_matrix/client/v1/media/download/{server}/{id}", self.download),
        ]

    @web.middleware
    async def with_faults(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.requests.append(f"{request.method} {request.path}")
        for fault in self.faults:
            if fault.part in request.path:
                self.faults.remove(fault)
                if fault.after:
                    await handler(request)
                return web.json_response(fault.body, status=fault.status, headers=fault.headers)
        if request.path.rpartition("/")[2] not in ("register", "login", "refresh"):
            self._who(request)
        response: web.StreamResponse = await handler(request)
        return response

    # Accounts

    def _sign_in(self, user_id: str) -> web.Response:
        number = self.signed_in = self.signed_in + 1
        device_id = f"DEVICE{number}"
        token, refresh = f"token{number}", f"refresh{number}"
        self.tokens[token] = self.refresh_tokens[refresh] = (user_id, device_id)
        self.inbox[(user_id, device_id)] = []
        return web.json_response({"user_id": user_id, "device_id": device_id, "access_token": token, "refresh_token": refresh})

    async def register(self, request: web.Request) -> web.Response:
        body = await request.json()
        auth = body.get("auth")
        challenge: dict[str, Any] = {"flows": [{"stages": ["m.login.registration_token"]}], "params": {}, "session": "s"}
        if auth is None:
            return web.json_response(challenge, status=401)
        if auth.get("token") != TOKEN or auth.get("session") != "s":
            return web.json_response({**challenge, "errcode": "M_FORBIDDEN", "error": "no"}, status=401)
        user_id = f"@{body['username']}:{SERVER_NAME}"
        self.passwords[user_id] = body["password"]
        return self._sign_in(user_id)

    async def login(self, request: web.Request) -> web.Response:
        body = await request.json()
        user = body["identifier"]["user"]
        user_id = user if user.startswith("@") else f"@{user}:{SERVER_NAME}"
        if self.passwords.get(user_id) != body["password"]:
            return web.json_response({"errcode": "M_FORBIDDEN", "error": "no"}, status=403)
        return self._sign_in(user_id)

    async def refresh(self, request: web.Request) -> web.Response:
        address = self.refresh_tokens.pop((await request.json())["refresh_token"], None)
        if address is None:
            return web.json_response({"errcode": "M_UNKNOWN_TOKEN", "error": "no"}, status=401)
        number = self.signed_in = self.signed_in + 1
        self.tokens[f"token{number}"] = self.refresh_tokens[f"refresh{number}"] = address
        return web.json_response({"access_token": f"token{number}", "refresh_token": f"refresh{number}"})

    async def logout(self, request: web.Request) -> web.Response:
        del self.tokens[request.headers["Authorization"].removeprefix("Bearer ")]
        return web.json_response({})

    def _who(self, request: web.Request) -> tuple[str, str]:
        address = self.tokens.get(request.headers.get("Authorization", "").removeprefix("Bearer "))
        if address is None:
            text = '{"errcode":"M_UNKNOWN_TOKEN","error":"no","soft_logout":true}'
            raise web.HTTPUnauthorized(text=text, content_type="application/json")
        return address

    # Rooms

    async def _append(self, room_id: str, sender: str, event_type: str, content: Any, state_key: str | None = None) -> str:
        async with self.changed:
            self.position += 1
            event = {
                "type": event_type,
                "sender": sender,
                "content": content,
                "event_id": f"${self.position}",
                "origin_server_ts": self.position,
            }
            if state_key is not None:
                event["state_key"] = state_key
            self.rooms.setdefault(room_id, []).append(event)
            self.changed.notify_all()
        if event_type == "m.room.member" and content["membership"] == "join":
            self.keys.tell(str(state_key))
        return f"${self.position}"

    def _membership(self, room_id: str, user_id: str) -> str:
        events = self.rooms.get(room_id, [])
        found = [e["content"]["membership"] for e in events if e["type"] == "m.room.member" and e["state_key"] == user_id]
        return found[-1] if found else "leave"

    async def create_room(self, request: web.Request) -> web.Response:
        user_id, _ = self._who(request)
        body = await request.json()
        room_id = f"!room{len(self.rooms)}:{SERVER_NAME}"
        await self._append(room_id, user_id, "m.room.create", {}, "")
        await self._append(room_id, user_id, "m.room.member", {"membership": "join"}, user_id)
        await self._append(room_id, user_id, "m.room.history_visibility", {"history_visibility": "shared"}, "")
        for state in body.get("initial_state", []):
            await self._append(room_id, user_id, state["type"], state["content"], state["state_key"])
        if "name" in body:
            await self._append(room_id, user_id, "m.room.name", {"name": body["name"]}, "")
        for invited in body.get("invite", []):
            await self._append(room_id, user_id, "m.room.member", {"membership": "invite"}, invited)
        return web.json_response({"room_id": room_id})

    async def join(self, request: web.Request) -> web.Response:
        user_id, _ = self._who(request)
        room_id = request.match_info["room"]
        await self._append(room_id, user_id, "m.room.member", {"membership": "join"}, user_id)
        for member in {event["state_key"] for event in self.rooms[room_id] if event["type"] == "m.room.member"}:
            self.keys.tell(member)
        return web.json_response({"room_id": room_id})

    async def change_membership(self, request: web.Request) -> web.Response:
        user_id, _ = self._who(request)
        body = await request.json()
        membership = "invite" if request.match_info["action"] == "invite" else "leave"
        target = body.get("user_id", user_id)
        await self._append(request.match_info["room"], user_id, "m.room.member", {"membership": membership}, target)
        return web.json_response({})

    async def send(self, request: web.Request) -> web.Response:
        user_id, device_id = self._who(request)
        transaction = (device_id, request.match_info["txn"])
        if transaction not in self.sent:
            content = await request.json()
            event_id = await self._append(request.match_info["room"], user_id, request.match_info["type"], content)
            self.sent[transaction] = event_id
        return web.json_response({"event_id": self.sent[transaction]})

    async def send_state(self, request: web.Request) -> web.Response:
        user_id, _ = self._who(request)
        match = request.match_info
        event_id = await self._append(match["room"], user_id, match["type"], await request.json(), match["key"])
        return web.json_response({"event_id": event_id})

    async def messages(self, request: web.Request) -> web.Response:
        events = list(reversed(self.rooms[request.match_info["room"]]))
        start, limit = int(request.query.get("from", "0")), int(request.query["limit"])
        page: dict[str, Any] = {"chunk": events[start : start + limit], "start": str(start)}
        if start + limit < len(events):
            page["end"] = str(start + limit)
        return web.json_response(page)

    async def sync(self, request: web.Request) -> web.Response:
        address = self._who(request)
        since, timeout = int(request.query.get("since", "0")), int(request.query["timeout"]) / 1000
        answer = self._answer(address, since)
        if not answer.pop("news") and since:
            async with self.changed:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self.changed.wait(), min(timeout, 0.5))
            answer = self._answer(address, since)
            answer.pop("news")
        return web.json_response(answer)

    def _answer(self, address: tuple[str, str], since: int) -> dict[str, Any]:
        user_id, _ = address
        rooms: dict[str, dict[str, Any]] = {"join": {}, "invite": {}, "leave": {}}
        for room_id, events in self.rooms.items():
            membership = self._membership(room_id, user_id)
            joined_at = max((e["origin_server_ts"] for e in events if e.get("state_key") == user_id), default=0)
            start = 0 if joined_at > since else since
            timeline = [event for event in events if event["origin_server_ts"] > start]
            newest = bool(events) and events[-1]["origin_server_ts"] > since
            if membership == "join" and newest:
                rooms["join"][room_id] = {"timeline": {"events": timeline}, "state": {"events": []}}
            elif membership == "invite" and joined_at > since:
                rooms["invite"][room_id] = {"invite_state": {"events": [e for e in events if "state_key" in e]}}
            elif membership == "leave" and joined_at > since:
                rooms["leave"][room_id] = {"timeline": {"events": timeline}}
        self.inbox[address] = [(position, event) for position, event in self.inbox[address] if position > since]
        for event in self.keys.to_device.pop(address, []):
            self.position += 1
            self.inbox[address].append((self.position, event))
        changed = sorted(self.keys.changed.pop(address, ()))
        unused = address in self.keys.fallback_keys and address not in self.keys.used_fallback
        return {
            "next_batch": str(self.position),
            "rooms": rooms,
            "to_device": {"events": [event for _, event in self.inbox[address]]},
            "device_lists": {"changed": changed, "left": []},
            "device_one_time_keys_count": {"signed_curve25519": len(self.keys.one_time_keys.get(address, {}))},
            "device_unused_fallback_key_types": ["signed_curve25519"] if unused else [],
            "news": any(rooms.values()) or self.inbox[address] or changed,
        }

    # Keys

    async def _perform(self, request: web.Request, wanted: Any) -> web.Response:
        user_id, device_id = self._who(request)
        answer = self.keys.answer(user_id, device_id, wanted)
        async with self.changed:
            self.changed.notify_all()
        return web.json_response(answer)

    async def device_keys(self, request: web.Request) -> web.Response:
        body = await request.json()
        match request.match_info["what"]:
            case "upload":
                return await self._perform(request, KeysUpload("", body))
            case "query":
                return await self._perform(request, KeysQuery("", list(body["device_keys"])))
            case _:
                return await self._perform(request, KeysClaim("", body["one_time_keys"]))

    async def signing_keys(self, request: web.Request) -> web.Response:
        user_id, _ = self._who(request)
        body = await request.json()
        auth = body.pop("auth", None)
        challenge: dict[str, Any] = {"flows": [{"stages": ["m.login.password"]}], "params": {}, "session": "k"}
        if auth is None:
            return web.json_response(challenge, status=401)
        if auth["password"] != self.passwords[user_id]:
            return web.json_response({**challenge, "errcode": "M_FORBIDDEN", "error": "no"}, status=401)
        return await self._perform(request, SigningKeysUpload("", body))

    async def signatures(self, request: web.Request) -> web.Response:
        return await self._perform(request, SignaturesUpload("", await request.json()))

    async def send_to_device(self, request: web.Request) -> web.Response:
        body = await request.json()
        return await self._perform(request, ToDevice(request.match_info["txn"], request.match_info["type"], body["messages"]))

    async def backup_version(self, request: web.Request) -> web.Response:
        if not self.versions:
            return web.json_response({"errcode": "M_NOT_FOUND", "error": "none"}, status=404)
        return web.json_response({**self.versions[-1], "version": str(len(self.versions)), "count": 0, "etag": "e"})

    async def create_backup(self, request: web.Request) -> web.Response:
        self.versions.append(await request.json())
        return web.json_response({"version": str(len(self.versions))})

    async def put_backup(self, request: web.Request) -> web.Response:
        return await self._perform(request, BackupUpload("", request.query["version"], await request.json()))

    async def get_backup(self, request: web.Request) -> web.Response:
        parts = [part for part in request.match_info["rest"].split("/") if part]
        answer: dict[str, Any] = {"rooms": self.keys.backup}
        try:
            if parts:
                answer = self.keys.backup[parts[0]]
            if len(parts) > 1:
                answer = answer["sessions"]["/".join(parts[1:])]
        except KeyError:
            return web.json_response({"errcode": "M_NOT_FOUND", "error": "none"}, status=404)
        return web.json_response(answer)

    # The rest

    async def get_account_data(self, request: web.Request) -> web.Response:
        content = self.account_data.get((request.match_info["user"], request.match_info["type"]))
        if content is None:
            return web.json_response({"errcode": "M_NOT_FOUND", "error": "none"}, status=404)
        return web.json_response(content)

    async def put_account_data(self, request: web.Request) -> web.Response:
        self.account_data[(request.match_info["user"], request.match_info["type"])] = await request.json()
        return web.json_response({})

    async def upload(self, request: web.Request) -> web.Response:
        media_id = f"m{len(self.media)}"
        self.media[media_id] = await request.read()
        return web.json_response({"content_uri": f"mxc://{SERVER_NAME}/{media_id}"})

    async def download(self, request: web.Request) -> web.Response:
        return web.Response(body=self.media[request.match_info["id"]])


@asynccontextmanager
async def listening(homeserver: Homeserver, tls: ssl.SSLContext | None = None, port: int = 0) -> AsyncIterator[Homeserver]:
    """Serve it on loopback; `url` and `port` say where."""
    app = web.Application(middlewares=[homeserver.with_faults], client_max_size=10_000_000)
    app.add_routes(homeserver.routes())
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls)
    await site.start()
    address = runner.addresses[0]
    homeserver.url = f"{'http' if tls is None else 'https'}://localhost:{address[1]}"
    try:
        yield homeserver
    finally:
        await runner.cleanup()
