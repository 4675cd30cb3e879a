"""A small web for previews: pages by host and path on one port of loopback, and names that lead there."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tests.unit.server.media.world import World
from watchword.edge.addresses import AddressPolicy
from watchword.edge.dns import SrvRecord
from watchword.edge.fetch import Fetcher
from watchword.server.media.commands import PreviewSettings

HTML = {"Content-Type": "text/html; charset=utf-8"}


class Names:
    """Every host of the web is here; some answer differently each time."""

    def __init__(self) -> None:
        self.answers: dict[str, list[Sequence[str]]] = {}

    async def addresses(self, host: str) -> Sequence[str]:
        given = self.answers.get(host)
        if given:
            return given.pop(0) if len(given) > 1 else given[0]
        return ["127.0.0.2"]

    async def srv(self, name: str) -> Sequence[SrvRecord]:
        return ()


class Web:
    """Answers by path; counts who came."""

    def __init__(self) -> None:
        self.names = Names()
        self.pages: dict[str, tuple[int, Mapping[str, str], bytes]] = {}
        self.seen: list[str] = []
        self.heads: list[str] = []
        self.trickles: set[str] = set()
        self.port = 0

    def url(self, path: str, host: str = "a.example") -> str:
        return f"http://{host}:{self.port}{path}"

    def html(self, path: str, head: str, body: str = "") -> None:
        self.pages[path] = (200, HTML, f"<!doctype html><head>{head}</head><body>{body}</body>".encode())

    def redirect(self, path: str, to: str) -> None:
        self.pages[path] = (302, {"Location": to}, b"")

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            path = head.split(" ")[1]
            self.seen.append(path)
            self.heads.append(head)
            status, headers, body = self.pages.get(path, (404, HTML, b"<title>Not here</title>"))
            lines = [f"HTTP/1.1 {status} X", "Connection: close", *(f"{name}: {value}" for name, value in headers.items())]
            writer.write("\r\n".join([*lines, "", ""]).encode())
            if path in self.trickles:
                while True:
                    writer.write(b" ")
                    await writer.drain()
                    await asyncio.sleep(0.02)
            writer.write(body)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def a_web(
    folder: Path, settings: PreviewSettings | None = None, networks: Sequence[str] = ("127.0.0.2/32",)
) -> AsyncIterator[tuple[Web, World]]:
    """A world that makes previews of a web whose addresses alone it may visit."""
    web = Web()
    server = await asyncio.start_server(web.answer, "0.0.0.0", 0)
    web.port = server.sockets[0].getsockname()[1]
    fetcher = Fetcher(web.names, AddressPolicy(networks), plain_http=True)
    world = await World(folder, previews=settings or PreviewSettings(enabled=True), web=fetcher).start()
    try:
        yield web, world
    finally:
        await world.close()
        server.close()
        await server.wait_closed()
        await asyncio.sleep(0.01)
