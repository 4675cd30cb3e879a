import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.server.media.world import ALICE, BOB, HERE, PNG, THERE, World
from watchword.base.errors import PeerError, Refusal
from watchword.server.media import tables
from watchword.server.media.commands import MediaName, MediaSettings, Quota


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0.001)


async def refusal(awaitable: object) -> tuple[int, str]:
    with pytest.raises(Refusal) as refused:
        await awaitable  # type: ignore[misc]
    return refused.value.status, refused.value.errcode


async def test_what_was_uploaded_comes_back(world: World) -> None:
    content = PNG + bytes(range(256)) * 2_000
    media_id = await world.upload(content, "image/png", "caf%C3%A9.png")
    found, headers = await world.download(media_id)
    assert found == content
    assert headers["content-type"] == "image/png"
    assert headers["content-disposition"] == "inline; filename*=utf-8''caf%C3%A9.png"
    assert headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    assert (headers["cross-origin-resource-policy"], headers["x-content-type-options"]) == ("cross-origin", "nosniff")


async def test_the_same_bytes_are_stored_once_under_their_hash(world: World) -> None:
    first, second = await world.upload(b"same"), await world.upload(b"same", "text/css")
    assert first != second
    await settle()
    name = hashlib.sha256(b"same").hexdigest()
    assert world.on_disk() == [world.folder / "files" / name[:2] / name[2:4] / name]


async def test_an_empty_file_is_a_file(world: World) -> None:
    assert (await world.download(await world.upload(b"")))[0] == b""


async def test_an_upload_that_is_too_large_in_mid_stream_leaves_nothing(world: World) -> None:
    read = []

    async def endless() -> AsyncIterator[bytes]:
        while True:
            read.append(1)
            yield b"x" * 100_000

    status = await refusal(world.ask("POST", "/_matrix/media/v3/upload", body=endless))
    assert status == (413, "M_TOO_LARGE")
    assert len(read) == 11
    await settle()
    assert world.on_disk() == []


async def test_an_upload_that_says_it_is_too_large_is_refused_before_it_is_read(world: World) -> None:
    async def nothing() -> AsyncIterator[bytes]:
        for _ in range(2):
            raise AssertionError("read")
            yield b""  # type: ignore[unreachable]

    asked = world.ask("POST", "/_matrix/media/v3/upload", body=nothing, headers={"content-length": "1000001"})
    assert await refusal(asked) == (413, "M_TOO_LARGE")


async def test_an_upload_that_breaks_off_leaves_nothing(world: World) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * 300_000
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await world.ask("POST", "/_matrix/media/v3/upload", body=broken)
    await settle()
    assert world.on_disk() == []


async def test_a_start_after_a_crash_drops_half_written_files_and_keeps_whole_ones(world: World, tmp_path: Path) -> None:
    media_id = await world.upload(b"whole")
    (world.folder / "temporary" / "half").write_bytes(b"ha")
    await world.service.start()
    assert len(world.on_disk()) == 1
    assert (await world.download(media_id))[0] == b"whole"


async def test_unknown_media_is_not_found(world: World) -> None:
    assert await refusal(world.download("unknown")) == (404, "M_NOT_FOUND")
    assert await refusal(world.download("..%2F..%2Fserver.db")) == (404, "M_NOT_FOUND")


async def test_media_whose_file_is_gone_is_not_found(world: World) -> None:
    media_id = await world.upload(b"lost")
    await settle()
    world.on_disk()[0].unlink()
    assert await refusal(world.download(media_id)) == (404, "M_NOT_FOUND")


# Uploads to a name that was given out before


async def create(world: World) -> str:
    answer, _ = await world.ask("POST", "/_matrix/media/v1/create")
    assert answer["unused_expires_at"] == world.clock.now_ms() + 86_400_000
    return str(answer["content_uri"]).rpartition("/")[2]


async def fill(world: World, media_id: str, **more: object) -> object:
    path = f"/_matrix/media/v3/upload/{more.pop('server', HERE)}/{media_id}"
    return await world.ask("PUT", path, body=[b"late"], headers={"content-type": "text/plain"}, **more)


