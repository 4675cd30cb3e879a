"""What media needs others to fit: `federation` downloads from other servers."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from watchword.protocol.ids import ServerName


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file that is coming in. content_type and file_name are as the other server says: unchecked.

    pieces raises PeerError when the other server breaks off or passes the bound. Close it if it is not read to the end.
    """

    content_type: str | None
    file_name: str | None
    pieces: AsyncIterator[bytes]


class RemoteMedia(Protocol):
    """Media on other servers. Fitted by `federation`."""

    async def download(self, server_name: ServerName, media_id: str, *, bytes_max: int, timeout_ms: int) -> RemoteFile:
        """Begin to download. Raises PeerError; its status and errcode are what the other server answered.

        bytes_max: more than this is refused as early as it shows. timeout_ms: how long the other server may wait for an
        upload that is pending there.
        """
        ...
