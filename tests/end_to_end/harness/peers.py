"""Other servers of the federation, played by the tests: real TLS, a real signing key, and answers as wrong as one likes.

One listener serves any number of peers, by the name that the caller asks for. A peer answers for its keys and takes
transactions; everything else is `peer.answers(...)`.
"""

import base64
import json
import re
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from tests.end_to_end.harness import wire
from tests.end_to_end.harness.people import fresh
from tests.end_to_end.harness.servers import Server
from tests.end_to_end.harness.wire import Answer, compact
from watchword.cli.demonstration.authority import DemoAuthority
from watchword.protocol.ids import ServerName
from watchword.protocol.signatures import SigningKey, sign_json
from watchword.server.federation.x_matrix import SignedRequest, XMatrix, format_x_matrix

FEDERATION = "/_matrix/federation"
_DAY_MS = 86_400_000
_WAIT_SECONDS = 20


def now_ms() -> int:
    """The time as Matrix writes it."""
    return int(time.time() * 1000)


def segments(prefix: str, *parts: str) -> str:
    """A path with every part percent-encoded whole."""
    return prefix + "".join("/" + quote(part, safe="") for part in parts)


@dataclass(frozen=True)
class Asked:
    """A request that a peer got. send: writes raw bytes to whoever asks, for answers that HTTP would not allow."""

    method: str
    target: str
    body: bytes
    send: Callable[[bytes], object] = field(repr=False)
    stopping: threading.Event = field(repr=False)

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)


Replier = Callable[[Asked], tuple[int, object] | None]
"""(status, JSON value or bytes); None if it has sent something by itself."""


class Peer:
    """One server that the tests play."""

    def __init__(self, name: str, hub: "Hub") -> None:
        self.name = name
        self.key = SigningKey(name.encode().ljust(32, b".")[:32], "played")
        self.asked: list[Asked] = []
        self.events: list[dict[str, Any]] = []
        self.edus: list[dict[str, Any]] = []
        self._hub = hub
        self._routes: list[tuple[str, re.Pattern[str], Replier]] = []
        self.answers("GET", "/_matrix/key/v2/server", lambda asked: (200, self.published_keys()))
        self.answers("PUT", f"{FEDERATION}/v1/send/.*", self.takes)

    # Answering

    def answers(self, method: str, pattern: str, replier: Replier) -> None:
        """Answer requests for these paths so; what was said last wins."""
        self._routes.insert(0, (method, re.compile(pattern), replier))

    def answers_plainly(self, method: str, pattern: str, value: object, status: int = 200) -> None:
        """Answer always the same."""
        self.answers(method, pattern, lambda asked: (status, value))

    def reply(self, asked: Asked) -> tuple[int, object] | None:
        """The answer to a request."""
        self.asked.append(asked)
        for method, pattern, replier in self._routes:
            if method == asked.method and pattern.fullmatch(urlsplit(asked.target).path):
                return replier(asked)
        return 404, {"errcode": "M_UNRECOGNIZED", "error": "nothing is played here"}

    def published_keys(self) -> dict[str, Any]:
        """What a server says of its keys."""
        keys = {
            "server_name": self.name,
            "verify_keys": {self.key.key_id: {"key": self.key.verify_key.to_base64()}},
            "old_verify_keys": {},
            "valid_until_ts": now_ms() + _DAY_MS,
        }
        return sign_json(keys, self.name, self.key)

    def takes(self, asked: Asked) -> tuple[int, object]:
        """Take a transaction."""
        self.events += asked.json.get("pdus", [])
        self.edus += asked.json.get("edus", [])
        return 200, {"pdus": {}}

    def was_asked(self, pattern: str) -> list[Asked]:
        """Requests so far whose path is like this."""
        return [asked for asked in list(self.asked) if re.search(pattern, asked.target)]

    def waits_for(self, found: Callable[[], Any], seconds: float = _WAIT_SECONDS) -> Any:
        """Wait until something has come."""
        deadline = time.monotonic() + seconds
        while not (result := found()):
            assert time.monotonic() < deadline, [asked.target for asked in self.asked]
            time.sleep(0.02)
        return result

    def receives(self, event_type: str, **content: object) -> dict[str, Any]:
        """Wait for an event with this type and these keys of content."""

        def fits(event: Mapping[str, Any]) -> bool:
            return bool(event["type"] == event_type and content.items() <= event["content"].items())

        event: dict[str, Any] = self.waits_for(lambda: next(filter(fits, list(self.events)), None))
        return event

    # Asking

    def signed(self, server: Server, method: str, target: str, body: bytes | None, **wrong: Any) -> dict[str, str]:
        """The header of a request. wrong: parts to sign otherwise than they are sent."""
        named = {"origin": ServerName(self.name), "destination": ServerName(server.name), "uri": target} | wrong
        request = SignedRequest(method=method, content=body, **named)
        header = XMatrix(ServerName(self.name), self.key.key_id, self.key.sign(request.signed_bytes()), ServerName(server.name))
        return {"authorization": format_x_matrix(header)}

    def ask(self, server: Server, method: str, target: str, body: object = None, seconds: float = 30) -> Answer:
        """A signed request. body: a JSON value, or bytes as they are."""
        data = body if isinstance(body, bytes) else None if body is None else compact(body)
        return wire.ask(server.federation, method, target, data, self.signed(server, method, target, data), seconds)

    def transact(
        self, server: Server, pdus: Sequence[object] = (), edus: Sequence[object] = (), txn_id: str | None = None
    ) -> Answer:
        """Send a transaction."""
        body = {"origin": self.name, "origin_server_ts": now_ms(), "pdus": list(pdus), "edus": list(edus)}
        return self.ask(server, "PUT", segments(f"{FEDERATION}/v1/send", txn_id or fresh("txn")), body)

    def delivers(self, server: Server, *pdus: object, edus: Sequence[object] = ()) -> dict[str, dict[str, str]]:
        """Send a transaction that must be taken; what is said of each event."""
        answer = self.transact(server, pdus, edus)
        assert answer.status == 200, answer
        results: dict[str, dict[str, str]] = answer.json["pdus"]
        return results


