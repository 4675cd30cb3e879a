"""Requests made of the specification's own schemas, and of the tables of roles: right ones, wrong ones, nearly right ones.

Schemathesis makes values that fit a schema, or break it in one place. Names that mean something here (rooms, users, tokens)
are put where they belong most of the time, so that requests get past the door. A third kind takes a request of the tables
of roles and changes one thing in it.
"""

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import quote, urlencode

import schemathesis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

from tests.contract.operations.rules import BEYOND, Rule, rules
from tests.contract.operations.world import Cast, Session
from tests.end_to_end.harness import shapes
from tests.end_to_end.harness.shapes import Operation
from watchword.edge.endpoint import Endpoint

EXAMPLES = int(os.environ.get("WATCHWORD_EXAMPLES", "8"))
"""How many requests that fit an operation gets, as many again that nearly do, half as many that do not; or some hundreds."""


def determined(examples: int) -> settings:
    """Always the same examples. What fails is reported as it was sent: the server remembers, so there is no shrinking."""
    return settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


_ROOMS = ("{room:hall}", "{room:hall}", "{room:square}", "{room:gate}", "{room:space}", "{room:unknown}")
_USERS = ("{user:me}", "{user:me}", "{user:owner}", "{user:member}", "{user:stranger}", "{user:nobody}", "{user:remote}")
_EVENTS = ("{event:before}", "{event:after}", "{event:reply}", "{event:own}", "{event:square}", "{event:unknown}")
_TOKENS = ("{token:start}", "{token:now}", "{token:page}", "s0", "t1_1", "0")
_NAMES: Mapping[str, Sequence[str]] = {
    "roomId": _ROOMS,
    "room_id": _ROOMS,
    "roomIdOrAlias": (*_ROOMS, "{alias:square}", "{alias:new}"),
    "roomAlias": ("{alias:square}", "{alias:new}"),
    "room_alias": ("{alias:square}", "{alias:new}"),
    "userId": _USERS,
    "user_id": _USERS,
    "sender": _USERS,
    "state_key": _USERS,
    "eventId": _EVENTS,
    "event_id": _EVENTS,
    "m.fully_read": _EVENTS,
    "m.read": _EVENTS,
    "v": _EVENTS,
    "deviceId": ("{device:me}", "{device:owner}", "GONE"),
    "device_id": ("{device:me}", "{device:owner}", "GONE"),
    "filterId": ("0", "1", "{filter:owner}", "99"),
    "filter": ("0", "{}", '{"limit":2}', '{"room":{"timeline":{"limit":1}}}'),
    "serverName": ("{server:here}", "{server:near}", "gone.example"),
    "server": ("{server:here}", "{server:near}", "gone.example"),
    "via": ("{server:here}", "gone.example"),
    "mediaId": ("{media:picture}", "{media:empty}", "nothing"),
    "eventType": ("m.room.message", "m.room.topic", "m.room.name", "m.room.member", "m.room.power_levels", "m.reaction"),
    "stateKey": ("", "{user:me}", "{user:stranger}", "key"),
    "txnId": ("1", "2"),
    "type": ("org.example.note", "m.direct", "m.fully_read", "m.push_rules", "m.ignored_user_list"),
    "keyName": ("displayname", "avatar_url", "m.tz", "org.example.field"),
    "receiptType": ("m.read", "m.read.private", "m.fully_read"),
    "relType": ("m.thread", "m.annotation", "m.replace", "m.reference"),
    "kind": ("override", "underride", "content", "room", "sender"),
    "ruleId": ("org.example.rule", ".m.rule.master", ".m.rule.call", "{room:hall}", "{user:owner}"),
    "tag": ("u.mine", "m.favourite"),
    "version": ("{backup:owner}", "7"),
    "new_version": ("12", "1", "9"),
    "room_version": ("12", "11", "1"),
    "sessionId": ("session", "another"),
    "from": _TOKENS,
    "to": _TOKENS,
    "since": _TOKENS,
    "at": _TOKENS,
    "next_batch": _TOKENS,
    "dir": ("b", "f"),
    "limit": ("1", "0", "5", "100000"),
    "queryType": ("directory", "profile"),
    "membership": ("join", "leave", "invite"),
    "set_presence": ("offline", "online"),
    "width": ("32", "1", "0", "5000"),
    "height": ("32", "1", "0", "5000"),
    "url": ("http://127.0.0.1:1/", "https://gone.example/", "ftp://x", "http://[::1]/"),
    "redirectUrl": ("https://app.example/",),
    "ver": ("12", "1"),
    "session": ("{session}",),
}
# Every wait is over at once; the values of waits are for the parsers.
_WAITS = ("timeout", "timeout_ms")
_WAIT_VALUES = ("0", "0", "1", "-1", "1e3", "x")

