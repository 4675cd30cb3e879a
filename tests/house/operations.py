"""The operations of the specification that we pin, and ours, found by importing every table of endpoints."""

import importlib
import json
import pkgutil
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cache

import watchword.server
from tests.house.source import ROOT
from watchword.edge.endpoint import Endpoint

PAGES = (
    "client-server-api",
    "server-server-api",
    "application-service-api",
    "push-gateway-api",
    "identity-service-api",
    "appendices",
    "rooms",
)
_FILES = {"client-server-api": "client-server", "server-server-api": "server-server"}
_FILES_OF_OTHERS = {
    "application-service-api": "application-service",
    "push-gateway-api": "push-gateway",
    "identity-service-api": "identity",
}


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
    return {(operation.method, blanked(operation.path)): operation for operation in _described(_FILES)}


@cache
def asked_of_others() -> Collection[Operation]:
    """What we ask of application services, push gateways and identity servers."""
    return list(_described(_FILES_OF_OTHERS))


def _described(files: Mapping[str, str]) -> Iterator[Operation]:
    for page, file in files.items():
        document = json.loads((ROOT / "tests" / "data" / "plain" / f"{file}.openapi.json").read_text(encoding="utf-8"))
        for path, item in document["paths"].items():
            for method in item.keys() & {"get", "put", "post", "delete", "options", "head", "patch"}:
                yield Operation(page, method.upper(), path, item[method].get("operationId", ""))


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
