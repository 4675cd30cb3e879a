from tests.unit.server.media.world import World
from watchword.server.media import preview_tables
from watchword.server.media.preview_tables import StoredPreview

PAGE = ("https://a.example/", "en")


async def test_a_page_is_remembered_at_several_times(world: World) -> None:
    async with world.database.write() as tx:
        for created_ts in (10, 20, 30):
            await preview_tables.put(tx, PAGE, StoredPreview(b"%d" % created_ts, created_ts), "")
        await preview_tables.put(tx, PAGE, StoredPreview(b"again", 30), "m")
        assert await preview_tables.newest(tx, *PAGE, 25) == StoredPreview(b"20", 20)
        assert await preview_tables.newest(tx, *PAGE, 99) == StoredPreview(b"again", 30)
        assert await preview_tables.newest(tx, *PAGE, 5) is None
        assert await preview_tables.newest(tx, PAGE[0], "de", 99) is None
        assert await preview_tables.first_after(tx, *PAGE, 5) == StoredPreview(b"10", 10)
        assert await preview_tables.first_after(tx, *PAGE, 30) is None


async def test_old_ones_and_too_many_are_forgotten(world: World) -> None:
    async with world.database.write() as tx:
        for created_ts in range(10):
            await preview_tables.put(tx, PAGE, StoredPreview(b"{}", created_ts), "")
        assert await preview_tables.forget(tx, 2, 100) == 2
        assert await preview_tables.forget(tx, 2, 3) == 5
        assert await preview_tables.first_after(tx, *PAGE, 0) == StoredPreview(b"{}", 7)
