import asyncio

import pytest

from tests.unit.server.media.pictures import a_picture, an_animation, noise, opened
from tests.unit.server.media.world import HERE, PNG, THERE, World
from watchword.base import limits
from watchword.base.errors import Refusal
from watchword.server.media.commands import Media, StoredFile
from watchword.server.media.decide import Wanted

BIG = (1_200, 900)


async def refusal(awaitable: object) -> tuple[int, str]:
    with pytest.raises(Refusal) as refused:
        await awaitable  # type: ignore[misc]
    return refused.value.status, refused.value.errcode


async def stored(world: World, size_bytes: int) -> Media:
    media_id = await world.upload(PNG, "image/png")
    media = await world.service.find_local(media_id, 0)
    return media._replace(file=StoredFile(media.file.sha256, size_bytes))


@pytest.mark.parametrize(("is_remote", "status"), [(False, 413), (True, 502)])
async def test_a_picture_that_is_too_large_is_refused_by_where_it_is_from(world: World, is_remote: bool, status: int) -> None:
    large = await stored(world, limits.thumbnail_source_bytes_max + 1)
    asked = world.door.thumbnails.of(large, Wanted(1, 1, "crop", None), is_remote=is_remote)
    assert await refusal(asked) == (status, "M_TOO_LARGE")


@pytest.mark.parametrize(
    ("query", "size"),
    [
        ("width=32&height=32&method=crop", (32, 32)),
        ("width=64&height=64&method=crop", (96, 96)),
        ("width=320&height=240", (320, 240)),
        ("width=10&height=10&method=scale", (320, 240)),
        ("width=640&height=100", (640, 480)),
        ("width=800&height=600&method=scale", (800, 600)),
        ("width=801&height=1", BIG),
    ],
)
async def test_thumbnails_have_the_sizes_of_the_specification(world: World, query: str, size: tuple[int, int]) -> None:
    media_id = await world.upload(a_picture("JPEG", BIG), "image/jpeg")
    content, headers = await world.thumbnail(media_id, query)
    assert opened(content).size == size
    assert headers["content-type"] == "image/jpeg"


async def test_a_thumbnail_moves_only_if_that_is_asked_for(world: World) -> None:
    media_id = await world.upload(an_animation("GIF"), "image/gif")
    for query, frames in (("", 1), ("&animated=false", 1), ("&animated=true", 3)):
        content, headers = await world.thumbnail(media_id, f"width=320&height=240{query}")
        assert getattr(opened(content), "n_frames", 1) == frames
        assert headers["content-type"] == ("image/webp" if frames == 3 else "image/jpeg")


async def test_a_small_animation_stands_for_itself_only_if_it_may_move(world: World) -> None:
    animation = an_animation("GIF", (40, 30))
    media_id = await world.upload(animation, "image/gif")
    assert (await world.thumbnail(media_id, "width=320&height=240&animated=true"))[0] == animation
    still, headers = await world.thumbnail(media_id, "width=320&height=240")
    assert (getattr(opened(still), "n_frames", 1), opened(still).size) == (1, (40, 30))
    assert headers["content-type"] == "image/jpeg"


async def test_webp_is_for_readers_that_name_it(world: World) -> None:
    media_id = await world.upload(a_picture("PNG", BIG), "image/png")
    _, headers = await world.thumbnail(media_id, "width=32&height=32", headers={"accept": "image/avif,image/webp,*/*"})
    assert headers["content-type"] == "image/webp"
    _, headers = await world.thumbnail(media_id, "width=32&height=32", headers={"accept": "*/*"})
    assert headers["content-type"] == "image/jpeg"


async def test_many_who_ask_at_once_have_it_made_once_and_it_is_stored_once(world: World) -> None:
    picture = a_picture("PNG", BIG)
    first, second = await world.upload(picture, "image/png"), await world.upload(picture, "image/png")
    asked = [world.thumbnail(media_id, "width=96&height=96&method=crop") for media_id in (first, second) * 4]
    assert len({content for content, _ in await asyncio.gather(*asked)}) == 1
    process_id = world.sandbox.process_id
    assert len(world.on_disk()) == 2
    await world.sandbox.close()
    await world.thumbnail(first, "width=96&height=96&method=crop")
    assert process_id is not None
    assert world.sandbox.process_id is None


async def test_a_thumbnail_whose_file_was_lost_is_made_again(world: World) -> None:
    media_id = await world.upload(a_picture("PNG", BIG), "image/png")
    content, headers = await world.thumbnail(media_id, "width=32&height=32&method=crop")
    name = headers["etag"].strip('"')
    (world.folder / "files" / name[:2] / name[2:4] / name).unlink()
    assert (await world.thumbnail(media_id, "width=32&height=32&method=crop"))[0] == content


@pytest.mark.parametrize(
    "data",
    [
        b"plain words",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        noise(5_000),
        a_picture("PNG", BIG)[:200],
        a_picture("JPEG", BIG)[:400],
        b"\x89PNG\r\n\x1a\n" + noise(1_000),
        b"GIF89a" + noise(1_000, 2),
        b"\xff\xd8\xff\xe0" + noise(1_000, 3),
    ],
)
async def test_what_is_no_picture_or_a_damaged_one_has_no_thumbnail(world: World, data: bytes) -> None:
    media_id = await world.upload(data, "image/png")
    assert await refusal(world.thumbnail(media_id, "width=32&height=32")) == (400, "M_UNKNOWN")


async def test_a_picture_that_could_not_be_read_is_not_tried_again_soon(world: World) -> None:
    media_id = await world.upload(b"\x89PNG\r\n\x1a\n" + noise(1_000), "image/png")
    await refusal(world.thumbnail(media_id, "width=32&height=32"))
    await world.sandbox.close()
    assert await refusal(world.thumbnail(media_id, "width=32&height=32")) == (400, "M_UNKNOWN")
    assert world.sandbox.process_id is None
    world.clock.advance(limits.thumbnail_failed_ms)
    await refusal(world.thumbnail(media_id, "width=32&height=32"))
    assert world.sandbox.process_id is not None


async def test_a_picture_of_another_server_has_thumbnails_too(world: World) -> None:
    world.other.files["abc"] = ("image/png", None, [a_picture("PNG", BIG)])
    content, _ = await world.thumbnail("abc", "width=32&height=32&method=crop", THERE)
    assert opened(content).size == (32, 32)


async def test_another_server_gets_a_thumbnail(world: World) -> None:
    media_id = await world.upload(a_picture("PNG", BIG), "image/png")
    path = f"/_matrix/federation/v1/media/thumbnail/{media_id}"
    body, _ = await world.ask("GET", path, query="width=32&height=32&method=crop&animated=false")
    assert b"Content-Type: image/jpeg" in body
    assert HERE.encode() not in body
