"""The rows of the index of people."""

from tests.unit.server.rooms.world import ALICE, BOB, CAROL
from tests.unit.server.search.world import SearchWorld
from watchword.protocol.ids import RoomId
from watchword.server.search import people_tables
from watchword.server.search.commands import Person


async def test_people_are_found_by_how_their_words_begin(world: SearchWorld) -> None:
    async with world.database.write() as tx:
        await people_tables.put_person(tx, 1, Person(ALICE, "Alice Ant", None), ["alice", "ant"])
        await people_tables.put_person(tx, 2, Person(BOB, None, "mxc://x/y"), ["bob", "ant"])
        await people_tables.put_person(tx, 3, Person(CAROL, "Old", None), ["old"])
        await people_tables.put_person(tx, 3, Person(CAROL, "Antonia", None), ["antonia"])

        async def found(*beginnings: str, after: tuple[str, int] = ("", 0)) -> list[tuple[str, int]]:
            rows = await people_tables.people_with(tx, beginnings, after, 9)
            return [(word, nid) for word, nid, _ in rows]

        assert await found("an") == [("ant", 1), ("ant", 2), ("antonia", 3)]
        assert await found("an", after=("ant", 1)) == [("ant", 2), ("antonia", 3)]
        assert await found("an", "al") == [("ant", 1)]
        assert await found("old") == []
        assert (await people_tables.people_with(tx, ["bo"], ("", 0), 9))[0][2] == Person(BOB, None, "mxc://x/y")
        await people_tables.delete_person(tx, 2)
        assert await found("an") == [("ant", 1), ("antonia", 3)]
        assert await people_tables.person(tx, 2) is None
        assert await people_tables.person(tx, 1) == Person(ALICE, "Alice Ant", None)


async def test_rooms_are_open_or_not(world: SearchWorld) -> None:
    first, second, third = RoomId("!a:x"), RoomId("!b:x"), RoomId("!c:x")
    async with world.database.write() as tx:
        await people_tables.put_room(tx, first, True)
        await people_tables.put_room(tx, second, True)
        await people_tables.put_room(tx, second, False)
        await people_tables.mark_room(tx, second, True)
        await people_tables.mark_room(tx, third, True)
        await people_tables.mark_room(tx, first, False)
        assert await people_tables.rooms(tx) == ({first: True, second: False, third: False}, [second, third])
