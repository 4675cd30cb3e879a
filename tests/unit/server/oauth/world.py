"""Accounts, their keys and OAuth on a real database behind the real router, and a browser without JavaScript."""

import base64
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

import orjson
from selectolax.lexbor import LexborHTMLParser, LexborNode

from watchword.base.clock import ManualClock
from watchword.base.entropy import SeededEntropy
from watchword.base.errors import PeerError
from watchword.edge.endpoint import Rate
from watchword.edge.fetch import Outgoing
from watchword.edge.rate_limits import UNLIMITED, Allowance, RateLimiter
from watchword.edge.replies import Reply
from watchword.edge.router import Incoming, Router
from watchword.protocol.ids import DeviceId, ServerName, UserId
from watchword.server import accounts, e2ee, oauth
from watchword.server.accounts import endpoints as account_doors
from watchword.server.accounts.assembly import AccountPorts, Accounts, assemble_accounts
from watchword.server.accounts.commands import AccountSettings, CreateInvitation
from watchword.server.accounts.ports import NoAppservices, NoCrossSigningKeys
from watchword.server.changes import Change, decode_change, encode_change
from watchword.server.oauth import endpoints as oauth_doors
from watchword.server.oauth.assembly import OAuth, OAuthPorts, assemble_oauth
from watchword.server.oauth.browsers import Visit
from watchword.server.oauth.commands import OAuthSettings
from watchword.server.oauth.upstream.providers import JsonFetcher
from watchword.storage import Log, Schema, SqliteDatabase, migrate

SERVER = ServerName("here.example")
BASE = "https://matrix.here.example"
ALICE = UserId(f"@alice:{SERVER}")
PASSWORD = "correct horse"
VERIFIER = "a-verifier-of-more-than-forty-three-letters-1234"
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
CALLBACK = "https://app.client.example/callback"
SCOPE = "urn:matrix:client:api:* urn:matrix:client:device:PHONE12345"
P = "/_watchword"

WEB_CLIENT: Mapping[str, Any] = {
    "client_uri": "https://client.example/",
    "client_name": "The Client",
    "redirect_uris": [CALLBACK],
    "grant_types": ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code", "telepathy"],
    "response_types": ["code"],
    "token_endpoint_auth_method": "none",
    "policy_uri": "https://client.example/privacy",
    "client_name#de": "Der Klient",
}


class Elsewhere:
    """Other servers and rooms, as far as accounts ask."""

    async def query_profile(self, server_name: ServerName, user_id: UserId, field: str | None) -> Mapping[str, Any]:
        raise PeerError(server_name, "no such user", status=404)

    async def share_room(self, a: UserId, b: UserId) -> bool:
        return False


class NoFetcher:
    """No way out."""

    async def fetch_json(self, outgoing: Outgoing) -> dict[str, Any]:
        raise PeerError(outgoing.peer, "nobody there")


