"""Room keys to the server and back."""

from typing import Any

import pytest

from tests.unit.client.crypto.key_server import ALICE, BOB, ROOM, KeyServer, TestDevice, a_device, with_identity
from watchword.base.errors import RemoteProtocolError
from watchword.client.crypto.failures import DecryptionFailure
from watchword.client.crypto.inbound import SenderTrust
from watchword.client.crypto.requests import BackupStopped, BackupUpload


def with_backup(device: TestDevice) -> str:
    """Make a backup and fill it; its decryption key."""
    body, secret = device.machine.backup.create()
    assert device.machine.backup.use({**body, "version": "1"}, secret)
    device.settle()
    return secret


def test_a_new_device_reads_old_messages_through_the_backup() -> None:
    server = KeyServer()
    alice, bob = a_device(server, ALICE, "A1"), a_device(server, BOB, "B1")
    event = bob.encrypt("old", ALICE, BOB)
    alice.sync()
    body, secret = alice.machine.backup.create()
    assert alice.machine.backup.use({**body, "version": "1"}, secret)
    alice.settle()
    assert "old" not in repr(server.backup)
    second = a_device(server, ALICE, "A2")
    with pytest.raises(DecryptionFailure):
        second.read(event)
    assert second.machine.backup.use({**body, "version": "1"}, secret)
    assert second.machine.backup.receive_keys(server.backup) == 1
    assert second.read(event) == "old"
    assert second.open(event).trust is SenderTrust.UNAUTHENTICATED
    assert second.machine.backup.receive_keys(server.backup) == 0
    assert not [request for request in second.machine.outgoing() if isinstance(request, BackupUpload)]


def test_keys_leave_in_bounded_batches_and_once() -> None:
    server = KeyServer()
    alice = a_device(server, ALICE, "A1")
    for number in range(150):
        alice.encrypt("x", ALICE, room_id=f"!{number}:one.test")
    with_backup(alice)
    uploads = [request for request in alice.sent if isinstance(request, BackupUpload)]
    assert [len(upload.body["rooms"]) for upload in uploads] == [100, 50]
    alice.restart()
    assert not [request for request in alice.machine.outgoing() if isinstance(request, BackupUpload)]


def test_a_key_not_yet_backed_up_is_uploaded_after_a_restart() -> None:
    alice = a_device(KeyServer(), ALICE, "A1")
    with_backup(alice)
    alice.encrypt("x", ALICE)
    alice.restart()
    (upload,) = [request for request in alice.machine.outgoing() if isinstance(request, BackupUpload)]
    (session,) = upload.body["rooms"][ROOM]["sessions"].values()
    assert (session["first_message_index"], session["forwarded_count"]) == (0, 0)


def test_a_backup_signed_by_our_identity_is_used_without_its_key() -> None:
    server = KeyServer()
    alice = with_identity(a_device(server, ALICE, "A1"))
    body, _ = alice.machine.backup.create()
    second = a_device(server, ALICE, "A2")
    assert not second.machine.backup.use({**body, "version": "1"}), "nothing is trusted yet"
    assert second.machine.cross_signing.receive_secrets(alice.machine.cross_signing.secrets())
    assert second.machine.backup.use({**body, "version": "1"})
    assert second.machine.backup.secret is None


def test_a_backup_of_somebody_else_is_not_used() -> None:
    server = KeyServer()
    alice, bob = a_device(server, ALICE, "A1"), a_device(server, BOB, "B1")
    body, secret = bob.machine.backup.create()
    assert not alice.machine.backup.use({**body, "version": "1"})
    _, other_secret = bob.machine.backup.create()
    assert not alice.machine.backup.use({**body, "version": "1"}, other_secret)
    assert not alice.machine.backup.use({**body, "version": "1"}, "*")
    assert alice.machine.backup.use({**body, "version": "1"}, secret)


@pytest.mark.parametrize(
    "info", [{}, {"version": "1"}, {"version": "1", "algorithm": "m.other", "auth_data": {"public_key": "x"}}]
)
def test_a_malformed_version_is_not_used(info: dict[str, Any]) -> None:
    assert not a_device(KeyServer(), ALICE, "A1").machine.backup.use(info)


def test_uploading_stops_when_the_server_has_another_version() -> None:
    alice = a_device(KeyServer(), ALICE, "A1")
    with_backup(alice)
    alice.encrypt("x", ALICE)
    (upload,) = [request for request in alice.machine.outgoing() if isinstance(request, BackupUpload)]
    alice.machine.receive_failure(upload.request_id, "M_WRONG_ROOM_KEYS_VERSION")
    assert BackupStopped("1", "M_WRONG_ROOM_KEYS_VERSION") in alice.machine.take_notices()
    assert alice.machine.backup.version is None


def test_a_failed_upload_is_tried_again() -> None:
    alice = a_device(KeyServer(), ALICE, "A1")
    with_backup(alice)
    alice.encrypt("x", ALICE)
    (upload,) = [request for request in alice.machine.outgoing() if isinstance(request, BackupUpload)]
    alice.machine.receive_failure(upload.request_id, "M_UNKNOWN")
    assert [request for request in alice.machine.outgoing() if isinstance(request, BackupUpload)]


def test_malformed_entries_do_not_hide_their_neighbours() -> None:
    server = KeyServer()
    alice = a_device(server, ALICE, "A1")
    alice.encrypt("x", ALICE)
    body, secret = alice.machine.backup.create()
    alice.machine.backup.use({**body, "version": "1"}, secret)
    alice.settle()
    ((session_id, good),) = server.backup[ROOM]["sessions"].items()
    sealed = good["session_data"]
    bad: dict[str, Any] = {
        "null": None,
        "empty": {},
        "short": {"session_data": {"ephemeral": "AAAA", "mac": "AAAA", "ciphertext": "AAAA"}},
        "base64": {"session_data": {**sealed, "ciphertext": "*"}},
        "flipped": {"session_data": {**sealed, "ephemeral": sealed["ephemeral"][:-2] + "AA"}},
        "moved": good,
    }
    second = a_device(server, ALICE, "A2")
    second.machine.backup.use({**body, "version": "1"}, secret)
    rooms: dict[str, Any] = {"!x": None, "!y": {"sessions": 5}, ROOM: {"sessions": {**bad, session_id: good}}}
    assert second.machine.backup.receive_keys(rooms) == 1


def test_nothing_is_restored_without_the_decryption_key() -> None:
    with pytest.raises(RemoteProtocolError):
        a_device(KeyServer(), ALICE, "A1").machine.backup.receive_keys({})
