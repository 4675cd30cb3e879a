"""What of a room is dropped, and that it is all there is."""

import re
from importlib.resources import files

from tests.unit.server.rooms.world import ALICE, World
from watchword.server.rooms import estate_tables

# Tables that name a room, and are emptied of it in another way, or outlive it.
_OTHERWISE = {"rooms", "events", "state_line", "memberships", "redactions_due"}


def test_every_table_that_names_a_room_is_emptied_of_it() -> None:
    found = set()
    for file in files("watchword.server.rooms").joinpath("schema").iterdir():
        for name, columns in re.findall(r"CREATE TABLE (\w+) \((.*?)\n\) STRICT", file.read_text(encoding="utf-8"), re.DOTALL):
            if re.search(r"\broom_nid INTEGER", columns):
                found.add(name)
    assert found - {"relations"} == {*estate_tables.TABLES_OF_ROOM, *_OTHERWISE}


async def test_rows_are_dropped_in_steps(world: World) -> None:
    room_id = await world.room()
    for _ in range(3):
        await world.send(ALICE, room_id, "la", **{"m.relates_to": {"rel_type": "m.reference", "event_id": "$x"}})
    room = await world.reader.room(room_id)
    assert room is not None
    async with world.database.write() as tx:
        assert await estate_tables.delete_of_room(tx, "event_relations", room.room_nid, 2) == 2
        assert await estate_tables.delete_of_room(tx, "event_relations", room.room_nid, 2) == 1
