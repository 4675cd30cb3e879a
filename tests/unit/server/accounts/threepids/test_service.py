"""The addresses of an account, beneath the doors."""

from typing import Any

import pytest

from tests.unit.server.accounts.threepids.conftest import Town
from tests.unit.server.accounts.threepids.outside import IDENTITY
from watchword.base import limits
from watchword.base.errors import BadRequest, Forbidden
from watchword.protocol.ids import UserId
from watchword.server.accounts.threepids import tables
from watchword.server.accounts.threepids.commands import Credentials, OwnThreepid, Threepid

ALICE = UserId("@alice:here.example")


async def test_the_number_of_addresses_is_bounded(town: Town) -> None:
    async with town.house.database.write() as tx:
        for number in range(limits.threepids_per_user_max):
            await tables.insert_threepid(tx, ALICE, OwnThreepid(Threepid("email", f"{number}@there.example"), 1, 1))
    sid = (await town.ask("account/3pid/email", email="more@there.example")).body["sid"]
    await town.confirm()
    with pytest.raises(Forbidden):
        await town.house.accounts.threepids.add(ALICE, Credentials(sid, "s3cret"))


async def test_the_number_of_published_addresses_is_bounded(town: Town) -> None:
    town.identity.validated["s", "c"] = ("email", "alice@there.example")
    async with town.house.database.write() as tx:
        for number in range(limits.threepids_per_user_max):
            await tables.insert_binding(tx, ALICE, Threepid("email", f"{number}@there.example"), IDENTITY)
    with pytest.raises(Forbidden):
        await town.house.accounts.threepids.bind(ALICE, IDENTITY, "id-token", Credentials("s", "c"))


async def test_an_identity_server_may_be_named_for_everything(town: Town) -> None:
    town.identity.bound["email", "alice@there.example"] = ALICE
    async with town.house.database.write() as tx:
        await tables.insert_threepid(tx, ALICE, OwnThreepid(Threepid("email", "alice@there.example"), 1, 1))
    assert await town.house.accounts.threepids.unbind_all(ALICE, IDENTITY)
    assert town.identity.bound == {}
    assert not await town.house.accounts.threepids.unbind_all(ALICE, "evil.example")


async def test_removing_from_a_stranger_changes_nothing(town: Town) -> None:
    owned = Threepid("email", "alice@there.example")
    async with town.house.database.write() as tx:
        await tables.insert_threepid(tx, ALICE, OwnThreepid(owned, 1, 1))
    bob: Any = UserId("@bob:here.example")
    assert not await town.house.accounts.threepids.delete(bob, owned, None)
    assert len(await town.house.accounts.threepids.of_user(ALICE)) == 1


async def _nothing(_: object) -> None:
    """Nothing else is to be written."""


async def test_an_administrator_replaces_the_addresses_of_a_user(town: Town) -> None:
    first, second, third = (Threepid("email", f"{name}@there.example") for name in ("a", "b", "c"))
    threepids, bob = town.house.accounts.threepids, UserId("@bob:here.example")
    await threepids.replace(ALICE, [first, second], _nothing)
    await threepids.replace(ALICE, [second, second, third], _nothing)
    assert {owned.threepid for owned in await threepids.of_user(ALICE)} == {second, third}
    with pytest.raises(BadRequest):
        await threepids.replace(bob, [first, third], _nothing)
    assert await threepids.of_user(bob) == []
    with pytest.raises(BadRequest):
        await threepids.replace(bob, [Threepid("email", f"{number}@x") for number in range(50)], _nothing)
