"""The place of thumbnails. So far the original stands for its thumbnail where that is allowed (see `decide`).

Making smaller pictures means running a decoder on what strangers send: that belongs into a process of its own, limited in
memory and time, called from `Thumbnails.of` with the bytes and storing what it makes through `Files.write`.
"""

from dataclasses import dataclass

from watchword.base import limits
from watchword.base.errors import Refused, TooLarge
from watchword.server.media import decide
from watchword.server.media.commands import Media
from watchword.server.media.decide import Wanted
from watchword.server.media.files import Files


@dataclass(frozen=True)
class Thumbnails:
    """Small pictures of media."""

    files: Files

    async def of(self, media: Media, wanted: Wanted, *, is_remote: bool) -> Media:
        """The thumbnail to serve. Raises Refusal 400 M_UNKNOWN; 413 M_TOO_LARGE, 502 for files of other servers.

        Spec: client-server-api#thumbnails
        """
        head = await self.files.head(media.file, limits.picture_head_bytes)
        refused = decide.original_as_thumbnail(media, head, wanted)
        if isinstance(refused, Refused):
            refusal = refused.refusal()
            if is_remote and refusal.status == TooLarge.status:
                refusal.status = 502
            raise refusal
        return media
