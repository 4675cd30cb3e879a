from tests.unit.server.media.world import ALICE, World
from watchword.server.media import tables
from watchword.server.media.commands import Media, StoredFile, Usage


async def test_a_copy_is_replaced_and_an_upload_is_not(world: World) -> None:
    media = Media("text/plain", "a", StoredFile(b"1" * 32, 1), 5, "text")
    other = media._replace(content_type="text/css", file=StoredFile(b"2" * 32, 1))
    async with world.database.write() as tx:
        for name, owner, left in ((("there.example", "abc"), "", other), (("", "abc"), ALICE, media)):
            await tables.add(tx, name, owner, media)
            await tables.add(tx, name, owner, other)
            assert await tables.find(tx, *name) == left
        assert await tables.find(tx, "there.example", "abd") is None


async def test_a_name_is_removed_once_and_gives_the_hash(world: World) -> None:
    async with world.database.write() as tx:
        await tables.add(tx, ("", "abc"), ALICE, Media("text/plain", "a", StoredFile(b"1" * 32, 1), 5))
        assert await tables.owner(tx, "abc") == ALICE
        assert [await tables.remove(tx, "", "abc"), await tables.remove(tx, "", "abc")] == [b"1" * 32, None]
        assert await tables.owner(tx, "abc") is None


async def test_usage_counts_bytes_files_and_the_last_day(world: World) -> None:
    async with world.database.write() as tx:
        assert await tables.usage(tx, ALICE, 10) == Usage(0, 0, 0)
        for media_id, created_ts in (("a", 5), ("b", 20)):
            await tables.add(tx, ("", media_id), ALICE, Media("text/plain", "a", StoredFile(b"1" * 32, 7), created_ts))
        assert await tables.usage(tx, ALICE, 10) == Usage(14, 2, 7)


async def test_expired_names_neither_count_nor_stay(world: World) -> None:
    async with world.database.write() as tx:
        for number, expires_ts in enumerate((10, 20, 30)):
            await tables.add_pending(tx, f"m{number}", ALICE, expires_ts)
        assert await tables.pending_of(tx, ALICE, 10) == (2, 20)
        await tables.forget_expired(tx, 20)
        assert [await tables.pending(tx, f"m{number}") for number in range(3)] == [None, None, (ALICE, 30)]
        assert [await tables.end_pending(tx, "m2"), await tables.end_pending(tx, "m2")] == [1, 0]