_JUNK: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, -1, 1 << 53, -(1 << 60), 1.5, 1e308]),
    st.sampled_from(["", "\x00", "x" * 300, "@", "!", "$", "mxc://", "\U000e0001", "..", "%2F", "🦊"]),
    st.sampled_from([[], {}, [None], [[[]]], {"": None}, {"x": {"x": []}}, {"__proto__": {}}]),
    st.sampled_from([*_USERS, *_ROOMS, *_EVENTS]),
)
_NEARLY_JSON = (
    b"",
    b"{",
    b"[]",
    b"null",
    b'"x"',
    b"\xff",
    b'{"a":1,"a":2}',
    b"{}x",
    b"[" * 2000,
    b'{"a":1e999}',
    b"\xef\xbb\xbf{}",
)


@dataclass(frozen=True)
class Draft:
    """A request in which names still stand in braces."""

    path: tuple[str, ...]
    query: tuple[tuple[str, str], ...]
    body: Any

    def target_for(self, cast: Cast, me: Session) -> str:
        """The path and query as this session asks for them."""
        path = "/".join(_encoded(cast.resolve(segment, me)) for segment in self.path)
        pairs = [(name, cast.resolve(value, me)) for name, value in self.query]
        return f"{path}?{urlencode(pairs, errors='surrogatepass')}" if pairs else path

    def body_for(self, cast: Cast, me: Session) -> bytes:
        """The bytes of the body."""
        if self.body is None or isinstance(self.body, bytes):
            return self.body or b""
        text = json.dumps(cast.resolve(self.body, me), ensure_ascii=False)
        return text.encode("utf-8", "surrogatepass")


def _encoded(segment: str) -> str:
    # Some are encoded already; a lone percent sign is one of the things to send.
    return quote(segment.encode("utf-8", "surrogatepass"), safe="%@!$:")


@cache
def _schemas() -> Mapping[tuple[str, str, str], Any]:
    found = {}
    for document in ("client-server", "server-server"):
        plain = shapes.document_of(document)
        stripped = json.loads(json.dumps(plain))
        for item in stripped["paths"].values():
            for described in item.values():
                if isinstance(described, dict):
                    # Who asks is ours to choose.
                    described.pop("security", None)
        for result in schemathesis.openapi.from_dict(stripped).get_all_operations():
            operation: Any = result.ok()  # type: ignore[union-attr]  # an error has none, and says so
            found[document, operation.method.upper(), operation.path] = operation
    return found


def is_known(operation: Operation) -> bool:
    """Whether the documents describe an operation."""
    return (operation.document, operation.method, operation.path) in _schemas()


def fitting(operation: Operation, _: Mapping[str, Any]) -> st.SearchStrategy[Draft]:
    """Requests that fit the schema."""
    return _of_schema(operation, GenerationMode.POSITIVE)


def breaking(operation: Operation, values: Mapping[str, Any]) -> st.SearchStrategy[Draft]:
    """Requests that break the schema somewhere, where they can."""
    if not shapes.parameters_of(operation) and "requestBody" not in operation.described:
        return fitting(operation, values)
    return _of_schema(operation, GenerationMode.NEGATIVE)


