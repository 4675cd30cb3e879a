"""The rules of signing in elsewhere."""

from typing import Any

import pytest

from watchword.base import limits
from watchword.server.oauth.commands import ProviderSettings
from watchword.server.oauth.upstream import decide
from watchword.server.oauth.upstream.decide import Identity, ProviderMetadata

ISSUER = "https://idp.example"
PROVIDER = ProviderSettings("idp", "Elsewhere", ISSUER, "us", scopes=("profile", "openid", "email"))
DOCUMENT: dict[str, Any] = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/authorize",
    "token_endpoint": f"{ISSUER}/token",
    "jwks_uri": f"{ISSUER}/keys",
}


def test_a_discovery_document_is_read() -> None:
    found = decide.provider_metadata(DOCUMENT, ISSUER)
    assert found == ProviderMetadata(f"{ISSUER}/authorize", f"{ISSUER}/token", f"{ISSUER}/keys", None, takes_basic=True)
    more = {**DOCUMENT, "userinfo_endpoint": f"{ISSUER}/me", "token_endpoint_auth_methods_supported": ["client_secret_post"]}
    found = decide.provider_metadata(more, ISSUER)
    assert found is not None
    assert (found.userinfo_endpoint, found.takes_basic) == (f"{ISSUER}/me", False)


@pytest.mark.parametrize(
    "changed",
    [
        {"issuer": "https://evil.example"},
        {"token_endpoint": None},
        {"token_endpoint": "http://idp.example/token"},
        {"jwks_uri": 5},
        {"authorization_endpoint": "https://idp.example/a b"},
    ],
)
def test_a_document_that_is_not_the_providers_is_refused(changed: dict[str, Any]) -> None:
    assert decide.provider_metadata({**DOCUMENT, **changed}, ISSUER) is None


def test_a_provider_without_tls_may_name_endpoints_without_tls() -> None:
    plain = {name: value.replace("https:", "http:") for name, value in DOCUMENT.items()}
    assert decide.provider_metadata(plain, "http://idp.example") is not None


def test_a_browser_is_sent_away_with_what_the_provider_needs() -> None:
    metadata = decide.provider_metadata(DOCUMENT, ISSUER)
    assert metadata is not None
    url = decide.departure_url(metadata, PROVIDER, {"state": "s"})
    assert url == (
        "https://idp.example/authorize?response_type=code&client_id=us&scope=openid+profile+email"
        "&code_challenge_method=S256&state=s"
    )
    metadata = decide.provider_metadata({**DOCUMENT, "authorization_endpoint": f"{ISSUER}/a?tenant=1"}, ISSUER)
    assert metadata is not None
    assert decide.departure_url(metadata, PROVIDER, {}).startswith(f"{ISSUER}/a?tenant=1&response_type=code&")


def test_the_challenge_of_the_standard() -> None:
    assert decide.challenge_of("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk") == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_a_secret_is_escaped_before_it_is_joined() -> None:
    assert decide.basic_authorization("a:b", "c d") == "Basic YSUzQWI6YyUyMGQ="


@pytest.mark.parametrize(
    ("claims", "good"),
    [
        ({"aud": "us", "nonce": "n"}, True),
        ({"aud": ["us"], "nonce": "n"}, True),
        ({"aud": ["us", "them"], "azp": "us", "nonce": "n"}, True),
        ({"aud": ["us", "them"], "nonce": "n"}, False),
        ({"aud": ["us"], "azp": "them", "nonce": "n"}, False),
        ({"aud": "them", "nonce": "n"}, False),
        ({"aud": 5, "nonce": "n"}, False),
        ({"aud": "us", "nonce": "m"}, False),
        ({"aud": "us"}, False),
    ],
)
def test_whom_an_id_token_is_for(claims: dict[str, Any], good: bool) -> None:
    assert decide.is_for_us(claims, "us", "n") is good


@pytest.mark.parametrize(
    ("claims", "found"),
    [
        ({"sub": "1", "preferred_username": "Alice", "name": " A "}, Identity("1", "alice", is_exact=True, display_name="A")),
        ({"sub": "1", "preferred_username": "alice b"}, Identity("1", "alice_b", is_exact=False, display_name="")),
        ({"sub": "1", "preferred_username": "alice@x.example"}, Identity("1", "alice", is_exact=False, display_name="")),
        ({"sub": "1", "preferred_username": 5, "name": ["x"]}, Identity("1", "", is_exact=False, display_name="")),
        ({"sub": "1", "name": "x" * 300}, Identity("1", "", is_exact=False, display_name="")),
        ({"sub": 1}, None),
        ({"sub": ""}, None),
        ({"sub": "x" * (limits.upstream_claim_characters_max + 1)}, None),
        ({}, None),
    ],
)
def test_who_that_is(claims: dict[str, Any], found: Identity | None) -> None:
    assert decide.identity(claims, PROVIDER) == found


@pytest.mark.parametrize(("name", "wished"), [("Zoë Q.", "zo__q."), ("李", ""), ("", ""), ("a" * 300, "a" * 300)])
def test_names_that_are_wished_here(name: str, wished: str) -> None:
    assert decide.wished_localpart(name) in (wished, "")


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("https://app.example/path?a=b#/c", True),
        ("http://localhost:8080/", True),
        ("element://connect", True),
        ("io.element:/callback", True),
        ("javascript:alert(1)", False),
        ("JavaScript:alert(1)", False),
        ("data:text/html,x", False),
        ("https:///path", False),
        ("https://user@app.example/", False),
        ("https://app.example\\@evil.example/", False),
        ("//app.example/", False),
        ("/path", False),
        ("", False),
        ("https://app.example/a b", False),
        ("https://[/", False),
        ("https://app.example/" + "x" * limits.oauth_uri_characters_max, False),
    ],
)
def test_where_a_login_token_may_be_sent(url: str, good: bool) -> None:
    assert decide.is_client_address(url) is good


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("https://app.example/", "https://app.example/?loginToken=t"),
        ("https://app.example/?a=b&loginToken=old#/c", "https://app.example/?a=b&loginToken=t#/c"),
        ("element://connect", "element://connect?loginToken=t"),
    ],
)
def test_a_login_token_takes_the_place_of_another(url: str, found: str) -> None:
    assert decide.with_login_token(url, "t") == found
