import email
import email.policy
from email.message import EmailMessage

import pytest

from tests.unit.server.media.pictures import noise
from tests.unit.server.media.world import ALICE, BOB, HERE, PNG, THERE, World, content_of
from watchword.base.errors import BadRequest, NotFound, Refusal
from watchword.edge.endpoint import Auth
from watchword.server.media.endpoints import ENDPOINTS


async def test_config_tells_the_largest_upload(world: World) -> None:
    for path in ("/_matrix/client/v1/media/config", "/_matrix/media/v3/config"):
        assert (await world.ask("GET", path))[0] == {"m.upload.size": 1_000_000}


async def test_a_name_in_the_path_replaces_the_stored_one(world: World) -> None:
    media_id = await world.upload(b"x", name="old.txt")
    _, headers = await world.download(media_id, suffix="/new.txt")
    assert headers["content-disposition"] == 'inline; filename="new.txt"'


async def test_what_a_browser_might_run_is_an_attachment(world: World) -> None:
    media_id = await world.upload(b"<script>", "text/html; charset=utf-8", "a.html")
    _, headers = await world.download(media_id)
    assert headers["content-disposition"] == 'attachment; filename="a.html"'


async def test_a_header_cannot_be_smuggled_in_a_name_or_a_type(world: World) -> None:
    media_id = await world.upload(b"x", "text/plain\r\nset-cookie: a=b", "a%0D%0Aset-cookie:%20a=b%22")
    _, headers = await world.download(media_id)
    assert headers["content-type"] == "application/octet-stream"
    assert "\r" not in headers["content-disposition"]
    assert headers["content-disposition"] == "attachment; filename*=utf-8''aset-cookie%3A%20a%3Db%22"


async def test_a_page_that_calls_itself_a_picture_is_an_attachment(world: World) -> None:
    media_id = await world.upload(b"<!doctype html><script>alert(1)</script>", "image/png", "a.png")
    _, headers = await world.download(media_id)
    assert headers["content-type"] == "image/png"
    assert headers["content-disposition"] == 'attachment; filename="a.png"'
    assert headers["x-content-type-options"] == "nosniff"


async def test_a_small_picture_stands_for_its_thumbnail(world: World) -> None:
    media_id = await world.upload(PNG, "image/png")
    content, headers = await world.thumbnail(media_id, "width=32&height=32&method=crop&animated=false")
    assert (content, headers["content-type"], headers["vary"]) == (PNG, "image/png", "Accept")
    assert headers["content-disposition"] == 'inline; filename="thumbnail.png"'


@pytest.mark.parametrize("prefix", ["/_matrix/client/v1/media", "/_matrix/client/unstable/org.matrix.msc3916/media"])
async def test_clients_read_under_the_old_name_too(world: World, prefix: str) -> None:
    media_id = await world.upload(PNG, "image/png")
    assert (await world.ask("GET", f"{prefix}/download/{HERE}/{media_id}"))[0] == PNG
    assert (await world.ask("GET", f"{prefix}/download/{HERE}/{media_id}/a.png"))[0] == PNG
    assert (await world.ask("GET", f"{prefix}/thumbnail/{HERE}/{media_id}", query="width=1&height=1"))[0] == PNG
    assert (await world.ask("GET", f"{prefix}/config"))[0] == {"m.upload.size": 1_000_000}


# Parts


async def test_a_part_of_a_file_comes_with_its_place(world: World) -> None:
    content = noise(300_000)
    media_id = await world.upload(content)
    path = f"/_matrix/client/v1/media/download/{HERE}/{media_id}"
    reply = await world.reply("GET", path, headers={"range": "bytes=100000-299998"})
    assert reply.status == 206
    assert reply.headers["content-range"] == "bytes 100000-299998/300000"
    assert reply.headers["content-length"] == "199999"
    assert await content_of(reply) == content[100_000:299_999]


async def test_a_part_behind_the_end_is_416(world: World) -> None:
    path = f"/_matrix/client/v1/media/download/{HERE}/{await world.upload(b'1234')}"
    reply = await world.reply("GET", path, headers={"range": "bytes=4-"})
    assert (reply.status, reply.headers["content-range"]) == (416, "bytes */4")
    assert b"errcode" in await content_of(reply)


async def test_what_the_client_has_is_not_sent_again(world: World) -> None:
    path = f"/_matrix/client/v1/media/download/{HERE}/{await world.upload(b'1234')}"
    _, headers = await world.ask("GET", path)
    reply = await world.reply("GET", path, headers={"if-none-match": headers["etag"]})
    assert (reply.status, await content_of(reply), reply.headers["etag"]) == (304, b"", headers["etag"])
    assert "content-length" not in reply.headers
    changed = await world.reply("GET", path, headers={"range": "bytes=1-1", "if-range": '"other"'})
    assert (changed.status, await content_of(changed)) == (200, b"1234")


