"""What is said of requests that are wrong as a whole: no JSON, a key too few, a method too many, a body without end.

Spec: client-server-api#api-standards
"""

import json
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

import pytest

from tests.contract.operations.conftest import Beginning
from tests.contract.operations.rules import CLIENTS, PEERS, Rule, is_served, rules, sessions_of_servers, verdict
from tests.contract.operations.stage import NEAR, Stage
from tests.contract.operations.world import Cast, Session
from tests.end_to_end.harness import shapes
from tests.end_to_end.harness.shapes import Operation
from tests.end_to_end.harness.wire import Answer
from tests.house.operations import blanked, served
from watchword.base import config
from watchword.edge.endpoint import Body, Endpoint

_METHODS = ("GET", "PUT", "POST", "DELETE", "PATCH")
_MISSING = {(400, "M_MISSING_PARAM"), (400, "M_BAD_JSON"), (400, "M_INVALID_PARAM")}
# Keys that the schema wants and old clients leave out, each with its reason.
_MAY_BE_MISSING = {
    ("PUT", "/_matrix/federation/v1/send/{txnId}", "pdus"),  # a transaction of EDUs alone; and one bad event harms no other
    ("POST", "/_matrix/federation/v1/get_missing_events/{roomId}", "earliest_events"),  # none
    ("POST", "/_matrix/federation/v1/get_missing_events/{roomId}", "latest_events"),
    ("PUT", "/_matrix/federation/v2/send_join/{roomId}/{eventId}", "origin"),  # events have not had it for long
    ("PUT", "/_matrix/federation/v2/send_leave/{roomId}/{eventId}", "origin"),
    ("PUT", "/_matrix/federation/v1/send_knock/{roomId}/{eventId}", "origin"),
    ("GET", "/_matrix/federation/v1/make_join/{roomId}/{userId}", "ver"),  # "1", as it was before there were others
    ("GET", "/_matrix/federation/v1/make_knock/{roomId}/{userId}", "ver"),
    ("GET", "/_matrix/federation/v1/backfill/{roomId}", "limit"),  # we have a bound of our own
    ("POST", "/_matrix/client/v3/login", "type"),  # some answer 400 M_UNKNOWN: an unknown type of login
    ("PUT", "/_matrix/federation/v1/send/{txnId}", "origin"),  # the signature says it
    ("PUT", "/_matrix/federation/v1/send/{txnId}", "origin_server_ts"),  # nobody needs it
}


@cache
def _rows() -> Mapping[tuple[str, str], Endpoint]:
    return {(row.method, blanked(row.path)): row for _, row in served()}


def _row(operation: Operation) -> Endpoint:
    return _rows()[operation.method, blanked(operation.path)]


@cache
def _good(document: str) -> Mapping[str, Rule]:
    """For each operation a line in which somebody is let through; the best that there is."""
    found: dict[str, Rule] = {}
    for rule in rules(document):
        operation = rule.operation
        if operation is None or not is_served(operation):
            continue
        name = " ".join(operation.name)
        if name not in found or not _passes(found[name]):
            found[name] = rule
    return found


def _passes(rule: Rule) -> bool:
    return any(cell in ("+", "P") for cell in rule.cells.values())


def _with_body() -> Iterator[Any]:
    for document in (CLIENTS, PEERS):
        for name, rule in _good(document).items():
            operation = rule.operation
            if operation is not None and _row(operation).body in (Body.JSON, Body.OPTIONAL_JSON):
                yield pytest.param(rule, id=name)


def _asker(rule: Rule, cast: Cast) -> Session:
    """Who gets farthest."""
    sessions = cast.sessions if rule.document == CLIENTS else sessions_of_servers(cast)
    role = next((role for role in ("owner", "near", "admin", "far", "service") if rule.cells.get(role) in ("+", "P")), None)
    return sessions[role or ("owner" if rule.document == CLIENTS else "near")]


