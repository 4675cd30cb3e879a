"""Clients that we did not write, against a real server. `./run test-clients` makes their environment and names it.

Without that environment the folder is not collected: the ordinary tests need nothing but the workshop.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.end_to_end.harness.servers import Server
from watchword.base.clock import SystemClock
from watchword.cli.demonstration.authority import DemoAuthority

_ENVIRONMENT = os.environ.get("TEST_CLIENTS_HOME")
_HERE = Path(__file__).parent
_SCENARIO_SECONDS = 240

if _ENVIRONMENT is None:
    collect_ignore_glob = ["test_*.py"]


@dataclass(frozen=True)
class Stage:
    """A server, and the ways to let a client loose on it."""

    server: Server
    folder: Path

    def _play(self, command: list[str], cwd: Path, **settings: object) -> list[str]:
        told = {
            "baseUrl": self.server.plan.base_url,
            "token": self.server.command("invite", "--token-only", "--uses", "5"),
            "folder": str(self.folder),
            **settings,
        }
        done = subprocess.run(
            [*command, json.dumps(told)], cwd=cwd, capture_output=True, text=True, check=False, timeout=_SCENARIO_SECONDS
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-6000:]}\nserver:\n{self.server.log[-3000:]}"
        return done.stdout.splitlines()

    def node(self, scenario: str, sdk: str) -> list[str]:
        """Play a scenario with a version of matrix-js-sdk; the sentences that came true."""
        assert _ENVIRONMENT is not None
        scripts = Path(_ENVIRONMENT) / "js"
        return self._play([str(Path(_ENVIRONMENT) / "node"), str(scripts / f"{scenario}.mjs")], scripts, sdk=sdk)

    def python(self, scenario: str, **settings: object) -> list[str]:
        """Play a scenario with a Python client; the sentences that came true."""
        assert _ENVIRONMENT is not None
        command = [str(Path(_ENVIRONMENT) / "bin" / "python"), str(_HERE / "python" / f"{scenario}.py")]
        return self._play(command, self.folder, **settings)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all scenarios of a process; each scenario brings its own people."""
    folder = tmp_path_factory.mktemp("clients")
    server = Server("clients.example", folder, DemoAuthority(folder, SystemClock()))
    server.configure([])
    server.start()
    yield server
    server.stop()
    assert "Traceback" not in server.log, server.log[-6000:]


@pytest.fixture
def stage(server: Server, tmp_path: Path) -> Stage:
    """The server, and a folder of the scenario's own."""
    return Stage(server, tmp_path)
