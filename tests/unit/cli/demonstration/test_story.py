from pathlib import Path

import pytest

from watchword.base.clock import SystemClock
from watchword.base.entropy import SeededEntropy
from watchword.base.errors import PeerError
from watchword.cli.demonstration.conversation import picture
from watchword.cli.demonstration.servers import DemoFailed, DemoServer
from watchword.cli.demonstration.story import Story, invitation_to
from watchword.client.events import Invitation, RoomJoined

PICTURE = picture(bytes(range(32)))


@pytest.fixture
def story(tmp_path: Path) -> Story:
    return Story(tmp_path, SystemClock(), SeededEntropy(1))


def _servers(story: Story) -> tuple[DemoServer, DemoServer]:
    servers = tuple(DemoServer(name, story.folder / name, 0, 0, story.clock) for name in ("a.example", "b.example"))
    for server in servers:
        server.folder.mkdir()
        (server.folder / "watchword.db").write_bytes(b"\0" * 60_000)
    return servers[0], servers[1]


async def test_a_step_says_what_was_checked(story: Story, capsys: pytest.CaptureFixture[str]) -> None:
    async def work() -> int:
        return 7

    assert await story.step("Count", work, lambda number: f"{number} things") == 7
    assert capsys.readouterr().out.startswith("  ✓ Count: 7 things (")
    assert story.steps == 1


@pytest.mark.parametrize("error", [PeerError("a.example", "it refused"), TimeoutError()])
async def test_a_step_that_does_not_hold_ends_the_demonstration(story: Story, error: Exception) -> None:
    async def work() -> None:
        raise error

    with pytest.raises(DemoFailed, match=r"^Count: "):
        await story.step("Count", work, lambda _: "never")
    assert story.steps == 0


def test_the_search_covers_both_servers(story: Story) -> None:
    servers = _servers(story)
    story.said.append("the source is safe")
    size, forms = story.search(servers, PICTURE)
    assert size == 120_000
    assert forms > 10


def test_a_sentence_that_can_be_read_ends_the_demonstration(story: Story) -> None:
    servers = _servers(story)
    story.said.append("the source is safe")
    (servers[1].folder / "server-0.log").write_text("debug: the source is safe", encoding="utf-8")
    with pytest.raises(DemoFailed, match=r"server-0\.log"):
        story.search(servers, PICTURE)


def test_a_search_in_nothing_proves_nothing(story: Story) -> None:
    servers = _servers(story)
    for server in servers:
        (server.folder / "watchword.db").unlink()
    story.said.append("the source is safe")
    with pytest.raises(DemoFailed, match="only 0 bytes"):
        story.search(servers, PICTURE)


def test_an_invitation_is_awaited_for_one_room() -> None:
    wanted = invitation_to("!room:a.example")
    invitation = Invitation("!room:a.example", "@alice:a.example")
    assert wanted(invitation) is invitation
    assert wanted(Invitation("!other:a.example", "@alice:a.example")) is None
    assert wanted(RoomJoined("!room:a.example")) is None
