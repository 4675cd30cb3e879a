"""One simulation from its seed to its verdict.

First everybody registers and makes rooms in fair weather; then come the steps, with misfortunes; then everything is mended,
time passes until nobody owes anybody anything, and one message per server and room joins the loose ends. Then
`invariants` looks at everything.
"""

import asyncio
import gc
import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.simulation import invariants
from tests.simulation.actors import VERSIONS, Cast, Mind, SharedRoom, follow, misfortune
from tests.simulation.clients import Client
from tests.simulation.loop import SimulationLoop, Stuck
from tests.simulation.world import ErrorLog, Failure, Simulation
from watchword.base.clock import ManualClock

STEPS = 60
_QUIET_MS = 14_400_000
_TICK_MS = 5_000


@dataclass(frozen=True)
class Verdict:
    """What came of a seed."""

    seed: int
    failures: list[str]
    trace_hash: str
    events: int
    lives: int
    simulated_ms: int
    lines: list[str]


def play(seed: int, steps: int = STEPS, *, keeps_lines: bool = False, folder: Path | None = None) -> Verdict:
    """Run one seed. folder: where the databases are kept; None: nowhere."""
    if folder is not None:
        return _play(seed, steps, folder, keeps_lines=keeps_lines)
    shm = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="simulation", dir=shm if shm.is_dir() else None) as temporary:
        return _play(seed, steps, Path(temporary), keeps_lines=keeps_lines)


def _play(seed: int, steps: int, folder: Path, *, keeps_lines: bool) -> Verdict:
    clock = ManualClock()
    loop = SimulationLoop(clock)
    simulation = Simulation(seed, folder, loop, clock, Random(f"{seed}"), keeps_lines=keeps_lines)
    script = _Script(simulation, steps)
    errors = ErrorLog(simulation)
    logging.getLogger("watchword").addHandler(errors)
    loop.set_exception_handler(lambda _, context: simulation.fail(f"nobody caught: {context}"))
    # The collector would run finalisers at moments of its own choosing.
    gc.disable()
    try:
        loop.run_until_complete(script.run())
    except (Failure, Stuck) as failure:
        simulation.fail(str(failure))
    finally:
        logging.getLogger("watchword").removeHandler(errors)
        loop.set_exception_handler(lambda _, __: None)
        simulation.bury()
        loop.close()
        gc.enable()
        gc.collect()
    return Verdict(
        seed,
        simulation.failures,
        simulation.trace_hash(),
        sum(len(client.acknowledged) for client in script.cast.clients),
        sum(server.births + 1 for server in simulation.servers.values()),
        clock.monotonic_ms(),
        simulation.lines,
    )


class _Script:
    def __init__(self, simulation: Simulation, steps: int) -> None:
        self.simulation = simulation
        self.steps = steps
        self.random = simulation.random
        self.cast = Cast([])
        self.minds: list[Mind] = []

    async def run(self) -> None:
        """Everything, in order."""
        await self._begin()
        stop = asyncio.Event()
        following = [asyncio.ensure_future(follow(client, stop)) for client in self.cast.clients]
        await self._make_rooms()
        await self._live()
        await self._settle()
        await self._join_ends()
        stop.set()
        await asyncio.gather(*following)
        for client in self.cast.clients:
            await self._catch_up(client)
        await invariants.check(self.simulation, self.cast)
        for server in self.simulation.servers.values():
            await self.simulation.stop(server)

    async def _begin(self) -> None:
        for number in range(self.random.choice((2, 2, 3, 3, 4))):
            self.simulation.add_server(number)
        for number, server in enumerate(self.simulation.servers.values()):
            await self.simulation.start(server)
            for other in range(self.random.choice((1, 2))):
                name = f"u{number}{other}"
                client = Client(self.simulation, server, name, Random(f"{self.simulation.seed} {name}"))
                client.timeline_limit = self.random.choice((2, 20, 100))
                await client.register()
                self.cast.clients.append(client)
                self.minds.append(Mind(client, self.cast, Random(f"{self.simulation.seed} mind {name}")))
        for server in self.simulation.servers.values():
            await self.simulation.introduce(server)

    async def _make_rooms(self) -> None:
        for number in range(self.random.choice((1, 2, 3))):
            mind = self.random.choice(self.minds)
            await mind.create_room(self.random.choice(VERSIONS), is_peaceful=number == 0 or self.random.random() < 0.3)
        await self.simulation.clock.sleep(3_000)

    async def _live(self) -> None:
        stop = asyncio.Event()
        kills = self.random.choice((0, 1, 2, 3))
        fate = Random(f"{self.simulation.seed} fate")
        trouble = asyncio.ensure_future(misfortune(self.simulation, fate, stop, kills))
        share = max(1, self.steps // len(self.minds))
        await asyncio.gather(*(self._life_of(mind, share) for mind in self.minds))
        stop.set()
        await trouble

    async def _life_of(self, mind: Mind, steps: int) -> None:
        for _ in range(steps):
            await self.simulation.clock.sleep(mind.random.choice((1, 50, 500, 3_000)))
            await mind.act()

    async def _settle(self) -> None:
        """Let time pass until nobody owes anybody anything."""
        clock = self.simulation.clock
        until_ms = clock.monotonic_ms() + _QUIET_MS
        quiet = 0
        while quiet < 3:
            if clock.monotonic_ms() > until_ms:
                self.simulation.fail(f"no rest after {_QUIET_MS} ms: {invariants.debts(self.simulation)}")
                return
            await clock.sleep(_TICK_MS)
            quiet = quiet + 1 if not invariants.debts(self.simulation) else 0

    async def _join_ends(self) -> None:
        """One message per server and room, one after the other, the creator's last: it cites whatever is loose."""
        for last in (False, True):
            for name in self.simulation.servers:
                for room in self.cast.rooms:
                    await self._say_for(room, name, last=last)
                await self._settle()

    async def _say_for(self, room: SharedRoom, name: str, *, last: bool) -> None:
        for mind in self.minds:
            view = mind.client.rooms.get(room.room_id)
            is_creator = mind.client is room.creator
            if mind.client.server.name == name and view is not None and view.joined and is_creator is last:
                await mind.say(room)
                return

    async def _catch_up(self, client: Client) -> None:
        for _ in range(20):
            before = client.since
            await client.sync()
            if client.since == before:
                return
        self.simulation.fail(f"{client.user_id}: sync never comes to an end")
