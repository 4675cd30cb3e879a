"""A whole accounts feature on real SQLite, and its doors without HTTP."""

import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlencode

import orjson
import pytest

from watchword.base.clock import ManualClock
from watchword.base.entropy import SeededEntropy
from watchword.base.errors import Forbidden, PeerError, Refusal
from watchword.edge.authentication import bearer_token
from watchword.edge.endpoint import Auth, Endpoint
from watchword.edge.replies import Reply
from watchword.edge.request import Request
from watchword.edge.requester import Kind, Requester
from watchword.protocol.ids import ServerName, UserId
from watchword.server.accounts import SCHEMA
from watchword.server.accounts.assembly import AccountPorts, Accounts, OutsideServices, assemble_accounts
from watchword.server.accounts.commands import AccountSettings, CreateInvitation
from watchword.server.accounts.endpoints import ENDPOINTS
from watchword.server.changes import Change, decode_change, encode_change
from watchword.storage import Log, Position, Schema, SqliteDatabase, migrate

SERVER = ServerName("here.example")
V3 = "/_matrix/client/v3"
PASSWORD = "correct horse"


class Elsewhere:
    """Other servers, rooms, e2ee and application services, as far as accounts ask."""

    def __init__(self) -> None:
        self.profiles: dict[str, Mapping[str, Any]] = {}
        self.cross_signing_keys: set[str] = set()
        self.sharing: set[frozenset[str]] = set()

    async def query_profile(self, server_name: ServerName, user_id: UserId, field: str | None) -> Mapping[str, Any]:
        if user_id not in self.profiles:
            raise PeerError(server_name, "no such user", status=404)
        return self.profiles[user_id]

    async def share_room(self, a: UserId, b: UserId) -> bool:
        return frozenset((a, b)) in self.sharing

    async def is_cross_signing_key(self, user_id: UserId, name: str) -> bool:
        return name in self.cross_signing_keys

    def id_of(self, token: str) -> str | None:
        return "bridge" if token == "as_token" else None

    async def requester(self, request: Request, token: str) -> Requester:
        user_id = UserId(request.query_one("user_id") or f"@bridge:{SERVER}")
        if not self.may_register("bridge", user_id):
            raise Forbidden("Outside the namespace.", "M_EXCLUSIVE")
        return Requester(user_id, None, 0, kind=Kind.APPSERVICE, appservice_id="bridge")

    def may_register(self, appservice_id: str, user_id: UserId) -> bool:
        return user_id.startswith("@bridge")

    def exclusive_owner(self, user_id: UserId) -> str | None:
        return "bridge" if user_id.startswith("@bridge_") else None


@dataclass(frozen=True)
class Answer:
    status: int
    body: Any
    headers: Mapping[str, str]


@dataclass
class House:
    """One server's accounts and everything around them."""

    accounts: Accounts
    database: SqliteDatabase
    log: Log[Change]
    clock: ManualClock
    elsewhere: Elsewhere
    _routes: list[tuple[str, re.Pattern[str], Endpoint]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for endpoint in ENDPOINTS:
            pattern = re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", endpoint.path.replace(".", r"\.")))
            self._routes.append((endpoint.method, pattern, endpoint))

    async def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        by: str | None = None,
        form: Mapping[str, str] | None = None,
        address: str = "192.0.2.1",
        **query: str,
    ) -> Answer:
        """Ask a door as the router would. by: an access token; further names are the query."""
        endpoint, params = next(
            (endpoint, found.groupdict())
            for known, pattern, endpoint in self._routes
            if known == method and (found := pattern.fullmatch(path)) is not None
        )

        async def pieces() -> AsyncIterator[bytes]:
            yield orjson.dumps(body) if form is None and body is not None else urlencode(form or {}).encode()

        headers = {"user-agent": "test"} if by is None else {"authorization": f"Bearer {by}", "user-agent": "test"}
        headers["content-type"] = "application/json" if form is None else "application/x-www-form-urlencoded"
        request = Request(
            method,
            path,
            urlencode(query),
            params={name: unquote(value) for name, value in params.items()},
            headers=headers,
            client_address=address,
            json=body,
            stream=pieces,
        )
        try:
            requester = None
            if endpoint.auth is not Auth.NONE:
                given = bearer_token(request)
                if given is not None:
                    allow_locked = endpoint.auth is Auth.CLIENT_LOCKED
                    requester = await self.accounts.authenticator.client(request, given, allow_locked=allow_locked)
            reply = await endpoint.handler(request, requester, self.accounts)
        except Refusal as refusal:
            return Answer(refusal.status, refusal.body(), refusal.headers)
        assert isinstance(reply, Reply)
        is_json = reply.headers.get("content-type") == "application/json"
        return Answer(reply.status, orjson.loads(reply.body) if is_json else reply.body.decode(), reply.headers)

    async def user(self, name: str, *, admin: bool = False, **login: Any) -> Mapping[str, Any]:
        """Make an account and log it in; the body of the login."""
        await self.accounts.registrar.register_as_operator(name, PASSWORD, admin=admin, wants_login=False)
        return await self.login(name, **login)

    async def login(self, name: str, **more: Any) -> Mapping[str, Any]:
        body = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": name}, "password": PASSWORD, **more}
        answer = await self.call("POST", f"{V3}/login", body)
        assert answer.status == 200, answer.body
        found: Mapping[str, Any] = answer.body
        return found

    async def invitation(self, **wishes: Any) -> str:
        """A registration token."""
        return (await self.accounts.invitations.create(CreateInvitation(**wishes))).token

    async def changes(self, after: int = 0) -> list[Change]:
        return [logged.change for logged in await self.log.read(Position(after), 1_000)]


@pytest.fixture
def settings() -> AccountSettings:
    return AccountSettings(SERVER, argon2_memory_kibibytes=8, argon2_passes=1)


@pytest.fixture
async def houses(tmp_path: Path, settings: AccountSettings) -> AsyncIterator[Callable[..., Any]]:
    """Opens a house with other settings; closes them all."""
    opened: list[House] = []

    async def open_house(**changed: Any) -> House:
        database = SqliteDatabase(tmp_path / f"{len(opened)}.db")
        await migrate(database, (Schema("storage", "watchword.storage"), SCHEMA))
        log: Log[Change] = Log(database, encode_change, decode_change)
        clock = ManualClock()
        elsewhere = Elsewhere()
        ports = AccountPorts(
            elsewhere, elsewhere, elsewhere, elsewhere, outside=changed.pop("outside", None) or OutsideServices()
        )
        accounts = assemble_accounts(replace(settings, **changed), database, log, clock, SeededEntropy(len(opened)), ports)
        await log.start()
        opened.append(House(accounts, database, log, clock, elsewhere))
        return opened[-1]

    yield open_house
    for house in opened:
        await house.accounts.close()
        await house.database.close()


@pytest.fixture
async def house(houses: Callable[..., Any]) -> House:
    opened: House = await houses()
    return opened
