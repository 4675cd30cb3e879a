"""The servers that can be measured: one module each, which writes a configuration and says how to start it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bench.certificates import Certificate


@dataclass(frozen=True)
class Site:
    """Where one server shall run: its empty folder, its two ports on loopback, its certificate, whom it trusts.

    shared_secret: what `/_synapse/admin/v1/register` is to be opened with.
    """

    folder: Path
    client_port: int
    federation_port: int
    certificate: Certificate
    authority: Path
    shared_secret: str

    @property
    def server_name(self) -> str:
        """An explicit port needs no discovery: the name is where federation listens."""
        return f"localhost:{self.federation_port}"


class Kind(Protocol):
    """A kind of Matrix server."""

    name: str

    def prepare(self) -> None:
        """Install what it needs. Idempotent."""
        ...

    def version(self) -> str:
        """The version that will run."""
        ...

    def command(self, site: Site) -> list[str]:
        """Write the configuration into the site's folder; return the command that runs the server in the foreground."""
        ...
