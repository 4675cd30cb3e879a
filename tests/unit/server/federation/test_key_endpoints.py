"""What anybody may learn of keys here."""

from typing import Any

import orjson
import pytest

from tests.unit.server.federation.stacks import A, B, Net, Stack, ask_router, signing_key
from watchword.protocol.signatures import verify_json


async def ask(stack: Stack, uri: str, body: Any = None) -> tuple[int, Any]:
    method, data = ("GET", b"") if body is None else ("POST", orjson.dumps(body))
    answer = await ask_router(stack.router, method, f"/_matrix/key/v2/{uri}", data, {})
    return answer.status, orjson.loads(answer.body)


async def test_our_own_keys(two: tuple[Stack, Stack]) -> None:
    status, answer = await ask(two[0], "server")
    assert (status, answer["server_name"]) == (200, A)
    assert verify_json(answer, A, signing_key(A).verify_key)


@pytest.mark.parametrize(
    ("uri", "body"),
    [
        ("query/b.example", None),
        ("query/b.example?minimum_valid_until_ts=5", None),
        ("query", {"server_keys": {B: {}}}),
        ("query", {"server_keys": {B: {"ed25519:1": {"minimum_valid_until_ts": 5}}, "no name!": {}}}),
    ],
)
async def test_the_keys_of_another_server_bear_both_signatures(two: tuple[Stack, Stack], uri: str, body: Any) -> None:
    status, answer = await ask(two[0], uri, body)
    assert status == 200
    (found,) = answer["server_keys"]
    assert verify_json(found, A, signing_key(A).verify_key)
    assert verify_json(found, B, signing_key(B).verify_key)


async def test_who_is_unknown_is_left_out(two: tuple[Stack, Stack]) -> None:
    assert await ask(two[0], "query/dead.example") == (200, {"server_keys": []})
    assert await ask(two[0], "query", {"server_keys": {}}) == (200, {"server_keys": []})
    _, answer = await ask(two[0], "query", {"server_keys": {"dead.example": {}, A: {}}})
    assert [each["server_name"] for each in answer["server_keys"]] == [A]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"server_keys": []},
        {"server_keys": {B: 5}},
        {"server_keys": {B: {"k": 5}}},
        {"server_keys": {B: {"k": {"minimum_valid_until_ts": "x"}}}},
        {"server_keys": {f"s{n}": {} for n in range(101)}},
    ],
)
async def test_misshapen_questions_are_400(two: tuple[Stack, Stack], body: Any, net: Net) -> None:
    status, _ = await ask(two[0], "query", body)
    assert status == 400
    assert not net.calls
