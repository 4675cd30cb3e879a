"""What a session stands on: also over TLS with an authority of one's own."""

import datetime
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.unit.client.homeserver import TOKEN, Homeserver, listening
from watchword.base.clock import SystemClock
from watchword.base.entropy import SystemEntropy
from watchword.base.errors import PeerError
from watchword.client.http import Tokens
from watchword.client.session import Session
from watchword.client.wire import ClientSettings, SessionRow, Wire

KEY = b"k" * 32
TOKENS = Tokens("new", "refresh", 5)


def a_certificate(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """A server's side of TLS for localhost, and the file of the authority that vouches for it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "certificate.pem"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file = folder / "key.pem"
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    key_file.write_bytes(key.private_bytes(*form))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, key_file)
    return context, pem


async def test_an_authority_of_ones_own_is_trusted_when_it_is_named(tmp_path: Path) -> None:
    tls, authority = a_certificate(tmp_path)
    async with listening(Homeserver(), tls) as homeserver:
        settings = ClientSettings(homeserver.url, tmp_path / "a.db", KEY, ca_files=[str(authority)])
        session = await Session.register(settings, "alice", "pw", SystemClock(), SystemEntropy(), registration_token=TOKEN)
        await session.close()


async def test_an_authority_that_is_not_named_is_not_trusted(tmp_path: Path) -> None:
    tls, _ = a_certificate(tmp_path)
    async with listening(Homeserver(), tls) as homeserver:
        settings = ClientSettings(homeserver.url, tmp_path / "a.db", KEY)
        with pytest.raises(PeerError):
            await Session.register(settings, "alice", "pw", SystemClock(), SystemEntropy(), registration_token=TOKEN)
        assert homeserver.requests == []


async def test_tokens_are_durable_before_they_are_used(tmp_path: Path) -> None:
    settings = ClientSettings("http://localhost:1", tmp_path / "a.db", KEY)
    wire = await Wire.open(settings, SystemClock(), SystemEntropy())
    wire.rows.put("own", SessionRow("@a:x", "D", "old"))
    await wire.server.keep(TOKENS)
    await wire.close()
    again = await Wire.open(settings, SystemClock(), SystemEntropy())
    assert again.server.tokens == TOKENS
    await again.close()


def test_settings_do_not_show_the_key(tmp_path: Path) -> None:
    assert "phrase" not in repr(ClientSettings("http://x", tmp_path, "phrase"))
