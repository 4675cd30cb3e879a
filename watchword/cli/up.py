"""`watchword up`: a real server with sensible defaults in a data folder; what a self-hoster uses."""

import json
import sys
from pathlib import Path

import click

from watchword.base.config import Config
from watchword.cli.invite import create_command
from watchword.cli.running import run_server
from watchword.cli.serve import SET_OPTION, load_config
from watchword.server.accounts.invitations import invitation_link
from watchword.server.app import Homeserver

_SETTINGS = """\
# The settings of this server. docs/configuration.md explains every one of them.

# The name in every user ID. It can never be changed.
server_name = {server_name}

# Where clients reach this server.
public_base_url = {base_url}

data_dir = {data_dir}

# A reverse proxy with a certificate in front of this address serves clients and other servers; or give each listener
# its own certificate_file and key_file.
[[listeners]]
host = {host}
port = {port}
serves = ["client", "federation"]
"""


@click.command()
@click.option(
    "--data",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("watchword-data"),
    show_default=True,
    help="The folder that holds everything of this server.",
)
@click.option("--server-name", help="The name in user IDs, as in @you:SERVER-NAME. Asked for on the first start.")
@click.option("--public-url", help="Where clients reach this server. Default: https://SERVER-NAME.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option("--port", type=click.IntRange(1, 65_535), default=8008, show_default=True, help="The port to listen at.")
@SET_OPTION
def up(folder: Path, server_name: str | None, public_url: str | None, host: str, port: int, overrides: tuple[str, ...]) -> None:
    """Start a server in a data folder, making the folder the first time.

    The first start prints an invitation link that makes the first administrator. Later starts just start; settings are
    then in FOLDER/watchword.toml.
    """
    settings = folder / "watchword.toml"
    if not settings.exists():
        if server_name is None:
            if not sys.stdin.isatty():
                raise click.UsageError("The first start needs --server-name, the name in user IDs (example.org).")
            server_name = click.prompt("The server's name, as in @you:NAME (it can never be changed)")
        _write_settings(settings, server_name, public_url or f"https://{server_name}", host, port)
        click.echo(f"Settings were written to {settings}.")
    elif server_name is not None:
        _check_name(settings, server_name)
    config = load_config(settings, overrides)

    async def started(server: Homeserver) -> None:
        await _welcome(server, config, settings)

    run_server(config, started)


def _write_settings(settings: Path, server_name: str, base_url: str, host: str, port: int) -> None:
    text = json.dumps  # a JSON string is a TOML string
    settings.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    written = _SETTINGS.format(
        server_name=text(server_name),
        base_url=text(base_url),
        data_dir=text(str(settings.parent.resolve())),
        host=text(host),
        port=port,
    )
    unchecked = settings.with_suffix(".new")
    unchecked.write_text(written, "utf-8")
    try:
        Config.load(unchecked)
    except BaseException:
        unchecked.unlink()
        raise
    unchecked.rename(settings)


def _check_name(settings: Path, server_name: str) -> None:
    known = Config.load(settings).server_name
    if known != server_name:
        raise click.UsageError(f"The server in {settings.parent} is {known}; a server's name can never be changed.")


async def _welcome(server: Homeserver, config: Config, settings: Path) -> None:
    listener = config.listeners[0]
    click.echo(f"{config.server_name} is up at http://{listener.host}:{listener.port} (public: {config.base_url}).")
    if await server.accounts.reader.any_account():
        click.echo(f"Invite people with: watchword invite -c {settings}")
        return
    command = create_command(config, uses=1, days=7, label="first administrator", admin=True, inviter=None, rooms=())
    made = await server.accounts.invitations.create(command)
    click.echo("Nobody has an account here yet. This link makes the first administrator; it is good once, for 7 days:")
    click.echo(f"  {invitation_link(config.base_url, made.token)}")
    click.echo(f"In other Matrix clients, register at {config.base_url} with this registration token: {made.token}")
