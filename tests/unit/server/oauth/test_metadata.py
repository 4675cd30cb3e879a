"""What clients are told."""

from tests.unit.server.oauth.world import BASE, SERVER
from watchword.server.oauth.commands import OAuthSettings
from watchword.server.oauth.metadata import issuer, server_metadata

SETTINGS = OAuthSettings(SERVER, BASE)


def test_the_issuer_is_our_base_url() -> None:
    assert issuer(SETTINGS) == f"{BASE}/"


def test_what_the_specification_asks_for_is_supported() -> None:
    found = server_metadata(SETTINGS, may_register=True)
    assert found["response_types_supported"] == ["code"]
    assert found["response_modes_supported"] == ["query", "fragment"]
    assert found["code_challenge_methods_supported"] == ["S256"]
    assert found["grant_types_supported"] == [
        "authorization_code",
        "refresh_token",
        "urn:ietf:params:oauth:grant-type:device_code",
    ]
