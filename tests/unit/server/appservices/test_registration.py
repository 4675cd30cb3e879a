"""Registration files: read whole, and refused with a sentence that shows no secret."""

from pathlib import Path
from typing import Any

import pytest

from watchword.base.errors import ConfigError
from watchword.protocol.ids import ServerName
from watchword.server.appservices.registration import read_registrations, registration_in

HERE = ServerName("a.example")
GOOD: dict[str, Any] = {
    "id": "irc",
    "url": "http://localhost:9999/",
    "as_token": "very secret",
    "hs_token": "also secret",
    "sender_localpart": "bridge",
    "namespaces": {
        "users": [{"exclusive": True, "regex": "@irc_.*"}, {"exclusive": False, "regex": "@.*:a.example"}],
        "aliases": [{"exclusive": True, "regex": "#irc_"}],
        "rooms": [{"exclusive": False, "regex": "!abc:a.example"}],
    },
}


def test_a_good_registration_is_understood() -> None:
    found = registration_in("f", {**GOOD, "protocols": ["irc"], "push_ephemeral": True, "org.matrix.msc3202": True}, HERE)
    assert (found.appservice_id, found.url, found.sender) == ("irc", "http://localhost:9999", "@bridge:a.example")
    assert (found.rate_limited, found.ephemeral, found.old_ephemeral, found.encryption) == (True, True, True, True)
    assert found.owns_user("@bridge:a.example")
    assert found.owns_user("@irc_x:a.example", exclusively=True)
    assert found.owns_user("@alice:a.example")
    assert not found.owns_user("@alice:a.example", exclusively=True)
    assert found.wants_alias("#irc_room:a.example", exclusively=True)
    assert not found.wants_alias("#room:a.example")
    assert found.wants_room("!abc:a.example")
    assert "secret" not in repr(found)


def test_what_is_not_asked_for_is_not_given() -> None:
    found = registration_in("f", {**GOOD, "url": None, "namespaces": {}}, HERE)
    assert (found.url, found.ephemeral, found.encryption, list(found.users)) == (None, False, False, [])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("id", None),
        ("id", ""),
        ("url", "localhost:9999"),
        ("url", 5),
        ("as_token", 12345),
        ("hs_token", None),
        ("sender_localpart", "a\x00b"),
        ("namespaces", []),
        ("namespaces", {"users": {}}),
        ("namespaces", {"users": ["@irc_.*"]}),
        ("namespaces", {"users": [{"exclusive": "yes", "regex": "x"}]}),
        ("namespaces", {"aliases": [{"exclusive": True, "regex": "("}]}),
        ("rate_limited", "no"),
        ("protocols", "irc"),
        ("receive_ephemeral", 1),
    ],
)
def test_what_is_wrong_is_named_without_its_secret(key: str, value: object) -> None:
    with pytest.raises(ConfigError) as caught:
        registration_in("irc.yaml", {**GOOD, key: value}, HERE)
    assert "irc.yaml" in str(caught.value)
    assert key in str(caught.value)
    assert "12345" not in str(caught.value)


def test_two_services_are_two_services(tmp_path: Path) -> None:
    text = "id: {}\nurl: null\nas_token: {}\nhs_token: h\nsender_localpart: s{}\nnamespaces: {{}}\n"
    files = []
    for number, (name, token) in enumerate((("one", "a"), ("two", "b"), ("one", "c"), ("three", "a"))):
        file = tmp_path / f"{number}.yaml"
        file.write_text(text.format(name, token, number))
        files.append(str(file))
    assert [each.appservice_id for each in read_registrations(files[:2], HERE)] == ["one", "two"]
    for wrong in ([files[0], files[2]], [files[0], files[3]]):
        with pytest.raises(ConfigError):
            read_registrations(wrong, HERE)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[unclosed", b"just words", b"!!python/object:os.system {}"])
def test_a_file_that_holds_no_registration_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "x.yaml"
    file.write_bytes(content)
    with pytest.raises(ConfigError):
        read_registrations([str(file)], HERE)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml"):
        read_registrations([str(tmp_path / "nowhere.yaml")], HERE)
