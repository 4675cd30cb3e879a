"""What the doors of media are mounted with."""

from dataclasses import dataclass

from watchword.base.entropy import Entropy
from watchword.protocol.ids import ServerName
from watchword.server.media.service import MediaService
from watchword.server.media.thumbnails import Thumbnails


@dataclass(frozen=True)
class MediaDoor:
    """The content repository as its endpoints see it."""

    service: MediaService
    thumbnails: Thumbnails
    entropy: Entropy
    server_name: ServerName
