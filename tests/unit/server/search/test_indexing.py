"""What events mean for the index."""

import msgspec
import pytest

from tests.unit.server.rooms.world import ALICE, BOB
from tests.unit.server.search.world import SearchWorld
from watchword.protocol.ids import EventId
from watchword.server.search import tables
from watchword.server.search.commands import FOREVER, Words
from watchword.server.search.indexing import Clear, MessageIndex, Note, Put, Step, entry_number


def index_of(world: SearchWorld) -> MessageIndex:
    return MessageIndex(world.reader, world.catalogue)


async def steps(world: SearchWorld, event_id: EventId) -> list[Step]:
    async with world.database.read() as tx:
        event = await world.events.one(tx, event_id)
        assert event is not None
        room_nid = await world.names.find(tx, event.pdu.room_id)
        assert room_nid is not None
        return list(await index_of(world).steps(tx, event.nid, room_nid, event.pdu))


async def test_a_message_is_put_under_its_words(world: SearchWorld) -> None:
    room_id = await world.public_room()
    (put,) = await steps(world, await world.send(ALICE, room_id, "Green tea"))
    assert isinstance(put, Put)
    assert (put.sender, put.words) == (ALICE, Words(body="green tea"))


async def test_an_edit_puts_its_original_anew(world: SearchWorld) -> None:
    room_id = await world.public_room()
    original = await world.send(ALICE, room_id, "tea")
    edit = await world.edit(ALICE, room_id, original, "coffee")
    _, note, put = await steps(world, edit)
    assert isinstance(note, Note)
    assert isinstance(put, Put)
    assert (put.event_nid, put.words) == (note.original_nid, Words(body="coffee"))


async def test_an_edit_of_what_is_not_here_waits(world: SearchWorld) -> None:
    room_id = await world.public_room()
    assert await steps(world, await world.edit(ALICE, room_id, EventId("$elsewhere"), "coffee")) == []


async def test_an_edit_of_an_event_in_another_room_does_nothing(world: SearchWorld) -> None:
    first = await world.public_room()
    world.clock.advance(1)
    second = await world.public_room()
    original = await world.send(ALICE, first, "tea")
    assert await steps(world, await world.edit(ALICE, second, original, "coffee")) == []


async def test_a_redaction_leaves_nothing_to_be_found(world: SearchWorld) -> None:
    room_id = await world.public_room()
    original = await world.send(ALICE, room_id, "tea")
    (put,) = await steps(world, await world.redact(ALICE, room_id, original))
    assert isinstance(put, Put)
    assert put.words is None


async def test_a_redaction_of_what_has_no_words_does_nothing(world: SearchWorld) -> None:
    room_id = await world.public_room()
    state = await world.set_state(ALICE, room_id, "m.room.guest_access", {"guest_access": "can_join"})
    assert await steps(world, await world.redact(ALICE, room_id, state)) == []


async def test_encryption_clears_a_room_and_nothing_comes_in_afterwards(world: SearchWorld) -> None:
    room_id = await world.public_room()
    original = await world.send(ALICE, room_id, "tea")
    encryption = await world.set_state(ALICE, room_id, "m.room.encryption", {"algorithm": "m.megolm.v1.aes-sha2"})
    (clear,) = await steps(world, encryption)
    assert isinstance(clear, Clear)
    assert await steps(world, await world.send(ALICE, room_id, "tea")) == []
    assert await steps(world, original) == []
    assert await steps(world, await world.redact(ALICE, room_id, original)) == []


async def test_other_events_mean_nothing(world: SearchWorld) -> None:
    room_id = await world.public_room()
    assert await steps(world, await world.set_state(ALICE, room_id, "m.room.avatar", {"url": "mxc://x/y"})) == []


async def test_doing_it_twice_comes_to_the_same(world: SearchWorld) -> None:
    room_id = await world.public_room()
    wanted = await steps(world, await world.send(ALICE, room_id, "tea"))
    async with world.database.write() as tx:
        await index_of(world).take(tx, [*wanted, *wanted])
        assert len(await tables.hits(tx, '"tea"', FOREVER, 9)) == 1


async def test_events_of_the_same_moment_have_entries_of_their_own(world: SearchWorld) -> None:
    room_id = await world.public_room(BOB)
    async with world.database.write() as tx:
        room_nid = await world.names.find(tx, room_id)
        assert room_nid is not None
        puts = [Put(nid, room_nid, BOB, 7, Words(body="tea")) for nid in (1 << 40, 2 << 40)]
        await index_of(world).take(tx, puts)
        assert len(await tables.hits(tx, '"tea"', FOREVER, 9)) == 2


@pytest.mark.parametrize(("ts", "taken"), [(-5, 0), (0, 0), (1_700_000_000_000, 1_700_000_000_000), (1 << 60, 1 << 42)])
def test_times_that_cannot_be_are_brought_within_bounds(ts: int, taken: int) -> None:
    assert entry_number(ts, 3) == (taken << 20) + 3
    assert entry_number(ts, 3) < 1 << 63


async def test_an_event_that_cannot_be_understood_does_not_stop_the_others(
    world: SearchWorld, caplog: pytest.LogCaptureFixture
) -> None:
    room_id = await world.public_room()
    await world.send(ALICE, room_id, "tea")
    async with world.database.read() as tx:
        listed = (await world.catalogue.events_below(tx, 1 << 40, 1))[0]
        broken = listed._replace(pdu=msgspec.structs.replace(listed.pdu, content=None))
        (put,) = await index_of(world).all_steps(tx, [broken, listed])
    assert isinstance(put, Put)
    assert "An event was not indexed." in caplog.text
    assert "tea" not in caplog.text.replace("test", "")
