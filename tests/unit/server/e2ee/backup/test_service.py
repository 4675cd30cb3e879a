from typing import Any

import pytest

from tests.unit.server.e2ee.world import BOB, World
from watchword.base import limits
from watchword.base.errors import Refusal

ALGORITHM = "m.megolm_backup.v1.curve25519-aes-sha2"
ROOM, SESSION = "!room:here.example", "session+="


def key(index: int = 0, forwarded: int = 0, verified: bool = False, data: str = "secret") -> dict[str, Any]:
    return {
        "first_message_index": index,
        "forwarded_count": forwarded,
        "is_verified": verified,
        "session_data": {"ciphertext": data},
    }


async def create(world: World) -> str:
    answer = await world.ask("POST", "room_keys/version", {"algorithm": ALGORITHM, "auth_data": {"public_key": "k"}})
    return str(answer["version"])


async def refusal(awaitable: Any) -> tuple[int, str]:
    with pytest.raises(Refusal) as refused:
        await awaitable
    return refused.value.status, refused.value.errcode


async def put(world: World, version: str, *keys: tuple[str, str, dict[str, Any]]) -> dict[str, Any]:
    rooms: dict[str, Any] = {}
    for room_id, session_id, one in keys:
        rooms.setdefault(room_id, {"sessions": {}})["sessions"][session_id] = one
    answer: dict[str, Any] = await world.ask("PUT", "room_keys/keys", {"rooms": rooms}, query="version=" + version)
    return answer


async def get(world: World, version: str, path: str = "") -> Any:
    return await world.ask("GET", "room_keys/keys" + path, query="version=" + version)


async def test_a_version_is_made_read_and_changed(world: World) -> None:
    assert await refusal(world.ask("GET", "room_keys/version")) == (404, "M_NOT_FOUND")
    assert [await create(world), await create(world)] == ["1", "2"]
    newest = {"version": "2", "algorithm": ALGORITHM, "auth_data": {"public_key": "k"}, "count": 0, "etag": "0"}
    assert await world.ask("GET", "room_keys/version") == newest
    changed = {"algorithm": ALGORITHM, "auth_data": {"public_key": "other"}, "version": "1"}
    await world.ask("PUT", "room_keys/version/1", changed)
    assert (await world.ask("GET", "room_keys/version/1"))["auth_data"] == {"public_key": "other"}
    assert await world.ask("GET", "room_keys/version/2") == newest


@pytest.mark.parametrize(
    ("path", "body", "answer"),
    [
        ("1", {"algorithm": "other", "auth_data": {}}, (400, "M_INVALID_PARAM")),
        ("1", {"algorithm": ALGORITHM, "auth_data": {}, "version": "2"}, (400, "M_INVALID_PARAM")),
        ("1", {"algorithm": ALGORITHM}, (400, "M_MISSING_PARAM")),
        ("9", {"algorithm": ALGORITHM, "auth_data": {}}, (404, "M_NOT_FOUND")),
        ("one", {"algorithm": ALGORITHM, "auth_data": {}}, (404, "M_NOT_FOUND")),
        ("01", {"algorithm": ALGORITHM, "auth_data": {}}, (404, "M_NOT_FOUND")),
    ],
)
async def test_a_wrong_change_of_a_version_is_refused(
    world: World, path: str, body: dict[str, Any], answer: tuple[int, str]
) -> None:
    await create(world)
    assert await refusal(world.ask("PUT", "room_keys/version/" + path, body)) == answer


async def test_a_deleted_version_is_gone_for_good(world: World) -> None:
    version = await create(world)
    await put(world, version, (ROOM, SESSION, key()))
    for _ in range(2):
        assert await world.ask("DELETE", "room_keys/version/" + version) == {}
    for asked in (
        world.ask("GET", "room_keys/version"),
        world.ask("GET", "room_keys/version/" + version),
        get(world, version),
        put(world, version, (ROOM, SESSION, key())),
        world.ask("DELETE", "room_keys/keys", query="version=" + version),
        world.ask("DELETE", "room_keys/version/9"),
    ):
        assert await refusal(asked) == (404, "M_NOT_FOUND")
    assert await create(world) == "2"


