import asyncio
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.server.media.pictures import a_picture
from tests.unit.server.media.web import HTML, Web, a_web
from tests.unit.server.media.world import World
from watchword.base import limits
from watchword.server.media.commands import PreviewSettings
from watchword.server.media.pages import NoPreview

PICTURE = a_picture("PNG", (60, 40))


def pages_of(world: World) -> Any:
    return world.door.previews._pages


async def look(web: Web, world: World, path: str = "/", host: str = "a.example") -> dict[str, Any]:
    seen = await pages_of(world).look(web.url(path, host), "en")
    graph = seen.graph
    assert isinstance(graph, dict)
    return graph


async def test_a_page_with_its_picture(tmp_path: Path) -> None:
    async with a_web(tmp_path) as (web, world):
        web.html(
            "/dir/page",
            '<meta property="og:title" content="Title"><meta property="og:image" content="../a.png">'
            '<meta property="og:url" content="/canonical"><meta property="og:type" content="article">',
        )
        web.pages["/a.png"] = (200, {"Content-Type": "image/png"}, PICTURE)
        graph = await look(web, world, "/dir/page")
        uri = graph.pop("og:image")
        assert graph == {
            "og:title": "Title",
            "og:type": "article",
            "og:url": web.url("/canonical"),
            "og:image:type": "image/png",
            "og:image:width": 60,
            "og:image:height": 40,
            "matrix:image:size": len(PICTURE),
        }
        content, headers = await world.ask("GET", "/_matrix/client/v1/media/download/" + uri.removeprefix("mxc://"))
        assert (content, headers["content-type"]) == (PICTURE, "image/png")


async def test_a_picture_itself(tmp_path: Path) -> None:
    async with a_web(tmp_path) as (web, world):
        web.pages["/dir/my%20cat.png"] = (200, {"Content-Type": "image/png"}, PICTURE)
        graph = await look(web, world, "/dir/my%20cat.png")
        assert (graph["og:title"], graph["og:image:width"]) == ("my cat.png", 60)


@pytest.mark.parametrize("body", [b"<svg onload=alert(1)>", b"<script>", b"\x89PNG\r\n\x1a\nbroken", b""])
async def test_a_picture_that_is_none_is_left_out_and_not_kept(tmp_path: Path, body: bytes) -> None:
    async with a_web(tmp_path) as (web, world):
        web.html("/", '<title>x</title><meta property="og:image" content="/a.png">')
        web.pages["/a.png"] = (200, {"Content-Type": "image/png"}, body)
        assert await look(web, world) == {"og:title": "x"}
        await asyncio.sleep(0.05)
        assert world.on_disk() == []


async def test_a_picture_that_is_too_large_or_missing_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "preview_image_bytes_max", 1_000)
    async with a_web(tmp_path) as (web, world):
        web.html("/", '<title>x</title><meta property="og:image" content="/a.png">')
        assert await look(web, world) == {"og:title": "x"}
        web.pages["/a.png"] = (200, {}, PICTURE + b"x" * 1_000)
        assert await look(web, world) == {"og:title": "x"}


async def test_what_is_neither_page_nor_picture_says_nothing(tmp_path: Path) -> None:
    async with a_web(tmp_path) as (web, world):
        web.pages["/"] = (200, {"Content-Type": "application/pdf"}, b"%PDF")
        assert await look(web, world) == {}


async def test_an_embedding_adds_what_the_page_does_not_say(tmp_path: Path) -> None:
    async with a_web(tmp_path) as (web, world):
        web.html("/", "<title>Mine</title><link rel=alternate type='application/json+oembed' href='/o'>")
        said = {"title": "Theirs", "author_name": "Somebody", "provider_name": "Site", "thumbnail_url": "/a.png"}
        web.pages["/o"] = (200, {}, json.dumps(said).encode())
        web.pages["/a.png"] = (200, {}, PICTURE)
        graph = await look(web, world)
        assert [graph[f"og:{name}"] for name in ("title", "description", "site_name")] == ["Mine", "Somebody", "Site"]
        assert graph["matrix:image:size"] == len(PICTURE)
        for body in (b"[" * 100_000, b"{", b"[]", b'{"title":"\xff"}'):
            web.pages["/o"] = (200, {}, body)
            assert await look(web, world) == {"og:title": "Mine"}


async def test_only_the_beginning_of_a_page_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "preview_page_bytes_max", 200)
    async with a_web(tmp_path) as (web, world):
        bomb = gzip.compress(b"<title>x</title>" + b" " * 10_000_000)
        web.pages["/"] = (200, {**HTML, "Content-Encoding": "gzip"}, bomb)
        assert await look(web, world) == {"og:title": "x"}


