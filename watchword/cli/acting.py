"""`watchword reset-password` and `make-admin`: what an operator does to accounts.

A server that runs is asked over HTTP, by an administrator with his access token: it knows what is in its memory, and writes
down who it was. A server that does not run is opened here, alone with its folder, and the operator at the machine needs no
token. Either way the audit log has an entry.
"""

import asyncio
import http.client
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import SplitResult, quote, urlsplit

import click

from watchword.base.config import Config
from watchword.base.entropy import SystemEntropy
from watchword.base.errors import ProtocolError, StorageError
from watchword.cli.serve import CONFIG_OPTION, SET_OPTION, load_config
from watchword.edge.auditing import Deed, Entry
from watchword.protocol.ids import UserId, domain_of, parse_user_id
from watchword.server.app import Homeserver
from watchword.storage.folder import FolderClaim

_TIMEOUT_SECONDS = 60
_GENERATED_BYTES = 15

URL_OPTION = click.option(
    "--url", help="Where the running server answers. Default: its first plain listener, else public_base_url."
)
TOKEN_OPTION = click.option(
    "--token-file",
    type=click.File("r"),
    help="Where the access token of an administrator is read from while the server runs; - is the standard input.",
)


@dataclass(frozen=True, slots=True)
class _Door:
    """Where the running server is asked, and by whom."""

    config: Config
    url: str | None
    token_file: TextIO | None

    @property
    def place(self) -> SplitResult:
        place = urlsplit(self.url or _own_url(self.config))
        if place.scheme not in ("http", "https") or place.hostname is None:
            raise click.UsageError("--url: expected a URL such as https://matrix.example.org")
        return place

    def token(self) -> str:
        if self.token_file is not None:
            return self.token_file.read().strip()
        return str(click.prompt("The server runs. Access token of an administrator", hide_input=True)).strip()


@click.command("reset-password")
@CONFIG_OPTION
@SET_OPTION
@click.argument("user")
@click.option("--generate", is_flag=True, help="Make a password and print it, instead of asking for one.")
@click.option("--keep-devices", is_flag=True, help="Do not sign the user's devices out.")
@URL_OPTION
@TOKEN_OPTION
def reset_password(
    config_file: Path | None,
    overrides: tuple[str, ...],
    user: str,
    generate: bool,
    keep_devices: bool,
    url: str | None,
    token_file: TextIO | None,
) -> None:
    """Give USER (@name:server, or the name alone) a new password.

    While the server runs, the access token of an administrator is needed: it is read from --token-file, or asked for.
    Otherwise nothing is needed but the data folder.
    """
    config = load_config(config_file, overrides)
    user_id, runs = _user(config, user), _is_running(config)
    if generate:
        password = SystemEntropy().token(_GENERATED_BYTES)
    else:
        password = click.prompt(f"New password of {user_id}", hide_input=True, confirmation_prompt=True)

    async def change(server: Homeserver, entry: Entry) -> None:
        server.accounts.registrar.check_password(password)
        entry.add(logout_devices=not keep_devices)
        log_out = not keep_devices
        await server.accounts.admin.change_password(user_id, password, log_out=log_out, keep=None, also=entry)

    if runs:
        body = {"new_password": password, "logout_devices": not keep_devices}
        _ask(_Door(config, url, token_file), "POST", user_id, "password", body)
    else:
        _do(config, user_id, "user.password", change)
    click.echo(f"{user_id} has a new password{': ' + password if generate else '.'}")


@click.command("make-admin")
@CONFIG_OPTION
@SET_OPTION
@click.argument("user")
@click.option("--revoke", is_flag=True, help="Take the right away instead.")
@URL_OPTION
@TOKEN_OPTION
def make_admin(
    config_file: Path | None,
    overrides: tuple[str, ...],
    user: str,
    revoke: bool,
    url: str | None,
    token_file: TextIO | None,
) -> None:
    """Make USER (@name:server, or the name alone) an administrator of this server.

    While the server runs, the access token of an administrator is needed: it is read from --token-file, or asked for.
    Otherwise nothing is needed but the data folder.
    """
    config = load_config(config_file, overrides)
    user_id = _user(config, user)

    async def change(server: Homeserver, entry: Entry) -> None:
        entry.add(admin=not revoke)
        await server.accounts.admin.set_admin(user_id, not revoke, also=entry)

    if _is_running(config):
        _ask(_Door(config, url, token_file), "PUT", user_id, "admin", {"admin": not revoke})
    else:
        _do(config, user_id, "user.admin", change)
    click.echo(f"{user_id} is {'no longer an administrator' if revoke else 'an administrator now'}.")


def _user(config: Config, user: str) -> UserId:
    try:
        user_id = parse_user_id(user if user.startswith("@") else f"@{user}:{config.server_name}")
    except ProtocolError as error:
        raise click.UsageError(f"{user}: expected a user ID such as @name:{config.server_name}") from error
    if domain_of(user_id) != config.server_name:
        raise click.UsageError(f"{user_id} is not a user of {config.server_name}.")
    return user_id


# A server that does not run


def _is_running(config: Config) -> bool:
    if not config.database_path.exists():
        raise click.ClickException(f"There is no server in {config.data_dir} yet: start it once with `watchword up`.")
    try:
        FolderClaim(Path(config.data_dir), config.server_name).release()
    except StorageError:
        return True
    return False


def _do(config: Config, user_id: UserId, action: str, work: Callable[[Homeserver, Entry], Awaitable[None]]) -> None:
    async def run() -> None:
        server = Homeserver.build(config)
        try:
            await server.prepare()
            account = await server.accounts.reader.account(user_id)
            if account is None or account.is_deactivated:
                raise click.ClickException(f"There is no user {user_id}.")
            async with server.admin.audit.act(Deed(None, action, user_id)) as entry:
                await work(server, entry)
        finally:
            await server.stop()

    asyncio.run(run())


# A server that runs


def _ask(door: _Door, method: str, user_id: UserId, what: str, body: Mapping[str, Any]) -> None:
    place = door.place
    path = f"{place.path.rstrip('/')}/_watchword/client/v1/admin/users/{quote(user_id, safe='')}/{what}"
    headers = {"Authorization": f"Bearer {door.token()}", "Content-Type": "application/json"}
    kind = http.client.HTTPSConnection if place.scheme == "https" else http.client.HTTPConnection
    connection = kind(place.hostname or "", place.port, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request(method, path, json.dumps(body), headers)
        answer = connection.getresponse()
        status, said = answer.status, answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise click.ClickException(f"{place.geturl()} could not be asked: {error}") from error
    finally:
        connection.close()
    if status != http.client.OK:
        raise click.ClickException(f"The server refused: {_reason(said)}")


def _own_url(config: Config) -> str:
    for listener in config.listeners:
        if "client" in listener.serves and listener.certificate_file is None and listener.unix_socket is None:
            host = f"[{listener.host}]" if ":" in listener.host else listener.host
            return f"http://{host}:{listener.port}"
    return config.base_url


def _reason(said: bytes) -> str:
    try:
        body = json.loads(said)
    except ValueError:
        body = None
    reason = body.get("error") if isinstance(body, dict) else None
    return reason if isinstance(reason, str) else "it did not say why"
