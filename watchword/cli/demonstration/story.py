"""The plot: two organisations, three devices, one conversation, one crash; each step says what was checked."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from urllib.parse import parse_qs, urlsplit

import click

from watchword.base.clock import Clock
from watchword.base.entropy import Entropy
from watchword.base.errors import PeerError
from watchword.cli.demonstration.authority import DemoAuthority
from watchword.cli.demonstration.conversation import LINES, picture
from watchword.cli.demonstration.search import needles, search
from watchword.cli.demonstration.servers import DemoFailed, DemoServer, free_ports
from watchword.client.events import Invitation, RoomEvent, SessionEvent
from watchword.client.session import Session
from watchword.client.wire import ClientSettings

T = TypeVar("T")
_DURING_CRASH = 12
_WAIT_MS = 30_000


@dataclass
class Person:
    """Somebody with an account. recovery_key: written down at the start."""

    name: str
    password: str
    server: DemoServer
    recovery_key: str = ""


@dataclass
class Story:
    """The demonstration. said: every sentence, for the search at the end."""

    folder: Path
    clock: Clock
    entropy: Entropy
    steps: int = 0
    said: list[str] = field(default_factory=list)

    async def step(self, title: str, work: Callable[[], Awaitable[T]], proof: Callable[[T], str]) -> T:
        """Do one step and print a line with what was checked and how long it took."""
        began_ms = self.clock.monotonic_ms()
        try:
            result = await work()
        except (PeerError, TimeoutError) as error:
            raise DemoFailed(f"{title}: {error or 'nothing came in time'}") from error
        self.steps += 1
        seconds = (self.clock.monotonic_ms() - began_ms) / 1000
        click.echo(f"  ✓ {title}: {proof(result)} ({seconds:.1f} s)")
        return result

    def settings(self, server: DemoServer, device: str) -> ClientSettings:
        """Where a device keeps its memory: beside the servers' folders, not in them."""
        store = self.folder / "devices" / device
        store.mkdir(parents=True, exist_ok=True)
        return ClientSettings(
            server.base_url, store / "store.db", self.entropy.random_bytes(32), device_name=device, sync_timeout_ms=10_000
        )

    # Servers

    async def start_servers(self) -> tuple[DemoServer, DemoServer]:
        """Certificates, settings, processes."""
        ports = free_ports(4)
        newsroom = DemoServer("newsroom.example", self.folder / "newsroom", ports[0], ports[1], self.clock)
        relief = DemoServer("relief.example", self.folder / "relief", ports[2], ports[3], self.clock)
        authority = DemoAuthority(self.folder, self.clock)
        for server, peer in ((newsroom, relief), (relief, newsroom)):
            server.configure(authority.certify(server.server_name), authority.file, [peer])
        await asyncio.gather(newsroom.start(), relief.start())
        return newsroom, relief

    # Accounts

    async def refuse_uninvited(self, server: DemoServer) -> str:
        """Somebody without an invitation asks for an account."""
        try:
            session = await Session.register(
                self.settings(server, "mallory"), "mallory", self.entropy.token(12), self.clock, self.entropy
            )
        except PeerError as error:
            if error.status in (401, 403):
                return f"{error.status} {error.errcode or ''}".strip()
            raise
        await session.close()
        raise DemoFailed("somebody without an invitation got an account")

    async def register(self, person: Person, device: str, link: str) -> Session:
        """Open an invitation link, make the account, set up cross-signing, secret storage and key backup."""
        token = parse_qs(urlsplit(link).fragment)["token"][0]
        session = await Session.register(
            self.settings(person.server, device),
            person.name,
            person.password,
            self.clock,
            self.entropy,
            registration_token=token,
        )
        await session.__aenter__()
        await session.synced()
        person.recovery_key = await session.bootstrap(person.password)
        return session

    # The conversation

    async def say(self, sender: Session, receivers: Sequence[Session], room_id: str, text: str) -> None:
        """Send a sentence and wait until everybody has decrypted it."""
        self.said.append(text)
        await sender.send_text(room_id, text)
        for receiver in receivers:
            event = await receiver.wait_for_message(room_id, text, _WAIT_MS)
            if not event.encrypted:
                raise DemoFailed("a message arrived unencrypted")

    async def exchange(self, alice: Session, bob: Session, room_id: str) -> int:
        """All languages, both ways."""
        for _, who, text in LINES:
            sender, receiver = (alice, bob) if who == "alice" else (bob, alice)
            await self.say(sender, (receiver,), room_id, text)
        return len(LINES)

    async def send_picture(self, alice: Session, bob: Session, room_id: str) -> bytes:
        """An encrypted attachment across servers."""
        data = picture(self.entropy.random_bytes(32))
        await alice.send_attachment(room_id, data, file_name="notes.png", mime_type="image/png", msgtype="m.image")
        event = await bob.wait_for(_picture_in(room_id), _WAIT_MS)
        if await bob.download_attachment(event.content) != data:
            raise DemoFailed("the picture arrived changed")
        return data

    async def second_device(self, person: Person, device: str, room_id: str) -> tuple[Session, int]:
        """Log in on another device, verify it with the recovery key, read what was sent before it existed."""
        session = await Session.login(
            self.settings(person.server, device), person.name, person.password, self.clock, self.entropy
        )
        await session.__aenter__()
        await session.synced()
        await session.recover(person.recovery_key)
        if not session.is_verified:
            raise DemoFailed("the second device is not verified")
        bodies = await self.history(session, room_id)
        missing = [text for text in self.said if text not in bodies]
        if missing:
            raise DemoFailed(f"the second device cannot read {len(missing)} of {len(self.said)} earlier messages")
        return session, len(self.said)

    async def history(self, session: Session, room_id: str) -> list[str]:
        """Every text of the room that a device can read, from the server's history."""
        bodies: list[str] = []
        start: str | None = None
        while True:
            page = await session.messages(room_id, start=start, limit=100)
            bodies.extend(event.body for event in page.events if isinstance(event, RoomEvent) and event.body is not None)
            if page.end is None:
                return bodies
            start = page.end

    async def crash(self, server: DemoServer, alice: Session, bob: Session, room_id: str) -> tuple[int, int]:
        """Kill the first server in mid-conversation; start it again; nothing acknowledged may be missing or doubled."""
        texts = {
            "alice": [f"Alice's message {number} during the crash" for number in range(_DURING_CRASH)],
            "bob": [f"Bob's message {number} during the crash" for number in range(_DURING_CRASH)],
        }
        self.said.extend((*texts["alice"], *texts["bob"]))
        half = asyncio.Event()

        async def talk(session: Session, lines: Sequence[str]) -> None:
            for number, line in enumerate(lines):
                transaction_id = self.entropy.token(12)
                await self._insist(session, room_id, line, transaction_id)
                if number == _DURING_CRASH // 2:
                    half.set()

        async def kill() -> int:
            await half.wait()
            await server.kill()
            return await server.start()

        async with asyncio.TaskGroup() as group:
            group.create_task(talk(alice, texts["alice"]))
            group.create_task(talk(bob, texts["bob"]))
            restarted = group.create_task(kill())
        for line in texts["bob"]:
            await alice.wait_for_message(room_id, line, _WAIT_MS)
        for line in texts["alice"]:
            await bob.wait_for_message(room_id, line, _WAIT_MS)
        for session in (alice, bob):
            bodies = await self.history(session, room_id)
            for line in (*texts["alice"], *texts["bob"]):
                if bodies.count(line) != 1:
                    raise DemoFailed(f"{session.user_id} has {bodies.count(line)} copies of a message sent during the crash")
        return 2 * _DURING_CRASH, restarted.result()

    async def _insist(self, session: Session, room_id: str, text: str, transaction_id: str) -> None:
        """Send until it is acknowledged, as any client does when its server is away."""
        deadline_ms = self.clock.monotonic_ms() + _WAIT_MS
        while True:
            try:
                await session.send_text(room_id, text, transaction_id=transaction_id)
                return
            except PeerError:
                if self.clock.monotonic_ms() > deadline_ms:
                    raise
                await self.clock.sleep(200)

    def search(self, servers: Sequence[DemoServer], picture_bytes: bytes) -> tuple[int, int]:
        """Look for every sentence and for the picture in all that the servers kept."""
        wanted = needles(self.said, picture_bytes)
        size, found = search([server.folder for server in servers], wanted)
        if found:
            path, what = found[0]
            raise DemoFailed(f"{what!r} can be read in {path}")
        if size < 100_000:
            raise DemoFailed(f"only {size} bytes were there to search")
        return size, len(wanted)


def _picture_in(room_id: str) -> Callable[[SessionEvent], RoomEvent | None]:
    def wanted(event: SessionEvent) -> RoomEvent | None:
        if isinstance(event, RoomEvent) and event.room_id == room_id and event.content.get("msgtype") == "m.image":
            return event
        return None

    return wanted


def invitation_to(room_id: str) -> Callable[[SessionEvent], Invitation | None]:
    """A predicate for `Session.wait_for`: an invitation to this room."""

    def wanted(event: SessionEvent) -> Invitation | None:
        return event if isinstance(event, Invitation) and event.room_id == room_id else None

    return wanted
