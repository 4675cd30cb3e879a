"""`watchword`: the command line. Parses, builds an app, calls it; every command explains itself with `--help`."""

import gc
import sys
from collections.abc import Mapping
from importlib import import_module

import click

from watchword import __version__
from watchword.base.errors import ConfigError, WatchwordError

COMMANDS: Mapping[str, str] = {
    "up": "watchword.cli.up:up",
    "serve": "watchword.cli.serve:serve",
    "invite": "watchword.cli.invite:invite",
    "invitations": "watchword.cli.invite:invitations",
    "revoke": "watchword.cli.invite:revoke",
    "users": "watchword.cli.looking:users",
    "reports": "watchword.cli.looking:reports",
    "audit": "watchword.cli.looking:audit",
    "reset-password": "watchword.cli.acting:reset_password",
    "make-admin": "watchword.cli.acting:make_admin",
    "check-config": "watchword.cli.serve:check_config",
    "demo": "watchword.cli.demo:demo",
}


class Commands(click.Group):
    """Loads a command when it is asked for: a server need not carry the client in its memory."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which one meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name."""
        place = COMMANDS.get(cmd_name)
        if place is None:
            return None
        module, _, name = place.partition(":")
        # What is loaded stays: to look for garbage among it again and again takes a tenth of the time to start.
        gc.disable()
        try:
            command = getattr(import_module(module), name)
        finally:
            gc.enable()
        assert isinstance(command, click.Command), place
        return command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="watchword")
def watchword() -> None:
    """Self-hosted, invitation-only, end-to-end encrypted messaging on Matrix.

    Begin with `watchword up`: it makes a data folder, starts a server and prints the first administrator's invitation.
    """


def main() -> None:
    """Run the command line; an expected failure is one sentence and exit status 1."""
    try:
        watchword.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(130)
    except ConfigError as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    except WatchwordError as error:
        click.echo(f"watchword: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
