"""A whole server in this process, asked through its router: no sockets, no TLS, and no network behind it.

It is started on a copy of a folder in which a world was built once (`world`), so every test begins at the same state,
whatever tests before it have destroyed. Deliberately absent: HTTP itself (`tests/end_to_end`, `test_over_http`).
"""

import asyncio
import base64
import json
import logging
import re
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw

from tests.end_to_end.harness.wire import Answer, compact
from watchword.base import config
from watchword.base.clock import SystemClock
from watchword.base.config import Config
from watchword.base.entropy import SeededEntropy
from watchword.edge.replies import Reply
from watchword.edge.router import Incoming
from watchword.protocol.ids import ServerName
from watchword.protocol.signatures import SigningKey, sign_json
from watchword.server.app import Homeserver, World
from watchword.server.federation.discovery_rules import SrvRecord
from watchword.server.federation.ports import PeerAnswer, PeerCall, WholeAnswer
from watchword.server.federation.x_matrix import SignedRequest, XMatrix, format_x_matrix
from watchword.storage import SqliteDatabase

HERE = "here.example"
NEAR, FAR, SHUT = "near.example", "far.example", "shut.example"
"""Other servers: one in the hall, one that is in no room, one in the hall that its access control list denies."""
SHARED_SECRET = "provisioning for tests"
UPLOAD_BYTES_MAX = 100_000
AS_TOKEN = "as_token_of_the_bridge"
_BRIDGE = f"""
id: bridge
url: null
as_token: {AS_TOKEN}
hs_token: hs_token_of_the_bridge
sender_localpart: bridge
rate_limited: false
namespaces:
  users: [{{exclusive: true, regex: "@_bridge_.*"}}]
  aliases: [{{exclusive: true, regex: "#_bridge_.*"}}]
  rooms: []
protocols: [bridged]
"""
_PATIENCE_SECONDS = 20
_QUIET_TURNS = 5
# Whoever is to be refused must be known first; and what an administrator tries in vain is written down.
_LEARNT = frozenset({"federation_server_keys", "federation_key_answers", "audit_log"})
_DAY_MS = 86_400_000


