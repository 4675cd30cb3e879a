"""What fits while nobody else does."""

from watchword.protocol.ids import UserId
from watchword.server.accounts.ports import NoAppservices, NoCrossSigningKeys

ALICE = UserId("@alice:x")


async def test_a_server_alone_knows_no_application_service_and_no_cross_signing_key() -> None:
    alone = NoAppservices()
    assert alone.id_of("token") is None
    assert alone.exclusive_owner(ALICE) is None
    assert not alone.may_register("bridge", ALICE)
    assert not await NoCrossSigningKeys().is_cross_signing_key(ALICE, "KEY")
