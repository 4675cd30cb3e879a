"""Clients that send what no client should: each gets the specified error, nobody a failure, and the server goes on."""

import json
import time
from typing import Any

import pytest

from tests.end_to_end.harness import junk, wire
from tests.end_to_end.harness.people import V3, Person, fresh, path
from tests.end_to_end.harness.servers import Server
from tests.end_to_end.harness.shapes import Operation
from tests.end_to_end.harness.wire import Place, compact

NOT_JSON, BAD_JSON, TOO_LARGE = (400, "M_NOT_JSON"), (400, "M_BAD_JSON"), (413, "M_TOO_LARGE")


def _nested(depth: int) -> bytes:
    return b'{"x":' * depth + b"1" + b"}" * depth


_BODIES: dict[str, tuple[bytes, tuple[int, str]]] = {
    "nothing": (b"", NOT_JSON),
    "cut off": (b'{"body":"x"', NOT_JSON),
    "two values": (b'{"body":"x"}{}', NOT_JSON),
    "single quotes": (b"{'body':'x'}", NOT_JSON),
    "a comma too many": (b'{"body":"x",}', NOT_JSON),
    "a comment": (b'{"body":"x"/**/}', NOT_JSON),
    "not a number": (b'{"body":"x","n":NaN}', NOT_JSON),
    "infinity": (b'{"body":"x","n":-Infinity}', NOT_JSON),
    "a leading zero": (b'{"body":"x","n":01}', NOT_JSON),
    "a raw line break": (b'{"body":"x\ny"}', NOT_JSON),
    "a raw NUL": (b'{"body":"x\x00y"}', NOT_JSON),
    "wrong UTF-8": (b'{"body":"\xff\xfe"}', NOT_JSON),
    "UTF-8 too long": (b'{"body":"\xc0\xaf"}', NOT_JSON),
    "half a pair in UTF-8": (b'{"body":"\xed\xa0\x80"}', NOT_JSON),
    "UTF-16": ('{"body":"x"}'.encode("utf-16"), NOT_JSON),
    "half a pair, escaped": (b'{"body":"\\ud800"}', NOT_JSON),
    "the other half, escaped": (b'{"body":"\\udc00x"}', NOT_JSON),
    "form data": (b"body=x&msgtype=m.text", NOT_JSON),
    "a list": (b"[]", BAD_JSON),
    "a string": (b'"x"', BAD_JSON),
    "null": (b"null", BAD_JSON),
    "a number": (b"7", BAD_JSON),
    "a float": (b'{"body":"x","n":1.5}', BAD_JSON),
    "a whole float": (b'{"body":"x","n":1.0}', BAD_JSON),
    "an exponent": (b'{"body":"x","n":1e2}', BAD_JSON),
    "one too large": (b'{"body":"x","n":9007199254740992}', BAD_JSON),
    "one too small": (b'{"body":"x","n":-9007199254740992}', BAD_JSON),
    "beyond 64 bits": (b'{"body":"x","n":18446744073709551616}', BAD_JSON),
    "five hundred digits": (b'{"body":"x","n":' + b"9" * 500 + b"}", BAD_JSON),
    "a million digits": (b'{"body":"x","n":' + b"9" * 1_000_000 + b"}", BAD_JSON),
    "a huge exponent": (b'{"body":"x","n":1e999}', BAD_JSON),
    "nested": (_nested(200), BAD_JSON),
    "nested very deeply": (_nested(100_000), BAD_JSON),
    "lists in lists": (b'{"x":' + b"[" * 400_000 + b"]" * 400_000 + b"}", BAD_JSON),
    "an event too large": (compact({"body": "x" * 70_000}), TOO_LARGE),
    "a body too large": (compact({"body": "x" * 1_100_000}), TOO_LARGE),
}


@pytest.fixture(scope="module")
def speaker(town: Any) -> tuple[Person, str]:
    """Somebody in a room."""
    alice = Person.provisioned(town.north, "alice")
    return alice, alice.makes_room()


@pytest.mark.parametrize("name", _BODIES)
def test_a_body_that_is_no_event_is_refused(north: Server, speaker: tuple[Person, str], name: str) -> None:
    alice, room_id = speaker
    body, refusal = _BODIES[name]
    began = time.monotonic()
    for target in (
        path("rooms", room_id, "send", "m.room.message", fresh("txn")),
        path("rooms", room_id, "state", "org.example.state", ""),
    ):
        assert alice.ask("PUT", target, body).refusal == refusal
    assert time.monotonic() - began < 3
    assert alice.history_bodies(room_id) == []