@dataclass(frozen=True)
class Spoken:
    """What a played server answers; fits PeerAnswer."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: {"content-type": "application/json"})

    async def read(self, bytes_max: int) -> bytes:
        return self.body

    async def pieces(self, bytes_max: int) -> AsyncIterator[bytes]:
        yield self.body


class _Call(AbstractAsyncContextManager[PeerAnswer]):
    def __init__(self, answer: PeerAnswer) -> None:
        self._answer = answer

    async def __aenter__(self) -> PeerAnswer:
        return self._answer

    async def __aexit__(self, *_: object) -> None:
        return None


class Elsewhere:
    """The federation as this server sees it: peers that publish their keys, and know of nothing else."""

    def __init__(self) -> None:
        self._clock = SystemClock()

    def call(self, call: PeerCall) -> AbstractAsyncContextManager[PeerAnswer]:
        """See Egress."""
        name = call.target.certificate_name
        if name not in (NEAR, FAR, SHUT):
            raise ConnectionRefusedError(f"nobody is at {name}")
        if call.uri.startswith("/_matrix/key/v2/server"):
            return _Call(Spoken(200, compact(self._keys(name))))
        if call.uri.startswith("/_matrix/federation/v1/send/"):
            return _Call(Spoken(200, b'{"pdus":{}}'))
        return _Call(Spoken(404, b'{"errcode":"M_NOT_FOUND","error":"nothing is played here"}'))

    def _keys(self, name: str) -> Mapping[str, Any]:
        key = key_of(name)
        keys = {
            "server_name": name,
            "verify_keys": {key.key_id: {"key": key.verify_key.to_base64()}},
            "old_verify_keys": {},
            "valid_until_ts": self._clock.now_ms() + 7 * _DAY_MS,
        }
        return sign_json(keys, name, key)

    async def get(self, url: str, *, bytes_max: int, timeout_ms: int) -> WholeAnswer:
        """See Egress."""
        raise OSError("there are no web servers here")

    def stream(self, url: str, *, timeout_ms: int) -> AbstractAsyncContextManager[PeerAnswer]:
        """See Egress."""
        raise OSError("there are no web servers here")

    async def srv(self, name: str) -> Sequence[SrvRecord]:
        """See Egress."""
        return ()


def key_of(name: str) -> SigningKey:
    """The key of a played server."""
    return SigningKey(name.encode().ljust(32, b".")[:32], "played")


class _Body:
    def __init__(self, body: bytes) -> None:
        self._body = body

    async def next_piece(self) -> tuple[bytes, bool]:
        return self._body, False


class Written:
    """Which tables requests have changed: heard from the connection that writes, without what was rolled back."""

    def __init__(self, connection: apsw.Connection) -> None:
        self.tables: list[str] = []
        self._connection = connection
        self._begun = 0
        connection.trace_v2(apsw.SQLITE_TRACE_PROFILE, self._heard)

    def _heard(self, event: Mapping[str, Any]) -> None:
        sql = event["sql"]
        if sql in ("BEGIN IMMEDIATE", "SAVEPOINT tx"):
            self._begun = len(self.tables)
        elif sql.startswith("ROLLBACK"):
            del self.tables[self._begun :]
        elif _ASKING.get() and (match := _CHANGE.match(sql)) is not None and self._connection.changes():
            self.tables.append(match[1])


_CHANGE = re.compile(
    r"\s*(?:WITH\b.*?\)\s*)?(?:INSERT\s+(?:OR\s+\w+\s+)?INTO|REPLACE\s+INTO|UPDATE(?:\s+OR\s+\w+)?|DELETE\s+FROM)\s+(\w+)",
    re.IGNORECASE | re.DOTALL,
)
# Whether what runs now is a request, and not the server's own work.
_ASKING: ContextVar[bool] = ContextVar("asking", default=False)


class Failures(logging.Handler):
    """What the server logged as an error: each is a bug, with its traceback."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[str] = []

    def taken(self) -> list[str]:
        """What was said since this was asked last."""
        found, self.records = self.records, []
        return found

    def emit(self, record: logging.LogRecord) -> None:
        said = logging.Formatter().format(record)
        if said not in self.records:
            self.records.append(said)


def settings(folder: Path, **others: Any) -> Config:
    """What the server is told. others: sections to have instead."""
    (folder / "bridge.yaml").write_text(_BRIDGE, "utf-8")
    chosen: dict[str, Any] = {
        "server_name": HERE,
        "data_dir": str(folder),
        "registration": config.Registration(
            mode="open",
            guests=True,
            shared_secret=SHARED_SECRET,
            failed_logins_max=0,
            password_workers=1,
            login_tokens=True,
        ),
        "rate_limits": config.RateLimits(enabled=False),
        "federation": config.Federation(hosts={name: f"{name}:8448" for name in (NEAR, FAR, SHUT)}),
        # A name server that is not there answers at once that it is not.
        "egress": config.Egress(nameservers=("127.0.0.1:1",)),
        "media": config.Media(upload_bytes_max=UPLOAD_BYTES_MAX),
        "url_previews": config.UrlPreviews(enabled=True),
        # The relay is not there either: what needs it must say so.
        "mail": config.Mail(host="127.0.0.1", port=1, tls="none", sender="here@here.example"),
        "turn": config.Turn(uris=("turn:turn.here.example",), shared_secret="of the turn server"),
        "rtc": config.Rtc(livekit_service_urls=("https://calls.here.example",)),
        "appservices": config.Appservices(registration_files=(str(folder / "bridge.yaml"),)),
        "contact": config.Contact(admin_email="admin@here.example"),
        "well_known": config.WellKnown(server="matrix.here.example:443"),
    }
    return Config(**{**chosen, **others})