class _Asker:
    def __init__(self, rule: Rule, stage: Stage, cast: Cast) -> None:
        self.me = _asker(rule, cast)
        self.rule, self.stage, self.cast = rule, stage, cast

    def ask(self, body: object, target: str | None = None, **headers: str) -> Answer:
        target = target or self.rule.target_for(self.cast, self.me)
        if self.rule.document == PEERS:
            return self.stage.ask_as_server(f"{self.me.role}.example", self.rule.method, target, body)
        return self.stage.ask(self.rule.method, target, body, self.me.token, headers)


@pytest.mark.parametrize("rule", list(_with_body()))
def test_a_body_that_is_wrong_as_a_whole_is_refused(rule: Rule, staged: Callable[..., Stage], cast: Cast) -> None:
    asker = _Asker(rule, staged(), cast)
    for body, errcodes in (
        (b"{", {"M_NOT_JSON"}),
        (b"\xff\xfe", {"M_NOT_JSON"}),
        (b"[]", {"M_BAD_JSON", "M_NOT_JSON"}),
        (b'"text"', {"M_BAD_JSON", "M_NOT_JSON"}),
        (b"null", {"M_BAD_JSON", "M_NOT_JSON"}),
    ):
        answer = asker.ask(body)
        status = {400, 401} if rule.document == PEERS else {400}
        assert answer.status in status, (body, answer)
        assert answer.status == 401 or answer.json["errcode"] in errcodes, (body, answer)


@pytest.mark.parametrize("rule", list(_with_body()))
def test_a_key_that_is_required_may_not_be_missing(rule: Rule, staged: Callable[..., Stage], cast: Cast) -> None:
    operation = rule.operation
    assert operation is not None
    if not _passes(rule):
        return
    asker = _Asker(rule, staged(), cast)
    body = cast.resolve(rule.body, asker.me)
    wrong = []
    for key in _required(operation):
        if (*operation.name, key) in _MAY_BE_MISSING or key not in (body or {}):
            continue
        without = {name: value for name, value in body.items() if name != key}
        for spoiled in (without, {**body, key: [[1.5]]}):
            answer = asker.ask(spoiled)
            if (answer.status, answer.json.get("errcode")) not in _MISSING and verdict(answer) != "A":
                wrong.append(f"{key}: {json.dumps(spoiled)[:200]}: {answer}")
    assert not wrong, "\n".join(wrong)


def _required(operation: Operation) -> list[str]:
    content = operation.described.get("requestBody", {}).get("content", {}).get("application/json", {})
    schema = shapes.resolved(operation.document, content.get("schema", {}))
    return list(schema.get("required", []))


@pytest.mark.parametrize(
    "rule", [pytest.param(rule, id=name) for document in (CLIENTS, PEERS) for name, rule in _good(document).items()]
)
def test_a_query_parameter_that_is_required_may_not_be_missing(rule: Rule, staged: Callable[..., Stage], cast: Cast) -> None:
    operation = rule.operation
    assert operation is not None
    required = [each["name"] for each in shapes.parameters_of(operation) if each["in"] == "query" and each.get("required")]
    if not required or not _passes(rule):
        return
    asker = _Asker(rule, staged(), cast)
    path, _, query = rule.target_for(cast, asker.me).partition("?")
    for name in required:
        if (*operation.name, name) in _MAY_BE_MISSING:
            continue
        fields = "&".join(field for field in query.split("&") if not field.startswith(f"{name}="))
        answer = asker.ask(cast.resolve(rule.body, asker.me), f"{path}?{fields}" if fields else path)
        assert answer.status == 400, (name, answer)
        assert answer.json["errcode"] in ("M_MISSING_PARAM", "M_INVALID_PARAM"), (name, answer)


