"""Watchword itself, as `watchword serve` runs it: defaults, but without rate limits and with loopback allowed."""

import json
import sys

from bench.servers import Site


class Watchword:
    """This server, from this environment."""

    name = "watchword"

    def prepare(self) -> None:
        """Nothing: it is installed where we run."""

    def version(self) -> str:
        from importlib.metadata import version

        return version("watchword")

    def command(self, site: Site) -> list[str]:
        config = site.folder / "watchword.toml"
        config.write_text(_settings(site))
        return [sys.executable, "-P", "-m", "watchword.cli.main", "serve", "--config", str(config)]


def _settings(site: Site) -> str:
    # A JSON string is a TOML string.
    text = json.dumps
    return f"""
server_name = {text(site.server_name)}
data_folder = {text(str(site.folder / "data"))}
"""
