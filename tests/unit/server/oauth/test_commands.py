"""The words of OAuth."""

from watchword.protocol.ids import ServerName
from watchword.server.oauth.commands import OAuthRefused, OAuthSettings, ProviderSettings


def test_a_refusal_speaks_oauth() -> None:
    refusal = OAuthRefused("invalid_client", "Who?", status=401).refusal()
    assert (refusal.status, refusal.body()) == (401, {"error": "invalid_client", "error_description": "Who?"})


def test_our_paths_are_found_at_the_base_url() -> None:
    assert OAuthSettings(ServerName("a"), "https://m.a").url("/x") == "https://m.a/x"


def test_a_secret_is_not_shown() -> None:
    assert "hush" not in repr(ProviderSettings("p", "P", "https://p", "c", "hush"))
