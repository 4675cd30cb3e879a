"""The rows of the index of messages."""

from tests.unit.server.search.world import SearchWorld
from watchword.server.search import tables
from watchword.server.search.commands import FOREVER, HitRow, Words


async def test_entries_are_found_newest_first_by_words_and_scope(world: SearchWorld) -> None:
    async with world.database.write() as tx:
        for entry in (10, 20, 30):
            assert await tables.insert_entry(tx, entry, entry + 1, 5)
            await tables.insert_words(tx, entry, "r5 s1", Words(body="green tea"))
        assert not await tables.insert_entry(tx, 30, 99, 5)
        assert await tables.entry_of(tx, 21) == 20
        assert await tables.entry_of(tx, 99) is None
        match = 'scope : r5 AND {body} : ("green tea")'
        assert await tables.hits(tx, match, FOREVER, 2) == [HitRow(30, 31, 5), HitRow(20, 21, 5)]
        assert await tables.hits(tx, match, 20, 2) == [HitRow(10, 11, 5)]
        assert await tables.hits(tx, "scope : r6", FOREVER, 2) == []
        assert len(await tables.hits(tx, match, FOREVER, 2)) == 2
        await tables.delete_words(tx, 20)
        await tables.delete_entries(tx, [10])
        assert await tables.hits(tx, match, FOREVER, 9) == [HitRow(30, 31, 5)]
        assert await tables.entry_of(tx, 11) is None


async def test_edits_name_their_original(world: SearchWorld) -> None:
    async with world.database.write() as tx:
        await tables.insert_edit(tx, 2, 1)
        await tables.insert_edit(tx, 2, 7)
        assert await tables.original_of(tx, 2) == 1
        assert await tables.original_of(tx, 3) is None


async def test_walks_remember_their_place(world: SearchWorld) -> None:
    async with world.database.write() as tx:
        assert await tables.progress(tx, "walk") is None
        await tables.save_progress(tx, "walk", 5)
        await tables.save_progress(tx, "walk", 6)
        assert await tables.progress(tx, "walk") == 6
