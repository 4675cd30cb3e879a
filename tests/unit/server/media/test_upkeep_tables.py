from tests.unit.server.media.world import ALICE, World
from watchword.protocol.ids import EventId
from watchword.server.media import preview_tables, tables, thumbnail_tables, upkeep_tables
from watchword.server.media.commands import Media, Quarantined, StoredFile
from watchword.server.media.preview_tables import StoredPreview
from watchword.server.media.thumbnail_tables import Thumbnail

A, B = b"\x01" * 32, b"\x02" * 32


def media(sha256: bytes, created_ts: int = 1, size_bytes: int = 10) -> Media:
    return Media("text/plain", None, StoredFile(sha256, size_bytes), created_ts)


async def test_bytes_are_named_by_files_and_by_thumbnails(world: World) -> None:
    async with world.database.write() as tx:
        assert not await upkeep_tables.is_named(tx, A)
        await tables.add(tx, ("", "a"), ALICE, media(A))
        await thumbnail_tables.put(tx, A, "x", Thumbnail("image/png", StoredFile(B, 1), 1))
        assert await upkeep_tables.is_named(tx, A)
        assert await upkeep_tables.is_named(tx, B)
        assert await upkeep_tables.thumbnails_of_nothing(tx, 1, 10) == []
        await tables.remove(tx, "", "a")
        assert await upkeep_tables.thumbnails_of_nothing(tx, 1, 10) == [A]
        assert await upkeep_tables.thumbnails_of_nothing(tx, 2, 10) == []


async def test_names_come_in_pages(world: World) -> None:
    async with world.database.write() as tx:
        for name in (("", "a"), ("", "b"), ("x.example", "a")):
            await tables.add(tx, name, ALICE, media(A))
        first = await upkeep_tables.names_after(tx, ("", ""), 2)
        assert [row[:2] for row in first] == [("", "a"), ("", "b")]
        assert [row[:2] for row in await upkeep_tables.names_after(tx, first[-1][:2], 2)] == [("x.example", "a")]


async def test_only_copies_that_show_in_no_preview_are_offered_oldest_first(world: World) -> None:
    async with world.database.write() as tx:
        await tables.add(tx, ("", "upload"), ALICE, media(A, 1))
        await tables.add(tx, ("", "shown"), "", media(A, 2))
        await tables.add(tx, ("", "unshown"), "", media(A, 3))
        await tables.add(tx, ("x.example", "new"), "", media(A, 5))
        await tables.add(tx, ("x.example", "old"), "", media(B, 4))
        await preview_tables.put(tx, ("https://a.example/", "en"), StoredPreview(b"{}", 1), "shown")
        oldest = await upkeep_tables.oldest_copies(tx, 10)
        assert [row[1] for row in oldest] == ["unshown", "old", "new"]
        assert await upkeep_tables.copied_bytes(tx) == 40


async def test_a_use_is_written_down_only_once_in_a_while(world: World) -> None:
    async with world.database.write() as tx:
        await tables.add(tx, ("x.example", "a"), "", media(A, 100))
        await upkeep_tables.note_used(tx, ("x.example", "a"), 150, 100)
        assert (await upkeep_tables.oldest_copies(tx, 1))[0][3] == 100
        await upkeep_tables.note_used(tx, ("x.example", "a"), 250, 101)
        assert (await upkeep_tables.oldest_copies(tx, 1))[0][3] == 250


async def test_the_first_quarantine_counts(world: World) -> None:
    async with world.database.write() as tx:
        first = Quarantined(A, ALICE, "first", 5)
        await upkeep_tables.quarantine(tx, first)
        await upkeep_tables.quarantine(tx, Quarantined(A, "@b:c", "second", 6))
        assert await upkeep_tables.quarantined(tx, 10, 10) == [first]
        assert await upkeep_tables.is_quarantined(tx, A)
        assert [await upkeep_tables.release(tx, A), await upkeep_tables.release(tx, A)] == [True, False]


async def test_what_no_other_event_shows_is_told_of_when_one_goes(world: World) -> None:
    async with world.database.write() as tx:
        await upkeep_tables.note_shown(tx, EventId("$a"), ["x", "y", "x"])
        await upkeep_tables.note_shown(tx, EventId("$b"), ["y"])
        assert await upkeep_tables.showing_events(tx, "", 10) == ["$a", "$b"]
        assert await upkeep_tables.showing_events(tx, "$a", 10) == ["$b"]
        assert await upkeep_tables.no_longer_shown(tx, EventId("$a")) == ["x"]
        assert await upkeep_tables.no_longer_shown(tx, EventId("$a")) == ()
        assert await upkeep_tables.no_longer_shown(tx, EventId("$b")) == ["y"]
