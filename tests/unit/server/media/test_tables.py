from tests.unit.server.media.world import ALICE, World
from watchword.server.media import tables
from watchword.server.media.commands import Media, StoredFile


async def test_a_file_of_another_server_that_is_there_already_stays(world: World) -> None:
    media = Media("text/plain", "a", StoredFile(b"1" * 32, 1), 5)
    async with world.database.write() as tx:
        await tables.add(tx, ("there.example", "abc"), "", media)
        await tables.add(tx, ("there.example", "abc"), "", media._replace(content_type="text/css"))
        assert await tables.find(tx, "there.example", "abc") == media
        assert await tables.find(tx, "", "abc") is None


async def test_expired_names_neither_count_nor_stay(world: World) -> None:
    async with world.database.write() as tx:
        for number, expires_ts in enumerate((10, 20, 30)):
            await tables.add_pending(tx, f"m{number}", ALICE, expires_ts)
        assert await tables.pending_of(tx, ALICE, 10) == (2, 20)
        await tables.forget_expired(tx, 20)
        assert [await tables.pending(tx, f"m{number}") for number in range(3)] == [None, None, (ALICE, 30)]
        assert [await tables.end_pending(tx, "m2"), await tables.end_pending(tx, "m2")] == [1, 0]
