"""An identity is set up, and found again by its recovery key."""

import pytest

from tests.unit.client.homeserver import Fault, Homeserver
from watchword.base.errors import PeerError
from watchword.client.crypto.failures import WrongRecoveryKey
from watchword.client.session import Session

NAMES = {"m.cross_signing.master", "m.cross_signing.self_signing", "m.cross_signing.user_signing", "m.megolm_backup.v1"}


async def test_everything_that_is_needed_later_is_stored_encrypted(alice: Session, homeserver: Homeserver) -> None:
    await alice.bootstrap("pw")
    stored = {data_type: content for (_, data_type), content in homeserver.account_data.items()}
    key_id = stored["m.secret_storage.default_key"]["key"]
    assert stored.keys() >= {*NAMES, f"m.secret_storage.key.{key_id}"}
    secrets = [*alice.machine.cross_signing.secrets().values(), str(alice.machine.backup.secret)]
    assert not [secret for secret in secrets if secret in repr(stored)]
    assert homeserver.versions[0]["auth_data"]["signatures"][alice.user_id].keys() >= {f"ed25519:{alice.device_id}"}


async def test_the_default_key_is_written_last(alice: Session, homeserver: Homeserver) -> None:
    homeserver.faults.append(Fault("m.megolm_backup.v1", 403, {"errcode": "M_FORBIDDEN"}))
    with pytest.raises(PeerError):
        await alice.bootstrap("pw")
    assert (alice.user_id, "m.secret_storage.default_key") not in homeserver.account_data


async def test_the_same_device_recovers_with_its_key(alice: Session) -> None:
    recovery_key = await alice.bootstrap("pw")
    assert await alice.recover(recovery_key) == 0
    assert alice.is_verified


async def test_an_account_without_secret_storage_cannot_be_recovered(alice: Session) -> None:
    with pytest.raises(WrongRecoveryKey):
        await alice.recover("EsTc LW2K PGiF wKEA 3As5 g5c4 BXwk qeeJ ZJV8 Q9fu gUMN UE4d")


async def test_stored_keys_of_a_replaced_identity_are_refused(alice: Session, homeserver: Homeserver) -> None:
    recovery_key = await alice.bootstrap("pw")
    stored = dict(homeserver.account_data)
    await alice.bootstrap("pw")
    homeserver.account_data = stored
    with pytest.raises(WrongRecoveryKey):
        await alice.recover(recovery_key)


async def test_tampered_secrets_are_refused(alice: Session, homeserver: Homeserver) -> None:
    recovery_key = await alice.bootstrap("pw")
    for name in NAMES:
        for sealed in homeserver.account_data[(alice.user_id, name)]["encrypted"].values():
            sealed["ciphertext"] = "AAAA"
    with pytest.raises(WrongRecoveryKey):
        await alice.recover(recovery_key)


async def test_a_backup_that_we_signed_is_joined(alice: Session, homeserver: Homeserver) -> None:
    assert not await alice.join_backup()
    await alice.bootstrap("pw")
    assert await alice.join_backup()
    homeserver.versions.append({"algorithm": "m.megolm_backup.v1.curve25519-aes-sha2", "auth_data": {"public_key": "x"}})
    assert not await alice.join_backup()
