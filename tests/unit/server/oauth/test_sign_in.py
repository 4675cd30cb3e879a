"""Who comes to our pages."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.server.oauth.world import ALICE, PASSWORD, World
from watchword.base.errors import Forbidden
from watchword.edge.request import Request
from watchword.server.accounts.commands import Account, RegistrationMode
from watchword.server.oauth.sign_in import Newcomer, require_open

ASKING = Request("POST", "/", client_address="192.0.2.1")


async def test_a_name_may_be_written_in_several_ways(world: World) -> None:
    await world.user()
    for name in ("alice", " Alice ", "@alice:here.example"):
        assert (await world.oauth.sign_in.by_password(ASKING, name, PASSWORD)).user_id == ALICE
    for name in ("@alice:there.example", "alice@here.example", ""):
        with pytest.raises(Forbidden):
            await world.oauth.sign_in.by_password(ASKING, name, PASSWORD)


async def test_without_passwords_none_is_good(worlds: Callable[..., Any]) -> None:
    world: World = await worlds(password_login=False)
    await world.user()
    with pytest.raises(Forbidden):
        await world.oauth.sign_in.by_password(ASKING, "alice", PASSWORD)
    assert not world.oauth.sign_in.takes_newcomers


async def test_who_may_come_is_for_the_caller_to_say(world: World) -> None:
    newcomer = Newcomer("carol", None, "")
    with pytest.raises(Forbidden):
        await world.oauth.sign_in.register(newcomer, RegistrationMode.CLOSED)
    with pytest.raises(Forbidden):
        await world.oauth.sign_in.register(newcomer, RegistrationMode.INVITATION)
    account = await world.oauth.sign_in.register(newcomer, RegistrationMode.OPEN)
    assert account.password_hash is None


async def test_an_invitation_is_given_back_if_the_name_is_taken_meanwhile(world: World) -> None:
    await world.user()
    token = await world.invitation()
    with pytest.raises(Exception, match="taken"):
        await world.oauth.sign_in.register(Newcomer("alice", PASSWORD, token), RegistrationMode.INVITATION)
    assert await world.accounts.invitations.is_valid(token)


def test_a_closed_or_locked_account_is_refused() -> None:
    account = Account(ALICE, None, 0)
    assert require_open(account) is account
    for closed in (Account(ALICE, None, 0, is_deactivated=True), Account(ALICE, None, 0, is_locked=True)):
        with pytest.raises(Forbidden):
            require_open(closed)
