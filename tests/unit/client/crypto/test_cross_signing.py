"""Our own identity: made, lost, replaced."""

from tests.unit.client.crypto.key_server import ALICE, BOB, KeyServer, a_device, with_identity
from watchword.client.crypto.cross_signing import MASTER, SECRET_NAMES
from watchword.client.crypto.devices import Trust
from watchword.client.crypto.requests import OwnIdentityChanged


def test_a_new_identity_signs_the_device_that_made_it() -> None:
    alice = with_identity(a_device(KeyServer(), ALICE, "A1"))
    assert alice.machine.trust_of(ALICE, "A1") is Trust.VERIFIED
    assert alice.machine.cross_signing.is_complete
    assert set(alice.machine.cross_signing.secrets()) == set(SECRET_NAMES)


def test_another_device_of_ours_is_not_verified_before_it_has_the_keys() -> None:
    server = KeyServer()
    first = with_identity(a_device(server, ALICE, "A1"))
    second = a_device(server, ALICE, "A2")
    assert second.machine.trust_of(ALICE, "A1") is Trust.SIGNED
    assert second.machine.cross_signing.receive_secrets(first.machine.cross_signing.secrets())
    second.settle()
    second.sync()
    first.sync()
    assert second.machine.trust_of(ALICE, "A1") is Trust.VERIFIED
    assert first.machine.trust_of(ALICE, "A2") is Trust.VERIFIED


def test_keys_that_do_not_fit_the_published_identity_are_refused() -> None:
    server = KeyServer()
    first = with_identity(a_device(server, ALICE, "A1"))
    secrets = dict(first.machine.cross_signing.secrets())
    second = a_device(server, ALICE, "A2")
    for wrong in ({}, {**secrets, MASTER: "AAAA"}, {**secrets, MASTER: secrets[SECRET_NAMES[1]]}, {**secrets, MASTER: "*"}):
        assert not second.machine.cross_signing.receive_secrets(wrong)
    assert not second.machine.devices.own_identity_is_trusted


def test_an_identity_survives_a_crash_between_its_upload_and_the_answer() -> None:
    server = KeyServer()
    alice = a_device(server, ALICE, "A1")
    upload = alice.machine.bootstrap_cross_signing()
    alice.save()
    server.answer(ALICE, "A1", upload)
    alice.restart()
    alice.sync()
    alice.sync()
    assert alice.machine.cross_signing.is_complete
    assert alice.machine.trust_of(ALICE, "A1") is Trust.VERIFIED


def test_a_failed_upload_changes_nothing() -> None:
    alice = a_device(KeyServer(), ALICE, "A1")
    upload = alice.machine.bootstrap_cross_signing()
    alice.machine.receive_failure(upload.request_id)
    assert not alice.machine.cross_signing.is_complete
    assert alice.machine.cross_signing.master is None


def test_an_identity_replaced_by_another_device_is_told_and_its_keys_dropped() -> None:
    server = KeyServer()
    first, second = with_identity(a_device(server, ALICE, "A1")), a_device(server, ALICE, "A2")
    with_identity(second)
    news = first.sync()
    assert OwnIdentityChanged() in news
    assert first.machine.cross_signing.secrets() == {}
    assert not first.machine.devices.own_identity_is_trusted
    assert not first.machine.cross_signing.sign_own_device("A2")


def test_only_the_key_that_was_compared_is_signed() -> None:
    server = KeyServer()
    alice, bob = with_identity(a_device(server, ALICE, "A1")), with_identity(a_device(server, BOB, "B1"))
    alice.encrypt("x", ALICE, BOB)
    own = alice.machine.devices.identity(ALICE)
    theirs = bob.machine.devices.identity(BOB)
    assert own is not None
    assert theirs is not None
    assert not alice.machine.cross_signing.sign_user(BOB, own.master)
    assert not alice.machine.cross_signing.sign_user("@nobody:x", theirs.master)
    assert not alice.machine.cross_signing.sign_user(ALICE, own.master)
    assert alice.machine.cross_signing.sign_user(BOB, theirs.master)


def test_without_the_keys_nobody_is_signed() -> None:
    server = KeyServer()
    alice, bob = a_device(server, ALICE, "A1"), with_identity(a_device(server, BOB, "B1"))
    alice.encrypt("x", ALICE, BOB)
    theirs = bob.machine.devices.identity(BOB)
    assert theirs is not None
    assert not alice.machine.cross_signing.sign_user(BOB, theirs.master)
    assert not alice.machine.cross_signing.sign_own_device("A1")
