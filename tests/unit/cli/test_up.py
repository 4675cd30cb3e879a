import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Run
from watchword.base.config import Config
from watchword.base.errors import ConfigError, WatchwordError

pytestmark = pytest.mark.usefixtures("logs_as_before")


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port at which nothing can be started, so that `up` ends after it has written its settings."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


def test_the_first_start_needs_a_name(run: Run, tmp_path: Path) -> None:
    result = run("up", "--data", tmp_path / "data")
    assert result.exit_code == 2
    assert "--server-name" in result.output
    assert not (tmp_path / "data").exists()


def test_the_first_start_writes_settings_that_hold(run: Run, tmp_path: Path, taken_port: int) -> None:
    folder = tmp_path / 'a "data" folder'
    with pytest.raises(WatchwordError):
        run("up", "--data", folder, "--server-name", "a.example", "--port", taken_port)
    config = Config.load(folder / "watchword.toml")
    assert config.server_name == "a.example"
    assert config.base_url == "https://a.example"
    assert Path(config.data_dir) == folder
    assert [(each.host, each.port, each.serves) for each in config.listeners] == [
        ("127.0.0.1", taken_port, ("client", "federation"))
    ]
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_server_keeps_its_name(run: Run, tmp_path: Path, taken_port: int) -> None:
    folder = tmp_path / "data"
    with pytest.raises(WatchwordError):
        run("up", "--data", folder, "--server-name", "a.example", "--port", taken_port)
    result = run("up", "--data", folder, "--server-name", "b.example")
    assert result.exit_code == 2
    assert "can never be changed" in result.output
    assert Config.load(folder / "watchword.toml").server_name == "a.example"


def test_settings_that_do_not_hold_are_not_kept(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with pytest.raises(ConfigError, match="server_name"):
        run("up", "--data", folder, "--server-name", "no name at all")
    assert list(folder.iterdir()) == []
