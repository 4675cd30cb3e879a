"""Nobody reads or changes what he may not: every line of the two tables of roles, asked by every role.

A role that is refused changes nothing, and nobody is told a secret of somebody else. Every operation that is served must
have a line.
"""

from collections.abc import Callable, Mapping

import pytest

from tests.contract.operations.rules import (
    ADMINISTRATION,
    BEYOND,
    CLIENTS,
    PEERS,
    Rule,
    is_served,
    row_of,
    rules,
    sessions_of_servers,
    verdict,
)
from tests.contract.operations.stage import Stage, key_of
from tests.contract.operations.world import PASSWORD, SERVER_NAMES, Cast, Session
from tests.end_to_end.harness import shapes
from tests.end_to_end.harness.wire import Answer
from tests.house.operations import blanked, served
from watchword.edge.endpoint import Auth, Endpoint

# Who may most is asked last: what he changes could open or close the door for the others.
_LAST = ("member", "owner")

_PLAUSIBLE = {"{userId}": "%40nobody%3Ahere.example", "{roomId}": "%21nothing%3Ahere.example", "{eventId}": "%24nothing"}
_WITH_TOKEN = (Auth.CLIENT, Auth.CLIENT_LOCKED)
# A user may see what an administrator may see of him.
_OF_ONESELF = {"/_matrix/client/v3/admin/whois/{userId}"}

# Nobody's homeserver is also his policy server.
_NOT_OURS = {("POST", "/_matrix/policy/v1/sign")}


def _rules(document: str) -> list[Rule]:
    return [rule for rule in rules(document) if rule.operation is None or is_served(rule.operation)]


def _name(rule: object) -> str:
    return f"{rule.method} {rule.target} line{rule.line}" if isinstance(rule, Rule) else str(rule)


@pytest.mark.parametrize("document", [CLIENTS, PEERS])
def test_every_line_is_for_an_operation(document: str) -> None:
    assert [rule for rule in rules(document) if rule.operation is None] == []


@pytest.mark.parametrize("document", [CLIENTS, PEERS])
def test_every_operation_that_is_served_has_its_expectations(document: str) -> None:
    known = {rule.operation.name for rule in rules(document) if rule.operation is not None}
    served = {each.name for each in shapes.operations() if each.document == document and is_served(each)}
    assert sorted(served - known - _NOT_OURS) == []


def test_every_operation_beyond_the_specification_that_needs_a_token_has_its_expectations() -> None:
    """An older name of an operation that has a line needs none, if it is the same in every way."""
    specified = {(each.method, blanked(each.path)) for each in shapes.operations()}
    found = {row_of(rule.method, rule.bare) for rule in rules(BEYOND)}
    assert None not in found
    rows = [row for _, row in served() if row.auth in _WITH_TOKEN]
    known = {_manner(row) for row in rows if row in found or (row.method, blanked(row.path)) in specified}
    # Administrators have doors of their own, at which all others are turned away (below).
    others = [row for row in rows if not row.path.startswith(ADMINISTRATION)]
    unknown = [f"{row.method} {row.path}" for row in others if _manner(row) not in known]
    assert not unknown, "write their lines into roles_beyond.txt"


def _manner(row: Endpoint) -> tuple[object, ...]:
    return row.handler, row.method, row.auth, row.guests, row.body


@pytest.mark.parametrize(
    "row", [row for _, row in served() if row.auth in _WITH_TOKEN], ids=lambda row: f"{row.method} {row.path}"
)
def test_nobody_gets_past_a_door_that_needs_a_token(row: Endpoint, library: Stage, cast: Cast) -> None:
    path = "/".join(_PLAUSIBLE.get(each, "x") if each.startswith("{") else each for each in row.path.split("/"))
    expected = {"nobody": "T", "unknown": "U", "locked": "L"}
    if row.auth is Auth.CLIENT_LOCKED:
        # Asking would end the session.
        del expected["locked"]
    if not row.guests:
        expected["guest"] = "G"
    is_administration = "/admin/" in row.path and row.path not in _OF_ONESELF
    if is_administration:
        expected |= dict.fromkeys(("owner", "stranger", "suspended", "service"), "F")
    library.written()
    for role, cell in expected.items():
        # Who may ask is decided before anything is read; of administrators, before anything is understood.
        answer = library.ask(row.method, path, {} if is_administration else b"{", cast.sessions[role].token)
        assert verdict(answer) == cell, (role, answer)
    assert library.written() == []