async def test_a_pending_upload_is_filled_once_and_only_by_its_creator(world: World) -> None:
    media_id = await create(world)
    assert await refusal(fill(world, media_id, user=BOB)) == (403, "M_FORBIDDEN")
    await fill(world, media_id)
    assert (await world.download(media_id))[0] == b"late"
    assert await refusal(fill(world, media_id)) == (409, "M_CANNOT_OVERWRITE_MEDIA")
    assert await refusal(fill(world, await world.upload(b"x"))) == (409, "M_CANNOT_OVERWRITE_MEDIA")


async def test_two_uploads_to_one_name_at_once_store_one(world: World) -> None:
    media_id = await create(world)
    done = await asyncio.gather(fill(world, media_id), fill(world, media_id), return_exceptions=True)
    assert [isinstance(result, Refusal) for result in done].count(True) == 1


async def test_a_pending_upload_ends(world: World) -> None:
    media_id = await create(world)
    world.clock.advance(86_400_000)
    assert await refusal(fill(world, media_id)) == (404, "M_NOT_FOUND")
    assert await refusal(world.download(media_id)) == (404, "M_NOT_FOUND")


async def test_a_name_that_was_never_given_out_cannot_be_filled(world: World) -> None:
    assert await refusal(fill(world, "unknown")) == (404, "M_NOT_FOUND")
    assert await refusal(fill(world, await create(world), server=THERE)) == (404, "M_NOT_FOUND")


async def test_pending_uploads_are_limited_for_each_user(world: World) -> None:
    media_id = await create(world)
    await create(world)
    asked = world.ask("POST", "/_matrix/media/v1/create")
    assert await refusal(asked) == (429, "M_LIMIT_EXCEEDED")
    await world.ask("POST", "/_matrix/media/v1/create", user=BOB)
    await fill(world, media_id)
    await create(world)


async def test_a_download_waits_for_its_upload(world: World) -> None:
    media_id = await create(world)
    waiting = asyncio.ensure_future(world.download(media_id, query="timeout_ms=5000"))
    await settle()
    assert not waiting.done()
    await fill(world, media_id)
    assert (await waiting)[0] == b"late"


async def test_a_download_does_not_wait_for_ever(world: World) -> None:
    media_id = await create(world)
    assert await refusal(world.download(media_id, query="timeout_ms=0")) == (504, "M_NOT_YET_UPLOADED")
    waiting = asyncio.ensure_future(world.download(media_id, query="timeout_ms=999999999"))
    await settle()
    world.clock.advance(60_000)
    assert await refusal(waiting) == (504, "M_NOT_YET_UPLOADED")


# Media of other servers


async def test_media_of_another_server_is_fetched_once_and_kept(world: World) -> None:
    world.other.files["abc"] = ("text/plain", "a.txt", [b"12", b"34"])
    found = await asyncio.gather(*(world.download("abc", THERE) for _ in range(10)))
    assert {content for content, _ in found} == {b"1234"}
    assert found[0][1]["content-disposition"] == 'inline; filename="a.txt"'
    assert world.other.downloads == 1


async def test_a_fetch_that_is_given_up_does_not_spoil_it_for_others(world: World) -> None:
    world.other.files["abc"] = (None, None, [b"1234"])
    first = asyncio.ensure_future(world.download("abc", THERE))
    second = asyncio.ensure_future(world.download("abc", THERE))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second)[0] == b"1234"


async def test_remote_media_that_is_too_large_leaves_nothing(world: World) -> None:
    world.other.files["abc"] = (None, None, [b"x" * 300_000] * 2)
    assert await refusal(world.download("abc", THERE)) == (502, "M_TOO_LARGE")
    await settle()
    assert world.on_disk() == []


async def test_remote_media_that_breaks_off_leaves_nothing(world: World) -> None:
    world.other.files["abc"] = (None, None, [b"x" * 300_000])
    world.other.breaks_off = True
    assert await refusal(world.download("abc", THERE)) == (502, "M_UNKNOWN")
    await settle()
    assert world.on_disk() == []