# Where it may not go


@pytest.mark.parametrize(
    "to",
    [
        "http://127.0.0.1:{port}/inside",
        "http://[::1]:{port}/inside",
        "http://[::ffff:127.0.0.1]:{port}/inside",
        "http://2130706433:{port}/inside",
        "http://0x7f.1:{port}/inside",
        "http://0.0.0.0:{port}/inside",
        "http://169.254.169.254/latest/meta-data/",
        "http://inside.example:{port}/inside",
        "http://user:pass@a.example:{port}/inside",
        "file:///etc/passwd",
        "gopher://a.example/",
        "//127.0.0.1:{port}/inside",
    ],
)
async def test_neither_a_redirect_nor_a_page_leads_inside(tmp_path: Path, to: str) -> None:
    async with a_web(tmp_path) as (web, world):
        web.names.answers["inside.example"] = [["127.0.0.1"]]
        for odd in ("2130706433", "0x7f.1"):
            web.names.answers[odd] = [["127.0.0.1"]]
        web.html("/inside", "<title>secret</title>")
        target = to.format(port=web.port)
        web.redirect("/", target)
        web.html("/page", f'<title>x</title><meta property="og:image" content="{target}">')
        web.html("/embeds", f"<title>x</title><link rel=alternate type='application/json+oembed' href='{target}'>")
        with pytest.raises(NoPreview):
            await look(web, world)
        assert await look(web, world, "/page") == {"og:title": "x"}
        assert await look(web, world, "/embeds") == {"og:title": "x"}
        assert "/inside" not in web.seen


async def test_a_name_that_changes_between_two_answers_leads_nowhere_else(tmp_path: Path) -> None:
    async with a_web(tmp_path) as (web, world):
        web.html("/", "<title>x</title>")
        # First a permitted address, then one inside: whatever was checked before, the socket goes to what is checked last.
        web.names.answers["rebinds.example"] = [["127.0.0.2"], ["127.0.0.1"]]
        assert await look(web, world, "/", "rebinds.example") == {"og:title": "x"}
        web.html("/again", "<title>inside</title>")
        with pytest.raises(NoPreview):
            await look(web, world, "/again", "rebinds.example")
        assert "/again" not in web.seen


async def test_of_several_addresses_only_the_permitted_is_tried(tmp_path: Path) -> None:
    async with a_web(tmp_path) as (web, world):
        web.html("/", "<title>x</title>")
        web.names.answers["both.example"] = [["127.0.0.1", "127.0.0.2"]]
        assert await look(web, world, "/", "both.example") == {"og:title": "x"}


async def test_redirects_are_followed_and_counted(tmp_path: Path) -> None:
    async with a_web(tmp_path) as (web, world):
        for number in range(limits.preview_redirects_max):
            web.redirect(f"/{number}", f"/{number + 1}")
        web.html(f"/{limits.preview_redirects_max}", "<title>end</title>")
        assert await look(web, world, "/0") == {"og:title": "end"}
        web.redirect("/round", "/round")
        with pytest.raises(NoPreview):
            await look(web, world, "/round")
        assert web.seen.count("/round") == limits.preview_redirects_max + 1


async def test_hosts_that_the_operator_forbids_are_not_visited_after_a_redirect_either(tmp_path: Path) -> None:
    settings = PreviewSettings(enabled=True, allow_hosts=["*.example"], deny_hosts=["bad.example"])
    async with a_web(tmp_path, settings) as (web, world):
        web.html("/", "<title>x</title>")
        web.redirect("/away", web.url("/", "bad.example"))
        assert await look(web, world) == {"og:title": "x"}
        for path, host in (("/", "bad.example"), ("/", "elsewhere.org"), ("/away", "a.example")):
            with pytest.raises(NoPreview):
                await look(web, world, path, host)
        assert web.seen == ["/", "/away"]


@pytest.mark.parametrize("trickle", ["/", "/a.png"])
async def test_a_page_that_trickles_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trickle: str) -> None:
    monkeypatch.setattr(limits, "preview_timeout_ms", 700)
    async with a_web(tmp_path) as (web, world):
        web.html("/", '<title>x</title><meta property="og:image" content="/a.png">')
        web.pages["/a.png"] = (200, {}, b"")
        web.trickles.add(trickle)
        with pytest.raises(NoPreview):
            await look(web, world)
        await asyncio.sleep(0.05)
        assert world.on_disk() == []
