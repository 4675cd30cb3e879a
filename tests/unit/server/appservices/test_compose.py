"""What a transaction holds besides events."""

from urllib.parse import quote

from tests.unit.server.appservices.house import AS_TOKEN, BOT, GHOST, HERE, House

ALICE = f"@alice:{HERE}"


async def _meeting(house: House) -> tuple[str, str]:
    alice = await house.person("alice")
    room_id = await house.room()
    assert (await house.ask("POST", f"join/{quote(room_id)}", {}, by=alice))[0] == 200
    return alice, room_id


async def test_receipts_typing_and_presence_arrive_where_they_are_wanted(curious: House) -> None:
    house = curious
    alice, room_id = await _meeting(house)
    event_id = await house.say(room_id, "hello", by=AS_TOKEN)
    assert (await house.ask("POST", f"rooms/{quote(room_id)}/receipt/m.read/{quote(event_id)}", {}, by=alice))[0] == 200
    receipt = await house.bridge.told("ephemeral", lambda entry: entry["type"] == "m.receipt")
    assert receipt["room_id"] == room_id
    assert set(receipt["content"][event_id]["m.read"]) == {ALICE}
    path = f"rooms/{quote(room_id)}/typing/{quote(ALICE)}"
    assert (await house.ask("PUT", path, {"typing": True, "timeout": 30_000}, by=alice))[0] == 200
    typing = await house.bridge.told("ephemeral", lambda entry: entry["type"] == "m.typing")
    assert (typing["room_id"], typing["content"]) == (room_id, {"user_ids": [ALICE]})
    assert (await house.ask("PUT", f"presence/{quote(ALICE)}/status", {"presence": "unavailable"}, by=alice))[0] == 200
    presence = await house.bridge.told("ephemeral", lambda entry: entry["type"] == "m.presence")
    assert (presence["sender"], presence["content"]["presence"]) == (ALICE, "unavailable")


async def test_private_receipts_of_others_stay_private(curious: House) -> None:
    house = curious
    alice, room_id = await _meeting(house)
    event_id = await house.say(room_id, "hello", by=AS_TOKEN)
    path = f"rooms/{quote(room_id)}/receipt/m.read.private/{quote(event_id)}"
    assert (await house.ask("POST", path, {}, by=alice))[0] == 200
    assert (await house.ask("POST", path, {}, by=AS_TOKEN))[0] == 200
    receipt = await house.bridge.told("ephemeral", lambda entry: entry["type"] == "m.receipt")
    assert set(receipt["content"][event_id]["m.read.private"]) == {BOT}


async def test_nothing_ephemeral_comes_unasked(house: House) -> None:
    alice, room_id = await _meeting(house)
    path = f"rooms/{quote(room_id)}/typing/{quote(ALICE)}"
    assert (await house.ask("PUT", path, {"typing": True, "timeout": 30_000}, by=alice))[0] == 200
    await house.say(room_id, "last", by=alice)
    await house.bridge.told("events", lambda event: event["content"].get("body") == "last")
    assert all("ephemeral" not in body for _, body in house.bridge.transactions)


async def test_messages_to_its_devices_arrive_and_are_then_gone(curious: House) -> None:
    house = curious
    await house.ghost()
    alice = await house.person("alice")
    assert (await house.ask("PUT", "devices/BRIDGE", {}, user_id=GHOST))[0] == 201
    body = {"messages": {GHOST: {"BRIDGE": {"text": "for you"}}}}
    assert (await house.ask("PUT", "sendToDevice/m.test/1", body, by=alice))[0] == 200
    for section in ("to_device", "de.sorunome.msc2409.to_device"):
        letter = await house.bridge.told(section)
        assert letter["content"] == {"text": "for you"}
        assert (letter["to_user_id"], letter["to_device_id"], letter["sender"]) == (GHOST, "BRIDGE", ALICE)
    house.bridge.transactions.clear()
    body = {"messages": {GHOST: {"BRIDGE": {"text": "another"}}}}
    assert (await house.ask("PUT", "sendToDevice/m.test/2", body, by=alice))[0] == 200
    assert (await house.bridge.told("to_device"))["content"] == {"text": "another"}


async def test_device_lists_and_key_counts_arrive_for_encryption(curious: House) -> None:
    house = curious
    alice, room_id = await _meeting(house)
    house.bridge.transactions.clear()
    assert (await house.ask("PUT", "devices/BRIDGE", {}))[0] == 201
    keys = {"one_time_keys": {"curve25519:A": "key"}, "fallback_keys": {"curve25519:F": "key"}}
    assert (await house.ask("POST", "keys/upload", keys, device_id="BRIDGE"))[0] == 200
    devices = (await house.ask("GET", "devices", by=alice))[1]["devices"]
    renamed = {"display_name": "new name"}
    assert (await house.ask("PUT", f"devices/{devices[0]['device_id']}", renamed, by=alice))[0] == 200
    await house.say(room_id, "last", by=alice)
    await house.bridge.told("events", lambda event: event["content"].get("body") == "last")
    bodies = [body for _, body in house.bridge.transactions]
    changed = {user_id for body in bodies for user_id in body.get("device_lists", {}).get("changed", [])}
    assert ALICE in changed
    (counts,) = (body["device_one_time_keys_count"] for body in bodies if "device_one_time_keys_count" in body)
    assert counts[BOT]["BRIDGE"]["curve25519"] == 1
    (unused,) = (
        body["org.matrix.msc3202.device_unused_fallback_key_types"]
        for body in bodies
        if "device_unused_fallback_key_types" in body
    )
    assert unused == {BOT: {"BRIDGE": ["curve25519"]}}


async def test_whoever_leaves_the_last_shared_room_has_left(curious: House) -> None:
    house = curious
    alice, room_id = await _meeting(house)
    assert (await house.ask("POST", f"rooms/{quote(room_id)}/leave", {}, by=alice))[0] == 200
    await house.bridge.told("events", lambda event: event["content"].get("membership") == "leave")
    left = [body["device_lists"]["left"] for _, body in house.bridge.transactions if "device_lists" in body]
    assert left[-1] == [ALICE]


async def test_a_state_event_comes_with_what_it_replaced(house: House) -> None:
    room_id = await house.room(name="before")
    path = f"rooms/{quote(room_id)}/state/m.room.name"
    assert (await house.ask("PUT", path, {"name": "after"}))[0] == 200
    event = await house.bridge.told("events", lambda event: event["content"].get("name") == "after")
    assert event["unsigned"]["prev_content"] == {"name": "before"}
