"""`watchword`: the command line. Parses, builds an app, calls it; every command explains itself with `--help`."""

import sys

import click

from watchword import __version__
from watchword.base.errors import ConfigError, WatchwordError
from watchword.cli.demo import demo
from watchword.cli.invite import invitations, invite, revoke
from watchword.cli.serve import check_config, serve
from watchword.cli.up import up


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="watchword")
def watchword() -> None:
    """Self-hosted, invitation-only, end-to-end encrypted messaging on Matrix.

    Begin with `watchword up`: it makes a data folder, starts a server and prints the first administrator's invitation.
    """


for command in (up, serve, invite, invitations, revoke, check_config, demo):
    watchword.add_command(command)


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
