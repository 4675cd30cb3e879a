"""A server with push on top of rooms, and a push gateway and a mail relay that are really there.

The gateway takes nothing that has not the shape that its specification gives to it.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
from jsonschema import Draft202012Validator

from tests.unit.edge.relay import Relay
from tests.unit.server.rooms.world import ALICE, BOB, PHONE, World
from watchword.base.entropy import SeededEntropy
from watchword.edge.addresses import AddressPolicy
from watchword.edge.dns import StaticResolver
from watchword.edge.endpoint import Endpoint
from watchword.edge.fetch import Fetcher
from watchword.edge.mail import Mailer, MailSettings, TlsMode
from watchword.edge.replies import AnyReply
from watchword.edge.request import Request
from watchword.protocol.ids import DeviceId, EventId, RoomId, UserId
from watchword.server.accounts.threepids.commands import OwnThreepid, Threepid
from watchword.server.accounts.threepids.tables import insert_threepid
from watchword.server.push import SCHEMA
from watchword.server.push import endpoints as push_doors
from watchword.server.push.assembly import Push, PushPorts, assemble_push
from watchword.server.push.commands import DigestSettings, PushSettings, Unread
from watchword.server.rooms.room import Room
from watchword.storage import Schema, migrate

__all__ = ["ALICE", "BOB", "PHONE", "Gateway", "PushWorld", "open_push_world", "pusher"]

NOTIFY = "/_matrix/push/v1/notify"
DELAY_MS = 600_000
MAIL = "bob@there.example"

_DOCUMENT = Path(__file__).parents[3] / "data" / "plain" / "push-gateway.openapi.json"


def _shape_of_requests() -> Draft202012Validator:
    operation = json.loads(_DOCUMENT.read_text("utf-8"))["paths"][NOTIFY]["post"]
    return Draft202012Validator(operation["requestBody"]["content"]["application/json"]["schema"])


def _today(endpoint: Endpoint) -> Endpoint:
    async def handler(request: Request, requester: Any, world: "PushWorld") -> AnyReply:
        return await endpoint.handler(request, requester, world.push)

    return replace(endpoint, handler=handler)


class PushWorld(World):
    """The world of rooms, with push where nobody was."""

    push: Push
    push_settings = PushSettings(plain_http=True)
    mailer: Mailer | None = None

    def _build_sync(self) -> None:
        self.fetcher = Fetcher(StaticResolver({}), AddressPolicy(["127.0.0.0/8"]), plain_http=True)
        self.rebuild_push()
        # What the rooms are tested without.
        self.nobody.unread = self.push.unread.unread  # type: ignore[method-assign]
        self.nobody.content = self.push.rules.content  # type: ignore[method-assign]
        super()._build_sync()

    def rebuild_push(self) -> None:
        """Push as after a restart: it remembers nothing."""
        ports = PushPorts(self, self.accounts, self.fetcher, self.mailer)
        self.push = assemble_push(self.database, self.log, self.clock, SeededEntropy(2), ports, self.push_settings)

    async def start(self) -> "PushWorld":
        await migrate(self.database, [Schema("storage", "watchword.storage"), SCHEMA])
        for endpoint in push_doors.ENDPOINTS:
            # As it is when somebody knocks: tests build it anew.
            self._table.add(endpoint.method, endpoint.path, (_today(endpoint), self))
        await super().start()
        return self

    async def close(self) -> None:
        await self.fetcher.close()
        await super().close()

    # Shorthands

    async def unread(self, user_id: UserId, room_id: RoomId) -> tuple[int, int]:
        """(notifications, highlights) of the main timeline."""
        counts = await self.counts(user_id, room_id)
        return counts.notifications, counts.highlights

    async def counts(self, user_id: UserId, room_id: RoomId) -> Unread:
        return await self.push.unread.unread(user_id, await self.at(room_id))

    async def two_rooms(self, *members: UserId) -> list[RoomId]:
        """Made one after the other: what is made in the same moment has the same ID."""
        first = await self.public_room(*members)
        self.clock.advance(1)
        return [first, await self.public_room(*members)]

    async def at(self, room_id: RoomId) -> Room:
        room = await self.reader.room(room_id)
        assert room is not None
        return room

    async def read(self, user_id: UserId, room_id: RoomId, event_id: EventId, kind: str = "m.read", **body: Any) -> None:
        await self.ask(user_id, "POST", f"rooms/{room_id}/receipt/{kind}/{event_id}", body)

    def mails(self, relay: Relay, **settings: Any) -> None:
        """From now on there are pushers of the kind email."""
        wanted = DigestSettings("here.example", "https://here.example", DELAY_MS, **settings)
        self.push_settings = PushSettings(plain_http=True, digests=wanted)
        mail = MailSettings("127.0.0.1", "here@here.example", "here.example", TlsMode.NONE, relay.port)
        self.mailer = Mailer(mail, self.clock, SeededEntropy(3))
        self.rebuild_push()

    async def give_address(self, user_id: UserId = BOB, address: str = MAIL) -> None:
        """Let a user have an e-mail address, as if he had proved it."""
        async with self.database.write() as tx:
            await insert_threepid(tx, user_id, OwnThreepid(Threepid("email", address), 1, 1))

    @asynccontextmanager
    async def pushing(self) -> AsyncIterator[None]:
        """Let push follow the log for the length of a block."""
        running = [self.push.run(), *([] if self.mailer is None else [self.mailer.run()])]
        tasks = [asyncio.get_running_loop().create_task(each) for each in running]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    async def caught_up(self) -> None:
        """Wait until push has looked at all there is."""
        async with asyncio.timeout(5):
            while self.push.follower.followed < self.log.position:  # noqa: ASYNC110 (its progress rings no bell)
                await asyncio.sleep(0.001)

    async def sees_no_pushers(self, user_id: UserId) -> None:
        """Wait until a user's pushers are gone."""
        async with asyncio.timeout(5):
            while await self.push.pushers.of(user_id):  # noqa: ASYNC110 (nothing tells of it)
                await asyncio.sleep(0.001)

    async def later(self, milliseconds: int) -> None:
        """Let time pass, and what was waiting for it begin."""
        self.clock.advance(milliseconds)
        await asyncio.sleep(0.01)


