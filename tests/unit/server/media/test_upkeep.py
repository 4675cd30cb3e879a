import asyncio
import hashlib
import logging
from pathlib import Path

import pytest

from tests.unit.server.media.pictures import a_picture
from tests.unit.server.media.world import HERE, THERE, World
from watchword.base import limits
from watchword.server.media.commands import MediaName, MediaSettings, StoredFile
from watchword.server.media.thumbnail_tables import Thumbnail, put

DAY = 86_400_000


async def a_world(tmp_path: Path, **settings: int) -> World:
    return await World(tmp_path, MediaSettings(**settings)).start()  # type: ignore[arg-type]


async def copy(world: World, name: str, data: bytes) -> None:
    world.other.files[name] = (None, None, [data])
    await world.download(name, THERE)


async def whole_round(world: World) -> None:
    for _ in range(256):
        await world.repository.upkeep.sweep()


def orphan(world: World, data: bytes) -> Path:
    name = hashlib.sha256(data).hexdigest()
    path = world.folder / "files" / name[:2] / name[2:4] / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


async def test_copies_that_nobody_asked_for_go_and_uploads_never(tmp_path: Path) -> None:
    world = await a_world(tmp_path, copies_kept_ms=10 * DAY)
    upload = await world.upload(b"mine")
    await copy(world, "old", b"old")
    await copy(world, "used", b"used")
    world.clock.advance(9 * DAY)
    await world.download("used", THERE)
    await world.repository.upkeep.sweep()
    assert len(world.on_disk()) == 3
    world.clock.advance(2 * DAY)
    await world.repository.upkeep.sweep()
    assert len(world.on_disk()) == 2
    assert (await world.download(upload))[0] == b"mine"
    await world.download("used", THERE)
    assert world.other.downloads == 2
    await world.download("old", THERE)
    assert world.other.downloads == 3
    await world.close()


async def test_of_too_many_copies_those_go_that_nobody_asked_for_longest(tmp_path: Path) -> None:
    world = await a_world(tmp_path, copies_bytes_max=25)
    for number in range(4):
        await copy(world, f"m{number}", bytes([number]) * 10)
        world.clock.advance(2 * DAY)
    await world.download("m0", THERE)
    await world.repository.upkeep.sweep()
    assert len(world.on_disk()) == 2
    downloads = world.other.downloads
    await world.download("m0", THERE)
    await world.download("m3", THERE)
    assert world.other.downloads == downloads
    await world.close()


async def test_copies_stay_for_ever_where_nothing_is_said(world: World) -> None:
    await copy(world, "abc", b"1234")
    world.clock.advance(10_000 * DAY)
    await world.repository.upkeep.sweep()
    assert len(world.on_disk()) == 1


async def test_files_that_nobody_names_go_within_a_round_and_named_ones_stay(world: World) -> None:
    media_id = await world.upload(a_picture("PNG", (400, 400)), "image/png")
    await world.thumbnail(media_id, "width=32&height=32&method=crop")
    await copy(world, "abc", b"copy")
    lost = orphan(world, b"lost")
    stranger = lost.with_name("notes.txt")
    stranger.write_text("not ours")
    await whole_round(world)
    assert not lost.exists()
    assert stranger.exists()
    assert len(world.on_disk()) == 4


async def test_thumbnails_of_bytes_that_are_gone_go_too(world: World) -> None:
    made = orphan(world, b"small")
    async with world.database.write() as tx:
        file = StoredFile(bytes.fromhex(made.name), 5)
        await put(tx, b"\x00" + b"\x01" * 31, "32x32c", Thumbnail("image/png", file, 1))
    await world.repository.upkeep.sweep()
    assert not made.exists()


async def test_an_upload_that_is_not_named_yet_is_not_swept(world: World) -> None:
    async with world.files.storing(pieces(b"coming"), 100) as file:
        assert file is not None
        await whole_round(world)
        assert len(world.on_disk()) == 1
    await asyncio.sleep(0.05)
    await whole_round(world)
    assert world.on_disk() == []


async def test_copies_without_a_file_are_forgotten_and_uploads_are_told_of(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    await world.upload(b"mine")
    await copy(world, "abc", b"copy")
    for path in world.on_disk():
        path.unlink()
    with caplog.at_level(logging.ERROR):
        await world.repository.upkeep.sweep()
    assert "missing" in caplog.text
    assert await world.removal.delete([MediaName(THERE, "abc")]) == 0
    assert HERE not in caplog.text


async def test_it_sweeps_now_and_then(world: World) -> None:
    await copy(world, "abc", b"copy")
    world.on_disk()[0].unlink()
    running = asyncio.ensure_future(world.repository.run())
    await asyncio.sleep(0)
    world.clock.advance(limits.media_sweep_ms)
    for _ in range(100):
        await asyncio.sleep(0.005)
        if world.clock.next_wake_ms() is not None:
            break
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await world.removal.delete([MediaName(THERE, "abc")]) == 0


async def pieces(*given: bytes):  # type: ignore[no-untyped-def]
    for piece in given:
        yield piece
