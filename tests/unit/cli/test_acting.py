"""What an operator does to accounts, while the server runs and while it does not."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.unit.cli.conftest import Run
from tests.unit.cli.operated import make_users, with_server
from watchword.cli.main import watchword
from watchword.cli.serve import load_config
from watchword.protocol.ids import UserId
from watchword.server.accounts.commands import Account
from watchword.server.app import Homeserver

ROOT, ALICE = UserId("@root:a.example"), UserId("@alice:a.example")


@pytest.fixture
def peopled(settings: Path) -> Path:
    with_server(settings, lambda server: make_users(server, "+root", "alice"))
    return settings


def _account(settings: Path, user_id: UserId) -> Account:
    async def look(server: Homeserver) -> Account:
        account = await server.accounts.reader.account(user_id)
        assert account is not None
        return account

    return with_server(settings, look)


def _last_entry(run: Run, settings: Path) -> tuple[str | None, str, str, str]:
    entry = json.loads(run("audit", "-c", settings, "--json", "--limit", "1").output)
    return entry["by"], entry["action"], entry["whom"], entry["outcome"]


# A server that does not run


def test_a_password_is_made_and_printed(run: Run, peopled: Path) -> None:
    output = run("reset-password", "-c", peopled, "alice", "--generate").output
    assert output.startswith("@alice:a.example has a new password: ")
    assert len(output.split()[-1]) >= 20
    assert _account(peopled, ALICE).password_hash is not None
    assert _last_entry(run, peopled) == (None, "user.password", ALICE, "done")


def test_a_password_is_asked_for_twice_and_not_shown(peopled: Path) -> None:
    arguments = ["reset-password", "-c", str(peopled), ALICE]
    result = CliRunner().invoke(watchword, arguments, input="correct horse\ncorrect horse\n", catch_exceptions=False)
    assert result.exit_code == 0
    assert "correct horse" not in result.output
    assert _account(peopled, ALICE).password_hash is not None


def test_a_weak_password_is_refused(peopled: Path) -> None:
    result = CliRunner().invoke(watchword, ["reset-password", "-c", str(peopled), "alice"], input="x\nx\n")
    assert result.exception is not None
    assert _account(peopled, ALICE).password_hash is None


def test_an_administrator_is_made_and_unmade(run: Run, peopled: Path) -> None:
    assert run("make-admin", "-c", peopled, ALICE).output == f"{ALICE} is an administrator now.\n"
    assert _account(peopled, ALICE).is_admin
    assert run("make-admin", "-c", peopled, ALICE, "--revoke").output == f"{ALICE} is no longer an administrator.\n"
    assert not _account(peopled, ALICE).is_admin
    assert _last_entry(run, peopled) == (None, "user.admin", ALICE, "done")


def test_who_is_not_there_is_not_acted_on(run: Run, peopled: Path) -> None:
    assert run("make-admin", "-c", peopled, "nobody").exit_code == 1
    assert run("make-admin", "-c", peopled, "@alice:b.example").exit_code == 2
    assert run("make-admin", "-c", peopled, "@alice").exit_code == 2


def test_where_no_server_is_there_is_nobody_to_act_on(run: Run, settings: Path) -> None:
    result = run("make-admin", "-c", settings, "alice")
    assert result.exit_code == 1
    assert "There is no server in" in result.output


# A server that runs


@pytest.fixture
def running(peopled: Path, tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """The settings of a server that runs in another thread, and a file with its administrator's access token."""
    token_file, started, stop = tmp_path / "token", threading.Event(), threading.Event()
    port: list[int] = []

    async def serve() -> None:
        server = Homeserver.build(load_config(peopled, ('listeners=[{"port": 0}]',)))
        try:
            await server.start()
            login = await server.accounts.registrar.register_as_operator("boss", None, admin=True)
            assert login.tokens is not None
            token_file.write_text(login.tokens.access_token, encoding="utf-8")
            port.append(server.listeners.ports[0])
            background = asyncio.ensure_future(server.run())
            started.set()
            await asyncio.to_thread(stop.wait)
            background.cancel()
            with suppress(asyncio.CancelledError):
                await background
        finally:
            started.set()
            await server.stop()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert started.wait(30)
    assert port
    with peopled.open("a", encoding="utf-8") as file:
        file.write(f'[[listeners]]\nhost = "127.0.0.1"\nport = {port[0]}\n')
    yield peopled, token_file
    stop.set()
    thread.join(30)


def test_a_running_server_is_asked_by_an_administrator(run: Run, running: tuple[Path, Path]) -> None:
    settings, token_file = running
    assert run("make-admin", "-c", settings, "alice", "--token-file", token_file).output == (
        f"{ALICE} is an administrator now.\n"
    )
    assert _last_entry(run, settings) == ("@boss:a.example", "user.admin", ALICE, "done")
    run("make-admin", "-c", settings, "alice", "--revoke", "--token-file", token_file)
    output = run("reset-password", "-c", settings, "alice", "--generate", "--token-file", token_file).output
    assert output.startswith(f"{ALICE} has a new password: ")


def test_a_running_server_says_why_it_refuses(run: Run, running: tuple[Path, Path], tmp_path: Path) -> None:
    settings, token_file = running
    wrong = tmp_path / "wrong"
    wrong.write_text("nonsense", encoding="utf-8")
    result = run("make-admin", "-c", settings, "alice", "--token-file", wrong)
    assert result.exit_code == 1
    assert "The server refused: This access token is not known" in result.output
    assert "There is no such user" in run("make-admin", "-c", settings, "nobody", "--token-file", token_file).output


def test_a_server_that_is_not_where_it_should_be_is_said_to_be_so(run: Run, running: tuple[Path, Path]) -> None:
    settings, token_file = running
    result = run("make-admin", "-c", settings, "alice", "--token-file", token_file, "--url", "http://127.0.0.1:1")
    assert result.exit_code == 1
    assert "could not be asked" in result.output
    assert run("make-admin", "-c", settings, "alice", "--token-file", token_file, "--url", "ftp://x").exit_code == 2
