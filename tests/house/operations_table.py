"""`python -m tests.house.operations_table > docs/operations.md`: every operation of the specification, and how it is proved.

The columns are derived: what is served from the tables of endpoints, the tests from the mirror of the unit tests and from
the tables of roles. Only the version since which an operation is served is kept in a file (`served_since.txt`).
"""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.contract.operations.rules import CLIENTS, PEERS, Rule, rules
from tests.contract.operations.world import ROLES, SERVERS
from tests.house.operations import blanked, served, specified
from tests.house.source import ROOT

NEXT = "0.2.0"
"""The version in the making: an operation that `served_since.txt` does not know appears with it."""
_SINCE = Path(__file__).with_name("served_since.txt")
_TITLES = {"client-server-api": "For clients", "server-server-api": "For other servers"}
_DOCUMENTS = {"client-server-api": CLIENTS, "server-server-api": PEERS}

_HEAD = """# Operations

Every operation of the specification (v1.19) that a homeserver answers, since which version this one does, and which tests
hold it. This page is made by `python -m tests.house.operations_table > docs/operations.md`.

Besides the unit tests that are named, every operation that is served is asked with generated requests by every role
(`tests/contract/operations/test_generated.py`), as wrong as a request can be as a whole (`test_bodies.py`), and as it should
be (`tests/end_to_end/test_every_operation.py`, over HTTP).

The column *roles* says what each role is answered to one request, the first of so many in the tables of roles. `+` is a
success, `P` a success once the password was given, the other letters are the refusals that `roles_of_clients.txt` explains.
"""


def since() -> Mapping[tuple[str, str], str]:
    """(method, blanked path) → version, of operations that a release already has."""
    found = {}
    for line in _SINCE.read_text("utf-8").splitlines():
        if not line.startswith("#"):
            version, method, path = line.split()
            found[method, blanked(path)] = version
    return found


def _lines(page: str) -> Mapping[tuple[str, str], list[Rule]]:
    found: dict[tuple[str, str], list[Rule]] = {}
    for rule in rules(_DOCUMENTS[page]):
        if rule.operation is not None:
            found.setdefault((rule.method, blanked(rule.operation.path)), []).append(rule)
    return found


def _tests(module: str) -> str:
    file = Path("tests/unit", *module.split(".")[1:-1], f"test_{module.rpartition('.')[2]}.py")
    return f"[{file.parent.name}/{file.stem.removeprefix('test_')}](../{file})" if (ROOT / file).exists() else ""


def _cells(lines: list[Rule], roles: tuple[str, ...]) -> str:
    if not lines:
        return ""
    cells = [lines[0].cells[role] for role in roles]
    more = f" of {len(lines)}" if len(lines) > 1 else ""
    return "`" + "".join(cell if len(cell) == 1 else f"[{cell}]" for cell in cells) + f"`{more}"


def table() -> Iterator[str]:
    """The page, line by line."""
    yield _HEAD
    rows = {(row.method, blanked(row.path)): row.handler.__module__ for _, row in served()}
    known = since()
    for page, title in _TITLES.items():
        operations = {key: each for key, each in specified().items() if each.page == page}
        lines, roles = _lines(page), ROLES if page == "client-server-api" else SERVERS
        yield f"## {title}\n"
        yield f"{len(operations.keys() & rows.keys())} of {len(operations)} are served. Roles: {', '.join(roles)}.\n"
        yield "| operation | name | since | unit tests | roles |"
        yield "|---|---|---|---|---|"
        for key, operation in sorted(operations.items(), key=lambda item: (item[1].path, item[1].method)):
            path = operation.path.removeprefix("/_matrix/")
            if key in rows:
                proved = f"{known.get(key, NEXT)} | {_tests(rows[key])} | {_cells(lines.get(key, []), roles)}"
            else:
                proved = "— | | "
            yield f"| {operation.method} {path} | {operation.name} | {proved} |"
        yield ""


def main() -> None:
    """Print the page."""
    sys.stdout.write("\n".join(table()).rstrip("\n") + "\n")


if __name__ == "__main__":
    main()
