from pathlib import Path
from typing import Any

import pytest

from watchword.base.config import Config, secret_of
from watchword.base.errors import ConfigError

NAME = {"server_name": "a.example"}


def loaded(text: str = "", tmp_path: Path | None = None, **environment: str) -> Config:
    if tmp_path is None:
        return Config.load(None, environment, NAME)
    path = tmp_path / "watchword.toml"
    path.write_text('server_name = "a.example"\n' + text)
    return Config.load(path, environment)


def wrong(text: str, tmp_path: Path) -> str:
    with pytest.raises(ConfigError) as error:
        loaded(text, tmp_path)
    return str(error.value)


def test_a_server_name_is_all_that_is_needed() -> None:
    config = loaded()
    assert config.base_url == "https://a.example"
    assert config.registration.mode == "invitation"
    assert config.federation.enabled


def test_no_server_name_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"server_name: found None, expected a server name .* \(it must be set\)"):
        Config.load(None)


@pytest.mark.parametrize("name", ["a.example", "a.example:8448", "localhost", "127.0.0.1", "[::1]", "[2001:db8::1]:8448"])
def test_server_names_are_accepted(name: str) -> None:
    assert Config.load(None, {}, {"server_name": name}).server_name == name


@pytest.mark.parametrize(
    "name", ["", "a b", "a_b", "a.example:", "a.example:99999", ":8448", "[::1", "ä.example", "a" * 254, "https://a"]
)
def test_what_is_no_server_name_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="server_name"):
        Config.load(None, {}, {"server_name": name})


def test_places_follow_from_the_data_folder(tmp_path: Path) -> None:
    config = loaded('data_dir = "d"\n', tmp_path)
    assert config.database_path == tmp_path / "d" / "watchword.db"
    assert config.signing_key_path == tmp_path / "d" / "signing.key"
    assert config.media_path == tmp_path / "d" / "media"


def test_places_may_be_named(tmp_path: Path) -> None:
    config = loaded('signing_key_file = "/k"\n[database]\npath = "x.db"\n[media]\nfolder = "m"\n', tmp_path)
    assert (config.signing_key_path, config.database_path) == (Path("/k"), tmp_path / "x.db")
    assert config.media_path == tmp_path / "m"


def test_the_default_data_folder_is_beside_the_file(tmp_path: Path) -> None:
    assert loaded("", tmp_path).data_dir == str(tmp_path / "data")


def test_listeners_are_a_list(tmp_path: Path) -> None:
    config = loaded('[[listeners]]\nport = 1\n[[listeners]]\nunix_socket = "s"\nserves = ["metrics"]\n', tmp_path)
    assert [listener.port for listener in config.listeners] == [1, 8008]
    assert config.listeners[1].unix_socket == str(tmp_path / "s")
    assert config.listeners[1].serves == ("metrics",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("listeners = []", "listeners: found [], expected at least one listener"),
        ('[[listeners]]\ncertificate_file = "{here}"', "both certificate_file and key_file, or neither"),
        ('[[listeners]]\ncertificate_file = "no"\nkey_file = "no"', "listeners[0].certificate_file"),
        ("[[listeners]]\nport = 65536", "listeners[0].port: found 65536"),
        ("[[listeners]]\nserves = []", "listeners[0].serves"),
        ('[[listeners]]\ntrusted_proxies = ["10.0.0.1/8"]', "a list of networks"),
        ('[registration]\nshared_secret = "hush"\nshared_secret_file = "{here}"', "not both"),
        ('[registration]\nshared_secret_file = "no"', "a file that exists"),
        ('[federation]\nextra_ca_files = ["no"]', "a file that exists"),
        ('[federation.hosts]\n"b.example" = "nowhere"', "federation.hosts"),
        ('[federation]\nnotaries = ["not a name"]', "federation.notaries"),
        ('[egress]\nnameservers = ["dns.example"]', "egress.nameservers"),
        ('public_base_url = "example.org"', "a URL"),
        ('public_base_url = "https://example.org/?a=b"', "a URL"),
        ('[well_known]\nserver = "https://a.example"', "well_known.server"),
        ('[contact]\nadmin_user_id = "admin"', "contact.admin_user_id"),
        ("[rate_limits.read]\nper_second = 0\nburst = 1", "rate_limits.read.per_second: found 0, expected a number above 0"),
    ],
)
def test_each_mistake_is_named(tmp_path: Path, text: str, said: str) -> None:
    here = tmp_path / "here"
    here.write_text("x")
    message = wrong(text.replace("{here}", str(here)), tmp_path)
    assert said in message
    assert "hush" not in message
    assert str(tmp_path / "watchword.toml") in message


