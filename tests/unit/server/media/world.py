"""A whole content repository on a real disk, with another server of five lines."""

from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import orjson

from tests.unit.server.media.pictures import a_picture
from watchword.base.clock import ManualClock
from watchword.base.entropy import SeededEntropy
from watchword.base.errors import PeerError
from watchword.edge.fetch import Fetcher
from watchword.edge.replies import AnyReply, Reply, StreamReply
from watchword.edge.request import Request
from watchword.edge.requester import Requester, ServerRequester
from watchword.protocol.ids import DeviceId, ServerName, UserId
from watchword.server.media import SCHEMA
from watchword.server.media.assembly import Outside, assemble_media
from watchword.server.media.commands import MediaSettings, PreviewSettings
from watchword.server.media.endpoints import ENDPOINTS
from watchword.server.media.files import Files
from watchword.server.media.ports import RemoteFile
from watchword.storage.migrations import migrate
from watchword.storage.sqlite import SqliteDatabase

HERE, THERE = ServerName("here.example"), ServerName("there.example")
PNG = a_picture("PNG", (4, 4))
ALICE, BOB = UserId("@alice:here.example"), UserId("@bob:here.example")


class OtherServer:
    """What can be downloaded elsewhere."""

    def __init__(self) -> None:
        self.files: dict[str, tuple[str | None, str | None, Sequence[bytes]]] = {}
        self.error: PeerError | None = None
        self.downloads = 0
        self.breaks_off = False

    async def download(self, server_name: ServerName, media_id: str, *, bytes_max: int, timeout_ms: int) -> RemoteFile:
        self.downloads += 1
        if self.error is not None:
            raise self.error
        content_type, name, pieces = self.files[media_id]
        return RemoteFile(content_type, name, self._pieces(server_name, pieces))

    async def _pieces(self, server_name: ServerName, pieces: Sequence[bytes]) -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece
        if self.breaks_off:
            raise PeerError(server_name, "broke off")


class World:
    """The feature as `server/app/homeserver.py` builds it, and a way to knock at its doors."""

    def __init__(
        self,
        folder: Path,
        settings: MediaSettings | None = None,
        previews: PreviewSettings | None = None,
        web: Fetcher | None = None,
    ) -> None:
        self.folder = folder / "media"
        self.database = SqliteDatabase(folder / "server.db")
        self.clock = ManualClock()
        self.other = OtherServer()
        self.entropy = SeededEntropy(1)
        self.files = Files(self.folder, self.entropy)
        self.repository = assemble_media(
            self.database,
            self.files,
            self.clock,
            self.entropy,
            HERE,
            Outside(self.other, web),
            (settings or MediaSettings(), previews or PreviewSettings()),
        )
        self.service = self.repository.service
        self.removal = self.repository.removal
        self.door = self.repository.door
        self.sandbox = self.repository.sandboxes[0]

    async def start(self) -> "World":
        await migrate(self.database, [SCHEMA])
        await self.repository.start()
        return self

    async def close(self) -> None:
        await self.repository.close()
        await self.database.close()

    async def reply(
        self,
        method: str,
        path: str,
        *,
        query: str = "",
        user: UserId = ALICE,
        is_admin: bool = False,
        body: Sequence[bytes] | Callable[[], AsyncIterator[bytes]] = (),
        headers: dict[str, str] | None = None,
    ) -> AnyReply:
        """Knock. Refusals are raised."""
        stream = body if callable(body) else lambda: _stream(body)
        asker = ServerRequester(THERE) if "/federation/" in path else Requester(user, DeviceId("D"), 1, is_admin=is_admin)
        for row in ENDPOINTS:
            params = _match(row.path, path)
            if row.method == ("GET" if method == "HEAD" else method) and params is not None:
                request = Request(method, path, query, params=params, headers=headers or {}, stream=stream)
                return await row.handler(request, asker, self.door)
        raise AssertionError(f"no endpoint {method} {path}")

    async def ask(self, method: str, path: str, **more: Any) -> tuple[Any, dict[str, str]]:
        """Knock: the decoded JSON or the bytes, and the headers. Refusals are raised."""
        reply = await self.reply(method, path, **more)
        assert reply.status == 200
        if isinstance(reply, Reply):
            return orjson.loads(reply.body), dict(reply.headers)
        content = await content_of(reply)
        assert len(content) == int(reply.headers["content-length"])
        return content, dict(reply.headers)

    async def upload(self, content: bytes, content_type: str = "text/plain", name: str | None = None) -> str:
        """Upload as a client; the media ID."""
        query = "" if name is None else "filename=" + name
        answer, _ = await self.ask(
            "POST", "/_matrix/media/v3/upload", query=query, body=[content], headers={"content-type": content_type}
        )
        return str(answer["content_uri"]).rpartition("/")[2]

    async def download(
        self, media_id: str, server: str = HERE, suffix: str = "", query: str = ""
    ) -> tuple[Any, dict[str, str]]:
        return await self.ask("GET", f"/_matrix/client/v1/media/download/{server}/{media_id}{suffix}", query=query)

    async def thumbnail(self, media_id: str, query: str, server: str = HERE, **more: Any) -> tuple[bytes, dict[str, str]]:
        return await self.ask("GET", f"/_matrix/client/v1/media/thumbnail/{server}/{media_id}", query=query, **more)

    def on_disk(self) -> list[Path]:
        """Every file of the repository."""
        return sorted(path for path in self.folder.rglob("*") if path.is_file())


async def content_of(reply: AnyReply) -> bytes:
    """The whole body."""
    if isinstance(reply, Reply):
        return reply.body
    assert isinstance(reply, StreamReply)
    return b"".join([piece async for piece in reply.pieces])


async def _stream(pieces: Sequence[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


def _match(pattern: str, path: str) -> dict[str, str] | None:
    parts, given = pattern.split("/"), path.split("/")
    if len(parts) != len(given):
        return None
    params = {}
    for part, value in zip(parts, given, strict=True):
        if part.startswith("{"):
            params[part[1:-1]] = value
        elif part != value:
            return None
    return params
