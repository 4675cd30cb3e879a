"""The gate: nobody but an administrator comes in, and what he does is written down."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.server.admin.world import ADDRESS, ALICE, OURS, ROOT, AdminWorld, open_world
from watchword.edge.endpoint import Auth, Body, Endpoint
from watchword.server.admin.endpoints import ENDPOINTS

_REGISTRATION = """
id: bridge
url: null
as_token: a-token-of-a-bridge
hs_token: another-token
sender_localpart: bridgebot
namespaces: {users: [{exclusive: true, regex: "@bridge.*"}], rooms: [], aliases: []}
"""
_GATED = [row for row in ENDPOINTS if row.auth is not Auth.NONE]


def _somewhere(row: Endpoint) -> str:
    """The path with something in it that may or may not be there."""
    named = {
        "userId": "%40alice%3Ahere.example",
        "roomId": "%21nowhere%3Ahere.example",
        "serverName": "there.example",
        "reportId": "1",
        "sha256": "00" * 32,
    }
    path = row.path
    for name in [part[1:-1] for part in path.split("/") if part.startswith("{")]:
        path = path.replace(f"{{{name}}}", named.get(name, "X"))
    return path


@pytest.fixture
async def bridged(tmp_path: Path) -> AsyncIterator[AdminWorld]:
    file = tmp_path / "bridge.yaml"
    file.write_text(_REGISTRATION, encoding="utf-8")
    async with open_world(tmp_path, appservices__registration_files=str(file)) as world:
        yield world


async def test_everybody_else_is_refused_before_anything_is_looked_up(bridged: AdminWorld) -> None:
    world = bridged
    guest = (await world.call(None, "POST", "/_matrix/client/v3/register", {}, kind="guest"))["access_token"]
    before = await world.entries()
    for row in _GATED:
        path = _somewhere(row)
        for by, errcode in (
            ("alice", "M_FORBIDDEN"),
            ("a-token-of-a-bridge", "M_FORBIDDEN"),
            (guest, "M_GUEST_ACCESS_FORBIDDEN"),
        ):
            answer = await world.ask(by, row.method, path, {})
            assert (answer.status, answer.errcode) == (403, errcode), (row.method, row.path, by, answer.body)
        assert (await world.ask(None, row.method, path, {})).status == 401
        # What is not there is answered as what is.
        other = await world.ask("alice", row.method, path.replace("alice", "nobody"), {})
        assert other.body == (await world.ask("alice", row.method, path, {})).body
    assert await world.entries() == before


async def test_an_administrator_is_let_in_everywhere_and_leaves_an_entry(world: AdminWorld) -> None:
    for row in _GATED:
        answer = await world.ask("root", row.method, _somewhere(row), {} if row.body is not Body.NONE else None)
        assert answer.status != 403 or row.path.endswith(("/deactivate", "/admin")), (row.method, row.path, answer.body)
        assert answer.status < 500, (row.method, row.path, answer.body)
        assert answer.errcode not in ("M_UNRECOGNIZED", "M_UNKNOWN_TOKEN"), (row.method, row.path)
        if row.method != "GET" or answer.status == 200:
            last = await world.last()
            assert (last.by, last.address) == (ROOT, ADDRESS), (row.method, row.path)


async def test_a_refused_act_is_kept_with_its_error(world: AdminWorld) -> None:
    await world.ask("root", "PUT", f"{OURS}/users/%40nobody%3Ahere.example/locked", {"locked": True})
    last = await world.last()
    assert (last.action, last.whom, last.outcome) == ("user.lock", "@nobody:here.example", "M_NOT_FOUND")


async def test_looking_again_soon_is_not_kept_twice(world: AdminWorld) -> None:
    async def looked() -> int:
        return len(await world.entries(action="user.show"))

    for _ in range(3):
        await world.get(f"{OURS}/users/{ALICE}")
    assert await looked() == 1
    await world.get(f"{OURS}/users/{ROOT}")
    assert await looked() == 2
    world.clock.advance(3_600_000)
    await world.get(f"{OURS}/users/{ALICE}")
    assert await looked() == 3


@pytest.mark.parametrize("row", ENDPOINTS, ids=lambda row: f"{row.method} {row.path}")
def test_only_the_version_is_told_to_everybody(row: Any) -> None:
    assert (row.auth is Auth.NONE) == row.path.endswith("/server_version")


async def test_what_cannot_be_read_is_not_let_in(world: AdminWorld) -> None:
    answer = await world.ask("root", "PUT", f"{OURS}/users/{ALICE}/locked", raw=b"{")
    assert (answer.status, answer.errcode) == (400, "M_NOT_JSON")