async def test_head_says_what_would_come(world: World) -> None:
    path = f"/_matrix/client/v1/media/download/{HERE}/{await world.upload(b'1234')}"
    reply = await world.reply("HEAD", path)
    assert (reply.status, await content_of(reply)) == (200, b"")
    assert (reply.headers["content-length"], reply.headers["accept-ranges"]) == ("4", "bytes")


# Deleting


async def test_who_uploaded_a_file_may_delete_it_here_and_nobody_else(world: World) -> None:
    media_id = await world.upload(b"1234")
    path = f"/_watchword/client/v1/media/{media_id}"
    with pytest.raises(NotFound):
        await world.ask("DELETE", path, user=BOB)
    assert (await world.ask("DELETE", path))[0] == {}
    with pytest.raises(NotFound):
        await world.download(media_id)
    assert world.on_disk() == []
    other = await world.upload(b"5678")
    with pytest.raises(NotFound):
        await world.ask("DELETE", f"/_watchword/client/v1/media/{other}", user=BOB, is_admin=True)


@pytest.mark.parametrize("path", ["/_matrix/client/v1/media/preview_url", "/_matrix/media/v3/preview_url"])
async def test_previews_are_off_unless_configured(world: World, path: str) -> None:
    with pytest.raises(Refusal) as refused:
        await world.ask("GET", path, query="url=https://example.org/")
    assert (refused.value.status, refused.value.errcode) == (403, "M_FORBIDDEN")


@pytest.mark.parametrize(
    ("query", "errcode"),
    [
        ("width=32", "M_MISSING_PARAM"),
        ("width=a&height=1", "M_UNKNOWN"),
        ("width=-1&height=1", "M_UNKNOWN"),
        ("width=0&height=1", "M_UNKNOWN"),
        ("width=1&height=1&method=stretch", "M_UNKNOWN"),
        ("width=1&height=1", "M_UNKNOWN"),
    ],
)
async def test_a_thumbnail_that_makes_no_sense_is_refused(world: World, query: str, errcode: str) -> None:
    media_id = await world.upload(b"text", "text/plain")
    with pytest.raises(Refusal) as refused:
        await world.ask("GET", f"/_matrix/client/v1/media/thumbnail/{HERE}/{media_id}", query=query)
    assert (refused.value.status, refused.value.errcode) == (400, errcode)


async def test_unauthenticated_endpoints_are_frozen(world: World) -> None:
    media_id = await world.upload(b"png", "image/png")
    for path, query in ((f"download/{HERE}/{media_id}", ""), (f"thumbnail/{HERE}/{media_id}", "width=1&height=1")):
        with pytest.raises(Refusal) as refused:
            await world.ask("GET", f"/_matrix/media/v3/{path}", query=query)
        assert (refused.value.status, refused.value.errcode) == (404, "M_NOT_FOUND")


async def test_only_the_frozen_endpoints_need_no_authentication() -> None:
    open_paths = {row.path.split("/")[4] for row in ENDPOINTS if row.auth is Auth.NONE}
    assert open_paths == {"download", "thumbnail"}
    assert all(row.path.startswith("/_matrix/media/v3/") for row in ENDPOINTS if row.auth is Auth.NONE)


@pytest.mark.parametrize(("kind", "name"), [("download", "a.png"), ("thumbnail", "thumbnail.png")])
async def test_another_server_gets_two_parts(world: World, kind: str, name: str) -> None:
    media_id = await world.upload(PNG + b"line\r\n--\r\n\x00\xff", "image/png", "a.png")
    path, query = f"/_matrix/federation/v1/media/{kind}/{media_id}", "width=1&height=1"
    body, headers = await world.ask("GET", path, query=query)
    raw = b"Content-Type: " + headers["content-type"].encode() + b"\r\n\r\n" + body
    message = email.message_from_bytes(raw, EmailMessage, policy=email.policy.HTTP)
    about, file = message.iter_parts()
    assert (about.get_content_type(), about.get_content().strip()) == ("application/json", b"{}")
    assert file.get_content_type() == "image/png"
    assert file["content-disposition"] == f'inline; filename="{name}"'
    assert b"\r\n\r\n" + PNG + b"line\r\n--\r\n\x00\xff\r\n--" in body


async def test_another_server_gets_nothing_of_a_third(world: World) -> None:
    world.other.files["abc"] = (None, None, [b"1234"])
    await world.download("abc", THERE)
    for media_id in ("abc", "a.b"):
        with pytest.raises(Refusal) as refused:
            await world.ask("GET", f"/_matrix/federation/v1/media/download/{media_id}")
        assert refused.value.status == 404


async def test_a_server_name_that_is_none_is_refused(world: World) -> None:
    with pytest.raises(BadRequest, match="M_INVALID_PARAM"):
        await world.ask("GET", "/_matrix/client/v1/media/download/not a server/abc", user=ALICE)