@pytest.mark.parametrize(
    "row", [row for _, row in served() if row.auth is Auth.SERVER], ids=lambda row: f"{row.method} {row.path}"
)
def test_nobody_gets_past_a_door_for_servers_without_a_signature(row: Endpoint, library: Stage, cast: Cast) -> None:
    path = "/".join(_PLAUSIBLE.get(each, "x") if each.startswith("{") else each for each in row.path.split("/"))
    library.written()
    for token in (None, cast.sessions["admin"].token):
        assert verdict(library.ask(row.method, path, {}, token)) == "W"
    assert library.written() == []


@pytest.mark.parametrize("rule", [*_rules(CLIENTS), *_rules(BEYOND)], ids=_name)
def test_a_user_may_do_what_his_role_allows(rule: Rule, library: Stage, staged: Callable[..., Stage], cast: Cast) -> None:
    def ask(stage: Stage, session: Session) -> Answer:
        target, body = rule.target_for(cast, session), cast.resolve(rule.body, session)
        answer = stage.ask(rule.method, target, body, session.token)
        if rule.cells[session.role] == "P":
            assert verdict(answer) == "A", answer
            identifier = {"type": "m.id.user", "user": session.user_id}
            auth = {"type": "m.login.password", "identifier": identifier, "password": PASSWORD}
            proved = {**(body or {}), "auth": {**auth, "session": answer.json["session"]}}
            answer = stage.ask(rule.method, target, proved, session.token)
        return answer

    _check(rule, library if rule.method == "GET" else staged(), staged, cast, cast.sessions, ask)


@pytest.mark.parametrize("rule", _rules(PEERS), ids=_name)
def test_a_server_may_do_what_its_role_allows(rule: Rule, library: Stage, staged: Callable[..., Stage], cast: Cast) -> None:
    def ask(stage: Stage, session: Session) -> Answer:
        target, body = rule.target_for(cast, session), cast.resolve(rule.body, session)
        if session.role == "unsigned":
            return stage.ask(rule.method, target, body)
        if session.role == "forged":
            return stage.ask_as_server("near.example", rule.method, target, body, signer=key_of("far.example"))
        return stage.ask_as_server(SERVER_NAMES[session.role], rule.method, target, body)

    _check(rule, library if rule.method == "GET" else staged(), staged, cast, sessions_of_servers(cast), ask)


def _check(
    rule: Rule,
    stage: Stage,
    staged: Callable[..., Stage],
    cast: Cast,
    sessions: Mapping[str, Session],
    ask: Callable[[Stage, Session], Answer],
) -> None:
    wrong: list[str] = []
    for role in sorted(sessions, key=lambda role: (role in _LAST, _LAST.index(role) if role in _LAST else 0)):
        stage.written()
        answer = ask(stage, sessions[role])
        found, expected = verdict(answer), rule.cells[role]
        if found not in expected.replace("P", "+"):
            wrong.append(f"{role}: {expected} expected, {found} found: {answer.status} {answer.body[:200]!r}")
        if answer.status >= 400 and (changed := stage.written()):
            wrong.append(f"{role}: refused, and yet {changed} changed")
        wrong += [f"{role}: is told {secret!r}" for secret in cast.told(role, answer.body)]
        if rule.method == "DELETE" and found == "+" and ":me}" not in rule.target:
            # It must be there for the next one.
            stage = staged()
    wrong += stage.failures.taken()
    assert not wrong, "\n".join(wrong)


def test_the_tables_name_nothing_twice() -> None:
    for document in (CLIENTS, PEERS, BEYOND):
        asked = [(rule.method, rule.target, str(rule.body)) for rule in rules(document)]
        assert len(asked) == len(set(asked))
