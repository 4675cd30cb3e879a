import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.unit.server.media.pictures import a_picture
from tests.unit.server.media.web import Web, a_web
from tests.unit.server.media.world import BOB, World
from watchword.base import limits
from watchword.base.errors import LimitExceeded, Refusal

PATH = "/_matrix/client/v1/media/preview_url"
HOUR = 3_600_000


async def preview(world: World, url: str, more: str = "", **given: Any) -> dict[str, Any]:
    found, _ = await world.ask("GET", PATH, query=f"url={quote(url, safe='')}{more}", **given)
    assert isinstance(found, dict)
    return found


async def refusal(awaitable: object) -> tuple[int, str]:
    with pytest.raises(Refusal) as refused:
        await awaitable  # type: ignore[misc]
    return refused.value.status, refused.value.errcode


async def test_a_page_is_visited_once_for_many_and_again_when_it_may_have_changed(tmp_path: Path) -> None:
    async with a_web(tmp_path) as (web, world):
        web.html("/", "<title>One</title>")
        found = await asyncio.gather(*(preview(world, web.url("/#part")) for _ in range(5)))
        assert found == [{"og:title": "One"}] * 5
        assert web.seen == ["/"]
        world.clock.advance(limits.preview_fresh_ms)
        web.html("/", "<title>Two</title>")
        assert (await preview(world, web.url("/")))["og:title"] == "Two"


async def test_the_preview_of_an_earlier_time_is_given_while_it_is_remembered(tmp_path: Path) -> None:
    async with a_web(tmp_path) as (web, world):
        web.html("/", "<title>One</title>")
        first_ts = world.clock.now_ms()
        await preview(world, web.url("/"))
        world.clock.advance(3 * HOUR)
        web.html("/", "<title>Two</title>")
        assert (await preview(world, web.url("/"), f"&ts={world.clock.now_ms()}"))["og:title"] == "Two"
        assert (await preview(world, web.url("/"), f"&ts={first_ts + 1}"))["og:title"] == "One"
        assert (await preview(world, web.url("/"), f"&ts={first_ts - HOUR * 24}"))["og:title"] == "One"
        assert (await preview(world, web.url("/"), f"&ts={first_ts + 2 * HOUR}"))["og:title"] == "Two"
        assert web.seen == ["/", "/"]


async def test_languages_are_asked_for_and_remembered_apart(tmp_path: Path) -> None:
    async with a_web(tmp_path) as (web, world):
        web.html("/", "<title>x</title>")
        for language in ("de-CH, de;q=0.9", "nonsense\r\nx: y", ""):
            await preview(world, web.url("/"), headers={"accept-language": language})
        assert len(web.seen) == 2
        assert "Accept-Language: de-CH, de;q=0.9\r\n" in web.heads[0]
        assert "Accept-Language: en\r\n" in web.heads[1]


async def test_a_failure_is_not_tried_again_at_once_and_says_nothing_of_its_reason(tmp_path: Path) -> None:
    async with a_web(tmp_path) as (web, world):
        for _ in range(2):
            assert await refusal(preview(world, web.url("/missing"))) == (404, "M_NOT_FOUND")
        assert web.seen == ["/missing"]
        web.html("/missing", "<title>Here</title>")
        world.clock.advance(limits.preview_failed_ms)
        assert await preview(world, web.url("/missing")) == {"og:title": "Here"}
        assert await refusal(preview(world, "http://10.0.0.1/")) == (404, "M_NOT_FOUND")


async def test_a_user_may_ask_for_so_many_new_pages_and_a_known_one_costs_nothing(tmp_path: Path) -> None:
    async with a_web(tmp_path) as (web, world):
        web.html("/", "<title>x</title>")
        await preview(world, web.url("/"))
        for number in range(limits.previews_burst - 1):
            await refusal(preview(world, f"http://10.0.0.1/{number}"))
        with pytest.raises(LimitExceeded):
            await preview(world, "http://10.0.0.1/last")
        assert await preview(world, web.url("/")) == {"og:title": "x"}
        assert await refusal(preview(world, "http://10.0.0.1/last", user=BOB)) == (404, "M_NOT_FOUND")


@pytest.mark.parametrize(
    ("query", "errcode"),
    [
        ("", "M_MISSING_PARAM"),
        ("url=", "M_INVALID_PARAM"),
        ("url=ftp%3A%2F%2Fa.example", "M_INVALID_PARAM"),
        ("url=javascript%3Aalert(1)", "M_INVALID_PARAM"),
        ("url=http%3A%2F%2Fuser%3Apass%40a.example%2F", "M_INVALID_PARAM"),
        ("url=http%3A%2F%2F%5B", "M_INVALID_PARAM"),
        ("url=https%3A%2F%2Fa.example&ts=x", "M_INVALID_PARAM"),
        ("url=http%3A%2F%2Fa.example%2F" + "x" * 5_000, "M_INVALID_PARAM"),
    ],
)
async def test_what_is_no_address_of_the_web_is_refused(tmp_path: Path, query: str, errcode: str) -> None:
    async with a_web(tmp_path) as (_, world):
        assert await refusal(world.ask("GET", PATH, query=query)) == (400, errcode)


async def test_previews_and_their_pictures_are_forgotten_together(tmp_path: Path) -> None:
    async with a_web(tmp_path) as (web, world):
        web.html("/", "<meta property='og:image' content='/a.png'><title>x</title>")
        picture(web, "/a.png")
        found = await preview(world, web.url("/"))
        world.clock.advance(6 * 24 * HOUR)
        await world.repository.upkeep.sweep()
        await world.ask("GET", "/_matrix/client/v1/media/download/" + found["og:image"].removeprefix("mxc://"))
        world.clock.advance(2 * 24 * HOUR)
        await world.repository.upkeep.sweep()
        assert world.on_disk() == []


def picture(web: Web, path: str) -> None:
    web.pages[path] = (200, {"Content-Type": "image/png"}, a_picture("PNG", (60, 40)))
