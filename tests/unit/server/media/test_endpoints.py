import email
import email.policy
from email.message import EmailMessage

import pytest

from tests.unit.server.media.world import ALICE, HERE, PNG, THERE, World
from watchword.base.errors import BadRequest, Refusal
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


async def test_a_small_picture_stands_for_its_thumbnail(world: World) -> None:
    media_id = await world.upload(PNG, "image/png")
    path = f"/_matrix/client/v1/media/thumbnail/{HERE}/{media_id}"
    content, headers = await world.ask("GET", path, query="width=32&height=32&method=crop&animated=false")
    assert (content, headers["content-type"]) == (PNG, "image/png")


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


@pytest.mark.parametrize("kind", ["download", "thumbnail"])
async def test_another_server_gets_two_parts(world: World, kind: str) -> None:
    media_id = await world.upload(PNG + b"line\r\n--\r\n\x00\xff", "image/png", "a.png")
    path, query = f"/_matrix/federation/v1/media/{kind}/{media_id}", "width=1&height=1"
    body, headers = await world.ask("GET", path, query=query)
    raw = b"Content-Type: " + headers["content-type"].encode() + b"\r\n\r\n" + body
    message = email.message_from_bytes(raw, EmailMessage, policy=email.policy.HTTP)
    about, file = message.iter_parts()
    assert (about.get_content_type(), about.get_content().strip()) == ("application/json", b"{}")
    assert (file.get_content_type(), file["content-disposition"]) == ("image/png", 'inline; filename="a.png"')
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