@pytest.mark.parametrize(
    "text", ["\x00", "a\x00b", "\x7f\x1b[2J", "\u202e", "\ufeff", "\U0010ffff", "👩‍👩‍👧‍👦", "e\u0301", "\u2028"]
)
def test_a_text_of_any_characters_comes_back_as_it_was(north: Server, text: str) -> None:
    alice = Person.provisioned(north, "alice")
    room_id = alice.makes_room(name=f"<{text}>")
    event_id = alice.sends(room_id, "m.room.message", {"body": text, text or "x": text})
    assert alice.hears(room_id, text)["content"] == {"body": text, text: text}
    assert alice.get("rooms", room_id, "event", event_id)["content"]["body"] == text
    assert alice.get("rooms", room_id, "state", "m.room.name")["name"] == f"<{text}>"
    alice.sets(room_id, "org.example", {"at": text}, state_key=text)
    assert alice.get("rooms", room_id, "state", "org.example", text) == {"at": text}


# Every operation, every field

# They end the session that asks, or wait.
_NOT_ASKED = {f"{V3}/logout", f"{V3}/logout/all", f"{V3}/account/deactivate", f"{V3}/events"}


_OPERATIONS = [each for each in junk.served_operations("client-server") if each.path not in _NOT_ASKED]


def _asked(person: Person, operation: Operation, target: str, body: object) -> None:
    needs_body = operation.method in ("POST", "PUT")
    answer = person.ask(operation.method, target, ({} if body is None else body) if needs_body else None)
    # What may be a server's name is one that cannot be reached.
    assert answer.status < 500 or answer.status in (502, 504), (operation.name, target, body, answer)
    if answer.status >= 400:
        refused = json.loads(answer.body)
        assert "errcode" in refused or "flows" in refused, (operation.name, body, answer)


@pytest.mark.parametrize(
    "operation", [each for each in _OPERATIONS if junk.body_fields(each)], ids=lambda each: " ".join(each.name)
)
def test_no_value_of_a_wrong_type_makes_an_operation_fail(
    north: Server, speaker: tuple[Person, str], operation: Operation
) -> None:
    _, room_id = speaker
    alice = Person.provisioned(north, "alice")
    for body in junk.wrong_bodies(operation):
        _asked(alice, operation, junk.filled(operation, room_id), body)


def test_no_path_and_no_query_makes_an_operation_fail(north: Server, speaker: tuple[Person, str]) -> None:
    alice, room_id = speaker
    for operation in _OPERATIONS:
        for target in junk.wrong_targets(operation, room_id):
            _asked(alice, operation, target, None)


# Requests that are none


@pytest.mark.parametrize(
    ("token", "refusal"),
    [
        ("", (401, "M_MISSING_TOKEN")),
        ("Bearer", (401, "M_MISSING_TOKEN")),
        ("Bearer ", (401, "M_MISSING_TOKEN")),
        ("Basic eDp5", (401, "M_MISSING_TOKEN")),
        ("Bearer guessed", (401, "M_UNKNOWN_TOKEN")),
        ("Bearer \xff", (401, "M_UNKNOWN_TOKEN")),
        ("Bearer " + "x" * 30_000, (401, "M_UNKNOWN_TOKEN")),
    ],
)
def test_a_token_that_is_none_is_refused(north: Server, token: str, refusal: tuple[int, str]) -> None:
    answer = wire.ask(north.client, "GET", f"{V3}/account/whoami", headers={"authorization": token} if token else {})
    assert answer.refusal == refusal


def test_unknown_paths_and_methods_say_so(north: Server) -> None:
    for target in ("/", "/_matrix", "/_matrix/client/v3", "/_matrix/client/v3/nothing", "/_matrix/federation/v1/version", "/%"):
        assert wire.ask(north.client, "GET", target).refusal == (404, "M_UNRECOGNIZED"), target
    for method in ("POST", "DELETE", "PATCH"):
        answer = wire.ask(north.client, method, "/_matrix/client/versions")
        assert answer.refusal == (405, "M_UNRECOGNIZED")
        assert answer.headers["access-control-allow-origin"] == "*"


