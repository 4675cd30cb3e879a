from tests.unit.server.push.world import ALICE, BOB, MAIL, PushWorld
from watchword.server.push.addresses import AccountAddresses


async def test_an_address_is_the_accounts_in_whatever_letters(world: PushWorld) -> None:
    addresses = AccountAddresses(world.accounts.threepids)
    assert not await addresses.has_email(BOB, MAIL)
    await world.give_address()
    assert await addresses.has_email(BOB, MAIL.upper())
    assert not await addresses.has_email(ALICE, MAIL)
    assert not await addresses.has_email(BOB, "nonsense")
