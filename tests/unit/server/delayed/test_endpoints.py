"""Delayed events as clients meet them."""

from pathlib import Path
from typing import Any

import pytest

from tests.unit.server.delayed.world import ALICE, BOB, UNSTABLE, open_delayed_world
from tests.unit.server.rooms.world import EVE

_V3 = "/_matrix/client/v3"
_V1 = "/_matrix/client/v1"


@pytest.mark.parametrize("prefix", [_V3, UNSTABLE])
async def test_an_event_is_sent_when_its_time_has_come_and_not_before(tmp_path: Path, prefix: str) -> None:
    async with open_delayed_world(tmp_path) as world:
        room_id = await world.public_room()
        body = {"delay": 5_000, "content": {"body": "later"}}
        answer = await world.ask(ALICE, "PUT", f"{prefix}/rooms/{room_id}/delayed_event/m.room.message/t", body)
        assert set(answer) == {"delay_id"}
        await world.pass_time(4_999)
        assert await world.said(room_id) == []
        await world.pass_time(1)
        assert await world.said(room_id) == ["later"]


async def test_older_clients_ask_for_a_delay_in_the_query(tmp_path: Path) -> None:
    async with open_delayed_world(tmp_path) as world:
        room_id = await world.public_room()
        delay: Any = {"org.matrix.msc4140.delay": 1_000}
        said = await world.ask(ALICE, "PUT", f"rooms/{room_id}/send/m.room.message/t", {"body": "later"}, **delay)
        set_up = await world.ask(ALICE, "PUT", f"rooms/{room_id}/state/m.room.topic", {"topic": "Later"}, **delay)
        assert set(said) == set(set_up) == {"delay_id"}
        assert (await world.told(set_up["delay_id"]))["state_key"] == ""
        assert "state_key" not in await world.told(said["delay_id"])
        await world.pass_time(1_000)
        assert await world.said(room_id) == ["later"]
        assert await world.ask(ALICE, "GET", f"rooms/{room_id}/state/m.room.topic") == {"topic": "Later"}


async def test_the_same_request_schedules_one_event(tmp_path: Path) -> None:
    async with open_delayed_world(tmp_path) as world:
        room_id = await world.public_room()
        first = await world.later(ALICE, room_id, txn_id="same")
        assert await world.later(ALICE, room_id, txn_id="same") == first
        assert await world.later(BOB, room_id, txn_id="same") != first
        await world.pass_time(1_000)
        # Also when it is over.
        assert await world.later(ALICE, room_id, txn_id="same") == first


@pytest.mark.parametrize(
    ("body", "errcode"),
    [
        ({"content": {}}, "M_MISSING_PARAM"),
        ({"delay": 5}, "M_MISSING_PARAM"),
        ({"delay": "5", "content": {}}, "M_BAD_JSON"),
        ({"delay": 0, "content": {}}, "M_INVALID_PARAM"),
        ({"delay": -1, "content": {}}, "M_INVALID_PARAM"),
        ({"delay": 1 << 60, "content": {}}, "M_INVALID_PARAM"),
        ({"delay": 5, "content": []}, "M_BAD_JSON"),
        ({"delay": 5, "content": {}, "state_key": 5}, "M_BAD_JSON"),
        ({"delay": 5, "content": {"a": 0.5}}, "M_BAD_JSON"),
        ({"delay": 5, "content": {"a": "x" * 66_000}}, "M_TOO_LARGE"),
        ({"delay": 5, "content": {}, "state_key": "x" * 256}, "M_TOO_LARGE"),
    ],
)
async def test_what_cannot_be_scheduled_is_refused(tmp_path: Path, body: dict[str, Any], errcode: str) -> None:
    async with open_delayed_world(tmp_path) as world:
        path = f"{_V3}/rooms/!room:here.example/delayed_event/m.x/t"
        assert (await world.refused(ALICE, "PUT", path, body))[1] == errcode


@pytest.mark.parametrize(("content", "errcode"), [({}, "M_MISSING_PARAM"), ({"redacts": "x"}, "M_INVALID_PARAM")])
async def test_a_redaction_names_its_target_when_it_is_scheduled(tmp_path: Path, content: Any, errcode: str) -> None:
    async with open_delayed_world(tmp_path) as world:
        path = f"{_V3}/rooms/!room:here.example/delayed_event/m.room.redaction/t"
        assert (await world.refused(ALICE, "PUT", path, {"delay": 5, "content": content}))[1] == errcode


