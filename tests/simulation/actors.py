"""What people do: a seeded mind for each user, and one for the misfortunes of servers and networks.

A peaceful room knows no quarrel (nobody is kicked or banned, power stays as it is), so nothing in it may ever be refused
or soft-failed anywhere.
"""

import asyncio
from dataclasses import dataclass, field
from random import Random
from typing import Any
from urllib.parse import quote

from tests.simulation.clients import Client
from tests.simulation.network import CALM, Weather
from tests.simulation.world import Simulation

VERSIONS = ("1", "6", "10", "11", "12")


@dataclass
class SharedRoom:
    """A room as the script knows it. Its creator never leaves."""

    room_id: str
    version: str
    creator: Client
    is_peaceful: bool
    is_public: bool


@dataclass
class Cast:
    """Everybody, and the rooms that they made."""

    clients: list[Client]
    rooms: list[SharedRoom] = field(default_factory=list)
    markers: set[str] = field(default_factory=set)


@dataclass
class Mind:
    """One user at work."""

    client: Client
    cast: Cast
    random: Random
    count: int = 0

    async def act(self) -> None:
        """Do one thing."""
        room = self._room()
        if self.client.invites and self.random.random() < 0.5:
            await self.answer_invite(sorted(self.client.invites)[0])
        elif room is None or not self._is_in(room):
            await self._outside(room)
        else:
            await self._inside(room)

    def _room(self) -> SharedRoom | None:
        return self.random.choice(self.cast.rooms) if self.cast.rooms else None

    def _is_in(self, room: SharedRoom) -> bool:
        view = self.client.rooms.get(room.room_id)
        return view is not None and view.joined

    async def answer_invite(self, room_id: str) -> None:
        """Mostly accept."""
        inviter = self.client.invites.pop(room_id)
        if self.random.random() < 0.85:
            await self._join(room_id, inviter.partition(":")[2])
        else:
            await self.client.ask("POST", f"/rooms/{quote(room_id)}/leave", {})

    async def _outside(self, room: SharedRoom | None) -> None:
        if room is not None and room.is_public:
            await self._join(room.room_id, room.creator.server.name)

    async def _join(self, room_id: str, through: str) -> None:
        await self.client.ask("POST", f"/join/{quote(room_id)}", {}, server_name=through, via=through)

    async def _inside(self, room: SharedRoom) -> None:
        path = f"/rooms/{quote(room.room_id)}"
        dice = self.random.random()
        if dice < 0.5:
            await self.say(room)
        elif dice < 0.58:
            await self.client.set_state(room.room_id, "m.room.topic", {"topic": self._marker()})
        elif dice < 0.64 and self.client.seen.get(room.room_id):
            event_id = self.random.choice(self.client.seen[room.room_id])
            self.count += 1
            await self.client.redact(room.room_id, event_id, f"r{self.count}")
        elif dice < 0.70 and self.client.seen.get(room.room_id):
            event_id = self.client.seen[room.room_id][-1]
            await self.client.ask("POST", f"{path}/receipt/m.read/{quote(event_id, safe='')}", {})
        elif dice < 0.74:
            await self.client.ask("PUT", f"{path}/typing/{quote(self.client.user_id)}", {"typing": True, "timeout": 5000})
        elif dice < 0.80:
            await self.client.ask("GET", f"{path}/messages", None, dir="b", limit="20")
        elif dice < 0.88:
            await self.client.ask("POST", f"{path}/invite", {"user_id": self.random.choice(self.cast.clients).user_id})
        elif dice < 0.92 and room.creator is not self.client:
            await self.client.ask("POST", f"{path}/leave", {})
        elif not room.is_peaceful:
            await self._quarrel(room, path)

    async def _quarrel(self, room: SharedRoom, path: str) -> None:
        others = [each for each in self.cast.clients if each not in (self.client, room.creator)]
        if not others:
            return
        other = self.random.choice(others).user_id
        dice = self.random.random()
        if dice < 0.3:
            await self.client.ask("POST", f"{path}/kick", {"user_id": other, "reason": "a quarrel"})
        elif dice < 0.5:
            await self.client.ask("POST", f"{path}/ban", {"user_id": other})
        elif dice < 0.8:
            await self.client.ask("POST", f"{path}/unban", {"user_id": other})
        else:
            await self._change_power(room, path, other)

    async def _change_power(self, room: SharedRoom, path: str, other: str) -> None:
        status, levels = await self.client.ask("GET", f"{path}/state/m.room.power_levels")
        if status != 200:
            return
        users: dict[str, Any] = levels.setdefault("users", {})
        users[other] = self.random.choice((0, 50))
        await self.client.set_state(room.room_id, "m.room.power_levels", levels)

    def _marker(self) -> str:
        self.count += 1
        marker = f"{self.client.user_id} says {self.count}"
        self.cast.markers.add(marker)
        return marker

    async def say(self, room: SharedRoom) -> str | None:
        """Send a message that nobody else sends; sometimes impatiently twice at once."""
        marker = self._marker()
        content = {"msgtype": "m.text", "body": marker}
        txn_id = f"m{self.count}"
        send = self.client.send(room.room_id, "m.room.message", content, txn_id, marker)
        if self.random.random() < 0.1:
            again = self.client.send(room.room_id, "m.room.message", content, txn_id, marker)
            first, second = await asyncio.gather(send, again)
            if first != second and first is not None and second is not None:
                self.client.simulation.fail(f"{self.client.user_id}: one transaction made {first} and {second}")
            return first
        return await send

    async def create_room(self, version: str, *, is_peaceful: bool) -> None:
        """Make a room and invite some."""
        is_public = self.random.random() < 0.6
        invited = [each.user_id for each in self.cast.clients if each is not self.client and self.random.random() < 0.5]
        body = {
            "room_version": version,
            "preset": "public_chat" if is_public else "private_chat",
            "invite": invited[:3],
            "name": f"Room of {self.client.name} in version {version}",
        }
        status, answer = await self.client.ask("POST", "/createRoom", body)
        if status == 200:
            self.cast.rooms.append(SharedRoom(answer["room_id"], version, self.client, is_peaceful, is_public))
        elif status not in (0, 502):
            self.client.simulation.fail(f"{self.client.user_id}: createRoom answered {status} {answer}")


