import subprocess
import sys

from tests.unit.server.media.pictures import a_picture
from tests.unit.server.media.world import World

_PROGRAM = """
import sys
import watchword.server.app.homeserver
import watchword.server.media.assembly
print(sorted({name.partition(".")[0] for name in sys.modules} & {"PIL", "selectolax"}))
"""


def test_the_server_never_loads_a_decoder() -> None:
    finished = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True)
    assert finished.stdout.strip() == "[]"


async def test_an_idle_repository_has_no_process_and_closing_ends_what_there_is(world: World) -> None:
    await world.upload(b"words")
    assert [sandbox.process_id for sandbox in world.repository.sandboxes] == [None, None]
    media_id = await world.upload(a_picture("PNG", (400, 400)), "image/png")
    await world.thumbnail(media_id, "width=32&height=32")
    assert world.sandbox.process_id is not None
    await world.repository.close()
    assert world.sandbox.process_id is None
