"""The servers of the demonstration: processes of their own, as an operator would run them."""

import asyncio
import json
import signal
import socket
import sys
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from watchword.base.clock import Clock
from watchword.base.errors import WatchwordError

_START_MS = 20_000
_POLL_MS = 25
_STOP_SECONDS = 10


class DemoFailed(WatchwordError):
    """A step of the demonstration did not hold; the text says which and what was seen."""


def free_ports(count: int) -> list[int]:
    """Ports of loopback that were free a moment ago."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


@dataclass
class DemoServer:
    """One organisation's server. peers: server name → federation port of the others."""

    server_name: str
    folder: Path
    client_port: int
    federation_port: int
    clock: Clock
    process: asyncio.subprocess.Process | None = None
    log_files: list[Path] = field(default_factory=list)

    @property
    def base_url(self) -> str:
        """Where clients reach it."""
        return f"http://127.0.0.1:{self.client_port}"

    @property
    def config_file(self) -> Path:
        """Its settings."""
        return self.folder / "watchword.toml"

    def configure(self, certificate: tuple[Path, Path], authority: Path, peers: "list[DemoServer]") -> None:
        """Write its settings."""
        text = json.dumps  # a JSON string is a TOML string
        self.folder.mkdir(parents=True, exist_ok=True)
        hosts = "\n".join(f'{text(peer.server_name)} = "127.0.0.1:{peer.federation_port}"' for peer in peers)
        self.config_file.write_text(
            f"""server_name = {text(self.server_name)}
public_base_url = {text(self.base_url)}
data_dir = {text(str(self.folder))}

[[listeners]]
host = "127.0.0.1"
port = {self.client_port}
serves = ["client"]

[[listeners]]
host = "127.0.0.1"
port = {self.federation_port}
serves = ["federation"]
certificate_file = {text(str(certificate[0]))}
key_file = {text(str(certificate[1]))}

[federation]
extra_ca_files = [{text(str(authority))}]
allowed_networks = ["127.0.0.0/8"]

[federation.hosts]
{hosts}

[logs]
level = "info"
""",
            "utf-8",
        )

    async def start(self) -> int:
        """Start it and wait for its first answer; how many milliseconds that took. Raises DemoFailed."""
        began_ms = self.clock.monotonic_ms()
        log_file = self.folder / f"server-{len(self.log_files)}.log"
        self.log_files.append(log_file)
        with log_file.open("wb") as output:
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "watchword.cli.main", "serve", "--config", str(self.config_file)),
                stdout=output,
                stderr=output,
            )
        async with aiohttp.ClientSession() as http:
            while self.clock.monotonic_ms() - began_ms < _START_MS:
                if self.process.returncode is not None:
                    break
                try:
                    async with http.get(f"{self.base_url}/_matrix/client/versions") as answer:
                        if answer.status == 200:
                            return self.clock.monotonic_ms() - began_ms
                except aiohttp.ClientError:
                    pass
                await self.clock.sleep(_POLL_MS)
        raise DemoFailed(f"{self.server_name} did not start; its log is {log_file}")

    async def kill(self) -> None:
        """SIGKILL: no warning, no chance to write anything."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        await self.process.wait()

    async def stop(self) -> None:
        """SIGTERM, and wait. Harmless if it does not run."""
        if self.process is None or self.process.returncode is not None:
            return
        self.process.terminate()
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await self.process.wait()
        except TimeoutError as error:
            self.process.kill()
            await self.process.wait()
            raise DemoFailed(f"{self.server_name} did not stop within {_STOP_SECONDS} s") from error

    async def invite(self, *options: str) -> str:
        """Run `watchword invite` as the operator would; the link."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "watchword.cli.main", "invite", "--config", str(self.config_file), *options),
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate()
        if process.returncode != 0:
            raise DemoFailed(f"no invitation could be made on {self.server_name}")
        return output.decode().strip()
