import json
from collections.abc import Callable
from pathlib import Path

import pytest

from watchword.base.errors import RemoteProtocolError
from watchword.protocol import ids
from watchword.protocol.ids import EventId

VECTORS = json.loads((Path(__file__).parents[2] / "data" / "vectors" / "identifiers.json").read_text())
HASH = "31hneApxJ_1o-63DmFrpeqnkFfWppnzWso1JvH3ogLM"


def refuses(parse: Callable[[str], object], text: str) -> bool:
    try:
        parse(text)
    except RemoteProtocolError:
        return True
    return False


@pytest.mark.parametrize("text", VECTORS["server_names"]["valid"])
def test_a_valid_server_name_is_returned_unchanged(text: str) -> None:
    assert ids.parse_server_name(text) == text


@pytest.mark.parametrize("text", [*VECTORS["server_names"]["invalid"], "a" * 256, "a\n", "[::1", "a:1:2", "\ud800.org"])
def test_an_invalid_server_name_is_refused(text: str) -> None:
    assert refuses(ids.parse_server_name, text)


@pytest.mark.parametrize(
    ("server_name", "is_literal"),
    [("1.2.3.4", True), ("1.2.3.4:80", True), ("[::1]", True), ("[::1]:80", True), ("1.2.3.4.org", False), ("a.org", False)],
)
def test_an_ip_literal_is_recognised_with_and_without_port(server_name: str, is_literal: bool) -> None:
    assert ids.is_ip_literal(server_name) is is_literal


@pytest.mark.parametrize(
    ("server_name", "host"),
    [("a.org", "a.org"), ("a.org:80", "a.org"), ("[::1]", "[::1]"), ("[::1]:80", "[::1]"), ("[::12]", "[::12]")],
)
def test_the_host_is_the_server_name_without_its_port(server_name: str, host: str) -> None:
    assert ids.host_of(server_name) == host


@pytest.mark.parametrize("text", VECTORS["user_ids"]["valid_new"] + VECTORS["user_ids"]["historical_only"])
def test_user_ids_of_today_and_of_history_are_read(text: str) -> None:
    assert ids.parse_user_id(text) == text


@pytest.mark.parametrize(
    "text", [*VECTORS["user_ids"]["invalid"], "", "@a\x00b:example.org", "@" + "é" * 125 + ":a.org", "@\ud800:a.org", "@a:b:c"]
)
def test_an_invalid_user_id_is_refused(text: str) -> None:
    assert refuses(ids.parse_user_id, text)


def test_a_user_id_of_255_bytes_is_the_longest() -> None:
    longest = "@" + "a" * 248 + ":a.org"
    assert ids.parse_user_id(longest) == longest
    assert refuses(ids.parse_user_id, "@a" + longest[1:])


@pytest.mark.parametrize("user_id", VECTORS["user_ids"]["valid_new"])
def test_a_localpart_of_today_may_be_taken(user_id: str) -> None:
    localpart = ids.localpart_of(user_id)
    assert ids.is_valid_new_localpart(localpart)
    assert ids.parse_new_localpart(localpart) == localpart


@pytest.mark.parametrize("user_id", VECTORS["user_ids"]["historical_only"])
def test_a_historical_localpart_may_not_be_taken_again(user_id: str) -> None:
    assert not ids.is_valid_new_localpart(ids.localpart_of(user_id))
    assert refuses(ids.parse_new_localpart, ids.localpart_of(user_id))


@pytest.mark.parametrize("text", VECTORS["room_ids"]["v1_to_v11"] + VECTORS["room_ids"]["v12"] + ["!é:a.org"])
def test_room_ids_of_both_forms_are_read(text: str) -> None:
    assert ids.parse_room_id(text) == text


@pytest.mark.parametrize(
    "text", ["", "!", "!a", "!:a.org", "!a:", f"!{HASH}a", f"!{HASH[1:]}+", f"${HASH}", "!a\x00:b", "!a:b_c"]
)
def test_an_invalid_room_id_is_refused(text: str) -> None:
    assert refuses(ids.parse_room_id, text)


