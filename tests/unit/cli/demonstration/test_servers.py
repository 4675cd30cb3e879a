import socket
from pathlib import Path

import pytest

from watchword.base.clock import SystemClock
from watchword.base.config import Config
from watchword.cli.demonstration.authority import DemoAuthority
from watchword.cli.demonstration.servers import DemoFailed, DemoServer, free_ports


def _servers(tmp_path: Path) -> tuple[DemoServer, DemoServer]:
    ports = free_ports(4)
    clock = SystemClock()
    here = DemoServer("a.example", tmp_path / "a", ports[0], ports[1], clock)
    there = DemoServer("b.example", tmp_path / "b", ports[2], ports[3], clock)
    authority = DemoAuthority(tmp_path, clock)
    here.configure(authority.certify("a.example"), authority.file, [there])
    return here, there


def test_free_ports_are_free_and_different() -> None:
    ports = free_ports(5)
    assert len(set(ports)) == 5
    for port in ports:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", port))


def test_the_settings_that_are_written_hold(tmp_path: Path) -> None:
    here, there = _servers(tmp_path)
    config = Config.load(here.config_file)
    assert config.server_name == "a.example"
    assert config.base_url == here.base_url == f"http://127.0.0.1:{here.client_port}"
    assert config.federation.hosts == {"b.example": f"127.0.0.1:{there.federation_port}"}
    assert [listener.serves for listener in config.listeners] == [("client",), ("federation",)]
    assert config.listeners[1].certificate_file is not None


async def test_an_invitation_is_made_as_the_operator_would_make_it(tmp_path: Path) -> None:
    here, _ = _servers(tmp_path)
    link = await here.invite("--label", "x")
    assert link.startswith(here.base_url)
    assert "token=" in link


async def test_a_server_that_does_not_start_is_a_failure_that_names_its_log(tmp_path: Path) -> None:
    here, _ = _servers(tmp_path)
    here.config_file.write_text("server_name = 5\n", encoding="utf-8")
    with pytest.raises(DemoFailed, match="did not start; its log is") as failed:
        await here.start()
    assert "server_name" in here.log_files[0].read_text("utf-8")
    assert str(here.log_files[0]) in str(failed.value)


async def test_a_server_that_never_ran_stops_without_a_word(tmp_path: Path) -> None:
    here, _ = _servers(tmp_path)
    await here.stop()
