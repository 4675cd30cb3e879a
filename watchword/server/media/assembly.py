"""Media put together: the one object from which `app` takes its parts."""

from dataclasses import dataclass

from watchword.base.clock import Clock
from watchword.base.entropy import Entropy
from watchword.edge.fetch import Fetcher
from watchword.protocol.ids import ServerName
from watchword.server.media.commands import MediaSettings, PreviewSettings
from watchword.server.media.door import MediaDoor
from watchword.server.media.files import Files
from watchword.server.media.inventory import Inventory
from watchword.server.media.pages import Pages
from watchword.server.media.ports import RemoteMedia
from watchword.server.media.previews import Previews
from watchword.server.media.removal import Removal
from watchword.server.media.sandbox import Sandbox
from watchword.server.media.service import MediaService
from watchword.server.media.thumbnails import Thumbnails
from watchword.server.media.upkeep import Upkeep
from watchword.storage.database import Database


@dataclass(frozen=True, slots=True)
class Repository:
    """The parts. `start` before the first request; `run` is for the server's task group; `close` at the end."""

    service: MediaService
    removal: Removal
    inventory: Inventory
    upkeep: Upkeep
    door: MediaDoor
    sandboxes: tuple[Sandbox, Sandbox]
    web: Fetcher | None

    async def start(self) -> None:
        """Clear up after a crash."""
        await self.service.start()
        await self.removal.recover()

    async def run(self) -> None:
        """Sweep, for ever."""
        await self.upkeep.run()

    async def close(self) -> None:
        """End the processes and the connections, wait for the disk."""
        for sandbox in self.sandboxes:
            await sandbox.close()
        if self.web is not None:
            await self.web.close()
        await self.service.files.close()


@dataclass(frozen=True, slots=True)
class Outside:
    """Other machines: other servers' media (fitted by `federation`), and the way out to web pages; None: no previews."""

    remote: RemoteMedia
    web: Fetcher | None


def assemble_media(
    database: Database,
    files: Files,
    clock: Clock,
    entropy: Entropy,
    server_name: ServerName,
    outside: Outside,
    settings: tuple[MediaSettings, PreviewSettings],
) -> Repository:
    """Build everything of this feature."""
    media_settings, preview_settings = settings
    service = MediaService(database, files, clock, entropy, server_name, outside.remote, media_settings)
    removal = Removal(database, files, clock, server_name)
    pictures = Sandbox("pictures", clock, files.empty_folder)
    readers = Sandbox("pages", clock, files.empty_folder)
    pages = None
    if outside.web is not None and preview_settings.enabled:
        pages = Pages(outside.web, (readers, pictures), service, removal, entropy, server_name, preview_settings)
    door = MediaDoor(
        service,
        Thumbnails(database, files, pictures, clock),
        Previews(database, clock, pages, preview_settings),
        removal,
        entropy,
        server_name,
    )
    upkeep = Upkeep(database, files, clock, service, removal, preview_settings)
    return Repository(service, removal, Inventory(database, clock, server_name), upkeep, door, (pictures, readers), outside.web)
