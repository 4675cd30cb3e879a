"""Synapse, from PyPI, as a separate program in an environment of its own: the measure that we compare ourselves with.

Its settings are its defaults, except: no rate limits, cheap password hashes, no presence, no cached answers of initial
syncs (each is meant to be a new device's), loopback allowed for federation. SQLite, one process.
"""

import base64
import hashlib
import json
import os
import secrets
import subprocess
import sys
from pathlib import Path

from bench.servers import Site

_LOCK = Path(__file__).parents[2] / "requirements" / "synapse.txt"
_UNLIMITED = {"per_second": 1_000_000, "burst_count": 1_000_000}


class Synapse:
    """The reference."""

    name = "synapse"

    def __init__(self) -> None:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        key = hashlib.sha256(_LOCK.read_bytes() + sys.version.encode()).hexdigest()[:12]
        self._environment = cache / "watchword" / f"synapse-{key}"

    @property
    def _python(self) -> str:
        return str(self._environment / "bin" / "python")

    def prepare(self) -> None:
        done = self._environment / "installed"
        if done.exists():
            return
        print(f"Installing Synapse into {self._environment} …", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(self._environment)], check=True)
        install = [self._python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*install, "--require-hashes", "-r", str(_LOCK)], check=True)
        done.touch()

    def version(self) -> str:
        code = "import importlib.metadata as m; print(m.version('matrix-synapse'))"
        return subprocess.run([self._python, "-c", code], check=True, capture_output=True, text=True).stdout.strip()

    def command(self, site: Site) -> list[str]:
        seed = secrets.token_bytes(32)
        (site.folder / "signing.key").write_text(f"ed25519 a_bench {_unpadded_base64(seed)}\n")
        (site.folder / "log.json").write_text(json.dumps(_logging(site.folder / "homeserver.log")))
        # JSON is YAML too.
        config = site.folder / "homeserver.yaml"
        config.write_text(json.dumps(_settings(site), indent=1))
        return [self._python, "-m", "synapse.app.homeserver", "-c", str(config)]


def _settings(site: Site) -> dict[str, object]:
    limits = (
        *("message", "registration", "registration_token_validity", "admin_redaction", "3pid_validation"),
        *("joins_per_room", "media_create", "delayed_event_mgmt", "reports", "room_creation", "profile", "key_requests"),
    )
    return {
        "server_name": site.server_name,
        "pid_file": str(site.folder / "homeserver.pid"),
        "signing_key_path": str(site.folder / "signing.key"),
        "log_config": str(site.folder / "log.json"),
        "media_store_path": str(site.folder / "media"),
        "database": {"name": "sqlite3", "args": {"database": str(site.folder / "homeserver.db")}},
        "listeners": [
            {
                "port": site.client_port,
                "bind_addresses": ["127.0.0.1"],
                "type": "http",
                "tls": False,
                "resources": [{"names": ["client"]}],
            },
            {
                "port": site.federation_port,
                "bind_addresses": ["127.0.0.1"],
                "type": "http",
                "tls": True,
                "resources": [{"names": ["federation"]}],
            },
        ],
        "tls_certificate_path": str(site.certificate.certificate),
        "tls_private_key_path": str(site.certificate.key),
        "federation_custom_ca_list": [str(site.authority)],
        "ip_range_blacklist": [],
        "federation_ip_range_blacklist": [],
        "trusted_key_servers": [],
        "suppress_key_server_warning": True,
        "registration_shared_secret": site.shared_secret,
        "macaroon_secret_key": secrets.token_hex(16),
        "form_secret": secrets.token_hex(16),
        "report_stats": False,
        "bcrypt_rounds": 4,
        "presence": {"enabled": False},
        "caches": {"sync_response_cache_duration": "0s"},
        **{f"rc_{name}": _UNLIMITED for name in limits},
        "rc_presence": {"per_user": _UNLIMITED},
        "rc_login": {"address": _UNLIMITED, "account": _UNLIMITED, "failed_attempts": _UNLIMITED},
        "rc_joins": {"local": _UNLIMITED, "remote": _UNLIMITED},
        "rc_invites": {"per_room": _UNLIMITED, "per_user": _UNLIMITED, "per_issuer": _UNLIMITED},
        "rc_federation": {"window_size": 1000, "sleep_limit": 1_000_000, "reject_limit": 1_000_000, "concurrent": 100},
    }


def _logging(file: Path) -> dict[str, object]:
    return {
        "version": 1,
        "handlers": {"file": {"class": "logging.FileHandler", "filename": str(file)}},
        "root": {"level": "WARNING", "handlers": ["file"]},
        "disable_existing_loggers": False,
    }


def _unpadded_base64(data: bytes) -> str:
    return base64.b64encode(data).decode().rstrip("=")
