import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import orjson
import pytest

from watchword.base.config import Config
from watchword.base.errors import ConfigError, StorageError
from watchword.edge.replies import Reply
from watchword.edge.router import Incoming
from watchword.server.app import Homeserver


class _NoBody:
    async def next_piece(self) -> tuple[bytes, bool]:
        return b"", False


def _config(tmp_path: Path, **overrides: object) -> Config:
    wanted = {"server_name": "a.example", "data_dir": str(tmp_path / "data"), **overrides}
    return Config.load(None, {}, {name.replace("__", "."): value for name, value in wanted.items()})


async def _ask(server: Homeserver, path: str) -> tuple[int, Any]:
    reply = await server.router.answer(Incoming("GET", path.encode(), b"", [], "192.0.2.1", _NoBody()))
    assert isinstance(reply, Reply)
    return reply.status, orjson.loads(reply.body)


@asynccontextmanager
async def _prepared(config: Config) -> AsyncIterator[Homeserver]:
    """A server without doors."""
    server = Homeserver.build(config)
    running: asyncio.Task[None] | None = None
    try:
        await server.prepare()
        running = asyncio.ensure_future(server.run(doors=False))
        yield server
    finally:
        if running is not None:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
        await server.stop()


async def test_a_server_answers_once_it_is_prepared(tmp_path: Path) -> None:
    async with _prepared(_config(tmp_path)) as server:
        assert (await _ask(server, "/_matrix/client/versions"))[0] == 200
        status, keys = await _ask(server, "/_matrix/key/v2/server")
        assert (status, keys["server_name"]) == (200, "a.example")
        assert (await _ask(server, "/_matrix/client/v3/sync"))[0] == 401
        assert (await _ask(server, "/_matrix/client/v3/no/such/thing"))[1]["errcode"] == "M_UNRECOGNIZED"


async def test_a_server_keeps_its_signing_key(tmp_path: Path) -> None:
    async def key() -> Any:
        async with _prepared(_config(tmp_path)) as server:
            return (await _ask(server, "/_matrix/key/v2/server"))[1]["verify_keys"]

    assert await key() == await key()


async def test_what_a_server_keeps_is_its_own(tmp_path: Path) -> None:
    async with _prepared(_config(tmp_path)):
        assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
        assert (tmp_path / "data" / "signing.key").stat().st_mode & 0o077 == 0


async def test_without_federation_other_servers_find_nothing(tmp_path: Path) -> None:
    async with _prepared(_config(tmp_path, federation__enabled="false")) as server:
        assert (await _ask(server, "/_matrix/federation/v1/version"))[0] == 404
        assert (await _ask(server, "/_matrix/client/versions"))[0] == 200


async def test_every_background_part_runs_until_the_server_stops(tmp_path: Path) -> None:
    before = asyncio.all_tasks()
    async with _prepared(_config(tmp_path)) as server:
        assert (await _ask(server, "/_matrix/client/versions"))[0] == 200
        await server.world.clock.sleep(10)
        assert len(asyncio.all_tasks() - before) > 10
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before


async def test_a_second_process_is_kept_out_until_the_first_has_stopped(tmp_path: Path) -> None:
    async with _prepared(_config(tmp_path)):
        with pytest.raises(StorageError, match="in use by another process"):
            Homeserver.build(_config(tmp_path))
    async with _prepared(_config(tmp_path)) as server:
        assert (await _ask(server, "/_matrix/client/versions"))[0] == 200


async def test_the_data_of_another_server_are_left_alone(tmp_path: Path) -> None:
    async with _prepared(_config(tmp_path)):
        pass
    with pytest.raises(ConfigError, match=r"a\.example"):
        Homeserver.build(_config(tmp_path, server_name="b.example"))


async def test_the_numbers_say_how_far_the_log_is_and_who_is_connected(tmp_path: Path) -> None:
    async with _prepared(_config(tmp_path)) as server:
        await server.accounts.registrar.register_as_operator("alice", "correct horse", admin=False, wants_login=False)
        lines = server.metrics.text().decode().splitlines()
        assert f"watchword_log_position {float(server.log.position)}" in lines
        assert server.log.position > 0
        assert "watchword_connections 0.0" in lines
