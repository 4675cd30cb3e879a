"""What checks single values of the settings."""

import pytest

from watchword.base.config import Config
from watchword.base.config_sections import is_server_name
from watchword.base.errors import ConfigError


@pytest.mark.parametrize("name", ["example.org", "chat.example.org:8448", "[2001:db8::1]:8448", "192.0.2.1"])
def test_names_of_servers_are_taken(name: str) -> None:
    assert is_server_name(name)


@pytest.mark.parametrize("name", ["", "exa mple.org", "example.org:", "example.org:123456", "https://example.org", "é.example"])
def test_what_is_no_name_of_a_server_is_not(name: str) -> None:
    assert not is_server_name(name)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("egress.nameservers", ["not an address"]),
        ("egress.push_allowed_networks", ["10.0.0.0/33"]),
        ("public_base_url", "example.org"),
    ],
)
def test_a_value_that_cannot_be_is_named(setting: str, value: object) -> None:
    with pytest.raises(ConfigError, match=setting):
        Config.load(None, {}, {"server_name": "a.example", setting: value})
