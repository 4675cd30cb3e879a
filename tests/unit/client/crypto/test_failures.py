"""Failures carry what a caller decides on, and nothing secret."""

from watchword.client.crypto.failures import DecryptionFailure, IdentitiesChanged, Undecryptable


def test_a_decryption_failure_says_why_and_of_which_session() -> None:
    failure = DecryptionFailure(Undecryptable.WITHHELD, room_id="!r", session_id="s", withheld_code="m.unverified")
    assert (failure.reason, failure.room_id, failure.session_id) == (Undecryptable.WITHHELD, "!r", "s")
    assert failure.withheld_code == "m.unverified"


def test_changed_identities_are_named() -> None:
    assert IdentitiesChanged(["@a:b", "@a:b"]).users == {"@a:b"}