@pytest.mark.parametrize("text", ["$opaque:example.org", f"${HASH}", "$acR1l0raoZnm60CBwAVgqbZqoO/mYU81xysh1u7XcJk", "$x"])
def test_event_ids_of_all_room_versions_are_read(text: str) -> None:
    assert ids.parse_event_id(text) == text


@pytest.mark.parametrize("text", ["", "$", "x", "$a\x00", "$" + "a" * 255, "$\ud800"])
def test_an_invalid_event_id_is_refused(text: str) -> None:
    assert refuses(ids.parse_event_id, text)


@pytest.mark.parametrize("text", ["#room:example.org", "#größe:example.org:8448", "#a b:[::1]"])
def test_room_aliases_are_read(text: str) -> None:
    assert ids.parse_room_alias(text) == text


@pytest.mark.parametrize("text", ["", "#", "#a", "#:a.org", "#a:", "a:a.org", "#a\x00:b", "#" + "a" * 249 + ":a.org"])
def test_an_invalid_room_alias_is_refused(text: str) -> None:
    assert refuses(ids.parse_room_alias, text)


@pytest.mark.parametrize("text", VECTORS["room_versions"]["valid"])
def test_room_versions_are_read(text: str) -> None:
    assert ids.parse_room_version(text) == text


@pytest.mark.parametrize("text", VECTORS["room_versions"]["invalid"])
def test_an_invalid_room_version_is_refused(text: str) -> None:
    assert refuses(ids.parse_room_version, text)


def test_a_device_id_is_opaque_but_bounded() -> None:
    assert ids.parse_device_id("ABC /é") == "ABC /é"
    assert all(refuses(ids.parse_device_id, text) for text in ("", "a\x00", "a" * 256, "\udc00"))


def test_a_key_id_is_an_algorithm_and_a_name() -> None:
    assert ids.parse_key_id("ed25519:a_1") == "ed25519:a_1"
    assert ids.parse_key_id("signed_curve25519:AAAA+Q") == "signed_curve25519:AAAA+Q"
    assert all(refuses(ids.parse_key_id, text) for text in ("", "ed25519", "ed25519:", ":a", "a b:c", "a:" + "b" * 254))


@pytest.mark.parametrize("text", VECTORS["mxc"]["valid"])
def test_an_mxc_uri_gives_server_and_media_id(text: str) -> None:
    server_name, media_id = ids.parse_mxc(text)
    assert f"mxc://{server_name}/{media_id}" == text


@pytest.mark.parametrize("text", [*VECTORS["mxc"]["invalid"], "", "mxc://a.org/" + "a" * 256, "https://a.org/b"])
def test_an_invalid_mxc_uri_is_refused(text: str) -> None:
    assert refuses(ids.parse_mxc, text)


@pytest.mark.parametrize("case", VECTORS["user_id_mapping"])
def test_foreign_names_are_mapped_to_localparts(case: dict[str, str]) -> None:
    if "localpart" in case:
        assert ids.localpart_from_foreign(case["input"]) == case["localpart"]
    if "case_preserving" in case:
        assert ids.localpart_from_foreign(case["input"], case_preserved=True) == case["case_preserving"]


def test_mapping_with_case_keeps_different_names_apart() -> None:
    assert ids.localpart_from_foreign("A_a=é", case_preserved=True) == "_a__a=3d=c3=a9"
    assert refuses(ids.localpart_from_foreign, "\ud800")


@pytest.mark.parametrize("case", VECTORS["email_3pid"])
def test_email_addresses_are_folded(case: dict[str, str]) -> None:
    assert ids.canonical_email(case["input"]) == case["canonical"]


def test_the_domain_is_what_follows_the_first_colon() -> None:
    assert ids.domain_of("@a:b.org:8448") == "b.org:8448"
    assert ids.domain_of(f"${HASH}") == ""


def test_the_room_id_of_version_12_is_the_create_events_id() -> None:
    assert ids.room_id_of_create(EventId(f"${HASH}")) == f"!{HASH}"
