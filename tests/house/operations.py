"""The operations of the specification that we pin, and ours, found by importing every table of endpoints."""

import importlib
import json
import pkgutil
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

import watchword.server
from tests.house.source import ROOT
from watchword.edge.endpoint import Endpoint

PAGES = ("client-server-api", "server-server-api", "application-service-api", "push-gateway-api", "appendices", "rooms")
_FILES = {"client-server-api": "client-server", "server-server-api": "server-server"}


@dataclass(frozen=True)
class Operation:
    """One operation of the specification that a homeserver answers."""

    page: str
    method: str
    path: str
    name: str

    @property
    def anchor(self) -> str:
        """Where the specification describes it."""
        return f"{self.page}#{self.method.lower()}{re.sub('[^a-z0-9_-]', '', self.path.lower())}"


@cache
def specified() -> Mapping[tuple[str, str], Operation]:
    """(method, path with its parameters' names blanked) → operation."""
    found: dict[tuple[str, str], Operation] = {}
    for page, file in _FILES.items():
        document = json.loads((ROOT / "tests" / "data" / "plain" / f"{file}.openapi.json").read_text(encoding="utf-8"))
        for path, item in document["paths"].items():
            for method in item.keys() & {"get", "put", "post", "delete", "options", "head", "patch"}:
                operation = Operation(page, method.upper(), path, item[method].get("operationId", ""))
                found[operation.method, blanked(path)] = operation
    return found


def blanked(path: str) -> str:
    """A path with the names of its parameters taken out: they are ours to choose."""
    return re.sub(r"\{[^}]*\}", "{}", path)


def served() -> Iterator[tuple[str, Endpoint]]:
    """(module, row) of every table of endpoints in the server, each row once, though a feature may gather its tables."""
    found: set[int] = set()
    for info in pkgutil.walk_packages(watchword.server.__path__, "watchword.server."):
        if "endpoints" in info.name.rpartition(".")[2].split("_"):
            for row in getattr(importlib.import_module(info.name), "ENDPOINTS", ()):
                if id(row) not in found:
                    found.add(id(row))
                    yield info.name, row
