"""Reading requests and making codes."""

from tests.unit.server.oauth.world import ALICE, BASE, CALLBACK, World, authorize_url
from watchword.server.oauth.commands import AuthorizationRequest, RefusedHere, ReturnAddress


async def test_a_code_is_kept_as_a_hash(world: World) -> None:
    await world.user()
    wish = await world.oauth.authorizations.read(authorize_url(await world.client()).partition("?")[2])
    assert isinstance(wish, AuthorizationRequest)
    url = await world.oauth.authorizations.allow(wish, ALICE)
    assert url.startswith(f"{CALLBACK}?code=wwc_")
    async with world.database.read() as tx:
        rows = await tx.fetch_all("SELECT code_hash FROM oauth_codes LIMIT 5")
    assert [len(row[0]) for row in rows] == [32]


async def test_a_request_without_a_client_is_refused_here(world: World) -> None:
    assert isinstance(await world.oauth.authorizations.read(""), RefusedHere)


def test_an_error_names_who_says_it(world: World) -> None:
    url = world.oauth.authorizations.error(ReturnAddress(CALLBACK, "query", None), "server_error", "No.")
    assert url == f"{CALLBACK}?error=server_error&error_description=No.&iss={BASE.replace(':', '%3A').replace('/', '%2F')}%2F"
