"""matrix-nio with encryption, which bots and bridges of many kinds are built on."""

from tests.clients.conftest import Stage


def test_two_bots_talk_in_an_encrypted_room(stage: Stage) -> None:
    assert "history, names and leaving work" in stage.python("conversation")