class Keys(NoCrossSigningKeys):
    """The names of cross-signing keys that a test wants."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    async def is_cross_signing_key(self, user_id: UserId, name: str) -> bool:
        return name in self.names


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    raw: bytes
    headers: Mapping[str, str]

    @property
    def json(self) -> Any:
        return orjson.loads(self.raw)

    @property
    def text(self) -> str:
        return self.raw.decode()

    @property
    def page(self) -> LexborHTMLParser:
        return LexborHTMLParser(self.raw)

    @property
    def title(self) -> str:
        heading = self.page.css_first("h1")
        return "" if heading is None else heading.text().strip()

    @property
    def location(self) -> str:
        return self.headers["location"]

    @property
    def answer(self) -> Mapping[str, str]:
        """The parameters of a redirect, in the query or the fragment."""
        parts = urlsplit(self.location)
        return {name: values[0] for name, values in parse_qs(parts.fragment or parts.query).items()}


class _Bytes:
    def __init__(self, body: bytes) -> None:
        self._body = body

    async def next_piece(self) -> tuple[bytes, bool]:
        return self._body, False


@dataclass
class World:
    """One server."""

    database: SqliteDatabase
    clock: ManualClock
    accounts: Accounts
    oauth: OAuth
    router: Router
    keys: Keys
    log: Log[Change]

    async def call(self, method: str, url: str, body: bytes = b"", *, address: str = "192.0.2.1", **headers: str) -> Answer:
        path, _, query = url.partition("?")
        sent = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        incoming = Incoming(method, path.encode(), query.encode(), sent, address, _Bytes(body))
        reply = await self.router.answer(incoming)
        assert isinstance(reply, Reply)
        return Answer(reply.status, reply.body, reply.headers)

    async def json(self, method: str, url: str, body: object = None, by: str | None = None) -> Answer:
        headers = {} if by is None else {"authorization": f"Bearer {by}"}
        return await self.call(method, url, b"" if body is None else orjson.dumps(body), **headers)

    async def form(self, path: str, **fields: str) -> Answer:
        """A request of an OAuth client."""
        return await self.call("POST", path, urlencode(fields).encode())

    async def user(self, name: str = "alice", password: str = PASSWORD) -> UserId:
        made = await self.accounts.registrar.register_as_operator(name, password, admin=False, wants_login=False)
        return made.user_id

    async def client(self, **changed: Any) -> str:
        """Register a client; its ID."""
        answer = await self.json("POST", f"{P}/oauth/register", {**WEB_CLIENT, **changed})
        assert answer.status == 201, answer.text
        client_id: str = answer.json["client_id"]
        return client_id

    async def invitation(self, **wishes: Any) -> str:
        return (await self.accounts.invitations.create(CreateInvitation(**wishes))).token

    def browser(self, address: str = "192.0.2.1") -> "Browser":
        return Browser(self, address)

    async def whoami(self, token: str) -> Answer:
        return await self.json("GET", "/_matrix/client/v3/account/whoami", by=token)

    async def exchange(self, client_id: str, code: str, /, **changed: str) -> Answer:
        fields = {
            "grant_type": "authorization_code",
            "client_id": client_id,
            "code": code,
            "redirect_uri": CALLBACK,
            "code_verifier": VERIFIER,
        }
        return await self.form(f"{P}/oauth/token", **{**fields, **changed})

    async def signed_in(self, client_id: str | None = None, device: str = "PHONE12345") -> Mapping[str, Any]:
        """Alice, signed in through the whole flow: the answer of the token endpoint."""
        client_id = client_id or await self.client()
        if await self.accounts.reader.account(ALICE) is None:
            await self.user()
        browser = await self.browser().sign_in()
        scope = f"urn:matrix:client:api:* urn:matrix:client:device:{device}"
        await browser.get(authorize_url(client_id, scope=scope))
        back = await browser.submit(answer="allow")
        answer = await self.exchange(client_id, back.answer["code"])
        assert answer.status == 200, answer.text
        body: Mapping[str, Any] = answer.json
        return body

    async def visit(self, user_id: UserId = ALICE) -> Visit:
        """A browser signed in without its form."""
        account = await self.accounts.reader.account(user_id)
        assert account is not None
        return await self.oauth.browsers.sign_in(Visit("", is_new=True), account)

    async def devices(self) -> set[DeviceId]:
        return {device.device_id for device in await self.accounts.reader.devices(ALICE)}

    async def close(self) -> None:
        await self.accounts.close()
        await self.database.close()


@dataclass
class Browser:
    """Keeps its cookie, follows redirects within the server, and sends forms as they stand on the page."""

    world: World
    address: str
    cookie: str = ""
    answer: Answer = field(default_factory=lambda: Answer(0, b"", {}))
    at: str = ""

    async def get(self, url: str) -> Answer:
        return await self._go("GET", url, b"")

    async def post(self, url: str, body: str) -> Answer:
        """Send a form that stands on no page."""
        return await self._go("POST", url, body.encode())

    async def _go(self, method: str, url: str, body: bytes) -> Answer:
        for _ in range(10):
            headers = {"accept": "text/html,*/*"}
            if self.cookie:
                headers["cookie"] = f"__Host-watchword={self.cookie}"
            self.at = url
            self.answer = await self.world.call(method, url, body, address=self.address, **headers)
            if "set-cookie" in self.answer.headers:
                self.cookie = self.answer.headers["set-cookie"].partition(";")[0].partition("=")[2]
            location = self.answer.headers.get("location", "")
            if self.answer.status not in (302, 303) or not location.startswith("/"):
                return self.answer
            method, url, body = "GET", location, b""
        raise AssertionError("redirected for ever")

    @property
    def form(self) -> LexborNode:
        found = self.answer.page.css_first("form")
        assert found is not None, self.answer.text
        return found

    def fields(self) -> dict[str, str]:
        """What the form on the page holds; a checkbox counts when somebody ticks it."""
        return {
            str(node.attributes["name"]): node.attributes.get("value") or ""
            for node in self.form.css("input[name]")
            if node.attributes.get("type") != "checkbox"
        }

    async def submit(self, **typed: str) -> Answer:
        action = self.form.attributes.get("action") or self.at
        url = urljoin(self.at, action)
        return await self._go("POST", url, urlencode({**self.fields(), **typed}).encode())

    async def sign_in(self, name: str = "alice", password: str = PASSWORD) -> "Browser":
        await self.get(f"{P}/sign-in")
        answer = await self.submit(username=name, password=password)
        assert answer.status == 200, answer.text
        return self


def authorize_url(client_id: str, **changed: str | None) -> str:
    """The address that a client opens in the browser."""
    query: dict[str, str | None] = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": CALLBACK,
        "scope": SCOPE,
        "state": "its state",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        **changed,
    }
    return f"{P}/oauth/authorize?" + urlencode({name: value for name, value in query.items() if value is not None})


async def open_world(
    folder: Path,
    *,
    limited: Sequence[Rate] = (),
    settings: OAuthSettings | None = None,
    fetcher: JsonFetcher | None = None,
    **changed: Any,
) -> World:
    """A server. limited: rates that let two requests through. changed: of the accounts' settings."""
    database = SqliteDatabase(folder / f"{os.urandom(4).hex()}.db")
    await migrate(database, (Schema("storage", "watchword.storage"), accounts.SCHEMA, e2ee.SCHEMA, oauth.SCHEMA))
    log: Log[Change] = Log(database, encode_change, decode_change)
    clock, entropy, keys = ManualClock(), SeededEntropy(7), Keys()
    wanted = AccountSettings(SERVER, **{"argon2_memory_kibibytes": 8, "argon2_passes": 1, **changed})
    house = assemble_accounts(
        wanted, database, log, clock, entropy, AccountPorts(Elsewhere(), Elsewhere(), keys, NoAppservices())
    )
    limiter = RateLimiter({rate: Allowance(0.01, 2) for rate in limited} or UNLIMITED, clock)
    ours = assemble_oauth(
        settings or OAuthSettings(SERVER, BASE), database, clock, entropy, house, OAuthPorts(limiter, fetcher or NoFetcher())
    )
    router = Router(house.authenticator, None, limiter, entropy=entropy)
    router.mount(account_doors.ENDPOINTS, house)
    router.mount(oauth_doors.ENDPOINTS, ours)
    await log.start()
    return World(database, clock, house, ours, router, keys, log)