@st.composite
def _of_schema(draw: st.DrawFn, operation: Operation, mode: GenerationMode) -> Draft:
    schema = _schemas()[operation.document, operation.method, operation.path]
    case = draw(schema.as_strategy(generation_mode=mode))
    path = []
    for segment in operation.path.split("/"):
        name = segment.strip("{}")
        if not segment.startswith("{"):
            path.append(segment)
        elif name in _NAMES and draw(_mostly()):
            path.append(draw(st.sampled_from(_NAMES[name])))
        else:
            path.append(str((case.path_parameters or {}).get(name, "x")).replace("/", "%2F").replace("?", "%3F"))
    # A wait that is not named lasts as long as the server likes.
    query = list(_pairs(draw, {**dict.fromkeys(_waits(operation), "0"), **(case.query or {})}))
    body = case.body
    if isinstance(body, schemathesis.core.NotSet):
        body = None
    elif not isinstance(body, bytes):
        body = draw(_meant(body))
    return Draft(tuple(path), tuple(query), body)


def _query_names(operation: Operation) -> Sequence[str]:
    return [each["name"] for each in shapes.parameters_of(operation) if each["in"] == "query"]


def _waits(operation: Operation) -> Sequence[str]:
    return [name for name in _query_names(operation) if name in _WAITS]


def _mostly() -> st.SearchStrategy[bool]:
    return st.sampled_from([True, True, True, False])


def _pairs(draw: st.DrawFn, query: Mapping[str, Any]) -> Sequence[tuple[str, str]]:
    found = []
    for name, value in query.items():
        if name in _WAITS:
            found.append((name, draw(st.sampled_from(_WAIT_VALUES))))
        elif name in _NAMES and draw(_mostly()):
            found.append((name, draw(st.sampled_from(_NAMES[name]))))
        else:
            values = value if isinstance(value, list) else [value]
            found += [(name, each if isinstance(each, str) else json.dumps(each)) for each in values]
    return found


_SIGILS = {"@": _USERS, "!": _ROOMS, "$": _EVENTS, "#": ("{alias:square}", "{alias:new}")}


@st.composite
def _meant(draw: st.DrawFn, value: Any, name: str = "") -> Any:
    """A value in which identifiers that nobody has become some that somebody has, more often than not."""
    if isinstance(value, dict):
        found = {}
        for key, each in value.items():
            meant = draw(_meant(key)) if key[:1] in _SIGILS else key
            found[meant] = draw(_meant(each, key))
        return found
    if isinstance(value, list):
        return [draw(_meant(each, name)) for each in value]
    if name in _WAITS:
        return draw(st.sampled_from([0, 1, -1, value if isinstance(value, str) else "x"]))
    if isinstance(value, str) and (known := _NAMES.get(name) or _SIGILS.get(value[:1])) and draw(_mostly()):
        return draw(st.sampled_from(known))
    return value


@cache
def _of_tables(operation: Operation) -> Sequence[Rule]:
    if operation.document == BEYOND:
        return [rule for rule in rules(BEYOND) if rule.method == operation.method and operation.pattern.fullmatch(rule.bare)]
    return [rule for rule in rules(operation.document) if rule.operation == operation]


def operation_beyond(row: Endpoint) -> Operation:
    """What a document could say of an operation of ours that none describes."""
    pattern = re.compile("/".join("[^/]*" if part.startswith("{") else re.escape(part) for part in row.path.split("/")))
    answers: Mapping[str, Any] = {status: {} for status in ("200", "201", "202", "204", "304", "400", "404", "default")}
    described = {"responses": answers, "security": [{"accessTokenBearer": []}]}
    return Operation(BEYOND, row.method, row.path, pattern, described)


_FIELDS = (
    *("client_id", "redirect_uri", "response_type", "scope", "state", "code", "code_challenge", "code_verifier", "grant_type"),
    *("token", "refresh_token", "device_code", "user_code", "username", "password", "session", "next", "action", "device_id"),
    *("limit", "from", "order_by", "search", "user_id", "room_id", "reason", "locked", "admin", "until_ts", "uses", "content"),
    *("csrf", "consent", "invitation", "email", "sid", "client_secret", "login_hint", "prompt", "provider", "error", "type"),
)


