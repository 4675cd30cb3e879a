"""The two parts in which servers hand media to each other.

Spec: server-server-api#get_matrixfederationv1mediadownloadmediaid
"""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing

from watchword.edge.replies import StreamReply


def multipart_reply(
    headers: Mapping[str, str], size_bytes: int, pieces: AsyncGenerator[bytes, None], boundary: str
) -> StreamReply:
    """Metadata (an empty object), then the file. boundary: must not be found in the file; 32 random bytes are not."""
    head = (
        f"--{boundary}\r\nContent-Type: application/json\r\n\r\n{{}}\r\n"
        f"--{boundary}\r\nContent-Type: {headers['content-type']}\r\n"
        f"Content-Disposition: {headers['content-disposition']}\r\n\r\n"
    ).encode()
    tail = f"\r\n--{boundary}--\r\n".encode()

    async def parts() -> AsyncIterator[bytes]:
        async with aclosing(pieces):
            yield head
            async for piece in pieces:
                yield piece
        yield tail

    reply_headers = {
        "content-type": f"multipart/mixed; boundary={boundary}",
        "content-length": str(len(head) + size_bytes + len(tail)),
    }
    return StreamReply(200, parts(), reply_headers)