class Stage:
    """One server, running between requests only."""

    def __init__(self, runner: asyncio.Runner, folder: Path, seed: int = 1, **others: Any) -> None:
        self.runner = runner
        self.folder = folder
        self.failures = Failures()
        chosen = settings(folder, **others)
        database = SqliteDatabase(chosen.database_path, cache_kibibytes=chosen.database.cache_bytes // 1024)
        self._database = database
        self._written = Written(database._writer)
        world = World(SystemClock(), SeededEntropy(seed), database, Elsewhere())
        logging.getLogger().addHandler(self.failures)
        self.homeserver, self._running = runner.run(self._started(chosen, world))

    async def _started(self, chosen: Config, world: World) -> tuple[Homeserver, "asyncio.Task[None]"]:
        homeserver = Homeserver(chosen, world)
        await homeserver.prepare()
        running = asyncio.get_running_loop().create_task(homeserver.run(doors=False))
        return homeserver, running

    def close(self) -> None:
        """Stop it."""
        logging.getLogger().removeHandler(self.failures)
        self.runner.run(self._stopped())

    async def _stopped(self) -> None:
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)
        await self.homeserver.stop()

    @property
    def position(self) -> int:
        """How much has happened: the log's position."""
        return self.homeserver.log.position

    def ask(
        self, method: str, target: str, body: object = None, token: str | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request. body: bytes as they are, or a JSON value; None for none."""
        data = body if isinstance(body, bytes) else b"" if body is None else compact(body)
        named = {"content-type": "application/json", **(headers or {})}
        if token is not None:
            named["authorization"] = f"Bearer {token}"
        return self.runner.run(self._ask(method, target, data, named), context=copy_context())

    async def _ask(self, method: str, target: str, data: bytes, named: Mapping[str, str]) -> Answer:
        _ASKING.set(True)
        path, _, query = target.partition("?")
        headers = [(name.lower().encode(), value.encode("utf-8", "replace")) for name, value in named.items()]
        if data and "content-length" not in named:
            headers.append((b"content-length", str(len(data)).encode()))
        incoming = Incoming(
            method,
            path.encode("utf-8", "surrogatepass"),
            query.encode("utf-8", "surrogatepass"),
            headers,
            "192.0.2.1",
            _Body(data),
        )
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                reply = await self.homeserver.router.answer(incoming)
                body = reply.body if isinstance(reply, Reply) else b"".join([piece async for piece in reply.pieces])
        except TimeoutError:
            raise AssertionError(f"no answer to {method} {target} {data[:300]!r}") from None
        return Answer(reply.status, {name.lower(): value for name, value in reply.headers.items()}, body)

    def written(self) -> list[str]:
        """The tables that requests have changed since the last call, but for keys of servers that asked."""
        found = [table for table in self._written.tables if table not in _LEARNT]
        self._written.tables.clear()
        return found

    def settle(self) -> None:
        """Let whoever follows the log catch up."""
        self.runner.run(self._settled())

    async def _settled(self) -> None:
        quiet = 0
        while quiet < _QUIET_TURNS:
            before = self._database._writer.total_changes()
            await asyncio.sleep(0.02)
            quiet = quiet + 1 if self._database._writer.total_changes() == before else 0

    def ask_as_server(
        self, name: str, method: str, target: str, body: object = None, signer: SigningKey | None = None, **wrong: Any
    ) -> Answer:
        """One request with the signature of a played server. wrong: parts to sign otherwise than they are sent."""
        data = body if isinstance(body, bytes) else None if body is None else compact(body)
        named = {"origin": ServerName(name), "destination": ServerName(HERE), "uri": target} | wrong
        request = SignedRequest(method=method, content=data, **named)
        key = signer or key_of(name)
        header = XMatrix(ServerName(name), key.key_id, key.sign(request.signed_bytes()), ServerName(HERE))
        return self.ask(method, target, data, headers={"authorization": format_x_matrix(header)})


def copy_of(folder: Path, to: Path) -> Path:
    """A copy of a stopped server's folder."""
    shutil.copytree(folder, to)
    return to


def unpadded(data: bytes) -> str:
    """Unpadded base64."""
    return base64.b64encode(data).decode().rstrip("=")


def loaded(answer: Answer) -> Any:
    """The JSON of an answer that must be a success."""
    assert answer.status == 200, answer
    return json.loads(answer.body)
