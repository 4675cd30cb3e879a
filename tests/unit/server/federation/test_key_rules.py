"""What another server's key answer may say."""

from typing import Any

import pytest

from watchword.protocol.ids import ServerName
from watchword.protocol.signatures import SigningKey, sign_json
from watchword.server.federation.key_rules import KeyAnswer, ServerKey, read_key_answer

B = ServerName("b.example")
KEY = SigningKey(b"k" * 32, "1")
ENTRY = {"key": KEY.verify_key.to_base64()}


def an_answer(**more: Any) -> dict[str, Any]:
    body = {"server_name": B, "valid_until_ts": 5_000, "verify_keys": {KEY.key_id: ENTRY}, **more}
    return sign_json(body, B, KEY)


def test_a_good_answer_gives_its_keys_and_skips_those_we_do_not_know() -> None:
    old = SigningKey(b"o" * 32, "old").verify_key.to_base64()
    answer = an_answer(
        verify_keys={KEY.key_id: ENTRY, "rsa:1": {"key": "AAAA"}, "ed25519:short": {"key": "AAAA"}, "ed25519:x": 5},
        old_verify_keys={"ed25519:old": {"key": old, "expired_ts": 7}, "ed25519:never": {"key": old}, "ed25519:odd": 5},
        unknown="kept under the signature",
    )
    found = read_key_answer(answer, B, 0)
    assert isinstance(found, KeyAnswer)
    assert {name: (key.valid_until_ts, key.expired_ts) for name, key in found.keys.items()} == {
        KEY.key_id: (5_000, None),
        "ed25519:old": (0, 7),
    }


@pytest.mark.parametrize(
    "answer",
    [
        5,
        {},
        an_answer(server_name="c.example"),
        an_answer(valid_until_ts="x"),
        an_answer(valid_until_ts=-1),
        an_answer(valid_until_ts=True),
        an_answer(verify_keys=[]),
        an_answer(verify_keys={}),
        an_answer(verify_keys={f"ed25519:{n}": ENTRY for n in range(65)}),
        an_answer(old_verify_keys=[]),
        {**an_answer(), "valid_until_ts": 6_000},
        {**an_answer(), "signatures": {}},
        {**an_answer(), "signatures": {B: {KEY.key_id: 5}}},
        an_answer(verify_keys={"ed25519:2": ENTRY}),
    ],
)
def test_any_other_answer_says_what_is_wrong(answer: Any) -> None:
    assert isinstance(read_key_answer(answer, B, 0), str)


def test_a_key_is_usable_until_it_ran_out_and_an_old_one_before_its_end() -> None:
    current, old = ServerKey(KEY.verify_key, 10, None), ServerKey(KEY.verify_key, 0, 10)
    assert [current.usable_at(ts) for ts in (0, 10, 11)] == [True, True, False]
    assert [old.usable_at(ts) for ts in (0, 9, 10)] == [True, True, False]