class Hub:
    """The listener of all peers."""

    def __init__(self, port: int, authority: DemoAuthority, names: Sequence[str]) -> None:
        self.port = port
        self.names = list(names)
        self.peers: dict[str, Peer] = {}
        self.stopping = threading.Event()
        self._authority = authority
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._server = _Listener(("127.0.0.1", port), _Handler)
        self._server.hub = self
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.sni_callback = self._choose
        self._load(context, *authority.certify(names[0]))
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def _load(self, context: ssl.SSLContext, certificate: Path, key: Path) -> None:
        context.load_cert_chain(certificate, key)

    def _choose(self, connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        if name in self._contexts:
            connection.context = self._contexts[name]

    def peer(self) -> Peer:
        """A server that nobody has heard of."""
        name = self.names[len(self.peers)]
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._load(context, *self._authority.certify(name))
        self._contexts[name] = context
        self.peers[name] = Peer(name, self)
        return self.peers[name]

    def close(self) -> None:
        """Stop listening, and end answers that would never end."""
        self.stopping.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    hub: Hub

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever asked went away; that is his right."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30
    disable_nagle_algorithm = True
    server: _Listener

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        hub = self.server.hub
        peer = hub.peers.get(self.headers.get("host", ""))
        asked = Asked(self.command, self.path, body, self.connection.sendall, hub.stopping)
        reply = (404, {}) if peer is None else peer.reply(asked)
        if reply is None:
            self.close_connection = True
            return
        status, value = reply
        data = value if isinstance(value, bytes) else compact(value)
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_PUT = do_POST = _answer  # noqa: N815 (the base class looks for these names)


def standard_base64(data: bytes) -> str:
    """Unpadded base64."""
    return base64.b64encode(data).decode().rstrip("=")
