"""Asking for keys: the server itself, or a notary."""

from typing import Any

import pytest

from tests.unit.server.federation.stacks import A, B, Net, Stack, json_answer, signing_key
from watchword.base.errors import PeerError
from watchword.protocol.ids import ServerName
from watchword.protocol.signatures import sign_json
from watchword.server.federation.key_fetch import KeyFetch
from watchword.server.federation.key_rules import ServerKey

NOTARY = ServerName("n.example")


@pytest.fixture
def fetch(two: tuple[Stack, Stack]) -> KeyFetch:
    a, _ = two
    return KeyFetch(a.out.transport, a.settings, a.clock)


async def test_a_server_answers_for_itself_without_being_asked_by_name(fetch: KeyFetch, net: Net) -> None:
    _, answer = await fetch.direct(B)
    assert list(answer.keys) == ["ed25519:1"]
    assert "authorization" not in net.calls[0].headers


async def test_a_server_in_back_off_is_still_asked_for_its_keys(two: tuple[Stack, Stack], fetch: KeyFetch) -> None:
    backoff = two[0].out.backoff
    await backoff.failed(backoff.begin(B))
    await fetch.direct(B)
    assert backoff.failures(B) == 0


@pytest.mark.parametrize("found", [None, [], [5], [{"server_name": "c.example"}], [{"server_name": B}]])
async def test_a_notary_that_does_not_know_is_a_peer_error(fetch: KeyFetch, net: Net, found: Any) -> None:
    net.hosts["n.example:8448"] = lambda call: json_answer({"server_keys": found})
    with pytest.raises(PeerError):
        await fetch.by_notary(NOTARY, {}, B, {"ed25519:1": 5})


async def test_a_notary_s_answer_needs_both_signatures(two: tuple[Stack, Stack], fetch: KeyFetch, net: Net) -> None:
    published = two[1].out.own_keys.published()
    key = signing_key(NOTARY)
    keys: dict[str, ServerKey] = {key.key_id: ServerKey(key.verify_key, 0, None)}
    net.hosts["n.example:8448"] = lambda call: json_answer({"server_keys": [published]})
    with pytest.raises(PeerError):
        await fetch.by_notary(NOTARY, keys, B, {})
    net.hosts["n.example:8448"] = lambda call: json_answer({"server_keys": [sign_json(published, NOTARY, key)]})
    _, answer = await fetch.by_notary(NOTARY, keys, B, {"ed25519:1": 5})
    assert list(answer.keys) == ["ed25519:1"]
    net.hosts["n.example:8448"] = lambda call: json_answer({"server_keys": [sign_json({"server_name": A}, NOTARY, key)]})
    with pytest.raises(PeerError):
        await fetch.by_notary(NOTARY, keys, A, {})
