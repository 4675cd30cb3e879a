"""Who is on his way to or from a provider."""

import pytest

from tests.unit.server.oauth.upstream.conftest import WorldOpener
from tests.unit.server.oauth.upstream.provider import OpenIdProvider
from tests.unit.server.oauth.world import ALICE
from watchword.base.errors import Forbidden, NotFound
from watchword.server.accounts.commands import RegistrationMode
from watchword.server.oauth.browsers import Visit
from watchword.server.oauth.sign_in import Newcomer

VISIT = Visit("t" * 43, is_new=False)


async def test_somebody_new_is_welcomed_once(provider: OpenIdProvider, worlds_beside: WorldOpener) -> None:
    world = await worlds_beside(registration=RegistrationMode.OPEN)
    upstream = world.oauth.upstream
    assert list(upstream.names) == [("idp", "Elsewhere")]
    back = provider.signs_in(await upstream.depart("idp", VISIT, "/_watchword/account", again=False))
    query = dict(pair.split("=") for pair in back.partition("?")[2].split("&"))
    query["iss"] = provider.issuer
    came = await upstream.arrive(query, VISIT)
    assert (came.account, came.next) == (None, "/_watchword/account")
    account = await upstream.welcome(came.stranger_id, VISIT, Newcomer("alice", None, ""))
    assert account.user_id == ALICE
    with pytest.raises(Forbidden):
        await upstream.welcome(came.stranger_id, VISIT, Newcomer("alicia", None, ""))


async def test_a_provider_that_is_not_known_is_not_found(worlds_beside: WorldOpener) -> None:
    world = await worlds_beside()
    with pytest.raises(NotFound):
        world.oauth.upstream.provider("other")
