"""The SQL of the index of people. Rows in, rows out; nothing is decided here."""

from collections.abc import Collection, Sequence

from watchword.protocol.ids import RoomId, UserId
from watchword.server.search.commands import Person
from watchword.storage import ReadTx, Tx

_BEYOND = "\U0010ffff"
"""Comes after every character that a word can go on with."""


async def put_person(tx: Tx, user_nid: int, person: Person, words: Collection[str]) -> None:
    await tx.execute(
        "INSERT INTO people (user_nid, user_id, displayname, avatar_url) VALUES (?, ?, ?, ?) ON CONFLICT (user_nid) DO UPDATE "
        "SET displayname = excluded.displayname, avatar_url = excluded.avatar_url",
        user_nid,
        person.user_id,
        person.displayname,
        person.avatar_url,
    )
    await tx.execute("DELETE FROM people_words WHERE user_nid = ?", user_nid)
    await tx.execute_many(
        "INSERT INTO people_words (word, user_nid) VALUES (?, ?) ON CONFLICT DO NOTHING", [(word, user_nid) for word in words]
    )


async def delete_person(tx: Tx, user_nid: int) -> None:
    await tx.execute("DELETE FROM people WHERE user_nid = ?", user_nid)
    await tx.execute("DELETE FROM people_words WHERE user_nid = ?", user_nid)


async def person(tx: ReadTx, user_nid: int) -> Person | None:
    row = await tx.fetch_one("SELECT user_id, displayname, avatar_url FROM people WHERE user_nid = ?", user_nid)
    return None if row is None else Person(UserId(row[0]), row[1], row[2])


async def people_with(
    tx: ReadTx, beginnings: Sequence[str], after: tuple[str, int], limit: int
) -> list[tuple[str, int, Person]]:
    """(word, number, person) of those of whom a word begins so, for each of these beginnings, after a word and number.

    The words given are those that the first beginning was found in; somebody may come several times.
    """
    others = "".join(
        " AND EXISTS (SELECT 1 FROM people_words AS o WHERE o.user_nid = w.user_nid AND o.word >= ? AND o.word < ?)"
        for _ in beginnings[1:]
    )
    rows = await tx.fetch_all(
        "SELECT w.word, w.user_nid, p.user_id, p.displayname, p.avatar_url "  # noqa: S608
        "FROM people_words AS w JOIN people AS p ON p.user_nid = w.user_nid "
        f"WHERE w.word >= ? AND w.word < ? AND (w.word, w.user_nid) > (?, ?){others} ORDER BY w.word, w.user_nid LIMIT ?",
        beginnings[0],
        beginnings[0] + _BEYOND,
        *after,
        *(bound for beginning in beginnings[1:] for bound in (beginning, beginning + _BEYOND)),
        limit,
    )
    return [(str(row[0]), int(row[1]), Person(UserId(row[2]), row[3], row[4])) for row in rows]


# Rooms whose members are among them


async def rooms(tx: ReadTx) -> tuple[dict[RoomId, bool], list[RoomId]]:
    """room_id → whether it is open, of all; and those that are to be filled."""
    rows = await tx.fetch_all("SELECT room_id, is_open, to_fill FROM people_rooms")
    return {RoomId(row[0]): bool(row[1]) for row in rows}, [RoomId(row[0]) for row in rows if row[2]]


async def put_room(tx: Tx, room_id: RoomId, is_open: bool) -> None:
    await tx.execute(
        "INSERT INTO people_rooms (room_id, is_open) VALUES (?, ?) "
        "ON CONFLICT (room_id) DO UPDATE SET is_open = excluded.is_open",
        room_id,
        int(is_open),
    )


async def mark_room(tx: Tx, room_id: RoomId, to_fill: bool) -> None:
    await tx.execute(
        "INSERT INTO people_rooms (room_id, to_fill) VALUES (?, ?) "
        "ON CONFLICT (room_id) DO UPDATE SET to_fill = excluded.to_fill",
        room_id,
        int(to_fill),
    )
