"""A bridge on mautrix, registered with a server of its own."""

from pathlib import Path

from tests.clients.conftest import Stage
from tests.end_to_end.harness.servers import Server, unused_port
from watchword.base.clock import SystemClock
from watchword.cli.demonstration.authority import DemoAuthority

_REGISTRATION = """
id: irc
url: http://127.0.0.1:{port}
as_token: {as_token}
hs_token: {hs_token}
sender_localpart: bridge
rate_limited: false
receive_ephemeral: true
namespaces:
  users: [{{exclusive: true, regex: "@irc_.*:clients.example"}}]
  aliases: [{{exclusive: true, regex: "#irc_.*"}}]
"""


def test_a_bridge_carries_a_conversation(tmp_path: Path) -> None:
    port, tokens = unused_port(), {"as_token": "secret of the service", "hs_token": "secret of the server"}
    file = tmp_path / "irc.yaml"
    file.write_text(_REGISTRATION.format(port=port, **tokens), "utf-8")
    server = Server("clients.example", tmp_path, DemoAuthority(tmp_path, SystemClock()))
    server.configure([], f'\n[appservices]\nregistration_files = ["{file}"]\n')
    server.start()
    try:
        said = Stage(server, tmp_path).python("bridge", port=port, **tokens)
    finally:
        server.stop()
    assert "reactions, receipts, typing and leaving cross too" in said
    assert "Traceback" not in server.log
