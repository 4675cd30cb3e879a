import pytest

from watchword.base.config import Config
from watchword.protocol.ids import ServerName
from watchword.server.app import settings


def _config(**overrides: object) -> Config:
    return Config.load(
        None, {}, {"server_name": "a.example", **{key.replace("__", "."): value for key, value in overrides.items()}}
    )


def test_a_server_that_does_not_federate_allows_nobody() -> None:
    config = _config(federation__enabled="false")
    assert settings.federation_settings(config, ServerName("a.example")).allow == ()


def test_only_the_contacts_that_were_named_are_published() -> None:
    config = _config(contact__security_email="security@a.example")
    (contact,) = settings.discovery_settings(config).support_contacts
    assert (contact.role, contact.email_address) == ("m.role.security", "security@a.example")


def test_nobody_is_named_by_default() -> None:
    assert not settings.discovery_settings(_config()).support_contacts


def test_media_takes_the_sizes_of_the_configuration() -> None:
    assert settings.media_settings(_config(media__upload_bytes_max="7MiB")).upload_bytes_max == 7 * 1024 * 1024


def test_a_flag_is_shown_only_while_its_feature_is_served() -> None:
    assert "org.matrix.msc4108" in settings.unstable_features(_config())
    assert "org.matrix.msc4108" not in settings.unstable_features(_config(rendezvous__enabled="false"))


@pytest.mark.parametrize(
    "flag", ["org.matrix.e2e_cross_signing", "org.matrix.msc3440.stable", "org.matrix.msc3771", "org.matrix.msc3773"]
)
def test_what_clients_ask_for_by_its_old_flag_alone_is_flagged(flag: str) -> None:
    assert settings.unstable_features(_config())[flag] is True


def test_providers_are_named_to_clients_and_their_secrets_to_nobody() -> None:
    provider = {"id": "idp", "name": "Elsewhere", "issuer": "https://idp.example", "client_id": "us", "client_secret": "hush"}
    config = _config(oauth__providers=[provider], registration__login_tokens=True)
    (known,) = settings.oauth_settings(config, ServerName("a.example")).providers
    assert (known.provider_id, known.client_secret, known.scopes) == ("idp", "hush", ("profile",))
    accounts = settings.account_settings(config, ServerName("a.example"))
    assert [each.name for each in accounts.identity_providers] == ["Elsewhere"]
    assert accounts.login_tokens
    assert settings.discovery_settings(config).may_get_login_token


def test_rules_beyond_the_specification_are_said_to_be_there_only_while_they_are() -> None:
    plain, chosen = _config(), _config(push__encrypted_events="true", push__replies="true")
    assert [rule.rule_id for rule in settings.push_settings(chosen).predefined["override"]][1] == (
        ".org.matrix.msc4028.encrypted_event"
    )
    flags = [settings.unstable_features(config).get("org.matrix.msc4028") for config in (plain, chosen)]
    assert flags == [None, True]
    assert [settings.discovery_settings(config).reply_rule for config in (plain, chosen)] == [False, True]


def test_mails_about_what_is_unread_may_be_switched_off() -> None:
    assert settings.push_settings(_config(push__mails="false")).digests is None
    digests = settings.push_settings(_config(push__mail_delay_ms="1h", public_base_url="https://m.a.example")).digests
    assert digests is not None
    assert (digests.delay_ms, digests.base_url, digests.bodies) == (3_600_000, "https://m.a.example", False)
