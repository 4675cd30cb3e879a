"""Account data, tags and filters."""

import asyncio
from typing import Any

import pytest

from watchword.server.changes import AccountDataChanged

ME = "/_matrix/client/v3/user/@alice:here.example"
ROOM = f"{ME}/rooms/!room:here.example"


async def test_account_data_is_kept_globally_and_per_room(house: Any) -> None:
    me = (await house.user("alice"))["access_token"]
    for path, content in ((f"{ME}/account_data/m.direct", {"a": 1}), (f"{ROOM}/account_data/m.direct", {"b": 0.5})):
        assert (await house.call("GET", path, by=me)).status == 404
        assert (await house.call("PUT", path, content, by=me)).status == 200
        assert (await house.call("GET", path, by=me)).body == content


async def test_rows_carry_the_position_of_their_change(house: Any) -> None:
    me = (await house.user("alice"))["access_token"]
    before = house.log.position
    for number in (1, 2):
        await house.call("PUT", f"{ME}/account_data/org.x", {"n": number}, by=me)
    await house.call("PUT", f"{ROOM}/account_data/org.y", {}, by=me)
    rows = await house.accounts.reader.account_data_since("@alice:here.example", before)
    assert [(row.room_id, row.type, row.content) for row in rows] == [
        (None, "org.x", b'{"n":2}'),
        ("!room:here.example", "org.y", b"{}"),
    ]
    assert rows[1].position == house.log.position
    assert await house.accounts.reader.account_data_since("@alice:here.example", rows[0].position) == rows[1:]
    assert await house.changes(rows[0].position) == [
        AccountDataChanged("@alice:here.example", "!room:here.example", "org.y")  # type: ignore[arg-type]
    ]


@pytest.mark.parametrize("data_type", ["m.fully_read", "m.push_rules"])
@pytest.mark.parametrize("base", [ME, ROOM])
async def test_types_of_the_server_are_405(house: Any, base: str, data_type: str) -> None:
    me = (await house.user("alice"))["access_token"]
    answer = await house.call("PUT", f"{base}/account_data/{data_type}", {}, by=me)
    assert (answer.status, answer.body["errcode"]) == (405, "M_BAD_JSON")


async def test_other_features_write_them_in_their_own_transaction(house: Any) -> None:
    me = (await house.user("alice"))["access_token"]
    async with house.database.write() as tx:
        position = await house.accounts.user_data.put_account_data(
            tx, "@alice:here.example", None, "m.push_rules", {"global": {}}
        )
    assert position == house.log.position
    assert (await house.call("GET", f"{ME}/account_data/m.push_rules", by=me)).body == {"global": {}}


async def test_too_much_and_unwritable_account_data_is_refused(house: Any) -> None:
    me = (await house.user("alice"))["access_token"]
    path = f"{ME}/account_data/org.x"
    assert (await house.call("PUT", path, {"x": "x" * 600_000}, by=me)).status == 413
    assert (await house.call("PUT", path, {"x": 1 << 70}, by=me)).body["errcode"] == "M_BAD_JSON"
    assert (await house.call("PUT", path, {"x": "\ud800"}, by=me)).body["errcode"] == "M_BAD_JSON"
    assert (await house.call("PUT", f"{ME}/account_data/{'x' * 256}", {}, by=me)).status == 400
    assert (await house.call("PUT", f"{ME}/rooms/nonsense/account_data/x", {}, by=me)).body["errcode"] == "M_INVALID_PARAM"


async def test_everything_here_is_ones_own(house: Any) -> None:
    await house.user("alice")
    bob = (await house.user("bob"))["access_token"]
    for method, path in (
        ("GET", f"{ME}/account_data/x"),
        ("PUT", f"{ME}/account_data/x"),
        ("GET", f"{ROOM}/account_data/x"),
        ("PUT", f"{ROOM}/account_data/x"),
        ("GET", f"{ROOM}/tags"),
        ("PUT", f"{ROOM}/tags/x"),
        ("DELETE", f"{ROOM}/tags/x"),
        ("POST", f"{ME}/filter"),
        ("GET", f"{ME}/filter/0"),
        ("POST", f"{ME}/openid/request_token"),
    ):
        answer = await house.call(method, path, {}, by=bob)
        assert (answer.status, answer.body["errcode"]) == (403, "M_FORBIDDEN"), path


