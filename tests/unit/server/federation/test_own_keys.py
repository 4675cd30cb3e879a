"""Our own key: its file and its publication."""

import stat
from pathlib import Path

import pytest

from watchword.base.clock import ManualClock
from watchword.base.entropy import SeededEntropy
from watchword.base.errors import ConfigError
from watchword.protocol import canonical_json, unpadded_base64
from watchword.protocol.ids import ServerName
from watchword.protocol.signatures import SigningKey, verify_json
from watchword.server.federation.own_keys import OwnKeys, load_or_create_signing_key
from watchword.server.federation.settings import FederationSettings

A = ServerName("a.example")


def test_a_key_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "signing.key"
    first = load_or_create_signing_key(path, SeededEntropy(1))
    again = load_or_create_signing_key(path, SeededEntropy(2))
    assert (first.key_id, first.export_seed()) == (again.key_id, again.export_seed())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["signing.key"]


def test_a_file_of_the_usual_form_is_read(tmp_path: Path) -> None:
    path = tmp_path / "signing.key"
    path.write_text("\ned25519 a_oApl YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1\ned25519 old AAAA\n")
    key = load_or_create_signing_key(path, SeededEntropy(1))
    assert key.key_id == "ed25519:a_oApl"
    assert unpadded_base64.encode(key.export_seed()) == "YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA0"


@pytest.mark.parametrize("text", ["", "rsa a AAAA", "ed25519 a", "ed25519 a AAAA", "ed25519 a !!!", "ed25519 a b c", "ü"])
def test_any_other_file_is_a_configuration_error_that_does_not_show_it(tmp_path: Path, text: str) -> None:
    path = tmp_path / "signing.key"
    path.write_text(text)
    with pytest.raises(ConfigError) as refused:
        load_or_create_signing_key(path, SeededEntropy(1))
    assert "AAAA" not in str(refused.value)


def test_what_is_published_is_signed_and_renewed_at_half_its_life() -> None:
    clock = ManualClock()
    old = SigningKey(b"o" * 32, "old")
    settings = FederationSettings(A, old_keys={old.key_id: (old.verify_key.to_base64(), 5)})
    own = OwnKeys(SigningKey(b"k" * 32, "1"), settings, clock)
    first = own.published_bytes()
    answer = canonical_json.decode(first)
    assert verify_json(answer, A, own.signing_key.verify_key)
    assert answer["old_verify_keys"] == {old.key_id: {"key": old.verify_key.to_base64(), "expired_ts": 5}}
    assert 3_600_000 < answer["valid_until_ts"] - clock.now_ms() <= 7 * 86_400_000
    clock.advance(3_600_000)
    assert own.published_bytes() is first
    clock.advance(12 * 3_600_000)
    assert own.published()["valid_until_ts"] > answer["valid_until_ts"]
    assert own.verify_key(old.key_id) == old.verify_key
    assert own.verify_key("ed25519:none") is None
