"""matrix-js-sdk in Node, with its Rust cryptography: this year's, and the one that web clients of 2024 still carry."""

import pytest

from tests.clients.conftest import Stage

VERSIONS = ("matrix-js-sdk", "matrix-js-sdk-34")


@pytest.mark.parametrize("sdk", VERSIONS)
def test_two_people_talk_in_an_encrypted_room(stage: Stage, sdk: str) -> None:
    assert "a redaction took effect" in stage.node("conversation", sdk)


@pytest.mark.parametrize("sdk", VERSIONS)
def test_a_new_device_is_verified_and_reads_the_history(stage: Stage, sdk: str) -> None:
    assert "a device that logged out is gone" in stage.node("new_device", sdk)


def test_a_client_with_sliding_sync_reads_encrypted_rooms(stage: Stage) -> None:
    assert "typing and receipts come through their extensions" in stage.node("sliding_sync", "matrix-js-sdk")


def test_a_person_signs_in_in_the_browser(stage: Stage) -> None:
    assert "a terminal without a browser was let in" in stage.node("oauth", "matrix-js-sdk")
