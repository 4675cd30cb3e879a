import os
import signal
from pathlib import Path

import pytest

from watchword.base.config import Config
from watchword.base.errors import StorageError
from watchword.cli.running import run_server
from watchword.server.app import Homeserver

pytestmark = pytest.mark.usefixtures("logs_as_before")


def _config(tmp_path: Path) -> Config:
    overrides = {"server_name": "a.example", "data_dir": str(tmp_path), "logs.level": "info"}
    config = Config.load(None, {}, overrides)
    (listener,) = config.listeners
    return Config(
        server_name=config.server_name,
        data_dir=config.data_dir,
        listeners=(type(listener)(unix_socket=str(tmp_path / "socket")),),
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_runs_until_it_is_told_to_stop(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], number: signal.Signals
) -> None:
    seen: list[bool] = []

    async def started(server: Homeserver) -> None:
        seen.append((tmp_path / "socket").exists())
        os.kill(os.getpid(), number)

    run_server(_config(tmp_path), started)
    assert seen == [True]
    assert "The server stopped." in capfd.readouterr().err


def test_a_part_that_fails_in_the_background_stops_the_server_loudly(tmp_path: Path) -> None:
    class Broken(RuntimeError):
        pass

    async def started(server: Homeserver) -> None:
        async def fail() -> None:
            raise Broken

        object.__setattr__(server.accounts.presence, "run", fail)

    with pytest.raises(ExceptionGroup) as failed:
        run_server(_config(tmp_path), started)
    assert failed.group_contains(Broken)


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    config = _config(tmp_path)
    (tmp_path / "watchword.db").write_bytes(b"this is no database, it only looks like a file" * 100)
    with pytest.raises(StorageError, match=r"watchword\.db cannot be opened"):
        run_server(config)
