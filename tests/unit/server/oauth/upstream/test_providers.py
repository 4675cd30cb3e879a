"""What a provider is believed, and what not."""

from typing import Any

import pytest
from joserfc.jwk import ECKey, RSAKey

from tests.unit.server.oauth.upstream.provider import OpenIdProvider
from watchword.base.clock import ManualClock
from watchword.base.errors import PeerError
from watchword.edge.fetch import Fetcher
from watchword.server.oauth.upstream.decide import Identity, challenge_of, departure_url
from watchword.server.oauth.upstream.providers import Provider

VERIFIER = "v" * 43


async def identified(provider: OpenIdProvider, client: Provider, nonce: str = "n") -> Identity:
    parameters = {"redirect_uri": "https://us.example/cb", "code_verifier": VERIFIER}
    asked = {"redirect_uri": parameters["redirect_uri"], "state": "s", "nonce": "n", "code_challenge": challenge_of(VERIFIER)}
    back = provider.signs_in(departure_url(await client.metadata(), client.settings, asked))
    code = back.partition("code=")[2].partition("&")[0]
    return await client.identify(code, parameters, nonce)


@pytest.fixture
def client(provider: OpenIdProvider, fetcher: Fetcher) -> Provider:
    return Provider(provider.settings(), fetcher, ManualClock())


ALICE = Identity("4711", "alice", is_exact=True, display_name="Alice Elsewhere")


async def test_an_id_token_says_who_that_is(provider: OpenIdProvider, client: Provider) -> None:
    assert await identified(provider, client) == ALICE
    assert await identified(provider, client) == ALICE
    assert provider.keys_asked == 1


async def test_a_secret_goes_into_the_body_where_the_provider_wants_it_there(
    provider: OpenIdProvider, client: Provider
) -> None:
    provider.secret_in_body = True
    assert await identified(provider, client) == ALICE


async def test_a_public_client_sends_its_name_alone(provider: OpenIdProvider, fetcher: Fetcher) -> None:
    client = Provider(provider.settings(client_secret=None), fetcher, ManualClock())
    with pytest.raises(PeerError):
        await identified(provider, client)


async def test_new_keys_are_fetched_when_a_token_names_one(provider: OpenIdProvider, client: Provider) -> None:
    await identified(provider, client)
    provider.key = ECKey.generate_key("P-256", {"kid": "two", "use": "sig"})
    provider.published.append(provider.key)
    assert await identified(provider, client) == ALICE
    assert provider.keys_asked == 2


async def test_other_signatures_are_understood(provider: OpenIdProvider, client: Provider) -> None:
    provider.key = RSAKey.generate_key(2048, {"kid": "rsa"})
    provider.published, provider.algorithm = [provider.key], "RS256"
    assert await identified(provider, client) == ALICE


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": "https://evil.example"},
        {"aud": "somebody else"},
        {"aud": None},
        {"nonce": "another"},
        {"nonce": None},
        {"exp": 1},
        {"exp": None},
        {"iat": 10**10},
        {"sub": None},
        {"sub": ""},
    ],
)
async def test_an_id_token_that_is_not_good_is_refused(
    provider: OpenIdProvider, client: Provider, changed: dict[str, Any]
) -> None:
    provider.id_token_claims = changed
    with pytest.raises(PeerError):
        await identified(provider, client)


async def test_a_signature_by_another_key_is_refused(provider: OpenIdProvider, client: Provider) -> None:
    provider.key = ECKey.generate_key("P-256", {"kid": "one"})
    with pytest.raises(PeerError):
        await identified(provider, client)


@pytest.mark.parametrize(
    "answer", [{"id_token": None}, {"id_token": "nonsense"}, {"id_token": "eyJhbGciOiJub25lIn0.eyJzdWIiOiI0NzExIn0."}]
)
async def test_an_answer_without_a_signed_token_is_refused(
    provider: OpenIdProvider, client: Provider, answer: dict[str, Any]
) -> None:
    provider.token_answer = answer
    with pytest.raises(PeerError):
        await identified(provider, client)


async def test_a_name_that_the_token_lacks_is_asked_for(provider: OpenIdProvider, client: Provider) -> None:
    provider.claims = {"sub": "4711"}
    provider.userinfo = {"sub": "4711", "preferred_username": "alice", "name": "Alice Elsewhere"}
    assert await identified(provider, client) == ALICE


async def test_userinfo_of_somebody_else_is_refused(provider: OpenIdProvider, client: Provider) -> None:
    provider.claims = {"sub": "4711"}
    provider.userinfo = {"sub": "4712", "preferred_username": "root"}
    with pytest.raises(PeerError):
        await identified(provider, client)


@pytest.mark.parametrize("document", [{"issuer": "https://evil.example"}, {"token_endpoint": "file:///etc/passwd"}])
async def test_a_discovery_document_that_is_not_good_is_refused(
    provider: OpenIdProvider, client: Provider, document: dict[str, Any]
) -> None:
    provider.document = document
    with pytest.raises(PeerError):
        await client.metadata()


async def test_keys_that_are_no_keys_are_refused(provider: OpenIdProvider, client: Provider) -> None:
    provider.document = {"jwks_uri": f"{provider.issuer}/.well-known/openid-configuration"}
    with pytest.raises(PeerError):
        await identified(provider, client)


async def test_what_was_discovered_is_kept_for_an_hour(provider: OpenIdProvider, fetcher: Fetcher) -> None:
    clock = ManualClock()
    client = Provider(provider.settings(), fetcher, clock)
    await client.metadata()
    provider.document = {"issuer": "https://evil.example"}
    await client.metadata()
    clock.advance(3_600_000)
    with pytest.raises(PeerError):
        await client.metadata()
