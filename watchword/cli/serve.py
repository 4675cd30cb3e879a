"""`watchword serve` and `watchword check-config`: a server from a configuration file."""

import os
from pathlib import Path

import click

from watchword.base.config import Config
from watchword.cli.running import run_server

CONFIG_OPTION = click.option(
    "--config",
    "-c",
    "config_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The TOML file with the settings; see docs/configuration.md.",
)
SET_OPTION = click.option(
    "--set",
    "-s",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="A setting that wins over the file and the environment, as in `-s federation.enabled=false`.",
)


def load_config(config_file: Path | None, overrides: tuple[str, ...]) -> Config:
    """The settings of this call. Raises ConfigError with every mistake."""
    pairs: dict[str, object] = {}
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals:
            raise click.UsageError(f"--set {override}: expected KEY=VALUE")
        pairs[key] = value
    return Config.load(config_file, os.environ, pairs)


@click.command()
@CONFIG_OPTION
@SET_OPTION
def serve(config_file: Path | None, overrides: tuple[str, ...]) -> None:
    """Run a homeserver with the given settings until it is told to stop (SIGTERM or Ctrl-C)."""
    run_server(load_config(config_file, overrides))


@click.command("check-config")
@CONFIG_OPTION
@SET_OPTION
def check_config(config_file: Path | None, overrides: tuple[str, ...]) -> None:
    """Check the settings without starting anything; say what is wrong and what was expected."""
    config = load_config(config_file, overrides)
    click.echo(f"The settings of {config.server_name} are in order.")
