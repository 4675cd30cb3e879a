"""One run of short authentication strings, step by step."""

from typing import Any

import pytest
import vodozemac

from watchword.client.crypto.sas import Party, Sas, SasError, start_content
from watchword.client.crypto.sas_emoji import EMOJI

ALICE = Party("@alice:x", "A1", {"ed25519:A1": "alice+device", "ed25519:alice+master": "alice+master"})
BOB = Party("@bob:y", "B1", {"ed25519:B1": "bob+device"})


class Run:
    """Alice starts, Bob accepts."""

    def __init__(self, theirs: Party = BOB) -> None:
        start = start_content("A1", "t")
        self.alice = Sas(ALICE, theirs, "t", start, we_started=True)
        self.bob = Sas(BOB, ALICE, "t", start, we_started=False)

    def exchange(self) -> None:
        alices_key = self.alice.receive_accept(self.bob.accept())
        bobs_key = self.bob.receive_key(alices_key)
        assert bobs_key is not None
        assert self.alice.receive_key(bobs_key) is None


def test_both_sides_see_the_same_string() -> None:
    run = Run()
    before = run.alice.short_string
    run.exchange()
    string = run.alice.short_string
    assert before is None
    assert string is not None
    assert string == run.bob.short_string
    assert all(1_000 <= number <= 9_191 for number in string.decimals)
    assert len(string.emoji) == 7


def test_there_are_sixty_four_pictures_each_with_a_name() -> None:
    assert len(set(EMOJI)) == len({picture for picture, _ in EMOJI}) == len({name for _, name in EMOJI}) == 64
    assert (EMOJI[0], EMOJI[63]) == (("🐶", "Dog"), ("📌", "Pin"))


def test_the_macs_prove_the_keys() -> None:
    run = Run()
    run.exchange()
    assert run.bob.check_mac(run.alice.mac()) == {"ed25519:A1", "ed25519:alice+master"}
    assert run.alice.check_mac(run.bob.mac()) == {"ed25519:B1"}


def test_a_key_that_we_know_otherwise_is_a_mismatch() -> None:
    run = Run(Party("@bob:y", "B1", {"ed25519:B1": "another+device"}))
    run.exchange()
    with pytest.raises(SasError, match=r"m\.key_mismatch"):
        run.alice.check_mac(run.bob.mac())


@pytest.mark.parametrize("change", [{"keys": "AAAA"}, {"mac": {}}, {"mac": {"ed25519:B1": "AAAA"}}, {"keys": None}, {"mac": 5}])
def test_tampered_macs_prove_nothing(change: dict[str, Any]) -> None:
    run = Run()
    run.exchange()
    with pytest.raises(SasError):
        run.alice.check_mac({**run.bob.mac(), **change})


def test_a_key_that_was_not_committed_to_is_refused() -> None:
    run = Run()
    run.alice.receive_accept(run.bob.accept())
    with pytest.raises(SasError, match=r"m\.mismatched_commitment"):
        run.alice.receive_key({"key": vodozemac.Sas().public_key.to_base64()})


@pytest.mark.parametrize(
    "change",
    [
        {"method": "m.other"},
        {"key_agreement_protocols": ["curve25519"]},
        {"hashes": []},
        {"message_authentication_codes": ["hkdf-hmac-sha256"]},
        {"short_authentication_string": ["emoji"]},
        {"short_authentication_string": 5},
    ],
)
def test_a_start_without_a_common_method_is_refused(change: dict[str, Any]) -> None:
    start = {**start_content("A1", "t"), **change}
    with pytest.raises(SasError, match=r"m\.unknown_method"):
        Sas(BOB, ALICE, "t", start, we_started=False).accept()


@pytest.mark.parametrize(
    "change",
    [{"key_agreement_protocol": "curve25519"}, {"hash": None}, {"message_authentication_code": "x"}, {"commitment": 5}],
)
def test_an_acceptance_of_something_else_is_refused(change: dict[str, Any]) -> None:
    run = Run()
    with pytest.raises(SasError):
        run.alice.receive_accept({**run.bob.accept(), **change})


@pytest.mark.parametrize("key", [None, "", "AAAA", "*", "A" * 43])
def test_a_malformed_public_key_is_refused(key: str | None) -> None:
    run = Run()
    with pytest.raises(SasError):
        run.bob.receive_key({"key": key})


def test_steps_out_of_order_are_refused() -> None:
    run = Run()
    for step in (run.alice.mac, lambda: run.alice.check_mac({}), lambda: run.alice.receive_key({"key": "x"})):
        with pytest.raises(SasError, match=r"m\.unexpected_message"):
            step()
    accept = run.bob.accept()
    run.alice.receive_accept(accept)
    with pytest.raises(SasError):
        run.alice.receive_accept(accept)
    with pytest.raises(SasError):
        run.bob.receive_accept(accept)
