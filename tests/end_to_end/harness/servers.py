"""Servers under test: processes of their own, run as an operator would run them, on loopback."""

import itertools
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

from tests.end_to_end.harness import wire
from tests.end_to_end.harness.wire import Place
from watchword.base.clock import SystemClock
from watchword.cli.demonstration.authority import DemoAuthority
from watchword.cli.demonstration.servers import DemoServer

SHARED_SECRET = "provisioning for tests"
_START_SECONDS = 30
_FOR_TESTS = f"""
[registration]
shared_secret = "{SHARED_SECRET}"

[rate_limits]
enabled = false

[media]
upload_bytes_max = 2000000

[contact]
admin_email = "admin@example.org"

[well_known]
server = "matrix.example.org:443"
policy_server_key = "6yhHGKhCiXTSEN2ksjV7kX5N6rBQZ3XbAM7LlC6NS+s"

[turn]
uris = ["turn:turn.example.org:3478?transport=udp"]
shared_secret = "credentials for tests"
"""
_PATIENCE = "request_timeout_ms = 2000\nlarge_request_timeout_ms = 4000\n"

_candidates = itertools.count(20_000 + os.getpid() * 64 % 12_000)


def unused_port() -> int:
    """A port below those that the system gives to outgoing connections, so that it stays free while a server restarts."""
    for port in _candidates:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port % 12_000 + 20_000))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise AssertionError("no port is free")


def elsewhere(server_name: str, port: int, folder: Path) -> DemoServer:
    """A server that somebody else runs, for the configuration of ours."""
    return DemoServer(server_name, folder, 0, port, SystemClock())


class Server:
    """One homeserver. start, stop and kill it; `client` and `federation` are its doors."""

    def __init__(self, server_name: str, folder: Path, authority: DemoAuthority) -> None:
        self.name = server_name
        self.plan = DemoServer(server_name, folder / server_name, unused_port(), unused_port(), SystemClock())
        self._authority = authority
        trust = ssl.create_default_context(cafile=str(authority.file))
        self.client = Place(self.plan.client_port)
        self.federation = Place(self.plan.federation_port, server_name, trust)
        self.log_file = self.plan.folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    def configure(self, peers: list[DemoServer], extra: str = "") -> None:
        """Write its settings. extra: TOML behind those that all servers under test have."""
        self.plan.configure(self._authority.certify(self.name), self._authority.file, peers)
        settings = self.plan.config_file.read_text("utf-8")
        patient = settings.replace("[federation]\n", "[federation]\n" + _PATIENCE)
        self.plan.config_file.write_text(patient + _FOR_TESTS + extra, "utf-8")

    def start(self) -> None:
        """Start it and wait for its first answer."""
        self.launch()
        self.await_answer()

    def launch(self) -> None:
        """Start it."""
        with self.log_file.open("ab") as output:
            self._process = subprocess.Popen(
                [*self._command, "serve", "--config", str(self.plan.config_file)], stdout=output, stderr=output
            )

    def await_answer(self) -> None:
        """Wait for its first answer."""
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self.is_running:
            try:
                if wire.ask(self.client, "GET", "/_matrix/client/versions").status == 200:
                    return
            except OSError:
                time.sleep(0.02)
        raise AssertionError(f"{self.name} did not start:\n{self.log[-4000:]}")

    @property
    def _command(self) -> list[str]:
        return [sys.executable, "-P", "-m", "watchword.cli.main"]

    @property
    def is_running(self) -> bool:
        """Whether its process lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> str:
        """All that it has said so far."""
        return self.log_file.read_text("utf-8", "replace") if self.log_file.exists() else ""

    @property
    def resident_bytes(self) -> int:
        """Its memory now."""
        assert self._process is not None
        status = Path(f"/proc/{self._process.pid}/status").read_text("ascii", "replace")
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS:"))

    def kill(self) -> None:
        """SIGKILL: no warning."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        """SIGTERM, and wait for its end; harmless if it does not run."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired as error:
            self.kill()
            raise AssertionError(f"{self.name} did not stop:\n{self.log[-4000:]}") from error

    def command(self, *arguments: str) -> str:
        """Run `watchword` with the settings of this server, as its operator would; what it prints."""
        name, *options = arguments
        done = subprocess.run(
            [*self._command, name, "--config", str(self.plan.config_file), *options],
            capture_output=True,
            text=True,
            check=False,
            timeout=_START_SECONDS,
        )
        assert done.returncode == 0, done
        return done.stdout.strip()
