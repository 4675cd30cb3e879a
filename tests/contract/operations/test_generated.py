"""Whatever is asked, the answer is one that the specification documents: generated requests for every operation and role.

Every operation is asked by each role in turn. `WATCHWORD_EXAMPLES=500 ./run test tests/contract/operations` asks longer.
"""

import contextlib
import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable

from tests.contract.operations import generated
from tests.contract.operations.generated import Draft
from tests.contract.operations.judge import ENDINGS, Asked, complaints
from tests.contract.operations.rules import (
    ADMINISTRATION,
    BEYOND,
    CLIENTS,
    PEERS,
    is_served,
    row_of,
    rules,
    sessions_of_servers,
)
from tests.contract.operations.stage import Stage, key_of
from tests.contract.operations.world import ROLES, SERVER_NAMES, SERVERS, Cast, Session
from tests.end_to_end.harness import shapes
from tests.end_to_end.harness.shapes import Operation
from tests.end_to_end.harness.wire import Answer
from tests.house.operations import blanked, served
from watchword.edge.endpoint import Auth, Endpoint

_KINDS = {"fitting": generated.fitting, "breaking": generated.breaking, "nearly": generated.nearly}
_FAR = ("member", "owner")
# Those in the room get farthest, and come again between every two others.
_TURNS = tuple(
    role
    for number, other in enumerate(role for role in ROLES if role not in _FAR)
    for role in ((*_FAR, other) if number % 2 == 0 else (other,))
)
_SERVER_TURNS = ("near", "far", "near", "far", *(role for role in SERVERS if role not in ("near", "far")))
_SHOWN = 6
# What administrators see of rooms, at their own doors alone.
_KNOWN = {("admin", "secret name of the space")}


def _operations(document: str) -> list[Operation]:
    return [each for each in shapes.operations() if each.document == document and is_served(each)]


def _name(operation: object) -> str:
    return " ".join(operation.name) if isinstance(operation, Operation) else str(operation)


class Examination:
    """One operation under question; a fresh server whenever an answer has changed who the roles are."""

    def __init__(self, operation: Operation, staged: Callable[..., Stage], cast: Cast) -> None:
        self.operation = operation
        self.cast = cast
        self.wrong: list[str] = []
        self._staged = staged
        self._stage = staged()
        self._count = 0
        self._ends = ENDINGS.search(blanked(operation.path)) is not None and operation.method != "GET"

    def client(self, draft: Draft) -> None:
        """One request, by whose turn it is."""
        me = self.cast.sessions[_TURNS[self._count % len(_TURNS)]]
        asked = self._asked(draft, me)
        answer = self._stage.ask(self.operation.method, asked.target, asked.body, me.token)
        self._judge(asked, answer)

    def server(self, draft: Draft) -> None:
        """One request of another server, by whose turn it is."""
        me = sessions_of_servers(self.cast)[_SERVER_TURNS[self._count % len(_SERVER_TURNS)]]
        asked = self._asked(draft, me)
        body = asked.body or None
        if me.role == "unsigned" or _unsignable(body):
            answer = self._stage.ask(self.operation.method, asked.target, body)
        else:
            signer = key_of("far.example") if me.role == "forged" else None
            name = SERVER_NAMES.get(me.role, "near.example")
            answer = self._stage.ask_as_server(name, self.operation.method, asked.target, body, signer)
        self._judge(asked, answer)

    def _asked(self, draft: Draft, me: Session) -> Asked:
        self._count += 1
        return Asked(self.operation, me, draft.target_for(self.cast, me), draft.body_for(self.cast, me))

    def _judge(self, asked: Asked, answer: Answer) -> None:
        found = list(complaints(asked, answer, self.cast))
        found += [record.splitlines()[-1] for record in self._stage.failures.taken()]
        self.wrong += [f"{each}\n    {asked}\n    {answer.status} {answer.body[:300]!r}" for each in found]
        if self._ends and answer.status < 300:
            self._stage = self._staged()