class Gateway:
    """A push gateway on loopback. answers: what it says next; after them it takes everything."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.answers: list[tuple[int, Mapping[str, Any]]] = []
        self.port = 0
        self.complaints: list[str] = []
        self._shape = _shape_of_requests()
        self._news = asyncio.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{NOTIFY}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                assert head.startswith(f"post {NOTIFY} ")
                length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
                body = orjson.loads(await reader.readexactly(length))
                self.complaints += [f"{error.json_path}: {error.message}" for error in self._shape.iter_errors(body)]
                self.told.append(body["notification"])
                status, body = self.answers.pop(0) if self.answers else (200, {"rejected": []})
                encoded = orjson.dumps(body)
                writer.write(b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n%b" % (status, len(encoded), encoded))
                await writer.drain()
                self._news.set()
        writer.close()

    async def hears(self, count: int) -> list[dict[str, Any]]:
        """Wait until it was told so often; everything it was told."""
        async with asyncio.timeout(5):
            while len(self.told) < count:
                self._news.clear()
                await self._news.wait()
        # What comes of the answer happens here too.
        await asyncio.sleep(0.02)
        assert len(self.told) == count, self.told[count:]
        return self.told

    async def events(self, count: int) -> list[str]:
        return [told.get("event_id", "") for told in await self.hears(count)]

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Gateway"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
        assert not self.complaints


def pusher(gateway: Gateway, pushkey: str = "key", **more: Any) -> dict[str, Any]:
    """The body of POST /pushers/set."""
    data = {"url": gateway.url, **more.pop("data", {})}
    return {
        "kind": "http",
        "app_id": "app",
        "pushkey": pushkey,
        "app_display_name": "App",
        "device_display_name": "Phone",
        "lang": "en",
        "data": data,
        **more,
    }


def mail_pusher(address: str = MAIL, **more: Any) -> dict[str, Any]:
    """The body of POST /pushers/set, as clients make it for e-mail."""
    return {
        "kind": "email",
        "app_id": "m.email",
        "pushkey": address,
        "app_display_name": "Email Notifications",
        "device_display_name": address,
        "lang": "en",
        "data": {"brand": "Some Client"},
        **more,
    }


async def set_pusher(world: PushWorld, user_id: UserId, body: Mapping[str, Any], device: DeviceId = PHONE) -> None:
    await world.ask(user_id, "POST", "pushers/set", body, device=device)


@asynccontextmanager
async def open_push_world(folder: Path, **options: Any) -> AsyncIterator[PushWorld]:
    """A world for the length of a block."""
    world = await PushWorld(folder, **options).start()
    try:
        yield world
    finally:
        await world.close()