async def test_a_delay_that_is_too_long_is_refused_in_the_words_of_each_form(tmp_path: Path) -> None:
    async with open_delayed_world(tmp_path) as world:
        room_id = await world.public_room()
        body, most = {"delay": 3_600_001, "content": {}}, 3_600_000
        _, stable = await world.tried(ALICE, "PUT", f"{_V3}/rooms/{room_id}/delayed_event/m.x/t", body)
        assert (stable["errcode"], stable["max_delay"]) == ("M_MAX_DELAY_EXCEEDED", most)
        status, unstable = await world.tried(ALICE, "PUT", f"{UNSTABLE}/rooms/{room_id}/delayed_event/m.x/t", body)
        assert (status, unstable["errcode"]) == (400, "ORG.MATRIX.MSC4140_MAX_DELAY_EXCEEDED")
        assert unstable["org.matrix.msc4140.max_delay"] == most
        delay: Any = {"org.matrix.msc4140.delay": 3_600_001}
        _, old = await world.tried(ALICE, "PUT", f"rooms/{room_id}/send/m.x/t", {}, **delay)
        assert (old["errcode"], old["org.matrix.msc4140.errcode"]) == ("M_UNKNOWN", "M_MAX_DELAY_EXCEEDED")
        assert old["org.matrix.msc4140.max_delay"] == most


async def test_a_user_can_let_so_many_events_wait_and_no_more(tmp_path: Path) -> None:
    async with open_delayed_world(tmp_path) as world:
        room_id = await world.public_room(BOB)
        for number in range(5):
            await world.later(ALICE, room_id, str(number), delay=10_000 + number)
        status, body = await world.tried(
            ALICE, "PUT", f"{_V3}/rooms/{room_id}/delayed_event/m.x/t", {"delay": 5, "content": {}}
        )
        assert (status, body["errcode"], body["retry_after_ms"]) == (429, "M_LIMIT_EXCEEDED", 10_000)
        await world.later(BOB, room_id)


async def test_what_is_done_with_an_event_needs_no_token(tmp_path: Path) -> None:
    async with open_delayed_world(tmp_path) as world:
        room_id = await world.public_room()
        sent, cancelled, put_off = [await world.later(ALICE, room_id, text) for text in ("sent", "cancelled", "put off")]
        assert await world.ask(EVE, "POST", f"{_V1}/delayed_events/{sent}/send") == {}
        assert await world.said(room_id) == ["sent"]
        await world.ask(EVE, "POST", f"{UNSTABLE}/delayed_events/{cancelled}", {"action": "cancel"})
        world.clock.advance(600)
        await world.ask(EVE, "POST", f"{_V1}/delayed_events/{put_off}/restart")
        await world.pass_time(999)
        assert await world.said(room_id) == ["sent"]
        await world.pass_time(1)
        assert await world.said(room_id) == ["sent", "put off"]


async def test_an_action_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    async with open_delayed_world(tmp_path) as world:
        path = f"{UNSTABLE}/delayed_events/x"
        assert await world.refused(ALICE, "POST", path, {"action": "hurry"}) == (400, "M_INVALID_PARAM")
        assert await world.refused(ALICE, "POST", path, {}) == (400, "M_MISSING_PARAM")
        assert await world.refused(ALICE, "POST", path, {"action": "send"}) == (404, "M_NOT_FOUND")


async def test_what_is_over_stays_as_it_ended(tmp_path: Path) -> None:
    async with open_delayed_world(tmp_path) as world:
        room_id = await world.public_room()
        sent, cancelled = await world.later(ALICE, room_id, "sent"), await world.later(ALICE, room_id, "cancelled")
        await world.act(sent, "send")
        await world.act(cancelled, "cancel")
        assert [await world.act(sent, action) for action in ("send", "cancel", "restart")] == [
            (200, None),
            (409, "M_UNKNOWN"),
            (404, "M_NOT_FOUND"),
        ]
        assert [await world.act(cancelled, action) for action in ("send", "cancel", "restart")] == [
            (409, "M_UNKNOWN"),
            (200, None),
            (409, "M_UNKNOWN"),
        ]
        assert await world.said(room_id) == ["sent"]


async def test_its_owner_sees_an_event_and_nobody_else(tmp_path: Path) -> None:
    async with open_delayed_world(tmp_path) as world:
        room_id = await world.public_room(BOB)
        now_ms = world.clock.now_ms()
        delay_id = await world.later(ALICE, room_id, "later")
        assert await world.told(delay_id) == {
            "delay_id": delay_id,
            "room_id": room_id,
            "type": "m.room.message",
            "delay": 1_000,
            "running_since": now_ms,
            "content": {"msgtype": "m.text", "body": "later"},
        }
        for prefix in (_V1, UNSTABLE):
            path = f"{prefix}/delayed_events/{delay_id}"
            assert await world.refused(BOB, "GET", path) == (404, "M_NOT_FOUND")
            assert (await world.ask(BOB, "GET", f"{prefix}/delayed_events"))["delayed_events"] == []
            assert len((await world.ask(ALICE, "GET", f"{prefix}/delayed_events"))["delayed_events"]) == 1


