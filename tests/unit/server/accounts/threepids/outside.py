"""The services outside of Matrix, small but real: an identity server held to its specification, a gateway, a captcha."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from watchword.base.entropy import SeededEntropy
from watchword.edge.addresses import AddressPolicy
from watchword.edge.dns import StaticResolver
from watchword.edge.fetch import Fetcher
from watchword.protocol import canonical_json
from watchword.protocol.ids import ServerName
from watchword.protocol.signatures import SigningKey, sign_json

SERVER = ServerName("here.example")
LOOPBACK = AddressPolicy(("127.0.0.0/8",))
IDENTITY = "identity.example"
_FILE = Path(__file__).parents[4] / "data" / "plain" / "identity.openapi.json"


class Signature:
    """Fits `RequestSigner` with a signature that anybody can check by reading."""

    def authorization(self, method: str, uri: str, destination: str, content: bytes) -> str:
        return f"signed {method} {uri} {destination} {content.decode()}"


@dataclass
class IdentityServer:
    """An identity server. codes: what it sent, by number. bound: address → user. refuses: path → (status, body)."""

    url: str = ""
    validated: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    codes: dict[str, str] = field(default_factory=dict)
    bound: dict[tuple[str, str], str] = field(default_factory=dict)
    refuses: dict[str, tuple[int, Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    _key: SigningKey = field(default_factory=lambda: SigningKey(SeededEntropy(7).random_bytes(32), "0"))
    _sessions: dict[str, tuple[str, str]] = field(default_factory=dict)
    _document: Any = field(default_factory=lambda: json.loads(_FILE.read_text("utf-8")))

    async def answer(self, request: web.Request) -> web.Response:
        """Check what was asked, answer, check the answer."""
        path = request.path
        self.asked.append(path)
        asked = await request.json()
        self._hold(asked, path, "requestBody", "content", "application/json", "schema")
        if path in self.refuses:
            status, refusal = self.refuses[path]
            return web.json_response(refusal, status=status) if isinstance(refusal, dict) else web.Response(status=status)
        status, answer = self._handlers()[path.removeprefix("/_matrix/identity/v2")](request, asked)
        if status == 200:
            self._hold(answer, path, "responses", "200", "content", "application/json", "schema")
        return web.json_response(answer, status=status)

    def _hold(self, value: Any, path: str, *where: str) -> None:
        place = "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in ("paths", path, "post", *where))
        registry = Registry().with_resource("urn:identity", DRAFT202012.create_resource(self._document))
        Draft202012Validator({"$ref": f"urn:identity#{place}"}, registry=registry).validate(value)

    def _handlers(self) -> dict[str, Callable[[web.Request, Any], tuple[int, Any]]]:
        return {
            "/3pid/bind": self._bind,
            "/3pid/unbind": self._unbind,
            "/validate/msisdn/requestToken": self._request_token,
            "/validate/msisdn/submitToken": self._submit_token,
        }

    def _bind(self, request: web.Request, asked: Any) -> tuple[int, Any]:
        if request.headers.get("authorization") != "Bearer id-token":
            return 401, {"errcode": "M_UNKNOWN_TOKEN", "error": "Who are you?"}
        threepid = self.validated.get((asked["sid"], asked["client_secret"]))
        if threepid is None:
            return 400, {"errcode": "M_SESSION_NOT_VALIDATED", "error": "Not validated"}
        self.bound[threepid] = asked["mxid"]
        association = {
            "medium": threepid[0],
            "address": threepid[1],
            "mxid": asked["mxid"],
            "not_before": 1,
            "not_after": 1 << 50,
            "ts": 1,
        }
        return 200, sign_json(association, IDENTITY, self._key)

    def _unbind(self, request: web.Request, asked: Any) -> tuple[int, Any]:
        body = canonical_json.encode(asked).decode()
        if request.headers.get("authorization") != f"signed POST {request.path} {IDENTITY} {body}":
            return 403, {"errcode": "M_FORBIDDEN", "error": "Invalid homeserver signature"}
        self.bound.pop((asked["threepid"]["medium"], asked["threepid"]["address"]), None)
        return 200, {}

    def _request_token(self, request: web.Request, asked: Any) -> tuple[int, Any]:
        sid = f"sid{len(self._sessions)}"
        self._sessions[sid] = (asked["client_secret"], asked["phone_number"])
        self.codes[asked["phone_number"]] = "246810"
        return 200, {"sid": sid}

    def _submit_token(self, request: web.Request, asked: Any) -> tuple[int, Any]:
        secret, number = self._sessions.get(asked["sid"], ("", ""))
        if secret != asked["client_secret"]:
            return 400, {"errcode": "M_INVALID_PARAM", "error": "No such session"}
        return 200, {"success": self.codes[number] == asked["token"]}


@dataclass
class Desk:
    """Takes what is sent to a gateway or a captcha service. status, answer: what it says."""

    url: str = ""
    taken: list[Any] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    status: int = 200
    answer_body: Any = field(default_factory=dict)

    async def answer(self, request: web.Request) -> web.Response:
        is_json = request.content_type == "application/json"
        self.taken.append(await request.json() if is_json else dict(await request.post()))
        self.headers.append(dict(request.headers))
        return web.json_response(self.answer_body, status=self.status)


@asynccontextmanager
async def listening(answer: Callable[[web.Request], Awaitable[web.Response]]) -> AsyncIterator[str]:
    """A server at 127.0.0.1 that answers every path; its URL."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def an_identity_server() -> AsyncIterator[IdentityServer]:
    server = IdentityServer()
    async with listening(server.answer) as server.url:
        yield server


@asynccontextmanager
async def a_desk() -> AsyncIterator[Desk]:
    desk = Desk()
    async with listening(desk.answer) as desk.url:
        yield desk


@asynccontextmanager
async def a_fetcher(policy: AddressPolicy = LOOPBACK) -> AsyncIterator[Fetcher]:
    fetcher = Fetcher(StaticResolver({}), policy, plain_http=True)
    async with AsyncExitStack() as exits:
        exits.push_async_callback(fetcher.close)
        yield fetcher
