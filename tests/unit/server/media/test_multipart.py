from collections.abc import AsyncGenerator

from watchword.server.media.multipart import multipart_reply


async def test_the_length_is_known_before_the_file_is_read_and_the_file_is_closed() -> None:
    ended = []

    async def pieces() -> AsyncGenerator[bytes, None]:
        try:
            yield b"12"
            yield b"34"
        finally:
            ended.append(True)

    headers = {"content-type": "text/plain", "content-disposition": "inline"}
    reply = multipart_reply(headers, 4, pieces(), "edge")
    body = b"".join([piece async for piece in reply.pieces])
    assert int(reply.headers["content-length"]) == len(body)
    assert body == (
        b"--edge\r\nContent-Type: application/json\r\n\r\n{}\r\n"
        b"--edge\r\nContent-Type: text/plain\r\nContent-Disposition: inline\r\n\r\n1234\r\n--edge--\r\n"
    )
    assert ended
