from tests.unit.server.media.world import ALICE, World
from watchword.server.media import tables, thumbnail_tables
from watchword.server.media.commands import Media, StoredFile
from watchword.server.media.thumbnail_tables import Thumbnail

SOURCE, SMALL = b"\x01" * 32, b"\x02" * 32
MADE = Thumbnail("image/png", StoredFile(SMALL, 5), 7)


async def test_a_thumbnail_is_found_by_its_source_and_variant_and_replaced(world: World) -> None:
    async with world.database.write() as tx:
        await thumbnail_tables.put(tx, SOURCE, "a", MADE)
        assert await thumbnail_tables.find(tx, SOURCE, "a") == MADE
        assert await thumbnail_tables.find(tx, SOURCE, "b") is None
        await thumbnail_tables.put(tx, SOURCE, "a", MADE._replace(content_type="image/webp"))
        found = await thumbnail_tables.find(tx, SOURCE, "a")
        assert found is not None
        assert found.content_type == "image/webp"


async def test_thumbnails_are_forgotten_only_with_the_last_name_of_their_source(world: World) -> None:
    async with world.database.write() as tx:
        await tables.add(tx, ("", "abc"), ALICE, Media("image/png", None, StoredFile(SOURCE, 9), 1))
        await thumbnail_tables.put(tx, SOURCE, "a", MADE)
        assert await thumbnail_tables.remove_of(tx, SOURCE) == []
        await tables.remove(tx, "", "abc")
        assert await thumbnail_tables.remove_of(tx, SOURCE) == [SMALL]
        assert await thumbnail_tables.remove_of(tx, SOURCE) == []
