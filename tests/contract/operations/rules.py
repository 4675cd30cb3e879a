"""Reads `roles_of_clients.txt` and `roles_of_servers.txt`: which request each line is, and what it expects for each role."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from tests.contract.operations.world import ROLES, SERVER_NAMES, SERVERS, Cast, Session
from tests.end_to_end.harness import shapes
from tests.end_to_end.harness.shapes import Operation
from tests.end_to_end.harness.wire import Answer
from tests.house.operations import blanked, served
from watchword.edge.endpoint import Endpoint
from watchword.edge.paths import PathTable

CLIENTS, PEERS, BEYOND = "client-server", "server-server", "beyond"
ADMINISTRATION = ("/_watchword/client/v1/admin/", "/_synapse/admin/")
"""How the paths begin that are for administrators alone: ours, and those that their tools know."""
_FILES = {CLIENTS: "roles_of_clients.txt", PEERS: "roles_of_servers.txt", BEYOND: "roles_beyond.txt"}
_PREFIX = {CLIENTS: "/_matrix/client", PEERS: "/_matrix/federation", BEYOND: "/_matrix/client"}
_LINE = re.compile(r"(?P<cells>[A-Z+\[\] ]+?)  (?P<method>[A-Z]+) (?P<target>\S+)(?:  (?P<body>\S.*))?")
_CELL = re.compile(r"\[([^]]+)\]|(\S)")
_ERRORS = {
    (401, "M_MISSING_TOKEN"): "T",
    (401, "M_UNKNOWN_TOKEN"): "U",
    (401, "M_USER_LOCKED"): "L",
    (401, "M_UNAUTHORIZED"): "W",
    (403, "M_FORBIDDEN"): "F",
    (403, "M_GUEST_ACCESS_FORBIDDEN"): "G",
    (403, "M_USER_SUSPENDED"): "S",
    (404, "M_NOT_FOUND"): "N",
    (404, "M_UNRECOGNIZED"): "K",
}
# A name in braces, or one within another.
_NAME = re.compile(r"\{[^{}]*(\{[^}]*\})?[^}]*\}")


@dataclass(frozen=True)
class Rule:
    """One line: a request, and a cell for each role."""

    document: str
    line: int
    method: str
    target: str
    body: Any
    cells: Mapping[str, str]

    @property
    def bare(self) -> str:
        """The path, with something in place of each name in braces."""
        return _NAME.sub("x", self.target.partition("?")[0])

    @property
    def operation(self) -> Operation | None:
        """The operation that the request is for."""
        return shapes.operation_of(self.method, self.bare)

    def target_for(self, cast: Cast, me: Session) -> str:
        """The path and query as one role asks for them."""
        path, mark, query = self.target.partition("?")
        segments = [quote(cast.resolve(segment, me), safe="") for segment in path.split("/")]
        pairs = [(name, cast.resolve(value, me)) for name, value in parse_qsl(query, keep_blank_values=True)]
        return "/".join(segments) + mark + urlencode(pairs)


@cache
def rules(document: str) -> Sequence[Rule]:
    """Every line of one file. Raises AssertionError for a line that cannot be read."""
    text = Path(__file__).with_name(_FILES[document]).read_text("utf-8")
    return tuple(_read(document, text))


def _read(document: str, text: str) -> Iterator[Rule]:
    roles = SERVERS if document == PEERS else ROLES
    for number, line in enumerate(text.splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        assert match is not None, f"line {number} is not a rule: {line}"
        cells = [found[1] or found[2] for found in _CELL.finditer(match["cells"])]
        assert len(cells) == len(roles), f"line {number} has {len(cells)} cells, not {len(roles)}: {line}"
        target = match["target"]
        if not target.startswith(("/.", "/_")):
            target = _PREFIX[document] + target
        body = None if match["body"] is None else json.loads(match["body"])
        yield Rule(document, number, match["method"], target, body, dict(zip(roles, cells, strict=True)))


@cache
def served_names() -> frozenset[tuple[str, str]]:
    """Method and path (parameters blanked) of everything that this server serves."""
    return frozenset((row.method, blanked(row.path)) for _, row in served())


def row_of(method: str, path: str) -> Endpoint | None:
    """The row of ours that a request for this path is for."""
    found = _table().find(method, path.encode())
    return found[0] if isinstance(found, tuple) else None


@cache
def _table() -> PathTable[Endpoint]:
    table: PathTable[Endpoint] = PathTable()
    for _, row in served():
        table.add(row.method, row.path, row, alias=True)
    return table


def is_served(operation: Operation) -> bool:
    """Whether this server serves an operation."""
    return (operation.method, blanked(operation.path)) in served_names()


def verdict(answer: Answer) -> str:
    """The letter for an answer."""
    if answer.status < 300:
        return "+"
    if answer.status < 400:
        return "R"
    if answer.status >= 500:
        return "X" if answer.status in (502, 504) else "!"
    if answer.headers.get("content-type") != "application/json":
        return "H"
    body = answer.json
    if answer.status == 401 and "flows" in body:
        return "A"
    return _ERRORS.get((answer.status, body.get("errcode")), "E")


def sessions_of_servers(cast: Cast) -> Mapping[str, Session]:
    """The roles of other servers; the names {user:peer}, {user:other} and {server:peer} mean theirs."""
    return {role: Session(role, None, f"@mallory:{SERVER_NAMES.get(role, 'near.example')}") for role in SERVERS}