def test_hosts_name_places(tmp_path: Path) -> None:
    config = loaded('[federation.hosts]\n"b.example:8448" = "127.0.0.1:8449"\n', tmp_path)
    assert config.federation.hosts == {"b.example:8448": "127.0.0.1:8449"}


def test_a_name_server_may_have_a_port(tmp_path: Path) -> None:
    config = loaded('[egress]\nnameservers = ["9.9.9.9", "127.0.0.1:5353", "[::1]:53", "::1"]\n', tmp_path)
    assert len(config.egress.nameservers) == 4


def test_the_shared_secret_may_be_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hush\n")
    assert loaded('[registration]\nshared_secret_file = "secret"\n', tmp_path).shared_secret() == "hush"
    assert loaded('[registration]\nshared_secret = "open"\n', tmp_path).shared_secret() == "open"
    assert loaded("", tmp_path).shared_secret() is None


def test_the_configuration_cannot_be_changed() -> None:
    config: Any = loaded()
    with pytest.raises(AttributeError):
        config.server_name = "b.example"


def test_what_is_wrong_with_providers_is_said(tmp_path: Path) -> None:
    provider = {"id": "a", "name": "A", "issuer": "https://a.example", "client_id": "c"}
    flags: dict[str, object] = {"server_name": "x.example", "oauth.enabled": False}
    (tmp_path / "secret").write_text(" hush\n")
    flags["oauth.providers"] = [
        provider,
        {**provider, "client_secret": "s", "client_secret_file": str(tmp_path / "secret")},
        {**provider, "id": "b", "client_secret_file": str(tmp_path / "nothing")},
    ]
    with pytest.raises(ConfigError) as raised:
        Config.load(None, {}, flags)
    said = str(raised.value)
    for key in ("oauth.enabled", "providers[1].id", "providers[1].client_secret", "providers[2].client_secret_file"):
        assert key in said
    good = {"server_name": "x.example", "oauth.providers": [{**provider, "client_secret_file": str(tmp_path / "secret")}]}
    assert Config.load(None, {}, good).oauth.providers[0].secret() == "hush"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('[mail]\nhost = "relay.example"\n', "mail.sender"),
        ('[mail]\nhost = "relay.example"\nsender = "nobody"\n', "mail.sender"),
        ('[mail]\nhost = "r"\nsender = "a@b"\npassword = "x"\npassword_file = "y"\n', "mail.password"),
        ('[mail]\npassword_file = "nothing"\n', "mail.password_file"),
        ('[mail]\nextra_ca_file = "nothing"\n', "mail.extra_ca_file"),
        ('[mail]\ntls = "perhaps"\n', "mail.tls"),
        ('[threepids]\nemail_at_registration = "required"\n', "threepids.email_at_registration"),
        ('[threepids]\nmsisdn_at_registration = "optional"\n', "threepids.msisdn_at_registration"),
        ('[threepids]\ncode_server = "identity.example"\n', "threepids.code_server"),
        ('[threepids]\nidentity_servers = { "i.example" = "nowhere" }\n', "threepids.identity_servers"),
        ('[captcha]\nsite_key = "x"\n', "captcha.secret"),
        ('[captcha]\ncss_class = "x\\"y"\n', "captcha.css_class"),
        ('[turn]\nuris = ["https://turn.example"]\n', "turn.uris"),
        ('[rtc]\nlivekit_service_urls = ["calls.example"]\n', "rtc.livekit_service_urls"),
        ('[rtc]\nlivekit_url = "https://livekit.example"\n', "rtc.livekit_url"),
        ('[rtc]\nlivekit_url = "wss://livekit.example"\nlivekit_secret = "s"\n', "rtc.livekit_key"),
        ('[rtc]\nlivekit_url = "wss://livekit.example"\nlivekit_key = "k"\n', "rtc.livekit_secret"),
        (
            '[[policies]]\nid = "p"\nversion = "1"\nname = "P"\nurl = "https://a.example/p"\n'
            '[[policies]]\nid = "p"\nversion = "2"\nname = "P"\nurl = "https://a.example/p"\nlanguage = "de"\n',
            "policies",
        ),
    ],
)
def test_what_is_wrong_with_services_outside_is_said(text: str, key: str, tmp_path: Path) -> None:
    assert f"{key}: " in wrong(text, tmp_path)


def test_secrets_may_be_in_files(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hush\n")
    assert secret_of(None, str(tmp_path / "secret")) == "hush"
    assert secret_of("open", None) == "open"
    assert secret_of(None, None) is None


def test_policies_may_have_a_query_in_their_address(tmp_path: Path) -> None:
    text = '[[policies]]\nid = "p"\nversion = "1"\nname = "P"\nurl = "https://a.example/p?lang=en#top"\n'
    assert loaded(text, tmp_path).policies[0].language == "en"
