"""What the doors of media are mounted with."""

from dataclasses import dataclass

from watchword.base.entropy import Entropy
from watchword.protocol.ids import ServerName
from watchword.server.media.previews import Previews
from watchword.server.media.removal import Removal
from watchword.server.media.service import MediaService
from watchword.server.media.thumbnails import Thumbnails


@dataclass(frozen=True)
class MediaDoor:
    """The content repository as its endpoints see it."""

    service: MediaService
    thumbnails: Thumbnails
    previews: Previews
    removal: Removal
    entropy: Entropy
    server_name: ServerName
