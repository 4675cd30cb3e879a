"""The way out over real sockets: TLS on loopback, two stacks talking, and peers that misbehave."""

import asyncio
import datetime
import ipaddress
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.unit.server.federation.stacks import A, B, Stack, running, settle
from watchword.base.clock import SystemClock
from watchword.base.errors import PeerError
from watchword.edge.addresses import AddressPolicy
from watchword.edge.dns import SrvRecord, StaticResolver
from watchword.edge.fetch import Fetcher
from watchword.edge.listener import Listen, Listeners
from watchword.edge.stopping import Stopping
from watchword.protocol.ids import RoomAlias
from watchword.server.federation.discovery_rules import Target
from watchword.server.federation.egress import EgressFailed, HttpsEgress
from watchword.server.federation.ports import PeerCall

Speak = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Authority:
    """A certificate authority of a test."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        self.file = str(path / "ca.pem")
        certificate = self._builder(self._name, self._key).add_extension(x509.BasicConstraints(True, None), True)
        usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
        signed = certificate.add_extension(usage, True).sign(self._key, hashes.SHA256())
        Path(self.file).write_bytes(signed.public_bytes(serialization.Encoding.PEM))

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        key_id = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        issuer_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(key_id, False)
            .add_extension(issuer_id, False)
        )

    def certify(self, *names: str) -> tuple[str, str]:
        """Files of a certificate and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        alternatives = [
            x509.IPAddress(ipaddress.ip_address(name)) if name[0].isdigit() else x509.DNSName(name) for name in names
        ]
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        builder = self._builder(subject, key).add_extension(x509.SubjectAlternativeName(alternatives), False)
        signed = builder.sign(self._key, hashes.SHA256())
        files = str(self._path / f"{names[0]}.pem"), str(self._path / f"{names[0]}.key")
        Path(files[0]).write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        Path(files[1]).write_bytes(
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )
        return files


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@asynccontextmanager
async def egress(authority: Authority, resolver: StaticResolver) -> AsyncIterator[HttpsEgress]:
    fetcher = Fetcher(resolver, AddressPolicy(("127.0.0.0/8",)), extra_ca_files=(authority.file,))
    try:
        yield HttpsEgress(fetcher, resolver)
    finally:
        await fetcher.close()


@asynccontextmanager
async def speaking(files: tuple[str, str], speak: Speak) -> AsyncIterator[int]:
    """A TLS server that says whatever a test wants; its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await speak(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def a_call(port: int, name: str = "b.example", timeout_ms: int = 5_000) -> PeerCall:
    return PeerCall(Target("127.0.0.1", port, name, name), "GET", "/x%2Fy?q=%20", {}, None, timeout_ms)


async def fine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
    await writer.drain()


async def for_ever(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.05)


async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"1000\r\n" + b"x" * 4096 + b"\r\n")
        await writer.drain()


async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
    await writer.drain()


async def cut_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nxx")
    await writer.drain()


async def test_the_certificate_must_bear_the_name_of_the_server_and_not_of_its_place(authority: Authority) -> None:
    async with speaking(authority.certify("b.example"), fine) as port, egress(authority, StaticResolver()) as out:
        async with out.call(a_call(port)) as answer:
            assert (answer.status, await answer.read(10)) == (200, b"{}")
        with pytest.raises(EgressFailed, match="certificate"):
            async with out.call(a_call(port, "c.example")):
                raise AssertionError


@pytest.mark.parametrize("speak", [for_ever, endless, garbage, cut_off])
async def test_a_peer_that_misbehaves_is_an_oserror_in_bounded_time(authority: Authority, speak: Speak) -> None:
    async with speaking(authority.certify("b.example"), speak) as port, egress(authority, StaticResolver()) as out:
        with pytest.raises(EgressFailed):
            async with out.call(a_call(port, timeout_ms=300)) as answer:
                await answer.read(100_000)


async def test_srv_records_are_translated(authority: Authority) -> None:
    resolver = StaticResolver(services={"_matrix-fed._tcp.x": [SrvRecord("t", 1, 2, 3)]})
    async with egress(authority, resolver) as out:
        (record,) = await out.srv("_matrix-fed._tcp.x")
    assert (record.host, record.port, record.priority, record.weight) == ("t", 1, 2, 3)


async def test_two_stacks_talk_over_tls(a_stack: Callable[..., Awaitable[Stack]], authority: Authority, tmp_path: Path) -> None:
    """Whole servers: sockets, TLS, well-known delegation to a port, signatures, transactions."""
    stacks = [await a_stack(A), await a_stack(B)]
    listeners = []
    for stack in stacks:
        certificate, key = authority.certify(stack.name)
        listen = Listen(port=0, certificate_file=certificate, key_file=key)
        listeners.append(Listeners(stack.router, [listen], Stopping(), SystemClock()))
        await listeners[-1].start()
    ports = [each._doors[0].address.rpartition(":")[2] for each in listeners]
    resolver = StaticResolver(hosts={A: ["127.0.0.1"], B: ["127.0.0.1"]})
    async with egress(authority, resolver) as out:
        a, b = stacks
        a.net.hosts.clear()
        for stack, other, port in ((a, B, ports[1]), (b, A, ports[0])):
            object.__setattr__(stack.settings, "overrides", {other: f"127.0.0.1:{port}"})
            stack.out.discovery._egress = out
            stack.out.transport._egress = out
        async with running(a, b):
            await a.say(1)
            await settle(lambda: b.rooms.received)
        assert (await b.out.client.query_directory(A, RoomAlias("#room:a.example")))[0] == "!room:a.example"
        with pytest.raises(PeerError) as refused:
            await b.out.client.query_directory(A, RoomAlias("#none:a.example"))
        assert (refused.value.status, refused.value.errcode) == (404, "M_NOT_FOUND")
    for each in listeners:
        await each.stop()
