"""Rooms, media, reports and servers under the names that consoles know."""

import asyncio
from pathlib import Path

from tests.unit.server.admin.world import ALICE, BOB, HERE, KNOWN, ROOT, V3, AdminWorld, open_world, quoted
from watchword import __version__
from watchword.protocol.ids import ServerName

ROOMS = f"{KNOWN}/v1/rooms"
MEDIA = f"{KNOWN}/v1/media"
THERE = ServerName("there.example")


async def test_rooms_are_listed_as_consoles_expect(world: AdminWorld) -> None:
    room_id = await world.room(name="Choir", preset="public_chat", visibility="public")
    await world.room("bob", name="Attic")
    page = await world.get(ROOMS, limit=1)
    assert (page["offset"], page["total_rooms"], page["next_batch"]) == (0, 2, 1)
    assert "prev_batch" not in page
    rest = await world.get(ROOMS, limit=1, **{"from": "1"})
    assert (rest["offset"], rest["prev_batch"], rest["rooms"][0]["name"]) == (1, 0, "Choir")
    assert "next_batch" not in rest
    (found,) = (await world.get(ROOMS, search_term="cho", order_by="size"))["rooms"]
    assert found == {
        "room_id": room_id,
        "name": "Choir",
        "canonical_alias": None,
        "joined_members": 1,
        "joined_local_members": 1,
        "version": "12",
        "creator": ALICE,
        "encryption": None,
        "federatable": True,
        "public": True,
        "join_rules": "public",
        "guest_access": "forbidden",
        "history_visibility": "shared",
        "state_events": found["state_events"],
        "room_type": None,
    }
    assert [room["name"] for room in (await world.get(ROOMS, public_rooms="false"))["rooms"]] == ["Attic"]
    assert (await world.get(ROOMS, empty_rooms="true"))["rooms"] == []


async def test_a_room_is_shown_with_its_members(world: AdminWorld) -> None:
    room_id = await world.room(topic="Songs")
    shown = await world.get(f"{ROOMS}/{quoted(room_id)}")
    assert (shown["topic"], shown["avatar"], shown["joined_local_devices"], shown["forgotten"]) == ("Songs", None, 1, False)
    assert await world.get(f"{ROOMS}/{quoted(room_id)}/members") == {"members": [ALICE], "total": 1}
    await world.call("alice", "POST", f"{V3}/rooms/{quoted(room_id)}/leave", {})
    await world.call("alice", "POST", f"{V3}/rooms/{quoted(room_id)}/forget", {})
    assert (await world.get(f"{ROOMS}/{quoted(room_id)}"))["forgotten"] is True


async def test_a_room_is_blocked(world: AdminWorld) -> None:
    path = f"{ROOMS}/{quoted('!any:x.y')}/block"
    assert await world.get(path) == {"block": False}
    assert await world.call("root", "PUT", path, {"block": True}) == {"block": True}
    assert await world.get(path) == {"block": True, "user_id": ROOT}


async def test_deleting_a_room_answers_when_everybody_has_left(world: AdminWorld) -> None:
    room_id = await world.room(preset="public_chat", room_alias_name="choir")
    await world.call("bob", "POST", f"{V3}/rooms/{quoted(room_id)}/join", {})
    async with world.removing():
        answer = await world.call("root", "DELETE", f"{ROOMS}/{quoted(room_id)}", {"block": True, "purge": True})
    assert answer == {
        "kicked_users": [ALICE, BOB],
        "failed_to_kick_users": [],
        "local_aliases": [f"#choir:{HERE}"],
        "new_room_id": None,
    }
    assert (await world.call("bob", "GET", f"{V3}/joined_rooms"))["joined_rooms"] == []


async def test_deleting_a_room_later_tells_how_far_it_is(world: AdminWorld) -> None:
    room_id = await world.room()
    v2 = f"{KNOWN}/v2/rooms"
    assert (await world.ask("root", "GET", f"{v2}/{quoted(room_id)}/delete_status")).status == 404
    number = (await world.call("root", "DELETE", f"{v2}/{quoted(room_id)}", {}))["delete_id"]
    assert (await world.get(f"{v2}/delete_status/{number}"))["status"] == "shutting_down"
    async with world.removing():
        await world.server.admin.removals.left(number)
        assert (await world.get(f"{v2}/delete_status/{number}"))["status"] == "purging"
        await world.until_removed(number)
    (status,) = (await world.get(f"{v2}/{quoted(room_id)}/delete_status"))["results"]
    assert (status["delete_id"], status["status"], status["shutdown_room"]["kicked_users"]) == (number, "complete", [ALICE])
    assert (await world.ask("root", "GET", f"{v2}/delete_status/nothing")).status == 404


async def test_no_room_is_made_instead(world: AdminWorld) -> None:
    room_id = await world.room()
    answer = await world.ask("root", "DELETE", f"{ROOMS}/{quoted(room_id)}", {"new_room_user_id": ROOT})
    assert answer.errcode == "M_INVALID_PARAM"


