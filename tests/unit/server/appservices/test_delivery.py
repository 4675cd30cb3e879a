"""What concerns a service reaches it: in order, once, and also after it was away."""

import asyncio
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.unit.server.appservices.house import GHOST, HERE, Bridge, House, living
from watchword.base import limits


def _body(text: str) -> object:
    return lambda event: event.get("content", {}).get("body") == text


async def test_messages_of_rooms_with_its_users_arrive_in_order(house: House) -> None:
    alice = await house.person("alice")
    room_id = await house.room()
    assert (await house.ask("POST", f"join/{quote(room_id)}", {}, by=alice))[0] == 200
    for number in range(5):
        await house.say(room_id, str(number), by=alice, txn=str(number))
    await house.bridge.told("events", _body("4"))  # type: ignore[arg-type]
    events = [event for _, body in house.bridge.transactions for event in body["events"]]
    texts = [event["content"]["body"] for event in events if event["type"] == "m.room.message"]
    assert texts == ["0", "1", "2", "3", "4"]
    assert all(event["room_id"] == room_id and "age" in event["unsigned"] for event in events)
    numbers = [txn for txn, _ in house.bridge.transactions]
    assert numbers == [str(number + 1) for number in range(len(numbers))]


async def test_rooms_of_others_are_none_of_its_business(house: House) -> None:
    alice = await house.person("alice")
    secret = await house.room(by=alice, preset="private_chat")
    await house.say(secret, "between us", by=alice)
    room_id = await house.room()
    await house.say(room_id, "last", by="secret of the service")
    await house.bridge.told("events", _body("last"))  # type: ignore[arg-type]
    assert all(event["room_id"] == room_id for _, body in house.bridge.transactions for event in body["events"])


async def test_an_invite_of_a_ghost_arrives(house: House) -> None:
    await house.ghost()
    alice = await house.person("alice")
    room_id = await house.room(by=alice, preset="private_chat", invite=[GHOST])
    event = await house.bridge.told("events", lambda event: event.get("state_key") == GHOST)
    assert (event["room_id"], event["content"]["membership"]) == (room_id, "invite")


async def test_what_was_refused_comes_again_unchanged(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "appservice_wait_ms_min", 10)
    house.bridge.refusals = [500, 503]
    room_id = await house.room()
    await house.say(room_id, "patience", by="secret of the service")
    await house.bridge.told("events", _body("patience"))  # type: ignore[arg-type]
    assert house.bridge.transactions[0][0] == "1"
    ids = [event["event_id"] for _, body in house.bridge.transactions for event in body["events"]]
    assert len(ids) == len(set(ids))


async def test_a_service_of_the_old_paths_is_found_there(house: House) -> None:
    house.bridge.refusals = [404]
    room_id = await house.room()
    await house.say(room_id, "old friend", by="secret of the service")
    await house.bridge.told("events", _body("old friend"))  # type: ignore[arg-type]


async def test_what_happened_while_it_was_away_is_told_after_a_restart(
    tmp_path: Path, bridge: Bridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "appservice_wait_ms_min", 3_600_000)
    bridge.refusals = [500]
    async with living(tmp_path, bridge) as house:
        room_id = await house.room()
        await house.say(room_id, "are you there?", by="secret of the service")
        await bridge.refused()
    assert not bridge.transactions
    async with living(tmp_path, bridge) as house:
        await bridge.told("events", _body("are you there?"))  # type: ignore[arg-type]
    assert bridge.transactions[0][0] == "1"


async def test_one_that_never_comes_back_is_given_up(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "appservice_wait_ms_min", 1)
    monkeypatch.setattr(limits, "appservice_give_up_ms", -1)
    house.bridge.refusals = [500]
    room_id = await house.room()
    await house.bridge.refused()
    await asyncio.sleep(0.05)
    await house.say(room_id, "a new day", by="secret of the service")
    await house.bridge.told("events", _body("a new day"))  # type: ignore[arg-type]


async def test_a_service_without_an_address_is_told_nothing(tmp_path: Path) -> None:
    async with living(tmp_path, Bridge()) as house:
        assert house.server.appservices.deliveries == ()
        assert (await house.ask("GET", "account/whoami"))[1]["user_id"] == f"@bridge:{HERE}"
