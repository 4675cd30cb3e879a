"""Envelopes of answers."""

import pytest

from tests.unit.server.federation.stacks import ROOM, A, B
from watchword.base.errors import PeerError
from watchword.server.federation import answers


def test_lists_leave_out_what_does_not_belong() -> None:
    assert answers.objects(B, {"x": [{}, 5, None, {"a": 1}]}, "x") == [{}, {"a": 1}]
    assert answers.objects(B, {"x": [{}, {}, {}]}, "x", 2) == [{}, {}]
    assert answers.event_ids(B, {"x": ["$a", "b", 5, "$" + "x" * 300]}, "x") == ["$a"]
    assert answers.server_names([A, "", 5, "a b", "[::1]:5"]) == [A, "[::1]:5"]
    assert answers.server_names(None) == []


def test_what_is_required_is_required() -> None:
    misshapen: list[dict[str, object]] = [{}, {"x": 5}]
    for broken in misshapen:
        with pytest.raises(PeerError):
            answers.objects(B, broken, "x")
        with pytest.raises(PeerError):
            answers.event_ids(B, broken, "x")
        with pytest.raises(PeerError):
            answers.object_of(B, broken, "x")


@pytest.mark.parametrize(
    "broken",
    [{}, {"event_id": "$x"}, {"event_id": 5, "origin_server_ts": 5}, {"event_id": "x", "origin_server_ts": 5}]
    + [{"event_id": "$x", "origin_server_ts": ts} for ts in ("5", True, 5.5)],
)
def test_an_event_found_by_its_time_has_an_id_and_a_time(broken: dict[str, object]) -> None:
    assert answers.dated_event(B, {"event_id": "$x", "origin_server_ts": 5}) == ("$x", 5)
    with pytest.raises(PeerError):
        answers.dated_event(B, broken)


def test_a_join_s_answer_with_and_without_its_newer_parts() -> None:
    old = answers.send_join(B, {"state": [], "auth_chain": []})
    assert (old.event, old.servers_in_room, old.members_omitted) == (None, None, False)
    new = answers.send_join(B, {"state": [], "auth_chain": [], "event": {}, "servers_in_room": [A], "members_omitted": True})
    assert (new.event, new.servers_in_room, new.members_omitted) == ({}, [A], True)


def test_an_invite_of_the_first_form_is_a_pair() -> None:
    assert answers.invite_v1(B, [200, {"event": {"a": 1}}]) == {"a": 1}
    misshapen: list[object] = [{}, [200], [200, {}], [200, 5], None]
    for broken in misshapen:
        with pytest.raises(PeerError):
            answers.invite_v1(B, broken)


def test_a_directory_s_answer_names_a_room() -> None:
    assert answers.directory(B, {"room_id": ROOM, "servers": [A]}) == (ROOM, [A])
    with pytest.raises(PeerError):
        answers.directory(B, {"room_id": "room"})
