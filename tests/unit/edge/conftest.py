"""A router with a few doors on a real socket, and certificates to speak TLS with."""

import asyncio
import datetime
import ipaddress
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from watchword.base.clock import ManualClock, SystemClock
from watchword.base.entropy import SeededEntropy
from watchword.base.errors import Unauthenticated
from watchword.base.metrics import Metrics
from watchword.edge.connection import ConnectionLimits
from watchword.edge.endpoint import Endpoint, Rate
from watchword.edge.listener import Listen, Listeners
from watchword.edge.rate_limits import Allowance, RateLimiter
from watchword.edge.request import Request
from watchword.edge.requester import Kind, Requester, ServerRequester
from watchword.edge.router import Router
from watchword.edge.stopping import Stopping
from watchword.protocol.ids import DeviceId, ServerName, UserId


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> Mapping[str, Callable[[], Any]]:
    """The edge is tested on the loop that it runs on."""
    return {"uvloop": uvloop.new_event_loop}


@dataclass
class Doorkeeper:
    """Knows three tokens and believes every server that has a body or says its name."""

    locked_asked: list[bool] = field(default_factory=list)

    async def client(self, request: Request, token: str, *, allow_locked: bool) -> Requester:
        self.locked_asked.append(allow_locked)
        kinds = {"alice": Kind.USER, "guest": Kind.GUEST, "bridge": Kind.APPSERVICE}
        if token not in kinds:
            raise Unauthenticated("M_UNKNOWN_TOKEN", "This token is not known.", extra={"soft_logout": False})
        return Requester(
            UserId(f"@{token}:a.example"), DeviceId("D"), 1, kind=kinds[token], rate_limited=kinds[token] is not Kind.APPSERVICE
        )

    async def server(self, request: Request) -> ServerRequester:
        if "authorization" not in request.headers:
            raise Unauthenticated("M_UNAUTHORIZED", "No signature.")
        return ServerRequester(ServerName("b.example"))


@dataclass
class House:
    """A router, and what it was made of."""

    router: Router
    doorkeeper: Doorkeeper
    metrics: Metrics
    clock: ManualClock


@pytest.fixture
def a_house() -> Callable[..., House]:
    def build(
        *endpoints: Endpoint, service: object = None, rates: dict[Rate, Allowance] | None = None, federation: bool = True
    ) -> House:
        clock = ManualClock()
        doorkeeper = Doorkeeper()
        metrics = Metrics()
        router = Router(
            doorkeeper,
            doorkeeper if federation else None,
            RateLimiter(rates or {}, clock),
            entropy=SeededEntropy(1),
            metrics=metrics,
        )
        router.mount(endpoints, service)
        return House(router, doorkeeper, metrics, clock)

    return build


@dataclass
class Answer:
    """An HTTP answer, read by hand so that no client library hides anything."""

    status: int
    headers: dict[str, str]
    body: bytes
    closed: bool

    @property
    def json(self) -> Any:
        import json

        return json.loads(self.body)


@dataclass
class Wire:
    """One connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, method: str = "GET") -> Answer:
        async with asyncio.timeout(10):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.split("\r\n")[:-2]
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            body = b""
            if method != "HEAD" and "content-length" in headers:
                body = await self.reader.readexactly(int(headers["content-length"]))
            elif method != "HEAD" and headers.get("transfer-encoding") == "chunked":
                while size := int((await self.reader.readline()).strip(), 16):
                    body += await self.reader.readexactly(size)
                    await self.reader.readline()
                await self.reader.readline()
        return Answer(int(first.split(" ")[1]), headers, body, headers.get("connection") == "close")

    async def is_closed(self) -> bool:
        async with asyncio.timeout(10):
            try:
                return await self.reader.read(1) == b""
            except ConnectionResetError:
                return True

    async def close(self) -> None:
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()


@dataclass
class Served:
    """A router behind real listeners."""

    listeners: Listeners
    stopping: Stopping
    exits: AsyncExitStack

    @property
    def port(self) -> int:
        return self.listeners.ports[0]

    async def connect(self, port: int | None = None, tls: ssl.SSLContext | None = None, name: str | None = None) -> Wire:
        reader, writer = await asyncio.open_connection("127.0.0.1", port or self.port, ssl=tls, server_hostname=name)
        wire = Wire(reader, writer)
        self.exits.push_async_callback(wire.close)
        return wire

    async def ask(
        self, method: str, target: str, body: bytes | None = None, *, port: int | None = None, **headers: str
    ) -> Answer:
        wire = await self.connect(port)
        lines = [f"{method} {target} HTTP/1.1", "Host: a.example"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        await wire.send(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + (body or b""))
        answer = await wire.answer(method)
        await wire.close()
        return answer


@pytest.fixture
def serving() -> Callable[..., Any]:
    @asynccontextmanager
    async def serve(
        house: House, *listens: Listen, connection_limits: ConnectionLimits | None = None, running: bool = False
    ) -> AsyncIterator[Served]:
        stopping = Stopping()
        wanted = listens or (Listen(port=0),)
        listeners = Listeners(house.router, wanted, stopping, SystemClock(), connection_limits)
        await listeners.start()
        run = asyncio.create_task(listeners.run()) if running else None
        try:
            async with AsyncExitStack() as exits:
                yield Served(listeners, stopping, exits)
        finally:
            if run is not None:
                run.cancel()
            await listeners.stop()

    return serve


@dataclass
class Authority:
    """A certificate authority in a folder."""

    folder: Path
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def file(self) -> str:
        return str(self.folder / "ca.pem")

    def issue(self, *names: str) -> tuple[str, str]:
        """Certificate and key files for DNS names and IP addresses."""
        key = ec.generate_private_key(ec.SECP256R1())
        alternatives = [
            x509.IPAddress(ipaddress.ip_address(name)) if name[0].isdigit() or ":" in name else x509.DNSName(name)
            for name in names
        ]
        builder = _certificate(names[0], self.certificate.subject, key, self.key)
        certificate = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False).sign(
            self.key, hashes.SHA256()
        )
        stem = self.folder / names[0].replace(":", "_")
        stem.with_suffix(".pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        stem.with_suffix(".key").write_bytes(_pem(key))
        return str(stem.with_suffix(".pem")), str(stem.with_suffix(".key"))

    def context(self, *names: str) -> ssl.SSLContext:
        """A server's context for these names."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.issue(*names))
        return context


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _certificate(
    subject: str, issuer: x509.Name | None, key: ec.EllipticCurvePrivateKey, issuer_key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer or name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .add_extension(_usage(signs=issuer is None), critical=True)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(True, False, False, False, False, signs, signs, False, False)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _certificate("Test authority", None, key, key).sign(key, hashes.SHA256())
    (tmp_path / "ca.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return Authority(tmp_path, key, certificate)


Respond = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture
async def peer() -> AsyncIterator[Callable[..., Awaitable[int]]]:
    """Starts a server that answers each connection by hand; gives its port."""
    servers: list[asyncio.Server] = []
    writers: list[asyncio.StreamWriter] = []

    async def start(respond: Respond, tls: ssl.SSLContext | None = None) -> int:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writers.append(writer)
            try:
                await respond(reader, writer)
            except (ConnectionError, asyncio.IncompleteReadError):
                pass
            finally:
                writer.close()

        server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
        servers.append(server)
        port: int = server.sockets[0].getsockname()[1]
        return port

    yield start
    for server in servers:
        server.close()
    for writer in writers:
        if writer.transport is not None:
            writer.transport.abort()
    await asyncio.sleep(0)
