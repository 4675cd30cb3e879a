"""Looking addresses up, and leaving invites, at a real identity server."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from aiohttp import web

from tests.unit.server.accounts.threepids.outside import IDENTITY, a_fetcher, listening
from watchword.base.errors import BadRequest, Refusal
from watchword.edge.addresses import AddressPolicy
from watchword.protocol import unpadded_base64
from watchword.server.accounts.threepids.commands import Threepid
from watchword.server.accounts.threepids.identity import IdentityServers
from watchword.server.accounts.threepids.lookups import IdentityLookups, hashed

BOB = ("email", "bob@example.org")


class Directory:
    """Knows bob. answers: path → (status, body) instead of what it would say."""

    def __init__(self) -> None:
        self.url = ""
        self.algorithms: Any = ["none", "sha256"]
        self.owner = "@bob:here.example"
        self.answers: dict[str, tuple[int, Any]] = {}
        self.asked: list[tuple[str, Any]] = []
        self.valid_keys = {"good"}

    async def answer(self, request: web.Request) -> web.Response:
        body: Any = await request.json() if request.can_read_body else None
        self.asked.append((request.path, body))
        if request.path == "/valid":
            return web.json_response({"valid": request.query["public_key"] in self.valid_keys})
        if request.headers.get("authorization") != "Bearer token":
            return web.json_response({"errcode": "M_UNAUTHORIZED", "error": "?"}, status=401)
        path = request.path.removeprefix("/_matrix/identity/v2")
        if path in self.answers:
            status, answer = self.answers[path]
            return web.json_response(answer, status=status)
        if path == "/hash_details":
            return web.json_response({"lookup_pepper": "salt", "algorithms": self.algorithms})
        if path == "/lookup":
            known = "bob@example.org email"
            if body["algorithm"] == "sha256":
                known = unpadded_base64.encode_url(hashlib.sha256(f"{known} {body['pepper']}".encode()).digest())
            return web.json_response({"mappings": {known: self.owner} if known in body["addresses"] else {}})
        return web.json_response({"token": "t", "display_name": "b...", "public_keys": []})


@pytest.fixture
async def directory() -> AsyncIterator[Directory]:
    made = Directory()
    async with listening(made.answer) as made.url:
        yield made


@pytest.fixture
async def lookups(directory: Directory) -> AsyncIterator[IdentityLookups]:
    async with AsyncExitStack() as exits:
        trusted = await exits.enter_async_context(a_fetcher())
        public = await exits.enter_async_context(a_fetcher(AddressPolicy(())))
        yield IdentityLookups(IdentityServers(fetcher=trusted, trusted={IDENTITY: directory.url + "/"}), public)


@pytest.mark.parametrize("algorithms", [["none", "sha256"], ["sha256"], ["none"]])
async def test_the_owner_of_an_address_is_found(directory: Directory, lookups: IdentityLookups, algorithms: list[str]) -> None:
    directory.algorithms = algorithms
    assert lookups.enabled
    assert await lookups.lookup(IDENTITY, "token", BOB) == "@bob:here.example"
    assert await lookups.lookup(IDENTITY, "token", ("email", "eve@example.org")) is None


async def test_an_address_is_hashed_wherever_the_server_can(directory: Directory, lookups: IdentityLookups) -> None:
    await lookups.lookup(IDENTITY, "token", BOB)
    assert "bob" not in str(directory.asked)


async def test_an_invite_is_left_there(directory: Directory, lookups: IdentityLookups) -> None:
    answer = await lookups.store_invite(IDENTITY, "token", {"medium": "email", "address": "x@y.z"})
    assert answer["token"] == "t"
    assert directory.asked == [("/_matrix/identity/v2/store-invite", {"medium": "email", "address": "x@y.z"})]


@pytest.mark.parametrize(
    ("path", "status", "answer", "expected"),
    [
        ("/hash_details", 200, {}, (502, "M_UNKNOWN")),
        ("/hash_details", 200, {"lookup_pepper": "x" * 300, "algorithms": ["sha256"]}, (502, "M_UNKNOWN")),
        ("/hash_details", 200, {"lookup_pepper": "x", "algorithms": ["md5"]}, (502, "M_UNKNOWN")),
        ("/hash_details", 500, {}, (502, "M_UNKNOWN")),
        ("/hash_details", 403, {"errcode": "M_TERMS_NOT_SIGNED", "error": "?"}, (403, "M_TERMS_NOT_SIGNED")),
    ],
)
async def test_an_identity_server_that_does_not_help_is_told_as_such(
    directory: Directory, lookups: IdentityLookups, path: str, status: int, answer: Any, expected: tuple[int, str]
) -> None:
    directory.answers[path] = (status, answer)
    with pytest.raises(Refusal) as refused:
        await lookups.lookup(IDENTITY, "token", BOB)
    assert (refused.value.status, refused.value.errcode) == expected


async def test_an_owner_who_is_no_user_is_nonsense(directory: Directory, lookups: IdentityLookups) -> None:
    directory.owner = "nobody"
    with pytest.raises(Refusal) as refused:
        await lookups.lookup(IDENTITY, "token", BOB)
    assert refused.value.status == 502


async def test_only_trusted_servers_are_asked(directory: Directory, lookups: IdentityLookups) -> None:
    with pytest.raises(BadRequest) as refused:
        await lookups.lookup("elsewhere.example", "token", BOB)
    assert refused.value.errcode == "M_SERVER_NOT_TRUSTED"
    assert directory.asked == []


async def test_a_key_is_good_while_its_server_says_so(directory: Directory, lookups: IdentityLookups) -> None:
    assert await lookups.is_key_valid(f"{directory.url}/valid", "good")
    assert await lookups.is_key_valid(f"{directory.url}/valid?x=1", "good")
    assert not await lookups.is_key_valid(f"{directory.url}/valid", "bad")


async def test_a_room_cannot_have_private_addresses_asked(directory: Directory, lookups: IdentityLookups) -> None:
    elsewhere = directory.url.replace("127.0.0.1", "127.0.0.2")
    assert not await lookups.is_key_valid(f"{elsewhere}/valid", "good")
    assert not await lookups.is_key_valid("nonsense", "good")
    assert directory.asked == []


def test_addresses_have_a_canonical_form() -> None:
    lookups = IdentityLookups(IdentityServers(), None)  # type: ignore[arg-type]
    assert lookups.read_address("email", "Bob@Example.org") == BOB
    assert not lookups.enabled
    with pytest.raises(BadRequest):
        lookups.read_address("email", "nonsense")


def test_the_hash_is_the_one_of_the_specification() -> None:
    found = hashed(Threepid("email", "alice@example.com"), "matrixrocks", ["sha256"])
    assert found == ("sha256", "4kenr7N9drpCJ4AfalmlGQVsOn3o2RHjkADUpXJWZUc")
    assert hashed(Threepid("email", "a@b.c"), "x", None) is None