_RAW: dict[str, bytes] = {
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "half a line": b"GET /_matrix",
    "a body of no length": b"PUT /_matrix/client/v3/x HTTP/1.1\r\nhost: x\r\ncontent-length: many\r\n\r\n",
    "a negative length": b"PUT /_matrix/client/v3/x HTTP/1.1\r\nhost: x\r\ncontent-length: -5\r\n\r\n",
    "two lengths": b"PUT /_matrix/client/v3/x HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!",
    "length and chunks": b"POST /_matrix/client/v3/login HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n"
    b"transfer-encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    "a chunk of no size": b"POST /_matrix/client/v3/login HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    "a head too large": b"GET /_matrix/client/versions HTTP/1.1\r\nhost: x\r\nx: " + b"y" * 100_000 + b"\r\n\r\n",
    "headers without end": b"GET /_matrix/client/versions HTTP/1.1\r\nhost: x\r\n" + b"a: b\r\n" * 20_000,
    "a NUL in a header": b"GET /_matrix/client/versions HTTP/1.1\r\nhost: x\r\nx: \x00\r\n\r\n",
    "a target too long": b"GET /_matrix/client/versions?" + b"x" * 100_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
}


@pytest.mark.parametrize("name", _RAW)
def test_bytes_that_are_no_request_end_in_a_refusal_or_the_end(north: Server, name: str) -> None:
    answer = wire.ask_raw(north.client, _RAW[name])
    assert answer[:12] in (b"", b"HTTP/1.1 400", b"HTTP/1.1 413", b"HTTP/1.1 414", b"HTTP/1.1 431"), answer[:300]
    assert answer.count(b"HTTP/1.1 ") <= 1


def test_a_body_without_end_is_refused_when_it_is_too_large(north: Server) -> None:
    alice = Person.provisioned(north, "alice")
    head = f"PUT {path('rooms', '!x:y', 'send', 'm', 'x')} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {alice.token}\r\n"
    declared = wire.ask_raw(north.client, head.encode() + b"content-length: 10000000000\r\n\r\n{")
    assert declared.startswith(b"HTTP/1.1 413 ")
    memory = north.resident_bytes
    chunks = b"transfer-encoding: chunked\r\n\r\n" + (b"10000\r\n" + b" " * 65_536 + b"\r\n") * 40
    assert wire.ask_raw(north.client, head.encode() + chunks).startswith(b"HTTP/1.1 413 ")
    assert north.resident_bytes - memory < 30_000_000


def test_many_who_say_nothing_keep_nobody_else_waiting(north: Server) -> None:
    silent = [north.client.connect() for _ in range(200)]
    silent += [Place(north.federation.port).connect() for _ in range(200)]  # and no handshake
    try:
        for number, connection in enumerate(silent[:200]):
            connection.sendall(b"POST /_matrix/client/v3/login HTTP/1.1\r\ncontent-length: 50\r\n"[: number % 60])
        began = time.monotonic()
        assert wire.ask(north.client, "GET", "/_matrix/client/versions").status == 200
        assert wire.ask(north.federation, "GET", "/_matrix/federation/v1/version").status == 200
        assert time.monotonic() - began < 1
    finally:
        for connection in silent:
            connection.close()


@pytest.mark.parametrize(
    "name",
    ["x" * 250, "Ä", "a b", "a\x00b", "@a:b", "", "_", "a/../b", "\ud800".encode("utf-8", "surrogatepass").decode("latin-1")],
)
def test_names_that_nobody_may_have_are_refused_before_anything_else(north: Server, name: str) -> None:
    answer = wire.ask(north.client, "POST", f"{V3}/register", compact({"username": name, "password": "correct horse"}))
    assert answer.status in (400, 401), answer
    if answer.status == 400:
        assert answer.refusal[1] in ("M_INVALID_USERNAME", "M_INVALID_PARAM")
    else:
        assert name in ("", "_", "a/../b")


@pytest.mark.parametrize("version", ["0", "13", "1.5", "12 ", "", "x" * 33, "\x00", 12, None, []])
def test_rooms_of_unknown_versions_are_not_made(north: Server, speaker: tuple[Person, str], version: object) -> None:
    alice, _ = speaker
    answer = alice.ask("POST", path("createRoom"), {"room_version": version})
    if version is None:
        assert answer.status in (200, 400)
        return
    expected = "M_UNSUPPORTED_ROOM_VERSION" if isinstance(version, str) else "M_BAD_JSON"
    assert answer.refusal == (400, expected)