@pytest.mark.parametrize(
    ("status", "errcode", "answer"),
    [
        (404, "M_NOT_FOUND", (404, "M_NOT_FOUND")),
        (504, "M_NOT_YET_UPLOADED", (504, "M_NOT_YET_UPLOADED")),
        (502, "M_TOO_LARGE", (502, "M_TOO_LARGE")),
        (None, None, (502, "M_UNKNOWN")),
    ],
)
async def test_what_another_server_refuses_is_passed_on(
    world: World, status: int | None, errcode: str | None, answer: tuple[int, str]
) -> None:
    world.other.error = PeerError(THERE, "no", status=status, errcode=errcode)
    assert await refusal(world.download("abc", THERE)) == answer


async def test_frozen_media_is_found_only_if_it_was_stored_before(tmp_path: Path) -> None:
    world = await World(tmp_path, MediaSettings(frozen_since_ts=1_700_000_000_001)).start()
    early = await world.upload(b"early")
    world.clock.advance(1)
    late = await world.upload(b"late")
    path = f"/_matrix/media/v3/download/{HERE}/"
    assert (await world.ask("GET", path + early))[0] == b"early"
    assert await refusal(world.ask("GET", path + late)) == (404, "M_NOT_FOUND")
    assert await refusal(world.service.find_frozen(MediaName(THERE, early))) == (404, "M_NOT_FOUND")
    await world.close()


async def test_a_copy_whose_file_was_lost_is_fetched_again_whatever_comes(world: World) -> None:
    world.other.files["abc"] = (None, None, [b"1234"])
    await world.download("abc", THERE)
    world.on_disk()[0].unlink()
    world.other.files["abc"] = (None, None, [b"other"])
    assert (await world.download("abc", THERE))[0] == b"other"
    assert (await world.download("abc", THERE))[0] == b"other"
    assert world.other.downloads == 2


async def test_the_same_bytes_of_two_servers_are_one_file(world: World) -> None:
    world.other.files["abc"] = (None, None, [b"1234"])
    await world.download("abc", THERE)
    await world.upload(b"1234")
    assert len(world.on_disk()) == 1


# Quotas


async def test_uploads_beyond_a_quota_are_forbidden_but_not_to_administrators(tmp_path: Path) -> None:
    world = await World(tmp_path, MediaSettings(quota=Quota(bytes_max=10, files_max=3))).start()
    await world.upload(b"12345")
    assert await refusal(world.upload(b"123456")) == (403, "M_FORBIDDEN")
    await settle()
    assert len(world.on_disk()) == 1
    await world.upload(b"1234")
    await world.upload(b"")
    assert await refusal(world.upload(b"")) == (403, "M_FORBIDDEN")
    assert await refusal(world.ask("POST", "/_matrix/media/v1/create")) == (403, "M_FORBIDDEN")
    upload = "/_matrix/media/v3/upload"
    await world.ask("POST", upload, user=BOB, body=[b"12345"])
    await world.ask("POST", upload, body=[b"x" * 100], is_admin=True)
    await world.close()


async def test_a_quota_of_a_day_is_free_again_the_next_day(tmp_path: Path) -> None:
    world = await World(tmp_path, MediaSettings(quota=Quota(bytes_per_day_max=5))).start()
    await world.upload(b"12345")
    assert await refusal(world.upload(b"1")) == (403, "M_FORBIDDEN")
    world.clock.advance(86_400_001)
    await world.upload(b"1")
    await world.close()


async def test_two_uploads_at_once_do_not_pass_a_quota_together(tmp_path: Path) -> None:
    world = await World(tmp_path, MediaSettings(quota=Quota(bytes_max=10))).start()
    done = await asyncio.gather(world.upload(b"a" * 8), world.upload(b"b" * 8), return_exceptions=True)
    assert [isinstance(result, Refusal) for result in done].count(True) == 1
    await world.close()


async def test_a_row_of_before_files_were_looked_at_is_looked_at_when_it_is_served(world: World) -> None:
    media_id = await world.upload(PNG, "image/png")
    media = await world.service.find_local(media_id, 0)
    async with world.database.write() as tx:
        await tables.remove(tx, "", media_id)
        await tables.add(tx, ("", media_id), ALICE, media._replace(kind=""))
    assert (await world.service.find_local(media_id, 0)).kind == "png"