async def test_files_are_quarantined_released_and_deleted(world: AdminWorld) -> None:
    media_id = await world.upload("alice", b"12345")
    assert await world.call("root", "POST", f"{MEDIA}/quarantine/{HERE}/{media_id}", {}) == {}
    (file,) = (await world.get(f"{KNOWN}/v1/users/{ALICE}/media"))["media"]
    assert (file["media_id"], file["media_length"], file["quarantined_by"]) == (media_id, 5, ROOT)
    assert await world.call("root", "POST", f"{MEDIA}/unquarantine/{HERE}/{media_id}", {}) == {}
    assert await world.call("root", "POST", f"{KNOWN}/v1/user/{ALICE}/media/quarantine", {}) == {"num_quarantined": 1}
    path = f"{MEDIA}/{HERE}/{media_id}"
    assert await world.call("root", "DELETE", path) == {"deleted_media": [media_id], "total": 1}
    assert (await world.ask("root", "DELETE", path)).status == 404
    assert (await world.ask("root", "DELETE", f"{MEDIA}/there.example/x")).errcode == "M_INVALID_PARAM"


async def test_files_of_users_are_counted_and_deleted_in_pages(world: AdminWorld) -> None:
    ids = [await world.upload("alice", bytes([number]) * 5) for number in range(2)]
    await world.upload("bob", b"1")
    ranking = await world.get(f"{KNOWN}/v1/statistics/users/media", limit=1)
    row = {"user_id": ALICE, "displayname": None, "media_count": 2, "media_length": 10}
    assert ranking == {"users": [row], "total": 2, "next_token": 1}
    path = f"{KNOWN}/v1/users/{ALICE}/media"
    assert (await world.get(path, limit=1))["next_token"] == 1
    gone = await world.call("root", "DELETE", path)
    assert (sorted(gone["deleted_media"]), gone["total"]) == (sorted(ids), 2)


async def test_reports_of_events_are_listed_shown_and_deleted(world: AdminWorld) -> None:
    room_id = await world.room(name="Choir", preset="public_chat")
    await world.call("bob", "POST", f"{V3}/rooms/{quoted(room_id)}/join", {})
    for text in ("one", "two"):
        event_id = await world.say("alice", room_id, text)
        await world.call("bob", "POST", f"{V3}/rooms/{quoted(room_id)}/report/{quoted(event_id)}", {"reason": text})
    await world.call("bob", "POST", f"{V3}/users/{ALICE}/report", {"reason": "rude"})
    path = f"{KNOWN}/v1/event_reports"
    page = await world.get(path, limit=1)
    assert (page["total"], page["next_token"], page["event_reports"][0]["reason"]) == (2, 1, "two")
    first = (await world.get(path, dir="f"))["event_reports"][0]
    assert (first["reason"], first["name"], first["sender"], first["user_id"]) == ("one", "Choir", ALICE, BOB)
    shown = await world.get(f"{path}/{first['id']}")
    assert shown["event_json"]["content"]["body"] == "one"
    assert await world.call("root", "DELETE", f"{path}/{first['id']}") == {}
    assert (await world.ask("root", "GET", f"{path}/{first['id']}")).status == 404
    assert (await world.ask("root", "GET", f"{path}/3")).status == 404


async def test_other_servers_are_shown_and_tried_again(world: AdminWorld) -> None:
    path = f"{KNOWN}/v1/federation/destinations"
    assert await world.get(path) == {"destinations": [], "total": 0}
    backoff = world.server.federation_out.backoff
    await backoff.failed(backoff.begin(THERE))
    page = await world.get(path)
    assert (page["total"], page["destinations"][0]["destination"]) == (1, THERE)
    shown = await world.get(f"{path}/{THERE}")
    assert (shown["failure_ts"], shown["retry_interval"] > 0) == (world.clock.now_ms(), True)
    assert await world.call("root", "POST", f"{path}/{THERE}/reset_connection", {}) == {}
    assert (await world.ask("root", "POST", f"{path}/other.example/reset_connection", {})).status == 400
    assert (await world.ask("root", "GET", f"{path}/other.example")).status == 404
    await backoff.failed(backoff.begin(ServerName("z.example")))
    assert (await world.get(path, limit=1))["next_token"] == "1"


async def test_notices_and_the_version_are_there(tmp_path: Path) -> None:
    async with open_world(tmp_path, notices__localpart="notices") as world:
        assert await world.call(None, "GET", f"{KNOWN}/v1/server_version") == {"server_version": __version__}
        body = {"user_id": BOB, "content": {"msgtype": "m.text", "body": "Hello"}}
        assert (await world.call("root", "POST", f"{KNOWN}/v1/send_server_notice", body))["event_id"].startswith("$")
        await asyncio.sleep(0)
