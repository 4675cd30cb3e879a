import socket
import ssl
import threading
from pathlib import Path

import pytest

from watchword.base.clock import SystemClock
from watchword.cli.demonstration.authority import DemoAuthority


@pytest.fixture
def authority(tmp_path: Path) -> DemoAuthority:
    return DemoAuthority(tmp_path, SystemClock())


def _shaken(authority: DemoAuthority, certificate: tuple[Path, Path], name: str) -> str:
    """Connect by TLS as a client who expects that name; the names in the certificate."""
    server_side, client_side = socket.socketpair()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)

    def serve() -> None:
        try:
            with context.wrap_socket(server_side, server_side=True) as served:
                served.recv(1)
        except OSError:
            server_side.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with ssl.create_default_context(cafile=str(authority.file)).wrap_socket(client_side, server_hostname=name) as asked:
            found = asked.getpeercert()
            assert found is not None
            return str(found["subjectAltName"])
    finally:
        client_side.close()
        thread.join()


def test_a_certificate_is_good_for_its_name(authority: DemoAuthority) -> None:
    assert _shaken(authority, authority.certify("a.example"), "a.example") == "(('DNS', 'a.example'),)"


def test_a_certificate_is_good_for_no_other_name(authority: DemoAuthority) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match=r"not valid for 'b\.example'"):
        _shaken(authority, authority.certify("a.example"), "b.example")


def test_another_authority_is_not_believed(authority: DemoAuthority, tmp_path: Path) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    other = DemoAuthority(folder, SystemClock())
    with pytest.raises(ssl.SSLCertVerificationError):
        _shaken(authority, other.certify("a.example"), "a.example")


def test_nobody_else_reads_the_key(authority: DemoAuthority) -> None:
    assert authority.certify("a.example")[1].stat().st_mode & 0o077 == 0