async def follow(client: Client, stop: asyncio.Event) -> None:
    """Sync for ever, as a client does that stays open; now and then it looks away."""
    clock = client.simulation.clock
    while not stop.is_set():
        done = await client.sync(timeout_ms=client.random.choice((0, 5_000, 30_000)))
        if not done:
            await clock.sleep(client.random.randrange(100, 3_000))
        elif client.random.random() < 0.1:
            await clock.sleep(client.random.randrange(1_000, 20_000))


async def misfortune(simulation: Simulation, random: Random, stop: asyncio.Event, kills: int) -> None:
    """Bad weather, partitions and sudden deaths, until told to stop; then everything is mended."""
    network, clock = simulation.network, simulation.clock
    names = list(simulation.servers)
    while not stop.is_set():
        await clock.sleep(random.randrange(500, 8_000))
        network.weather = random.choice((CALM, CALM, RAIN, STORM))
        network.severed = {
            frozenset((a, b)) for a in names for b in names if a < b and random.random() < random.choice((0.0, 0.0, 0.5))
        }
        simulation.disks.slow = random.choice((0.0, 0.0, 0.2))
        simulation.disks.failing = random.choice((0.0, 0.0, 0.0, 0.03))
        if kills and random.random() < 0.4:
            kills -= 1
            await strike(simulation, random)
    network.weather, network.severed = CALM, set()
    simulation.disks.slow = simulation.disks.failing = 0.0


async def strike(simulation: Simulation, random: Random) -> None:
    """Kill a server in the middle of something; start it again later."""
    server = simulation.servers[random.choice(list(simulation.servers))]
    for _ in range(random.randrange(60)):
        await asyncio.sleep(0)
    simulation.kill(server)
    await simulation.clock.sleep(random.choice((1, 500, 10_000, 60_000)))
    # A full disk would keep it from starting, as it should.
    failing, simulation.disks.failing = simulation.disks.failing, 0.0
    await simulation.start(server)
    simulation.disks.failing = failing


RAIN = Weather(delay_ms=500, request_lost=0.02, answer_lost=0.03, refused=0.03, repeated=0.1, slow=0.02)
STORM = Weather(delay_ms=3_000, request_lost=0.1, answer_lost=0.1, refused=0.1, repeated=0.2, slow=0.1)
