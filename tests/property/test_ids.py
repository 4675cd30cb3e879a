from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchword.base.errors import RemoteProtocolError
from watchword.protocol import ids

PARSERS: list[Callable[[str], Any]] = [
    ids.parse_server_name,
    ids.parse_user_id,
    ids.parse_new_localpart,
    ids.parse_room_id,
    ids.parse_event_id,
    ids.parse_room_alias,
    ids.parse_room_version,
    ids.parse_device_id,
    ids.parse_key_id,
]
SERVER = r"([a-zA-Z0-9.-]{1,20}|\[[0-9a-f:]{2,45}\])(:[0-9]{1,5})?"
near_misses = st.from_regex(rf"[@!#$]?[^\x00]{{0,5}}:?({SERVER})?", fullmatch=True)


@pytest.mark.parametrize("parse", PARSERS)
@given(text=st.text() | near_misses)
def test_a_parser_returns_its_argument_or_refuses_it(parse: Callable[[str], Any], text: str) -> None:
    try:
        parsed = parse(text)
    except RemoteProtocolError:
        return
    assert parsed == text
    assert "\x00" not in text
    assert 0 < len(text.encode()) <= 255


@given(st.text() | st.from_regex(rf"mxc://{SERVER}/[A-Za-z0-9_./%-]*", fullmatch=True))
def test_an_mxc_uri_is_taken_apart_or_refused(text: str) -> None:
    try:
        server_name, media_id = ids.parse_mxc(text)
    except RemoteProtocolError:
        return
    assert f"mxc://{server_name}/{media_id}" == text
    assert "/" not in media_id


@given(st.from_regex(SERVER, fullmatch=True))
def test_every_server_name_has_a_host(server_name: str) -> None:
    host = ids.host_of(ids.parse_server_name(server_name))
    assert server_name.startswith(host)
    assert ids.host_of(host) == host
    assert ids.is_ip_literal(host) == ids.is_ip_literal(server_name)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), st.booleans())
def test_every_foreign_name_maps_to_a_localpart_of_today(name: str, case_preserved: bool) -> None:
    assert ids.is_valid_new_localpart(ids.localpart_from_foreign(name, case_preserved=case_preserved))


@given(st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(exclude_categories=["Cs"])))
def test_mapping_with_case_keeps_names_apart(one: str, other: str) -> None:
    same = ids.localpart_from_foreign(one, case_preserved=True) == ids.localpart_from_foreign(other, case_preserved=True)
    assert same is (one == other)
