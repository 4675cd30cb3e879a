import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from watchword.cli.main import watchword

Run = Callable[..., Result]


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """The settings of a server that nobody has started yet."""
    file = tmp_path / "watchword.toml"
    file.write_text(f'server_name = "a.example"\ndata_dir = "{tmp_path / "data"}"\n', encoding="utf-8")
    return file


@pytest.fixture
def run() -> Run:
    """Runs a command in this process; what it raises, it raises here."""
    return lambda *arguments: CliRunner().invoke(watchword, [str(each) for each in arguments], catch_exceptions=False)


@pytest.fixture
def logs_as_before() -> Iterator[None]:
    """A command that serves takes the log for itself."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    others = {name: logging.getLogger(name).level for name in ("uvicorn.error", "uvicorn.access", "aiohttp", "asyncio")}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in others.items():
        logging.getLogger(name).setLevel(before)
