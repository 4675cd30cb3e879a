"""A server that commands look at and act on, made without starting it."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from watchword.cli.serve import load_config
from watchword.server.app import Homeserver

T = TypeVar("T")


def with_server(settings: Path, work: Callable[[Homeserver], Awaitable[T]]) -> T:
    """Do something with the server of these settings, which is not running before and after."""

    async def run() -> T:
        server = Homeserver.build(load_config(settings, ()))
        try:
            await server.prepare()
            return await work(server)
        finally:
            await server.stop()

    return asyncio.run(run())


async def make_users(server: Homeserver, *names: str) -> None:
    """Accounts without passwords; a name that begins with `+` is an administrator's."""
    for name in names:
        await server.accounts.registrar.register_as_operator(
            name.lstrip("+"), None, admin=name.startswith("+"), wants_login=False
        )