def test_a_body_that_is_too_large_is_refused_before_it_is_read(staged: Callable[..., Stage], cast: Cast) -> None:
    stage = staged()
    wrong = []
    for rule in (param.values[0] for param in _with_body()):
        if rule.document == PEERS:
            continue
        asker = _Asker(rule, stage, cast)
        most = _row(rule.operation).body_bytes_max
        answer = asker.ask(b"{}", **{"content-length": str(most + 1)})
        if (answer.status, answer.json.get("errcode")) != (413, "M_TOO_LARGE"):
            wrong.append(f"{rule.method} {rule.target}: {answer}")
    assert not wrong, "\n".join(wrong)


def test_a_method_that_a_path_does_not_know_is_refused_so(staged: Callable[..., Stage], cast: Cast) -> None:
    stage = staged()
    known = {(row.method, blanked(row.path)) for _, row in served()}
    wrong = []
    for document in (CLIENTS, PEERS):
        for rule in _good(document).values():
            path = rule.target_for(cast, cast.sessions["owner"]).partition("?")[0]
            assert rule.operation is not None
            for method in _METHODS:
                if _is_known(method, rule.operation.path, path, known):
                    continue
                answer = stage.ask(method, path, {}, cast.sessions["owner"].token)
                if (answer.status, answer.json.get("errcode")) != (405, "M_UNRECOGNIZED") or "allow" not in answer.headers:
                    wrong.append(f"{method} {path}: {answer}")
    assert not wrong, "\n".join(wrong)


def _is_known(method: str, path: str, target: str, known: set[tuple[str, str]]) -> bool:
    return (method, blanked(path)) in known or shapes.operation_of(method, target) is not None


def test_paths_that_nobody_knows_are_refused_so(staged: Callable[..., Stage], cast: Cast) -> None:
    stage = staged()
    for path in (
        "/",
        "/_matrix",
        "/_matrix/client",
        "/_matrix/client/v3",
        "/_matrix/client/v3/nothing",
        "/_matrix/client/v3/rooms",
        "/_matrix/client/v9/sync",
        "/_matrix/media/v3/nothing",
        "/_matrix/federation/v1/nothing",
        "/_matrix/key/v2/nothing",
        "/_matrix/app/v1/nothing",
        "/.well-known/matrix/nothing",
    ):
        for method in _METHODS:
            answer = stage.ask(method, path, {}, cast.sessions["owner"].token)
            assert (answer.status, answer.json["errcode"]) == (404, "M_UNRECOGNIZED"), (method, path, answer)


# Rates


def _limited() -> Iterator[Any]:
    for name, rule in _good(CLIENTS).items():
        if rule.operation is not None and "429" in rule.operation.described["responses"]:
            yield pytest.param(rule, id=name)


@pytest.fixture(scope="module")
def impatient(beginning: Beginning) -> Iterator[Stage]:
    """A server that takes one request of a kind, and no more for an hour."""
    once = config.Rate(per_second=0.0003, burst=1)
    names = [field for field in config.RateLimits.__struct_fields__ if field != "enabled"]
    stage = beginning.stage(rate_limits=config.RateLimits(enabled=True, **dict.fromkeys(names, once)))
    yield stage
    stage.close()


@pytest.mark.parametrize("rule", list(_limited()))
def test_a_rate_that_the_specification_limits_is_limited(rule: Rule, impatient: Stage, cast: Cast) -> None:
    asker = _Asker(rule, impatient, cast)
    for _ in range(2):
        answer = asker.ask(cast.resolve(rule.body, asker.me))
    assert (answer.status, answer.json.get("errcode")) == (429, "M_LIMIT_EXCEEDED"), answer
    assert int(answer.headers["retry-after"]) > 0
    assert answer.json["retry_after_ms"] > 0
    assert rule.operation is not None
    assert list(shapes.complaints_of(rule.operation, 429, answer.body)) == []


def test_every_server_shares_one_rate(impatient: Stage, cast: Cast) -> None:
    answers = [impatient.ask_as_server(NEAR, "GET", "/_matrix/federation/v1/publicRooms?limit=1") for _ in range(2)]
    assert verdict(answers[1]) == "E"
    assert answers[1].json["errcode"] == "M_LIMIT_EXCEEDED"
