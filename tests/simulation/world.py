"""The servers of one simulation: built, killed, started again from their files, stopped.

Deliberately absent: users (`clients`, `actors`) and what must hold (`invariants`).
"""

import asyncio
import hashlib
import logging
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.simulation.disk import DiskWeather, SimulatedDatabase
from tests.simulation.loop import Life, SimulationLoop
from tests.simulation.network import Address, Network
from watchword.base import config
from watchword.base.clock import ManualClock
from watchword.base.config import Config
from watchword.base.entropy import SeededEntropy
from watchword.protocol.ids import ServerName
from watchword.server.app import Homeserver, World

_EXPECTED_ERRORS = ("The database refused.",)
_EXPECTED_CAUSES = ("a commit failed: FullError", "what the event builds on was not committed")


class Failure(Exception):
    """An invariant does not hold."""


@dataclass
class Server:
    """One server over all its lives."""

    name: str
    number: int
    folder: Path
    random: Random
    life: Life | None = None
    homeserver: Homeserver | None = None
    database: SimulatedDatabase | None = None
    births: int = 0
    promised: int = 0
    """The highest position that any client was told of."""

    @property
    def is_up(self) -> bool:
        return self.life is not None and self.life.is_alive

    @property
    def path(self) -> Path:
        return self.folder / f"life{self.births}.db"


@dataclass
class Simulation:
    """Everything there is."""

    seed: int
    folder: Path
    loop: SimulationLoop
    clock: ManualClock
    random: Random
    servers: dict[str, Server] = field(default_factory=dict)
    disks: DiskWeather = field(default_factory=DiskWeather)
    failures: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    keeps_lines: bool = False
    dead: list[tuple[Life, SimulatedDatabase]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._hash = hashlib.sha256()
        self.network = Network(self.clock, Random(f"{self.seed} network"), self.trace)

    # What happened

    def trace(self, line: str) -> None:
        """Note something that must be the same in every run of this seed."""
        line = f"{self.clock.monotonic_ms()} {line}"
        self._hash.update(line.encode() + b"\n")
        if self.keeps_lines:
            self.lines.append(line)

    def trace_hash(self) -> str:
        """A fingerprint of all that happened."""
        return self._hash.hexdigest()

    def fail(self, text: str) -> None:
        """Note that an invariant does not hold."""
        self.trace(f"FAILURE {text}")
        self.failures.append(text)

    # Servers

    def add_server(self, number: int) -> Server:
        """A server that has never run."""
        name = f"{'abcdefgh'[number]}.test"
        folder = self.folder / name
        folder.mkdir(parents=True)
        server = self.servers[name] = Server(name, number, folder, Random(f"{self.seed} {name}"))
        return server

    async def start(self, server: Server) -> None:
        """Start a server from its file; it must need no help."""
        assert not server.is_up
        life = server.life = Life(server.name)
        self.trace(f"start {server.name}")
        try:
            await life.spawn(self._bring_up(server, life))
        except Exception as error:
            raise Failure(f"{server.name} does not start: {_told(error)}") from error

    async def _bring_up(self, server: Server, life: Life) -> None:
        database = SimulatedDatabase(server.path, self.clock, server.random, self.disks)
        server.database = database
        checked = database._writer.execute("PRAGMA quick_check").fetchall()
        if checked != [("ok",)]:
            self.fail(f"{server.name}: quick_check says {checked}")
        entropy = SeededEntropy(server.random.getrandbits(64))
        homeserver = server.homeserver = Homeserver(
            self._config(server), World(self.clock, entropy, database, self.network.egress(server.name))
        )
        await homeserver.prepare()
        if homeserver.log.position < server.promised:
            self.fail(f"{server.name} forgot positions: at {homeserver.log.position}, clients were told {server.promised}")
        running = life.spawn(homeserver.run(doors=False))
        running.add_done_callback(lambda done: self._ended(server, done))
        self.network.addresses[server.name] = Address(life, homeserver.router)

    def _ended(self, server: Server, done: "asyncio.Task[None]") -> None:
        if not done.cancelled() and (error := done.exception()) is not None:
            self.fail(f"{server.name} fell over: {_told(error)}")

    def _config(self, server: Server) -> Config:
        return Config(
            server_name=server.name,
            data_dir=str(server.folder),
            database=config.Database(path=str(server.path)),
            registration=config.Registration(mode="open"),
            rate_limits=config.RateLimits(enabled=False),
            federation=config.Federation(hosts={name: f"{name}:8448" for name in self.servers}),
        )

    async def introduce(self, server: Server) -> None:
        """Let a server have the keys of all others.

        The state that a resident gives at a join is taken without the events whose keys cannot be had: in large rooms there
        are always servers that have gone for good, and nobody could join. State for a gap is waited for (seed 11).
        """
        assert server.life is not None
        assert server.homeserver is not None
        for name in self.servers:
            if name != server.name:
                await server.life.spawn(server.homeserver.federation_out.keys.refresh(ServerName(name), {}))

    def kill(self, server: Server) -> None:
        """`kill -9`: what is not on the disk is lost, and nobody tidies up."""
        assert server.is_up
        assert server.life is not None
        self.trace(f"kill {server.name}")
        self.network.addresses.pop(server.name, None)
        if server.database is not None:
            self.dead.append((server.life, server.database))
            old, server.births = server.database, server.births + 1
            old.leave_behind(server.path)
        server.life.kill()
        server.homeserver = None
        server.database = None

    async def stop(self, server: Server) -> None:
        """An orderly stop."""
        assert server.life is not None
        assert server.homeserver is not None
        assert server.database is not None
        self.network.addresses.pop(server.name, None)
        homeserver, life = server.homeserver, server.life
        running = [task for task in life.tasks if not task.done()]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await life.spawn(homeserver.stop())
        self.dead.append((life, server.database))

    def bury(self) -> None:
        """Free everything."""
        for life, database in self.dead:
            life.bury()
            database.bury()
        for server in self.servers.values():
            if server.is_up and server.life is not None:
                server.life.bury()
            if server.database is not None:
                server.database.bury()


class ErrorLog(logging.Handler):
    """Whatever a server logs as an error is a failure, unless the simulation has caused it."""

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(logging.ERROR)
        self._simulation = simulation

    def emit(self, record: logging.LogRecord) -> None:
        cause = "" if not record.exc_info or record.exc_info[1] is None else _told(record.exc_info[1])
        if any(known in cause for known in _EXPECTED_CAUSES):
            return
        self._simulation.fail(f"an error was logged by {record.name}: {record.getMessage()} {cause}")


def _told(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))
