import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.server.media.world import OtherServer
from tests.unit.server.rooms.relating import redact
from tests.unit.server.rooms.world import ALICE, BOB, HERE, World
from watchword.base import limits
from watchword.base.errors import NotFound
from watchword.protocol.ids import EventId, RoomId
from watchword.server import media
from watchword.server.media.assembly import Outside, Repository, assemble_media
from watchword.server.media.commands import MediaSettings, PreviewSettings, Uploader
from watchword.server.media.files import Files
from watchword.server.moderation.media_follower import NAME, MediaFollower
from watchword.server.rooms import catalogue_tables
from watchword.server.rooms.commands import SendEvent
from watchword.server.rooms.retention import Retention
from watchword.server.rooms.retention_policy import RetentionSettings
from watchword.storage import Position, migrate


class MediaWorld:
    """Rooms and a content repository on one database."""

    def __init__(self, folder: Path, rooms: World) -> None:
        self.rooms = rooms
        self.repository: Repository = assemble_media(
            rooms.database,
            Files(folder / "media", rooms.entropy),
            rooms.clock,
            rooms.entropy,
            HERE,
            Outside(OtherServer(), None),
            (MediaSettings(), PreviewSettings()),
        )
        self.follower = self.a_follower()
        self.room_id = RoomId("")

    def a_follower(self) -> MediaFollower:
        rooms = self.rooms
        return MediaFollower(rooms.database, rooms.log, rooms.clock, rooms.reader, self.repository.removal)

    async def upload(self) -> str:
        async def pieces() -> AsyncIterator[bytes]:
            yield self.rooms.entropy.random_bytes(20)

        return await self.repository.service.upload(Uploader(ALICE), ("text/plain", None), pieces())

    async def show(self, media_id: str, kind: str = "m.room.message") -> EventId:
        content = {"msgtype": "m.file", "body": "file", "url": f"mxc://{HERE}/{media_id}"}
        return await self.rooms.writer.send(SendEvent(self.room_id, ALICE, kind, content))

    async def follow(self) -> None:
        async with self.rooms.database.read() as view:
            after = await self.rooms.log.cursor(view, NAME)
        await self.follower.act(await self.rooms.log.read(after, 1_000))

    async def is_there(self, media_id: str) -> bool:
        try:
            await self.repository.service.find_local(media_id, 0)
        except NotFound:
            return False
        return True


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[MediaWorld]:
    rooms = World(tmp_path)
    await migrate(rooms.database, [media.SCHEMA])
    await rooms.start()
    made = MediaWorld(tmp_path, rooms)
    await made.repository.start()
    made.room_id = await rooms.public_room(BOB)
    yield made
    await made.repository.close()
    await rooms.close()


async def test_a_file_goes_with_the_redaction_of_its_event(world: MediaWorld) -> None:
    media_id, other = await world.upload(), await world.upload()
    event_id = await world.show(media_id)
    await world.show(other, "m.sticker")
    await world.follow()
    assert await world.is_there(media_id)
    await redact(world.rooms, ALICE, world.room_id, event_id)
    await world.follow()
    await world.follow()
    assert not await world.is_there(media_id)
    assert await world.is_there(other)


async def test_a_redaction_that_may_not_be_takes_nothing(world: MediaWorld) -> None:
    media_id = await world.upload()
    event_id = await world.show(media_id)
    await world.follow()
    assert await world.rooms.refused(BOB, "PUT", f"rooms/{world.room_id}/redact/{event_id}/1", {}) == (403, "M_FORBIDDEN")
    await world.follow()
    assert await world.is_there(media_id)


async def test_a_file_that_is_shown_twice_goes_with_the_second_event(world: MediaWorld) -> None:
    media_id = await world.upload()
    first, second = await world.show(media_id), await world.show(media_id)
    await world.follow()
    await redact(world.rooms, ALICE, world.room_id, first)
    await world.follow()
    assert await world.is_there(media_id)
    await redact(world.rooms, ALICE, world.room_id, second)
    await world.follow()
    assert not await world.is_there(media_id)


async def test_what_went_without_a_redaction_that_was_followed_is_found_later(world: MediaWorld) -> None:
    media_id = await world.upload()
    event_id = await world.show(media_id)
    await world.follow()
    await redact(world.rooms, ALICE, world.room_id, event_id)
    await world.follower.look_through()
    assert not await world.is_there(media_id)
    await world.follower.look_through()


async def test_messages_without_files_move_no_cursor_one_by_one(world: MediaWorld) -> None:
    await world.rooms.send(ALICE, world.room_id, "words")
    await world.follow()
    async with world.rooms.database.read() as view:
        assert await world.rooms.log.cursor(view, NAME) == Position(0)


async def test_it_follows_from_where_it_was(world: MediaWorld) -> None:
    media_id = await world.upload()
    event_id = await world.show(media_id)
    clock = world.rooms.clock
    for step in range(2):
        running = asyncio.ensure_future(world.a_follower().run())
        for _ in range(20):
            await asyncio.sleep(0.01)
            clock.advance(200)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert await world.is_there(media_id) is (step == 0)
        await redact(world.rooms, ALICE, world.room_id, event_id)
    assert limits.media_sweep_ms > 20 * 200


async def test_files_go_with_events_that_were_too_old(world: MediaWorld) -> None:
    media_id = await world.upload()
    await world.show(media_id)
    await world.show(await world.upload())
    await world.follow()
    rooms = world.rooms
    async with rooms.database.write() as tx:
        await catalogue_tables.insert_times(tx, 0, 1_000)
    rooms.clock.advance(2_000_000)
    retention = Retention(rooms.writer, rooms.log, rooms.clock, RetentionSettings(True, default_ms=1_000_000))
    assert await retention.sweep() == 2
    await world.follow()
    assert not await world.is_there(media_id)