async def test_keys_are_read_back_by_all_by_room_and_one_by_one(world: World) -> None:
    version = await create(world)
    other = "!other:here.example"
    assert await put(world, version, (ROOM, SESSION, key()), (other, "s2", key(3))) == {"etag": "1", "count": 2}
    assert await get(world, version) == {"rooms": {ROOM: {"sessions": {SESSION: key()}}, other: {"sessions": {"s2": key(3)}}}}
    assert await get(world, version, "/" + ROOM) == {"sessions": {SESSION: key()}}
    assert await get(world, version, f"/{other}/s2") == key(3)
    assert await get(world, version, "/!none:x") == {"sessions": {}}
    assert await refusal(get(world, version, f"/{ROOM}/none")) == (404, "M_NOT_FOUND")
    assert (await world.ask("GET", "room_keys/version"))["count"] == 2


async def test_the_three_ways_to_store_a_key_are_one(world: World) -> None:
    query = "version=" + await create(world)
    await world.ask("PUT", f"room_keys/keys/{ROOM}/a", key(), query=query)
    await world.ask("PUT", f"room_keys/keys/{ROOM}", {"sessions": {"b": key()}}, query=query)
    answer = await world.ask("PUT", "room_keys/keys", {"rooms": {ROOM: {"sessions": {"c": key()}}}}, query=query)
    assert answer == {"etag": "3", "count": 3}


async def test_only_a_better_key_replaces_a_key_and_the_etag_tells(world: World) -> None:
    version = await create(world)
    await put(world, version, (ROOM, SESSION, key(5, 5)))
    assert await put(world, version, (ROOM, SESSION, key(6, 0, data="worse"))) == {"etag": "1", "count": 1}
    assert await put(world, version, (ROOM, SESSION, key(4, 9, data="better"))) == {"etag": "2", "count": 1}
    assert await put(world, version, (ROOM, SESSION, key(9, 9, verified=True, data="best"))) == {"etag": "3", "count": 1}
    assert await put(world, version, (ROOM, SESSION, key(0, 0, data="not verified"))) == {"etag": "3", "count": 1}
    assert (await get(world, version, f"/{ROOM}/{SESSION}"))["session_data"] == {"ciphertext": "best"}


async def test_only_the_newest_version_is_written(world: World) -> None:
    old, new = await create(world), await create(world)
    with pytest.raises(Refusal) as refused:
        await put(world, old, (ROOM, SESSION, key()))
    assert refused.value.status == 403
    assert refused.value.body()["errcode"] == "M_WRONG_ROOM_KEYS_VERSION"
    assert refused.value.body()["current_version"] == new
    assert await refusal(put(world, "9", (ROOM, SESSION, key()))) == (404, "M_NOT_FOUND")


async def test_keys_are_deleted_one_by_one_by_room_and_all(world: World) -> None:
    version = await create(world)
    query = "version=" + version
    await put(world, version, *((room, session, key()) for room in ("!a", "!b") for session in "xyz"))
    assert await world.ask("DELETE", "room_keys/keys/!a/x", query=query) == {"etag": "2", "count": 5}
    assert await world.ask("DELETE", "room_keys/keys/!a/x", query=query) == {"etag": "2", "count": 5}
    assert await world.ask("DELETE", "room_keys/keys/!a", query=query) == {"etag": "3", "count": 3}
    assert await world.ask("DELETE", "room_keys/keys", query=query) == {"etag": "4", "count": 0}
    assert await get(world, version) == {"rooms": {}}


async def test_backups_belong_to_their_user(world: World) -> None:
    version = await create(world)
    await put(world, version, (ROOM, SESSION, key()))
    query = "version=" + version
    assert await refusal(world.ask("GET", "room_keys/keys", query=query, user=BOB)) == (404, "M_NOT_FOUND")


async def test_malformed_keys_and_a_missing_version_are_refused(world: World) -> None:
    version = await create(world)
    assert await refusal(put(world, version, (ROOM, SESSION, {}))) == (400, "M_MISSING_PARAM")
    assert await refusal(world.ask("GET", "room_keys/keys")) == (400, "M_MISSING_PARAM")


async def test_a_backup_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "backup_sessions_per_user_max", 1)
    version = await create(world)
    await put(world, version, (ROOM, "a", key()))
    assert await refusal(put(world, version, (ROOM, "b", key()))) == (400, "M_TOO_LARGE")
    await put(world, version, (ROOM, "a", key(verified=True)))
