"""An application service played by the tests: plain HTTP on loopback, and one network, `harbour`, to which it leads."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.end_to_end.harness.wire import compact

BRIDGE_ID = "harbour-bridge"
AS_TOKEN = "token of the bridge"
_HS_TOKEN = "token of the server"
_APP = "/_matrix/app/v1"
_LOCATION = {"alias": "#_harbour_quay:west.example", "protocol": "harbour", "fields": {"berth": "quay"}}
_USER = {"userid": "@_harbour_pilot:west.example", "protocol": "harbour", "fields": {"berth": "pilot"}}
_PROTOCOL = {
    "user_fields": ["berth"],
    "location_fields": ["berth"],
    "icon": "mxc://west.example/anchor",
    "field_types": {"berth": {"regexp": "[a-z]+", "placeholder": "quay"}},
    "instances": [{"desc": "The harbour", "fields": {}, "network_id": "harbour"}],
}
_ANSWERS: dict[tuple[str, str], object] = {
    ("GET", f"{_APP}/thirdparty/protocol/harbour"): _PROTOCOL,
    ("GET", f"{_APP}/thirdparty/location/harbour"): [_LOCATION],
    ("GET", f"{_APP}/thirdparty/location"): [_LOCATION],
    ("GET", f"{_APP}/thirdparty/user/harbour"): [_USER],
    ("GET", f"{_APP}/thirdparty/user"): [_USER],
    ("POST", f"{_APP}/ping"): {},
}


class Bridge:
    """Listens from the beginning until it is closed. `registration` is what its operator hands to the server's."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def registration(self, folder: Path) -> Path:
        """Its registration file, written to a folder."""
        file = folder / "bridge.yaml"
        file.write_text(
            f"""id: {BRIDGE_ID}
url: http://127.0.0.1:{self.port}
as_token: {AS_TOKEN}
hs_token: {_HS_TOKEN}
sender_localpart: harbourmaster
namespaces:
  users: [{{exclusive: true, regex: "@_harbour_.*"}}]
  aliases: [{{exclusive: true, regex: "#_harbour_.*"}}]
  rooms: []
protocols: [harbour]
""",
            "utf-8",
        )
        return file

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        found = _ANSWERS.get((self.command, urlsplit(self.path).path))
        is_ours = self.headers.get("authorization") == f"Bearer {_HS_TOKEN}"
        if not is_ours or found is None:
            status, found = (404, {"errcode": "M_NOT_FOUND"}) if is_ours else (403, {"errcode": "M_FORBIDDEN"})
        else:
            status = 200
        data = compact(found)
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_PUT = do_POST = _answer  # noqa: N815 (the base class looks for these names)