async def test_tags_are_room_account_data(house: Any) -> None:
    me = (await house.user("alice"))["access_token"]
    assert (await house.call("GET", f"{ROOM}/tags", by=me)).body == {"tags": {}}
    assert (await house.call("PUT", f"{ROOM}/tags/m.favourite", {"order": 0.5}, by=me)).status == 200
    assert (await house.call("PUT", f"{ROOM}/tags/u.w%2Fork", {}, by=me)).status == 200
    assert (await house.call("GET", f"{ROOM}/tags", by=me)).body == {"tags": {"m.favourite": {"order": 0.5}, "u.w/ork": {}}}
    assert (await house.call("DELETE", f"{ROOM}/tags/m.favourite", by=me)).status == 200
    assert (await house.call("GET", f"{ROOM}/account_data/m.tag", by=me)).body == {"tags": {"u.w/ork": {}}}
    before = house.log.position
    assert (await house.call("DELETE", f"{ROOM}/tags/m.favourite", by=me)).status == 200
    assert house.log.position == before
    assert (await house.call("PUT", f"{ROOM}/tags/x", {"order": 2}, by=me)).body["errcode"] == "M_INVALID_PARAM"


async def test_tags_set_at_the_same_time_are_all_kept(house: Any) -> None:
    me = (await house.user("alice"))["access_token"]
    await asyncio.gather(*(house.call("PUT", f"{ROOM}/tags/u.{n}", {}, by=me) for n in range(10)))
    assert len((await house.call("GET", f"{ROOM}/tags", by=me)).body["tags"]) == 10


async def test_the_same_filter_gets_the_same_id(house: Any) -> None:
    me = (await house.user("alice"))["access_token"]
    first = (await house.call("POST", f"{ME}/filter", {"room": {"timeline": {"limit": 5}}, "event_fields": []}, by=me)).body
    again = (await house.call("POST", f"{ME}/filter", {"event_fields": [], "room": {"timeline": {"limit": 5}}}, by=me)).body
    other = (await house.call("POST", f"{ME}/filter", {}, by=me)).body
    assert first == again
    assert other != first
    assert not first["filter_id"].startswith("{")
    for _ in range(2):
        shown = await house.call("GET", f"{ME}/filter/{first['filter_id']}", by=me)
        assert shown.body["room"] == {"timeline": {"limit": 5}}


@pytest.mark.parametrize("filter_id", ["99", "x", "{}", "-1", "٣", "9" * 30])
async def test_unknown_filters_are_not_found(house: Any, filter_id: str) -> None:
    me = (await house.user("alice"))["access_token"]
    assert (await house.call("GET", f"{ME}/filter/{filter_id}", by=me)).status == 404


async def test_wrong_and_oversized_filters_are_refused(house: Any) -> None:
    me = (await house.user("alice"))["access_token"]
    assert (await house.call("POST", f"{ME}/filter", {"room": []}, by=me)).body["errcode"] == "M_BAD_JSON"
    assert (await house.call("POST", f"{ME}/filter", {"x": "x" * 70_000}, by=me)).status == 413


async def test_a_user_has_a_bounded_number_of_filters(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("watchword.base.limits.filters_per_user_max", 3)
    me = (await house.user("alice"))["access_token"]
    answers = [await house.call("POST", f"{ME}/filter", {"x": n}, by=me) for n in range(4)]
    assert [answer.status for answer in answers] == [200, 200, 200, 403]


@pytest.mark.parametrize("room", ["", "/rooms/!r:here.example"])
async def test_what_was_deleted_is_gone_and_clients_hear_of_it(house: Any, room: str) -> None:
    me = (await house.user("alice"))["access_token"]
    kept = f"/_matrix/client/v3/user/@alice:here.example{room}/account_data/a.b"
    deleted = f"/_matrix/client/unstable/org.matrix.msc3391/user/@alice:here.example{room}/account_data/a.b"
    assert (await house.call("PUT", kept, {"x": 1}, by=me)).status == 200
    before = house.log.position
    assert (await house.call("DELETE", deleted, by=me)).status == 200
    assert (await house.call("GET", kept, by=me)).status == 404
    rows = await house.accounts.reader.account_data_since("@alice:here.example", before)
    assert [(row.type, row.content) for row in rows] == [("a.b", b"{}")]
    assert [row for row in await house.accounts.reader.account_data_since("@alice:here.example", 0) if row.type == "a.b"] == []
    after = house.log.position
    assert (await house.call("DELETE", deleted, by=me)).status == 200
    assert house.log.position == after
    assert (await house.call("PUT", kept, {}, by=me)).status == 200
    assert (await house.call("GET", kept, by=me)).body == {}


async def test_types_of_the_server_are_not_deleted(house: Any) -> None:
    me = (await house.user("alice"))["access_token"]
    path = "/_matrix/client/unstable/org.matrix.msc3391/user/@alice:here.example/account_data/m.push_rules"
    assert (await house.call("DELETE", path, by=me)).status == 405