def _unsignable(body: bytes | None) -> bool:
    """Whether no honest server could sign this: it is not JSON."""
    try:
        json.loads(body or b"{}")
    except (ValueError, RecursionError):
        return True
    return False


def _examine(operation: Operation, kind: str, examination: Examination, ask: Callable[[Draft], None]) -> None:
    @generated.determined(generated.EXAMPLES // 2 if kind == "breaking" else generated.EXAMPLES)
    @given(st.deferred(lambda: _KINDS[kind](operation, examination.cast.values)))
    def examine(draft: Draft) -> None:
        if len(examination.wrong) < _SHOWN:
            ask(draft)

    with contextlib.suppress(Unsatisfiable):
        # Nothing breaks a schema that takes every text.
        examine()
    assert not examination.wrong, "\n".join(examination.wrong)


@pytest.mark.parametrize("operation", _operations(CLIENTS), ids=_name)
def test_answers_to_users_are_as_documented(operation: Operation, staged: Callable[..., Stage], cast: Cast) -> None:
    examination = Examination(operation, staged, cast)
    for kind in _KINDS:
        _examine(operation, kind, examination, examination.client)


@pytest.mark.parametrize("operation", _operations(PEERS), ids=_name)
def test_answers_to_servers_are_as_documented(operation: Operation, staged: Callable[..., Stage], cast: Cast) -> None:
    if not generated.is_known(operation):
        pytest.skip("described in prose only")
    examination = Examination(operation, staged, cast)
    for kind in _KINDS:
        _examine(operation, kind, examination, examination.server)


def _rows_of_tables() -> list[Endpoint]:
    found = {row.path + row.method: row for rule in rules(BEYOND) if (row := row_of(rule.method, rule.bare)) is not None}
    return list(found.values())


def _open_rows() -> list[Endpoint]:
    specified = {(each.method, blanked(each.path)) for each in shapes.operations()}
    rows = [row for _, row in served() if (row.method, blanked(row.path)) not in specified]
    return [row for row in rows if row.auth in (Auth.NONE, Auth.OPTIONAL)]


def _rows_of_administrators() -> list[Endpoint]:
    return [row for _, row in served() if row.path.startswith(ADMINISTRATION) and row.auth is Auth.CLIENT]


@pytest.mark.parametrize("row", _rows_of_tables(), ids=lambda row: f"{row.method} {row.path}")
def test_answers_beyond_the_specification_are_as_orderly(row: Endpoint, staged: Callable[..., Stage], cast: Cast) -> None:
    operation = generated.operation_beyond(row)
    examination = Examination(operation, staged, cast)
    _examine(operation, "nearly", examination, examination.client)


@pytest.mark.parametrize("row", _open_rows(), ids=lambda row: f"{row.method} {row.path}")
def test_nothing_that_anybody_may_ask_fails(row: Endpoint, staged: Callable[..., Stage], cast: Cast) -> None:
    _stray(row, staged(), cast, "nobody")


@pytest.mark.parametrize("row", _rows_of_administrators(), ids=lambda row: f"{row.method} {row.path}")
def test_nothing_that_an_administrator_asks_fails(row: Endpoint, staged: Callable[..., Stage], cast: Cast) -> None:
    _stray(row, staged(), cast, "admin")


def _stray(row: Endpoint, stage: Stage, cast: Cast, role: str) -> None:
    me = cast.sessions[role]

    @generated.determined(2 * generated.EXAMPLES)
    @given(generated.strays(row))
    def ask(stray: tuple[Draft, dict[str, str]]) -> None:
        draft, headers = stray
        target, body = draft.target_for(cast, me), draft.body_for(cast, me)
        answer = stage.ask(row.method, target, body, me.token, headers)
        # Somebody else's server, which is not there, may have been needed.
        assert answer.status < 500 or answer.status == 502, (row.method, target, body, answer)
        told = [secret for secret in cast.told(role, answer.body) if (role, secret) not in _KNOWN]
        assert not told, (row.method, target, told)

    ask()