async def test_a_sent_event_tells_its_sender_alone_that_it_had_waited(tmp_path: Path) -> None:
    async with open_delayed_world(tmp_path) as world:
        room_id = await world.public_room(BOB)
        delay_id = await world.later(ALICE, room_id, "later")
        await world.pass_time(1_000)
        told = await world.told(delay_id)
        assert told["origin_server_ts"] == world.clock.now_ms()
        path = f"rooms/{room_id}/event/{told['event_id']}"
        own, other = await world.ask(ALICE, "GET", path), await world.ask(BOB, "GET", path)
        assert own["unsigned"]["org.matrix.msc4140.delay_id"] == own["unsigned"]["delay_id"] == delay_id
        assert "transaction_id" not in own["unsigned"]
        assert not {"delay_id", "org.matrix.msc4140.delay_id"} & set(other["unsigned"])


async def test_events_are_listed_in_any_order_and_by_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("watchword.base.limits.delayed_events_page", 2)
    async with open_delayed_world(tmp_path) as world:
        room_id = await world.public_room()
        for text, delay in (("c", 3_000), ("a", 1_000), ("b", 2_000)):
            await world.later(ALICE, room_id, text, delay)
            world.clock.advance(1)

        async def texts(**query: Any) -> tuple[list[str], dict[str, Any]]:
            body = await world.ask(ALICE, "GET", f"{_V1}/delayed_events", **query)
            return [each["content"]["body"] for each in body.pop("delayed_events")], body

        first, rest = await texts()
        assert first == ["a", "b"]
        assert await texts(**{"from": rest["next_batch"]}) == (["c"], {})
        first, rest = await texts(dir="b", since_ts="end")
        assert first == ["c", "b"]
        assert await texts(**{"from": rest["prev_batch"], "dir": "b"}) == (["a"], {})
        assert (await texts(order_by="running_since", since_ts="0"))[0] == ["c", "a"]


async def test_a_list_can_be_narrowed_down(tmp_path: Path) -> None:
    async with open_delayed_world(tmp_path) as world:
        room_id, other_id = await world.public_room(), await world.public_room()
        ids = {text: await world.later(ALICE, room_id, text) for text in ("waits", "sent", "cancelled", "due")}
        ids["elsewhere"] = await world.later(ALICE, other_id, "elsewhere", 60_000)
        await world.act(ids["sent"], "send")
        await world.act(ids["cancelled"], "cancel")
        await world.act(ids["waits"], "restart")
        world.clock.advance(999)
        await world.act(ids["waits"], "restart")
        await world.pass_time(1)

        async def texts(**query: Any) -> set[str]:
            body = await world.ask(ALICE, "GET", f"{_V1}/delayed_events", since_ts="0", **query)
            return {each["content"]["body"] for each in body["delayed_events"]}

        assert await texts() == set(ids)
        assert await texts(status="scheduled") == {"waits", "elsewhere"}
        assert await texts(status="finalised") == {"sent", "cancelled", "due"}
        assert await texts(outcome="send") == {"sent", "due"}
        assert await texts(outcome="cancel") == {"cancelled"}
        assert await texts(reason="delay") == {"due"}
        assert await texts(reason="action", outcome="send") == {"sent"}
        assert await texts(room_id=other_id) == {"elsewhere"}
        assert await texts(type="m.other") == set()
        assert await texts(delay_id=[ids["waits"], ids["sent"]]) == {"waits", "sent"}


@pytest.mark.parametrize(
    "query",
    [
        {"status": "lost"},
        {"dir": "x"},
        {"order_by": "name"},
        {"outcome": "x"},
        {"reason": "x"},
        {"room_id": "x"},
        {"since_ts": "yesterday"},
        {"from": "5_5"},
        {"from": "d5"},
        {"from": "d5_99999999999999999999999"},
    ],
)
async def test_a_list_that_nobody_can_give_is_refused(tmp_path: Path, query: Any) -> None:
    async with open_delayed_world(tmp_path) as world:
        assert await world.refused(ALICE, "GET", f"{_V1}/delayed_events", **query) == (400, "M_INVALID_PARAM")


async def test_a_delayed_event_may_be_sticky(tmp_path: Path) -> None:
    async with open_delayed_world(tmp_path) as world:
        room_id = await world.public_room()
        await world.later(ALICE, room_id, "sticky", **{"org.matrix.msc4354.sticky_duration_ms": 60_000})  # type: ignore[arg-type]
        await world.pass_time(1_000)
        assert (await world.timeline(room_id))[-1]["msc4354_sticky"] == {"duration_ms": 60_000}
