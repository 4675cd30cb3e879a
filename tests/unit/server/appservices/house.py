"""A whole server without doors, and a real bridge on loopback that it delivers to."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import orjson
from aiohttp import web

from watchword.base.config import Config
from watchword.edge.replies import Reply
from watchword.edge.router import Incoming
from watchword.server.app import Homeserver

HERE = "a.example"
BOT = f"@bridge:{HERE}"
GHOST = f"@irc_eve:{HERE}"
AS_TOKEN, HS_TOKEN = "secret of the service", "secret of the server"
CLIENT = "/_matrix/client/v3"
_PATIENCE_SECONDS = 10

REGISTRATION = """
id: irc
url: {url}
as_token: {as_token}
hs_token: {hs_token}
sender_localpart: bridge
rate_limited: false
protocols: [irc]
namespaces:
  users: [{{exclusive: true, regex: "@irc_.*:a\\\\.example"}}]
  aliases: [{{exclusive: true, regex: "#irc_.*"}}]
  rooms: []
"""


class Body:
    """What a request carries."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def next_piece(self) -> tuple[bytes, bool]:
        body, self._body = self._body, b""
        return body, False


class Bridge:
    """Listens, keeps what it is told, and answers as a test wants. refusals: statuses for the next transactions."""

    def __init__(self) -> None:
        self.transactions: list[tuple[str, Any]] = []
        self.refusals: list[int] = []
        self.asked: list[tuple[str, str]] = []
        self.answers: dict[str, tuple[int, Any]] = {}
        self.url = ""
        self._news = asyncio.Event()

    async def _transaction(self, request: web.Request) -> web.Response:
        assert request.headers["authorization"] == f"Bearer {HS_TOKEN}"
        if self.refusals:
            status = self.refusals.pop(0)
            self._news.set()
            return web.json_response({"errcode": "M_UNRECOGNIZED"}, status=status)
        self.transactions.append((request.match_info["txn"], await request.json()))
        self._news.set()
        return web.json_response({})

    async def _question(self, request: web.Request) -> web.Response:
        self.asked.append((request.method, request.path_qs))
        status, body = self.answers.get(request.path, (404, {"errcode": "M_NOT_FOUND"}))
        if asyncio.iscoroutinefunction(body):
            body = await body()
        return web.json_response(body, status=status)

    async def start(self) -> Callable[[], Any]:
        """Listen; gives what stops it."""
        app = web.Application()
        app.router.add_put("/_matrix/app/v1/transactions/{txn}", self._transaction)
        app.router.add_put("/transactions/{txn}", self._transaction)
        app.router.add_route("*", "/{rest:.*}", self._question)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return runner.cleanup

    async def refused(self) -> None:
        """Wait until it has refused all that it was to refuse."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while self.refusals:
                self._news.clear()
                await self._news.wait()

    async def told(self, section: str, wanted: Callable[[Any], bool] = lambda _: True) -> Any:
        """The first entry of a section, of any transaction, that a test waits for."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while True:
                self._news.clear()
                for _, body in self.transactions:
                    for entry in body.get(section, []):
                        if wanted(entry):
                            return entry
                await self._news.wait()


class House:
    """The server. ask: a request as somebody."""

    def __init__(self, server: Homeserver, bridge: Bridge) -> None:
        self.server = server
        self.bridge = bridge

    async def ask(self, method: str, path: str, body: object = None, *, by: str = AS_TOKEN, **query: str) -> tuple[int, Any]:
        """(status, answer)."""
        target = path if path.startswith("/") else f"{CLIENT}/{path}"
        headers = [(b"authorization", f"Bearer {by}".encode())]
        sent = b"" if body is None else orjson.dumps(body)
        incoming = Incoming(method, target.encode(), urlencode(query).encode(), headers, "192.0.2.1", Body(sent))
        reply = await self.server.router.answer(incoming)
        assert isinstance(reply, Reply)
        return reply.status, orjson.loads(reply.body)

    async def ghost(self) -> None:
        """Register the bridge's ghost."""
        body = {"type": "m.login.application_service", "username": "irc_eve", "inhibit_login": True}
        assert (await self.ask("POST", "register", body))[0] == 200

    async def person(self, name: str) -> str:
        """A user with a password; his access token."""
        made = await self.server.accounts.registrar.register_as_operator(name, "correct horse battery", admin=False)
        assert made.tokens is not None
        return made.tokens.access_token

    async def room(self, by: str = AS_TOKEN, **body: object) -> str:
        """A new room."""
        status, answer = await self.ask("POST", "createRoom", {"preset": "public_chat", **body}, by=by)
        assert status == 200, answer
        return str(answer["room_id"])

    async def say(self, room_id: str, text: str, *, by: str, txn: str = "t") -> str:
        """A message; its event ID."""
        path = f"rooms/{quote(room_id)}/send/m.room.message/{txn}"
        status, answer = await self.ask("PUT", path, {"msgtype": "m.text", "body": text}, by=by)
        assert status == 200, answer
        return str(answer["event_id"])


@asynccontextmanager
async def living(folder: Path, bridge: Bridge, extra: str = "") -> AsyncIterator[House]:
    """A server that runs and has the bridge registered. extra: lines for its registration."""
    file = folder / "irc.yaml"
    text = REGISTRATION.format(url=bridge.url or "null", as_token=AS_TOKEN, hs_token=HS_TOKEN)
    file.write_text(text + extra, "utf-8")
    values = {"server_name": HERE, "data_dir": str(folder / "data"), "rate_limits.enabled": "false"}
    config = Config.load(None, {}, {**values, "appservices.registration_files": [str(file)]})
    server = Homeserver.build(config)
    running: asyncio.Task[None] | None = None
    try:
        await server.prepare()
        running = asyncio.ensure_future(server.run(doors=False))
        yield House(server, bridge)
    finally:
        if running is not None:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
        await server.stop()
