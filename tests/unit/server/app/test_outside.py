"""Services outside of Matrix are built where they are configured, and nowhere else."""

from pathlib import Path
from typing import Any

import pytest

from watchword.base.clock import ManualClock
from watchword.base.config import Config
from watchword.base.entropy import SeededEntropy
from watchword.base.errors import ConfigError
from watchword.edge.dns import StaticResolver
from watchword.protocol.ids import ServerName
from watchword.protocol.signatures import SigningKey
from watchword.server.accounts.threepids.commands import Wanted
from watchword.server.app import outside, settings
from watchword.server.federation.x_matrix import SignedRequest, parse_x_matrix

KEY = SigningKey(bytes(32), "a")


def configured(**overrides: Any) -> Config:
    flags = {"server_name": "here.example", **{key.replace("__", "."): value for key, value in overrides.items()}}
    return Config.load(None, {}, flags)


def built(config: Config) -> outside.Outside:
    accounts = settings.account_settings(config, ServerName("here.example"))
    return outside.outside_services(config, accounts, StaticResolver({}), ManualClock(), SeededEntropy(1), KEY)


MAIL = {"mail__host": "relay.example", "mail__sender": "Watchword <noreply@here.example>"}


async def test_nothing_is_built_that_is_not_configured() -> None:
    found = built(configured())
    assert (found.mailer, list(found.fetchers)) == (None, [])
    assert found.services.texts is None
    assert found.services.captcha is None
    await found.close()


async def test_what_is_configured_is_built(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("hush\n")
    config = configured(
        **MAIL,
        threepids__sms_url="https://sms.example/send",
        threepids__sms_token_file=str(tmp_path / "token"),
        threepids__identity_servers={"i.example": "https://i.example"},
        threepids__code_server="i.example",
        captcha__site_key="site",
        captcha__secret="shh",
        registration__mode="open",
    )
    found = built(config)
    assert found.mailer is not None
    assert found.services.mailbox is found.mailer
    assert found.services.captcha is not None
    assert found.services.identity.code_server == "i.example"
    assert getattr(found.services.texts, "token", None) == "hush"
    assert len(found.fetchers) == 2
    await found.close()


def test_a_signature_for_an_identity_server_can_be_checked() -> None:
    signer = outside.OwnSignature(ServerName("here.example"), KEY)
    header = parse_x_matrix(signer.authorization("POST", "/x", "i.example", b'{"a":1}'))
    assert header is not None
    assert (header.origin, header.destination) == ("here.example", "i.example")
    signed = SignedRequest("POST", "/x", header.origin, header.destination, b'{"a":1}')
    assert KEY.verify_key.verify(signed.signed_bytes(), header.signature)


def test_the_settings_say_what_can_be_proved() -> None:
    nothing = outside.threepid_settings(configured())
    assert (nothing.email, nothing.msisdn) == (False, False)
    assert not settings.may_change_threepids(configured())
    config = configured(
        **MAIL, threepids__email_at_registration="required", public_base_url="https://matrix.here.example:8443/x"
    )
    wanted = outside.threepid_settings(config)
    assert wanted.at_registration("email") is Wanted.REQUIRED
    assert wanted.next_link_hosts == {"matrix.here.example"}
    assert settings.may_change_threepids(config)
    assert not settings.may_change_threepids(configured(**MAIL, threepids__changes=False))


def test_a_policy_has_all_its_languages() -> None:
    documents = [
        {"id": "p", "version": "1", "name": "Privacy", "url": "https://here.example/en"},
        {"id": "p", "version": "1", "name": "Datenschutz", "url": "https://here.example/de", "language": "de"},
        {"id": "t", "version": "7", "name": "Terms", "url": "https://here.example/t"},
    ]
    privacy, terms = outside.policies(configured(policies=documents))
    assert (privacy.policy_id, privacy.version, sorted(privacy.texts)) == ("p", "1", ["de", "en"])
    assert terms.texts["en"].name == "Terms"


def test_media_servers_for_calls_are_announced_everywhere() -> None:
    config = configured(rtc__livekit_service_urls=["https://calls.example"])
    focus = [{"type": "livekit", "livekit_service_url": "https://calls.example"}]
    assert settings.discovery_settings(config).client_extra["org.matrix.msc4143.rtc_foci"] == focus
    assert settings.unstable_features(config)["org.matrix.msc4143"]
    assert "org.matrix.msc4143" not in settings.unstable_features(configured())
    assert not settings.discovery_settings(configured()).client_extra


LIVEKIT = {"rtc__livekit_url": "wss://livekit.example", "rtc__livekit_key": "key", "rtc__livekit_secret": "s" * 32}


def test_a_livekit_server_of_our_own_is_reached_where_clients_reach_it_unless_it_is_said() -> None:
    found = settings.livekit_settings(configured(**LIVEKIT))
    assert found is not None
    assert (found.url, found.api_url, found.key) == ("wss://livekit.example", "https://livekit.example", "key")
    found = settings.livekit_settings(configured(**LIVEKIT, rtc__livekit_api_url="http://10.0.0.5:7880"))
    assert found is not None
    assert found.api_url == "http://10.0.0.5:7880"
    assert settings.livekit_settings(configured()) is None
    assert settings.unstable_features(configured(**LIVEKIT))["org.matrix.msc4143"]
    # Clients of before look for a service; there is none.
    assert not settings.discovery_settings(configured(**LIVEKIT)).client_extra


def test_a_secret_that_livekit_would_not_take_is_refused() -> None:
    with pytest.raises(ConfigError, match="livekit_secret"):
        settings.livekit_settings(configured(**{**LIVEKIT, "rtc__livekit_secret": "short"}))


def test_members_may_take_part_in_calls_where_there_are_any() -> None:
    assert settings.call_power_levels(configured(**LIVEKIT)) == {"org.matrix.msc3401.call.member": 0}
    assert settings.call_power_levels(configured()) == {}
    assert settings.call_power_levels(configured(**LIVEKIT, rtc__member_power_level="50")) == {
        "org.matrix.msc3401.call.member": 50
    }
