import asyncio
import hashlib
from pathlib import Path

import pytest

from tests.unit.server.media.pictures import a_picture
from tests.unit.server.media.world import ALICE, BOB, HERE, THERE, World
from watchword.base.errors import NotFound
from watchword.protocol.ids import EventId, UserId
from watchword.server.media.commands import MediaName

EVENT, OTHER_EVENT = EventId("$a"), EventId("$b")


async def redact(world: World, event_id: EventId) -> None:
    async with world.database.write() as tx:
        hashes = await world.removal.forget_event(tx, event_id)
    await world.removal.reap(hashes)


async def note(world: World, event_id: EventId, media_id: str, sender: UserId = ALICE) -> None:
    async with world.database.write() as tx:
        await world.removal.note_event(tx, event_id, sender, {"url": f"mxc://{HERE}/{media_id}"})


async def is_there(world: World, media_id: str, server: str = HERE) -> bool:
    try:
        await world.download(media_id, server)
    except NotFound:
        return False
    return True


async def test_a_deleted_file_is_gone_from_the_disk_with_its_thumbnails(world: World) -> None:
    media_id = await world.upload(a_picture("PNG", (400, 400)), "image/png")
    await world.thumbnail(media_id, "width=32&height=32&method=crop")
    assert len(world.on_disk()) == 2
    assert await world.removal.delete([MediaName(HERE, media_id), MediaName(HERE, "unknown")]) == 1
    assert world.on_disk() == []
    assert not await is_there(world, media_id)


async def test_bytes_that_another_name_has_stay(world: World) -> None:
    first, second = await world.upload(b"same"), await world.upload(b"same")
    await world.removal.delete([MediaName(HERE, first)])
    assert not await is_there(world, first)
    assert await is_there(world, second)
    world.other.files["abc"] = (None, None, [b"same"])
    await world.download("abc", THERE)
    await world.removal.delete([MediaName(HERE, second)])
    assert len(world.on_disk()) == 1
    await world.removal.delete([MediaName(THERE, "abc")])
    assert world.on_disk() == []


async def test_a_thumbnail_that_is_anothers_original_stays_with_it(world: World) -> None:
    media_id = await world.upload(a_picture("PNG", (400, 400)), "image/png")
    thumbnail, _ = await world.thumbnail(media_id, "width=32&height=32&method=crop")
    uploaded = await world.upload(thumbnail, "image/jpeg")
    await world.removal.delete([MediaName(HERE, media_id)])
    assert (await world.download(uploaded))[0] == thumbnail


async def test_an_upload_of_the_same_bytes_at_the_same_moment_wins(world: World) -> None:
    for _ in range(20):
        first = await world.upload(b"same")
        done = await asyncio.gather(world.removal.delete([MediaName(HERE, first)]), world.upload(b"same"))
        assert (await world.download(done[1]))[0] == b"same"
        await world.removal.delete([MediaName(HERE, done[1])])


async def test_a_file_that_was_condemned_when_the_server_died_is_decided_about_at_the_start(tmp_path: Path) -> None:
    world = await World(tmp_path).start()
    kept, gone = await world.upload(b"kept"), await world.upload(b"gone")
    names = [hashlib.sha256(data).digest() for data in (b"kept", b"gone")]
    await world.removal.delete([MediaName(HERE, gone)])
    (world.folder / "condemned" / names[1].hex()).write_bytes(b"gone")
    await asyncio.sleep(0.05)
    assert await world.files.condemn(names[0])
    await world.repository.start()
    assert await is_there(world, kept)
    assert len(world.on_disk()) == 1
    await world.close()


# With events


async def test_a_redacted_event_takes_its_files_with_it(world: World) -> None:
    media_id = await world.upload(b"1234")
    await note(world, EVENT, media_id)
    await redact(world, EVENT)
    await redact(world, EVENT)
    assert not await is_there(world, media_id)
    assert world.on_disk() == []


async def test_a_file_that_another_event_shows_stays_until_that_goes_too(world: World) -> None:
    media_id = await world.upload(b"1234")
    for event_id in (EVENT, EVENT, OTHER_EVENT):
        await note(world, event_id, media_id)
    await redact(world, EVENT)
    assert await is_there(world, media_id)
    await redact(world, OTHER_EVENT)
    assert not await is_there(world, media_id)


async def test_an_event_takes_nothing_that_its_sender_did_not_upload(world: World) -> None:
    media_id = await world.upload(b"1234")
    await note(world, EVENT, media_id, BOB)
    await note(world, OTHER_EVENT, media_id, UserId("@alice:there.example"))
    await redact(world, EVENT)
    await redact(world, OTHER_EVENT)
    assert await is_there(world, media_id)


# Quarantine


async def test_quarantined_bytes_are_served_to_nobody_under_any_name(world: World) -> None:
    picture = a_picture("PNG", (400, 400))
    media_id = await world.upload(picture, "image/png")
    other = await world.upload(picture, "image/png")
    await world.thumbnail(media_id, "width=32&height=32")
    sha256 = await world.removal.quarantine(MediaName(HERE, media_id), ALICE, "why")
    later = await world.upload(picture, "image/png")
    world.other.files["abc"] = ("image/png", None, [picture])
    for name, server in ((media_id, HERE), (other, HERE), (later, HERE), ("abc", THERE), ("abc", THERE)):
        assert not await is_there(world, name, server)
        with pytest.raises(NotFound):
            await world.thumbnail(name, "width=32&height=32", server)
    assert world.other.downloads == 1
    with pytest.raises(NotFound):
        await world.ask("GET", f"/_matrix/federation/v1/media/download/{media_id}")
    (row,) = await world.removal.quarantined()
    assert (row.sha256, row.quarantined_by, row.reason) == (sha256, ALICE, "why")
    assert await world.removal.quarantined(before_ts=row.created_ts) == []
    assert [await world.removal.release(MediaName(HERE, other)), await world.removal.release(sha256)] == [True, False]
    assert await is_there(world, media_id)


async def test_bytes_can_be_quarantined_before_they_come(world: World) -> None:
    await world.removal.quarantine(hashlib.sha256(b"bad").digest(), ALICE)
    assert not await is_there(world, await world.upload(b"bad"))


async def test_what_is_not_here_cannot_be_quarantined_by_name(world: World) -> None:
    with pytest.raises(NotFound):
        await world.removal.quarantine(MediaName(THERE, "abc"), ALICE)
    with pytest.raises(NotFound):
        await world.removal.release(MediaName(HERE, "abc"))
