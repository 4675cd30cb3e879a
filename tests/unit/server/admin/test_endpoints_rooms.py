"""Rooms and media under our own prefix."""

import hashlib

import pytest

from tests.unit.server.admin.world import ALICE, BOB, HERE, OURS, ROOT, V1, V3, AdminWorld, quoted
from watchword.base import limits

ROOMS = f"{OURS}/rooms"


async def test_rooms_are_listed_and_shown(world: AdminWorld) -> None:
    room_id = await world.room(name="Choir", topic="Songs")
    await world.room("bob", name="Attic")
    page = await world.get(ROOMS, limit=1)
    assert ([room["name"] for room in page["rooms"]], page["total"], page["next_batch"]) == (["Attic"], 2, "1")
    assert [room["name"] for room in (await world.get(ROOMS, search="cho"))["rooms"]] == ["Choir"]
    shown = await world.get(f"{ROOMS}/{quoted(room_id)}")
    assert (shown["name"], shown["topic"], shown["creator"], shown["joined_members"]) == ("Choir", "Songs", ALICE, 1)
    assert (shown["blocked_by"], shown["size"]["is_estimate"], shown["state_types"]["m.room.create"]) == (None, False, 1)
    assert (await world.ask("root", "GET", f"{ROOMS}/{quoted('!nowhere:x.y')}")).status == 404


async def test_members_are_shown_in_pages(world: AdminWorld) -> None:
    room_id = await world.room(preset="public_chat")
    await world.call("bob", "POST", f"{V3}/rooms/{quoted(room_id)}/join", {})
    path = f"{ROOMS}/{quoted(room_id)}/members"
    page = await world.get(path, limit=1)
    assert page == {"members": [{"user_id": ALICE, "local": True}], "next_batch": ALICE}
    rest = await world.get(path, **{"from": ALICE})
    assert rest == {"members": [{"user_id": BOB, "local": True}]}
    assert (await world.get(path, membership="ban"))["members"] == []


async def test_a_room_is_taken_off_the_directory(world: AdminWorld) -> None:
    room_id = await world.room(visibility="public", room_alias_name="choir")
    assert await world.call("root", "POST", f"{ROOMS}/{quoted(room_id)}/unlist") == {"aliases": [f"#choir:{HERE}"]}
    assert (await world.call("bob", "GET", f"{V3}/publicRooms"))["chunk"] == []
    assert (await world.ask("root", "POST", f"{ROOMS}/{quoted('!no:x')}/unlist")).status == 404


async def test_rights_used_at_the_specified_doors_are_kept_and_ones_own_are_not(world: AdminWorld) -> None:
    room_id = await world.room(visibility="public", room_alias_name="choir")
    own = await world.room("root", room_alias_name="root")
    await world.call("root", "DELETE", f"{V3}/directory/room/{quoted(f'#root:{HERE}')}")
    await world.call("root", "PUT", f"{V3}/directory/list/room/{quoted(own)}", {"visibility": "public"})
    assert await world.entries() == []
    await world.call("root", "DELETE", f"{V3}/directory/room/{quoted(f'#choir:{HERE}')}")
    await world.call("root", "PUT", f"{V3}/directory/list/room/{quoted(room_id)}", {"visibility": "private"})
    assert [(entry.action, entry.whom) for entry in await world.entries()] == [
        ("room.list", room_id),
        ("room.alias.delete", f"#choir:{HERE}"),
    ]


# Media


async def _download(world: AdminWorld, media_id: str) -> int:
    from watchword.edge.replies import StreamReply
    from watchword.edge.router import Incoming

    class _Nothing:
        async def next_piece(self) -> tuple[bytes, bool]:
            return b"", False

    headers = [(b"authorization", f"Bearer {world.tokens['bob']}".encode())]
    path = f"{V1}/media/download/{HERE}/{media_id}".encode()
    reply = await world.server.router.answer(Incoming("GET", path, b"", headers, "192.0.2.1", _Nothing()))
    if isinstance(reply, StreamReply):
        assert b"".join([piece async for piece in reply.pieces])
    return reply.status


async def test_a_file_is_quarantined_by_name_and_released(world: AdminWorld) -> None:
    media_id = await world.upload("alice", b"12345")
    path = f"{OURS}/media/{HERE}/{media_id}/quarantine"
    assert await _download(world, media_id) == 200
    digest = (await world.call("root", "PUT", path, {"reason": "spam"}))["sha256"]
    assert digest == hashlib.sha256(b"12345").hexdigest()
    assert await _download(world, media_id) == 404
    (listed,) = (await world.get(f"{OURS}/quarantine"))["quarantined"]
    assert (listed["sha256"], listed["quarantined_by"], listed["reason"]) == (digest, ROOT, "spam")
    assert (await world.entries(action="media.quarantine"))[0].whom == f"mxc://{HERE}/{media_id}"
    await world.call("root", "DELETE", path)
    assert await _download(world, media_id) == 200
    assert (await world.ask("root", "DELETE", path)).status == 404


async def test_bytes_are_quarantined_before_they_come(world: AdminWorld) -> None:
    digest = hashlib.sha256(b"12345").hexdigest()
    await world.call("root", "PUT", f"{OURS}/quarantine/{digest}", {})
    media_id = await world.upload("alice", b"12345")
    assert await _download(world, media_id) == 404
    await world.call("root", "DELETE", f"{OURS}/quarantine/{digest}")
    assert await _download(world, media_id) == 200
    assert (await world.ask("root", "DELETE", f"{OURS}/quarantine/{digest}")).status == 404
    for wrong in ("00", "x" * 64, "0 " * 32):
        assert (await world.ask("root", "PUT", f"{OURS}/quarantine/{quoted(wrong)}", {})).errcode == "M_INVALID_PARAM"


async def test_a_file_is_deleted_and_so_are_all_of_a_user(world: AdminWorld) -> None:
    first = await world.upload("alice", b"12345")
    await world.call("root", "DELETE", f"{OURS}/media/{HERE}/{first}")
    assert await _download(world, first) == 404
    assert (await world.ask("root", "DELETE", f"{OURS}/media/{HERE}/{first}")).status == 404
    others = [await world.upload("alice", bytes([number]) * 5) for number in range(3)]
    path = f"{OURS}/users/{ALICE}/media"
    assert await world.call("root", "DELETE", path, limit=2) == {"deleted": 2, "left": 1}
    assert await world.call("root", "DELETE", path) == {"deleted": 1, "left": 0}
    assert [await _download(world, media_id) for media_id in others] == [404, 404, 404]
    assert [entry.details for entry in await world.entries(action="media.delete", whom=ALICE)] == [{"files": 1}, {"files": 2}]


async def test_all_files_of_a_user_are_quarantined(world: AdminWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "admin_page_max", 2)
    ids = [await world.upload("alice", bytes([number]) * 5) for number in range(3)]
    other = await world.upload("bob", b"fine")
    assert await world.call("root", "POST", f"{OURS}/users/{ALICE}/media/quarantine", {}) == {"quarantined": 3}
    assert [await _download(world, media_id) for media_id in [*ids, other]] == [404, 404, 404, 200]
