"""Downloads from other servers."""

import pytest

from tests.unit.server.federation.stacks import B, Net, Stack, json_answer
from watchword.base.errors import PeerError
from watchword.server.federation.ports import PeerCall, WholeAnswer
from watchword.server.media.ports import RemoteFile

PLACE = "b.example:8448"
PICTURE = bytes(range(256)) * 4


def multipart(headers: str, body: bytes) -> WholeAnswer:
    data = b"--xyz\r\nContent-Type: application/json\r\n\r\n{}\r\n--xyz\r\n" + headers.encode() + b"\r\n\r\n" + body
    return WholeAnswer(200, {"content-type": "multipart/mixed; boundary=xyz"}, data + b"\r\n--xyz--\r\n")


async def download(stack: Stack, bytes_max: int = 10_000) -> RemoteFile:
    return await stack.out.media.download(B, "abc", bytes_max=bytes_max, timeout_ms=20_000)


async def whole(file: RemoteFile) -> bytes:
    return b"".join([piece async for piece in file.pieces])


async def test_a_file_comes_in_two_parts(two: tuple[Stack, Stack], net: Net) -> None:
    headers = 'Content-Type: image/png\r\nContent-Disposition: inline; filename="p.png"'
    net.hosts[PLACE] = lambda call: multipart(headers, PICTURE)
    file = await download(two[0])
    assert (file.content_type, file.file_name, await whole(file)) == ("image/png", "p.png", PICTURE)
    assert net.calls[-1].uri == "/_matrix/federation/v1/media/download/abc?timeout_ms=20000"
    assert "authorization" in net.calls[-1].headers


async def test_an_older_server_is_asked_in_the_older_form(two: tuple[Stack, Stack], net: Net) -> None:
    def old(call: PeerCall) -> WholeAnswer:
        if "/_matrix/federation/" in call.uri:
            return json_answer({"errcode": "M_UNRECOGNIZED", "error": "?"}, 404)
        assert "authorization" not in call.headers
        assert call.uri.startswith("/_matrix/media/v3/download/b.example/abc?")
        return WholeAnswer(200, {"content-type": "image/png"}, PICTURE)

    net.hosts[PLACE] = old
    file = await download(two[0])
    assert (file.content_type, await whole(file)) == ("image/png", PICTURE)


async def test_a_file_that_is_not_there_is_not_asked_for_twice(two: tuple[Stack, Stack], net: Net) -> None:
    net.hosts[PLACE] = lambda call: json_answer({"errcode": "M_NOT_FOUND", "error": "?"}, 404)
    with pytest.raises(PeerError) as refused:
        await download(two[0])
    assert (refused.value.errcode, len(net.calls)) == ("M_NOT_FOUND", 1)


async def test_a_file_kept_elsewhere_is_fetched_from_there(two: tuple[Stack, Stack], net: Net) -> None:
    net.hosts[PLACE] = lambda call: multipart("Location: https://cdn.example/f", b"")
    net.files["https://cdn.example/f"] = WholeAnswer(200, {"content-type": "image/gif"}, PICTURE)
    file = await download(two[0])
    assert (file.content_type, await whole(file)) == ("image/gif", PICTURE)
    net.files["https://cdn.example/f"] = WholeAnswer(404, {}, b"")
    with pytest.raises(PeerError):
        await download(two[0])
    net.files.clear()
    with pytest.raises(PeerError):
        await download(two[0])


@pytest.mark.parametrize(
    "answer",
    [
        WholeAnswer(200, {}, b""),
        WholeAnswer(200, {"content-type": "image/png"}, PICTURE),
        WholeAnswer(200, {"content-type": "multipart/mixed; boundary=xyz"}, b"--xyz\r\n\r\n{}"),
        WholeAnswer(200, {"content-type": "multipart/mixed; boundary=xyz"}, b"--xyz\r\n\r\n{}\r\n--xyz--\r\n\r\n"),
        WholeAnswer(200, {"content-type": "multipart/mixed; boundary=xyz"}, b"x" * 300_000),
        WholeAnswer(502, {}, b"<html>"),
    ],
)
async def test_any_other_answer_is_a_peer_error(two: tuple[Stack, Stack], net: Net, answer: WholeAnswer) -> None:
    net.hosts[PLACE] = lambda call: answer
    with pytest.raises(PeerError):
        await download(two[0])


async def test_a_file_that_is_too_large_or_breaks_off_raises_while_it_comes(two: tuple[Stack, Stack], net: Net) -> None:
    net.hosts[PLACE] = lambda call: multipart("Content-Type: image/png", PICTURE)
    with pytest.raises(PeerError) as refused:
        await whole(await download(two[0], bytes_max=100))
    assert refused.value.errcode == "M_TOO_LARGE"
    half = multipart("Content-Type: image/png", PICTURE)
    net.hosts[PLACE] = lambda call: WholeAnswer(200, half.headers, half.body[:500])
    with pytest.raises(PeerError):
        await whole(await download(two[0]))


async def test_closing_early_ends_the_connection(two: tuple[Stack, Stack], net: Net) -> None:
    net.hosts[PLACE] = lambda call: multipart("Content-Type: image/png", PICTURE)
    transport = two[0].out.transport
    free = transport._slots._value
    file = await download(two[0])
    assert transport._slots._value == free - 1
    await file.pieces.aclose()  # type: ignore[attr-defined]
    assert transport._slots._value == free
    await whole(await download(two[0]))
    assert transport._slots._value == free
