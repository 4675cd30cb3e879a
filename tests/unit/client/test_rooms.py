"""Rooms as syncs show them."""

from typing import Any

from watchword.client.crypto.records import Records
from watchword.client.rooms import RoomBook

ROOM = "!r:x"


def state(event_type: str, state_key: str, **content: Any) -> dict[str, Any]:
    return {"type": event_type, "state_key": state_key, "content": content}


def a_book(records: Records | None = None) -> RoomBook:
    book = RoomBook(records or Records())
    book.set_membership(ROOM, "join")
    for user, membership in (("@a:x", "join"), ("@b:x", "invite"), ("@c:x", "leave"), ("@d:x", "knock")):
        book.receive_state(ROOM, state("m.room.member", user, membership=membership))
    return book


def test_the_joined_and_the_invited_are_to_read() -> None:
    assert a_book().readers(ROOM) == {"@a:x", "@b:x"}
    assert a_book().readers("!other") == frozenset()


def test_the_invited_are_not_when_history_begins_at_the_join() -> None:
    book = a_book()
    book.receive_state(ROOM, state("m.room.history_visibility", "", history_visibility="joined"))
    assert book.readers(ROOM) == {"@a:x"}


def test_who_leaves_is_no_reader() -> None:
    book = a_book()
    book.receive_state(ROOM, state("m.room.member", "@a:x", membership="ban"))
    assert book.readers(ROOM) == {"@b:x"}


def test_everything_survives_a_restart() -> None:
    records = Records()
    book = a_book(records)
    book.receive_state(ROOM, state("m.room.encryption", "", algorithm="m.megolm.v1.aes-sha2"))
    book.receive_state(ROOM, state("m.room.name", "", name="n"))
    book.receive_state(ROOM, state("m.room.member", "@a:x", membership="leave"))
    rows = {key: value for key, value in records.take().items() if value is not None}
    room = RoomBook(Records(rows)).get(ROOM)
    assert room is not None
    assert (room.row.membership, room.row.encrypted, room.row.name) == ("join", True, "n")
    assert room.members == {"@b:x": "invite", "@d:x": "knock"}


def test_encryption_is_not_taken_back() -> None:
    book = a_book()
    book.receive_state(ROOM, state("m.room.encryption", "", algorithm="m.megolm.v1.aes-sha2"))
    book.receive_state(ROOM, state("m.room.encryption", ""))
    room = book.get(ROOM)
    assert room is not None
    assert room.row.encrypted


def test_malformed_state_changes_nothing() -> None:
    book = a_book()
    for event in ({}, state("m.room.member", "@a:x", membership=5), state("m.room.name", "key", name="n"), {"type": 1}):
        book.receive_state("!r:x", event)
    room = book.get(ROOM)
    assert room is not None
    assert room.row.name is None


def test_our_own_membership_is_told_when_it_changes() -> None:
    book = a_book()
    assert [book.set_membership(ROOM, "join"), book.set_membership(ROOM, "leave")] == [False, True]
    assert list(book.all()) == [ROOM]
