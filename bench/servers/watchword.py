"""Watchword itself, from this environment.

Its settings are its defaults, except: no rate limits, no presence, loopback allowed for federation; as for the others.
"""

import json
import sys
from importlib.metadata import version

from bench.servers import Site


class Watchword:
    """What we measure."""

    name = "watchword"

    def prepare(self) -> None:
        """Nothing to do: it is installed where we run."""

    def version(self) -> str:
        return version("watchword")

    def command(self, site: Site) -> list[str]:
        config = site.folder / "watchword.toml"
        config.write_text(_settings(site))
        return [sys.executable, "-P", "-m", "watchword.cli.main", "serve", "--config", str(config)]


def _settings(site: Site) -> str:
    text = json.dumps  # a JSON string is a TOML string
    return f"""\
server_name = {text(site.server_name)}
public_base_url = {text(f"http://localhost:{site.client_port}")}
data_dir = {text(str(site.folder / "data"))}

[[listeners]]
host = "127.0.0.1"
port = {site.client_port}
serves = ["client"]

[[listeners]]
host = "127.0.0.1"
port = {site.federation_port}
serves = ["federation"]
certificate_file = {text(str(site.certificate.certificate))}
key_file = {text(str(site.certificate.key))}

[registration]
shared_secret = {text(site.shared_secret)}

[rate_limits]
enabled = false

[presence]
enabled = false

[federation]
extra_ca_files = [{text(str(site.authority))}]
allowed_networks = ["127.0.0.0/8", "::1/128"]

[logs]
level = "warning"
"""
