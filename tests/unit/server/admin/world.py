"""A whole server, asked through its router, with an administrator and two users."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import orjson

from watchword.base.clock import ManualClock
from watchword.base.config import Config
from watchword.base.entropy import SeededEntropy
from watchword.edge.replies import Reply
from watchword.edge.router import Incoming
from watchword.protocol.ids import UserId
from watchword.server.admin.commands import AuditEntry, AuditQuery
from watchword.server.app import Homeserver, World
from watchword.storage import SqliteDatabase

HERE = "here.example"
ROOT, ALICE, BOB = (UserId(f"@{name}:{HERE}") for name in ("root", "alice", "bob"))
OURS = "/_watchword/client/v1/admin"
KNOWN = "/_synapse/admin"
V3 = "/_matrix/client/v3"
V1 = "/_matrix/client/v1"
ADDRESS = "192.0.2.7"


def quoted(text: str) -> str:
    """A path segment."""
    return quote(text, safe="")


class _Body:
    def __init__(self, data: bytes) -> None:
        self._data = data

    async def next_piece(self) -> tuple[bytes, bool]:
        return self._data, False


@dataclass
class Answer:
    status: int
    body: Any

    @property
    def errcode(self) -> str | None:
        return self.body.get("errcode") if isinstance(self.body, dict) else None


@dataclass
class AdminWorld:
    """The server and who is logged in."""

    server: Homeserver
    clock: ManualClock
    tokens: dict[str, str] = field(default_factory=dict)

    async def user(self, name: str, *, admin: bool = False) -> str:
        """Make a user without a password and log him in; his access token."""
        made = await self.server.accounts.registrar.register_as_operator(name, None, admin=admin)
        assert made.tokens is not None
        self.tokens[name] = made.tokens.access_token
        return made.tokens.access_token

    async def ask(
        self, by: str | None, method: str, path: str, body: Any = None, /, *, raw: bytes | None = None, **query: Any
    ) -> Answer:
        """A request through the router. by: the name of who is logged in, or a token, or nobody."""
        data = raw if raw is not None else b"" if body is None else orjson.dumps(body)
        headers = [(b"content-length", str(len(data)).encode())]
        if by is not None:
            headers.append((b"authorization", f"Bearer {self.tokens.get(by, by)}".encode()))
        asked = urlencode({key: value for key, value in query.items() if value is not None}).encode()
        reply = await self.server.router.answer(Incoming(method, path.encode(), asked, headers, ADDRESS, _Body(data)))
        assert isinstance(reply, Reply), reply
        return Answer(reply.status, orjson.loads(reply.body))

    async def call(self, by: str | None, method: str, path: str, body: Any = None, /, **query: Any) -> Any:
        """A request that must succeed; its body."""
        answer = await self.ask(by, method, path, body, **query)
        assert answer.status in (200, 201), (method, path, answer)
        return answer.body

    async def get(self, path: str, /, **query: Any) -> Any:
        """What an administrator is shown."""
        return await self.call("root", "GET", path, **query)

    async def entries(self, **query: Any) -> list[AuditEntry]:
        """The audit log, newest first."""
        return list(await self.server.admin.audit.page(AuditQuery(**query)))

    async def last(self) -> AuditEntry:
        """Its newest entry."""
        return (await self.entries(limit=1))[0]

    async def room(self, by: str = "alice", **body: Any) -> str:
        room_id: str = (await self.call(by, "POST", f"{V3}/createRoom", body))["room_id"]
        return room_id

    async def say(self, by: str, room_id: str, text: str) -> str:
        path = f"{V3}/rooms/{quoted(room_id)}/send/m.room.message/{quoted(text)}"
        event_id: str = (await self.call(by, "PUT", path, {"msgtype": "m.text", "body": text}))["event_id"]
        return event_id

    async def upload(self, by: str, content: bytes) -> str:
        """A file of somebody; its media ID."""
        headers = [
            (b"authorization", f"Bearer {self.tokens[by]}".encode()),
            (b"content-length", str(len(content)).encode()),
            (b"content-type", b"text/plain"),
        ]
        path = b"/_matrix/media/v3/upload"
        reply = await self.server.router.answer(Incoming("POST", path, b"", headers, ADDRESS, _Body(content)))
        assert isinstance(reply, Reply)
        assert reply.status == 200, reply.body
        return str(orjson.loads(reply.body)["content_uri"]).rpartition("/")[2]

    @asynccontextmanager
    async def removing(self) -> AsyncIterator[None]:
        """Rooms are removed in the background meanwhile."""
        work = asyncio.ensure_future(self.server.admin.removals.run())
        try:
            yield
        finally:
            work.cancel()
            with suppress(asyncio.CancelledError):
                await work

    async def until_removed(self, removal_id: str) -> Mapping[str, Any]:
        """Let time pass until a removal has ended."""
        for _ in range(200):
            found: Mapping[str, Any] = await self.get(f"{OURS}/removals/{removal_id}")
            if found["ended_ts"] is not None:
                return found
            self.clock.advance(1_000)
            await asyncio.sleep(0.005)
        raise AssertionError(found)


@asynccontextmanager
async def open_world(folder: Path, **settings: object) -> AsyncIterator[AdminWorld]:
    """A server with @root (an administrator), @alice and @bob. settings: with `__` for dots."""
    wanted = {
        "server_name": HERE,
        "data_dir": str(folder / "data"),
        "rate_limits.enabled": "false",
        "registration.guests": "true",
        **{name.replace("__", "."): value for name, value in settings.items()},
    }
    config = Config.load(None, {}, wanted)
    (folder / "data").mkdir(exist_ok=True)
    clock = ManualClock()
    database = SqliteDatabase(config.database_path)
    server = Homeserver(config, World(clock, SeededEntropy(1), database))
    try:
        await server.prepare()
        world = AdminWorld(server, clock)
        await world.user("root", admin=True)
        for name in ("alice", "bob"):
            await world.user(name)
        yield world
    finally:
        await server.stop()
