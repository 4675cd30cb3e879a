"""A running server and its users."""

import asyncio
import hashlib
import hmac
import secrets
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

from bench.certificates import CertificateAuthority
from bench.http import Answer, Connection, in_path
from bench.meter import ProcessTree
from bench.servers import Kind, Site

_START_SECONDS_MAX = 60.0
_STOP_SECONDS_MAX = 30.0
_V3 = "/_matrix/client/v3"
_SLIDING = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync"


class Instance:
    """One server process. `start` and `stop` may be repeated: the data folder stays."""

    def __init__(self, kind: Kind, folder: Path, authority: CertificateAuthority) -> None:
        folder.mkdir(parents=True)
        self.kind = kind
        self.site = Site(
            folder=folder,
            client_port=_free_port(),
            federation_port=_free_port(),
            certificate=authority.certify(folder.name),
            authority=authority.file,
            shared_secret=secrets.token_urlsafe(24),
        )
        self._command = kind.command(self.site)
        self._process: subprocess.Popen[bytes] | None = None
        self._users: dict[str, User] = {}

    @property
    def tree(self) -> ProcessTree:
        assert self._process is not None
        return ProcessTree(self._process.pid)

    async def start(self) -> float:
        """Start it; return the milliseconds until its first good answer. Raises RuntimeError with its last words."""
        begin = time.perf_counter()
        self._process = _spawn(self._command, self.site.folder)
        connection = Connection(self.site.client_port)
        while True:
            try:
                await connection.ask("GET", "/_matrix/client/versions", timeout_s=5)
                break
            except (OSError, Answer, TimeoutError):
                late = time.perf_counter() - begin > _START_SECONDS_MAX
                if late or self._process.poll() is not None:
                    words = (self.site.folder / "output.txt").read_text(errors="replace")[-2000:]
                    raise RuntimeError(f"{self.kind.name} did not start:\n{words}") from None
                await asyncio.sleep(0.005)
        took = (time.perf_counter() - begin) * 1000
        connection.close()
        return took

    async def stop(self) -> None:
        """Ask it to stop; kill it if it does not. Idempotent."""
        for user in self._users.values():
            user.close()
        self._users.clear()
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            await asyncio.to_thread(self._process.wait, _STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    async def user(self, name: str) -> "User":
        """The user of this name, registered when first asked for."""
        if name not in self._users:
            self._users[name] = await self._register(name)
        return self._users[name]

    async def users(self, prefix: str, count: int) -> list["User"]:
        """Several users, registered a few at a time."""
        gate = asyncio.Semaphore(4)

        async def one(number: int) -> User:
            async with gate:
                return await self.user(f"{prefix}{number}")

        return list(await asyncio.gather(*(one(number) for number in range(count))))

    async def _register(self, name: str) -> "User":
        connection = Connection(self.site.client_port)
        path = "/_synapse/admin/v1/register"
        nonce = (await connection.ask("GET", path))["nonce"]
        password = "correct horse battery staple"
        text = "\0".join((nonce, name, password, "notadmin")).encode()
        mac = hmac.new(self.site.shared_secret.encode(), text, hashlib.sha1).hexdigest()
        body = {"nonce": nonce, "username": name, "password": password, "admin": False, "mac": mac}
        answer = await connection.ask("POST", path, body)
        connection.close()
        return User(self.site.client_port, answer["user_id"], answer["device_id"], answer["access_token"])


class User:
    """A client: a connection for what it does, and one for its long polls."""

    def __init__(self, port: int, user_id: str, device_id: str, token: str) -> None:
        self.user_id = user_id
        self.device_id = device_id
        self._act = Connection(port, token)
        self._poll = Connection(port, token)
        self._transaction = 0

    def close(self) -> None:
        """Close both connections."""
        self._act.close()
        self._poll.close()

    async def get(self, path: str) -> Any:
        """GET a client API path below v3."""
        return await self._act.ask("GET", _V3 + path)

    async def post(self, path: str, body: Any) -> Any:
        """POST to a client API path below v3."""
        return await self._act.ask("POST", _V3 + path, body)

    async def create_room(self, **options: Any) -> str:
        """Make a room, a private chat unless said otherwise; return its ID."""
        return str((await self.post("/createRoom", {"preset": "private_chat", **options}))["room_id"])

    async def invite(self, room_id: str, user_id: str) -> None:
        """Invite a user."""
        await self.post(f"/rooms/{in_path(room_id)}/invite", {"user_id": user_id})

    async def join(self, room_id: str, via: str | None = None) -> None:
        """Join a room."""
        query = "" if via is None else f"?server_name={in_path(via)}&via={in_path(via)}"
        await self.post(f"/join/{in_path(room_id)}{query}", {})

    async def send(self, room_id: str, text: str = "The quick brown fox jumps over the lazy dog.") -> str:
        """Send a text message; return its event ID."""
        self._transaction += 1
        path = f"{_V3}/rooms/{in_path(room_id)}/send/m.room.message/m{self._transaction}"
        return str((await self._act.ask("PUT", path, {"msgtype": "m.text", "body": text}))["event_id"])

    async def send_to_devices(self, kind: str, messages: dict[str, dict[str, Any]]) -> None:
        """Send to-device messages."""
        self._transaction += 1
        await self._act.ask("PUT", f"{_V3}/sendToDevice/{kind}/t{self._transaction}", {"messages": messages})

    async def sync(self, since: str | None = None, *, timeout_ms: int = 0, timeline: int | None = None) -> "Synced":
        """One sync. timeline: the most events a room, if not the server's own choice."""
        query = f"?timeout={timeout_ms}"
        if since is not None:
            query += f"&since={in_path(since)}"
        if timeline is not None:
            query += "&filter=" + in_path(f'{{"room":{{"timeline":{{"limit":{timeline}}}}}}}')
        answer = await self._poll.call("GET", f"{_V3}/sync{query}")
        if answer.status != 200:
            raise answer
        return Synced(answer)

    async def slide(self, body: Any, pos: str | None = None) -> str:
        """One request of sliding sync, in the form in use; the position to go on from."""
        query = "?timeout=0" if pos is None else f"?timeout=0&pos={in_path(pos)}"
        answer = await self._poll.call("POST", f"{_SLIDING}{query}", body)
        if answer.status != 200:
            raise answer
        return str(answer.json()["pos"])


class Synced:
    """The answer to a sync, parsed no further than necessary."""

    def __init__(self, answer: Answer) -> None:
        self.body = answer.body
        self.next_batch: str = answer.json()["next_batch"]

    def holds(self, text: str) -> bool:
        """Whether some event in it holds this ASCII text."""
        return text.encode() in self.body


def _spawn(command: list[str], folder: Path) -> subprocess.Popen[bytes]:
    with (folder / "output.txt").open("ab") as output:
        return subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