@st.composite
def strays(draw: st.DrawFn, row: Endpoint) -> tuple[Draft, dict[str, str]]:
    """Any request for something of ours that no document describes, with headers."""
    path = []
    for part in row.path.split("/"):
        names = list(_NAMES.get(part.strip("{}"), ()))
        if not part.startswith("{"):
            path.append(part)
        elif bool(names) and draw(_mostly()):
            path.append(draw(st.sampled_from(names)))
        else:
            path.append(quote(str(draw(_JUNK)) or "x", safe="{:}"))
    texts = _JUNK.map(str) | st.sampled_from(["https://app.example/", "openid urn:matrix:client:api:*", "code", "S256", "x"])
    fields = st.lists(st.tuples(st.sampled_from(_FIELDS), texts), max_size=6)
    query = draw(fields)
    body: Any
    match draw(st.sampled_from(["form", "json", "json", "bytes", "nothing"])):
        case "form":
            body, kind = urlencode(draw(fields), errors="surrogatepass").encode(), "application/x-www-form-urlencoded"
        case "json":
            body, kind = {name: draw(_JUNK) for name, _ in draw(fields)}, "application/json"
        case "bytes":
            body, kind = draw(st.sampled_from(_NEARLY_JSON)), draw(st.sampled_from(["application/json", "text/plain", "x"]))
        case _:
            body, kind = b"", ""
    cookie = draw(
        st.sampled_from(["", "a=b", "__Host-watchword=x; __Host-watchword=y", "watchword_session=guessed", "=;;=", "é"])
    )
    origin = draw(st.sampled_from(["", "https://here.example", "https://evil.example", "null"]))
    headers = {"content-type": kind, "cookie": cookie, "origin": origin, "if-match": draw(st.sampled_from(["", '"x"', "*"]))}
    return Draft(tuple(path), tuple(query), body), {name: value for name, value in headers.items() if value}


@st.composite
def nearly(draw: st.DrawFn, operation: Operation, values: Mapping[str, Any]) -> Draft:
    """A request of the tables of roles with one thing changed, or nothing. values: what whole values in braces are."""
    rule = draw(st.sampled_from(_of_tables(operation)))
    path, _, query = rule.target.partition("?")
    segments = path.split("/")
    pairs = [(name, value) for name, _, value in (pair.partition("=") for pair in query.split("&") if pair)]
    body = _with_values(rule.body, values)
    places = ["body"] * 4 if isinstance(body, dict) and body else []
    places += [place for place, there in (("query", pairs), ("path", "{" in path)) if there] + ["nothing", "more"]
    match draw(st.sampled_from(places)):
        case "body":
            body = draw(_spoiled(body))
        case "query":
            index = draw(st.integers(0, len(pairs) - 1))
            junk = draw(_JUNK)
            if pairs[index][0] not in _WAITS:
                pairs[index] = (pairs[index][0], junk if isinstance(junk, str) else json.dumps(junk))
        case "path":
            index = draw(st.sampled_from([index for index, segment in enumerate(segments) if "{" in segment]))
            segments[index] = quote(str(draw(_JUNK.filter(bool))), safe="{:}")
        case "more":
            extra = [name for name in _query_names(operation) if name not in dict(pairs)]
            pairs += list(_pairs(draw, dict.fromkeys(extra, draw(_JUNK))))
            if operation.method in ("POST", "PUT") and draw(st.booleans()):
                body = draw(st.sampled_from(_NEARLY_JSON))
        case _:
            pass
    pairs += [(name, "0") for name in _waits(operation) if name not in dict(pairs)]
    return Draft(tuple(segments), tuple(pairs), body)


def _with_values(value: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(value, str):
        return values.get(value, value)
    if isinstance(value, dict):
        return {key: _with_values(each, values) for key, each in value.items()}
    return [_with_values(each, values) for each in value] if isinstance(value, list) else value


@st.composite
def _spoiled(draw: st.DrawFn, value: Any) -> Any:
    """A JSON value with one place in it changed, taken away or added."""
    if isinstance(value, dict) and value and draw(_mostly()):
        key = draw(st.sampled_from(sorted(value)))
        match draw(st.sampled_from(["within", "within", "without", "beside"])):
            case "within":
                return {**value, key: draw(_spoiled(value[key]))}
            case "without":
                return {name: each for name, each in value.items() if name != key}
            case _:
                return {**value, draw(st.sampled_from(["", "\x00", "extra", "m.relates_to"])): draw(_JUNK)}
    if isinstance(value, list) and value and draw(_mostly()):
        index = draw(st.integers(0, len(value) - 1))
        return [*value[:index], draw(_spoiled(value[index])), *value[index + 1 :]]
    return draw(_JUNK)
