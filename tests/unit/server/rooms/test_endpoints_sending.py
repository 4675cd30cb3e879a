"""The doors through which clients write: createRoom, send, redact, state, receipts, markers, typing."""

from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest

from tests.unit.server.rooms.world import ALICE, BOB, CAROL, EVE, LAPTOP, PHONE, World, bodies
from watchword.edge.requester import Requester
from watchword.protocol.ids import EventId, RoomId, UserId
from watchword.protocol.room_versions import DEFAULT_ROOM_VERSION

SUSPENDED = replace(Requester(ALICE, PHONE, 1), is_suspended=True)
APPSERVICE = replace(Requester(ALICE, None, 1), appservice_id="bridge")
NOWHERE = RoomId("!nowhere:here.example")


async def event(world: World, room_id: RoomId, event_id: str, reader: UserId = ALICE) -> Any:
    return await world.ask(reader, "GET", f"rooms/{room_id}/event/{event_id}")


async def state(world: World, room_id: RoomId, kind: str, state_key: str = "") -> Any:
    """A state event's content; None if there is none."""
    status, body = await world.tried(ALICE, "GET", f"rooms/{room_id}/state/{kind}/{quote(state_key)}")
    return body if status == 200 else None


# createRoom


async def test_a_room_is_made_with_nothing_said(world: World) -> None:
    room_id = await world.room()
    assert (await state(world, room_id, "m.room.create"))["room_version"] == DEFAULT_ROOM_VERSION == "12"
    assert await state(world, room_id, "m.room.join_rules") == {"join_rule": "invite"}


@pytest.mark.parametrize("version", ["0", "13", "", "org.unknown"])
async def test_a_version_that_nobody_knows_is_unsupported(world: World, version: str) -> None:
    assert await world.refused(ALICE, "POST", "createRoom", {"room_version": version}) == (400, "M_UNSUPPORTED_ROOM_VERSION")


@pytest.mark.parametrize(
    "body",
    [
        {"room_version": 11},
        {"visibility": 5},
        {"preset": 5},
        {"name": 5},
        {"topic": []},
        {"room_alias_name": 5},
        {"invite": "@bob:here.example"},
        {"invite": [5]},
        {"is_direct": "yes"},
        {"creation_content": []},
        {"initial_state": {}},
        {"initial_state": [5]},
        {"initial_state": [{"content": {}}]},
        {"initial_state": [{"type": "m.x"}]},
        {"initial_state": [{"type": "m.x", "content": []}]},
        {"initial_state": [{"type": "m.x", "content": {}, "state_key": 5}]},
        {"power_level_content_override": []},
        {"invite_3pid": {}},
    ],
)
async def test_fields_of_another_kind_are_bad_json(world: World, body: dict[str, Any]) -> None:
    assert await world.refused(ALICE, "POST", "createRoom", body) == (400, "M_BAD_JSON")


@pytest.mark.parametrize(
    "body",
    [
        {"visibility": "secret"},
        {"preset": "other_chat"},
        {"invite": ["bob"]},
        {"invite": [BOB] * 1_001},
        {"initial_state": [{"type": "m.x", "content": {}}] * 501},
        {"room_alias_name": ""},
        {"room_alias_name": "a:b"},
        {"room_alias_name": "a\0b"},
        {"room_alias_name": "x" * 255},
    ],
)
async def test_values_that_are_not_allowed_are_invalid(world: World, body: dict[str, Any]) -> None:
    assert await world.refused(ALICE, "POST", "createRoom", body) == (400, "M_INVALID_PARAM")


async def test_invites_by_address_are_denied(world: World) -> None:
    invite = {"id_server": "id.example", "id_access_token": "x", "medium": "email", "address": "bob@example.com"}
    assert await world.refused(ALICE, "POST", "createRoom", {"invite_3pid": [invite]}) == (400, "M_THREEPID_DENIED")


async def test_who_is_named_twice_is_invited_once_and_the_creator_never(world: World) -> None:
    room_id = await world.room(invite=[BOB, ALICE, BOB])
    members = [each["state_key"] for each in await world.timeline(room_id) if each["type"] == "m.room.member"]
    assert members == [ALICE, BOB]


# Sending


async def test_a_message_is_sent(world: World) -> None:
    room_id = await world.room()
    event_id = await world.say(ALICE, room_id, "hello")
    assert (await event(world, room_id, event_id))["content"] == {"msgtype": "m.text", "body": "hello"}


@pytest.mark.parametrize("kind", ["org.example.x", "a/b", "ü", "%", "."])
async def test_a_type_is_taken_as_it_is(world: World, kind: str) -> None:
    room_id = await world.room()
    sent = await world.ask(ALICE, "PUT", f"rooms/{room_id}/send/{quote(kind, safe='')}/t", {})
    assert (await event(world, room_id, sent["event_id"]))["type"] == kind


async def test_who_is_not_in_the_room_may_not_send(world: World) -> None:
    for room_id in (await world.room(), NOWHERE):
        assert await world.refused(BOB, "PUT", f"rooms/{room_id}/send/m.x/t", {}) == (403, "M_FORBIDDEN")


@pytest.mark.parametrize("value", [1.5, 1e300, 2**53, -(2**53)])
async def test_numbers_that_no_event_can_have_are_bad_json(world: World, value: object) -> None:
    room_id = await world.room()
    for path in (f"rooms/{room_id}/send/m.x/t", f"rooms/{room_id}/state/m.x"):
        assert await world.refused(ALICE, "PUT", path, {"a": [{"b": value}]}) == (400, "M_BAD_JSON")


async def test_too_much_is_too_large(world: World) -> None:
    room_id = await world.room()
    for path in (f"rooms/{room_id}/send/m.x/t", f"rooms/{room_id}/state/m.x"):
        assert await world.refused(ALICE, "PUT", path, {"a": "x" * 65_600}) == (413, "M_TOO_LARGE")


async def test_nul_is_carried(world: World) -> None:
    room_id = await world.room()
    event_id = await world.set_state(ALICE, room_id, "m.x", {"a\0": "b\0"}, "c\0")
    found = await event(world, room_id, event_id)
    assert (found["content"], found["state_key"]) == ({"a\0": "b\0"}, "c\0")


async def test_an_appservice_chooses_the_time(world: World) -> None:
    room_id = await world.room()
    for path in (f"rooms/{room_id}/send/m.x/t", f"rooms/{room_id}/state/m.x"):
        sent = await world.ask(ALICE, "PUT", path, {}, requester=APPSERVICE, ts=12_345)
        assert (await event(world, room_id, sent["event_id"]))["origin_server_ts"] == 12_345


async def test_a_user_does_not_choose_the_time(world: World) -> None:
    room_id = await world.room()
    sent = await world.ask(ALICE, "PUT", f"rooms/{room_id}/send/m.x/t", {}, ts=12_345)
    assert (await event(world, room_id, sent["event_id"]))["origin_server_ts"] == world.clock.now_ms()


async def test_an_appservices_time_must_be_one(world: World) -> None:
    path = f"rooms/{await world.room()}/send/m.x/t"
    assert await world.refused(ALICE, "PUT", path, {}, requester=APPSERVICE, ts="x") == (400, "M_INVALID_PARAM")


# Redacting


async def test_ones_own_message_is_redacted_with_a_reason(world: World) -> None:
    room_id = await world.public_room(BOB)
    event_id = await world.say(BOB, room_id)
    sent = await world.ask(BOB, "PUT", f"rooms/{room_id}/redact/{event_id}/t", {"reason": "typo"})
    found = await event(world, room_id, event_id)
    assert found["content"] == {}
    assert found["unsigned"]["redacted_because"]["event_id"] == sent["event_id"]
    assert found["unsigned"]["redacted_because"]["content"]["reason"] == "typo"


@pytest.mark.parametrize("version", ["1", "2", "3", "10", "11", "12"])
async def test_the_level_for_it_redacts_the_messages_of_others(world: World, version: str) -> None:
    room_id = await world.public_room(BOB, room_version=version)
    event_id = await world.say(BOB, room_id)
    await world.ask(ALICE, "PUT", f"rooms/{room_id}/redact/{event_id}/t", {})
    assert (await event(world, room_id, event_id))["content"] == {}


@pytest.mark.parametrize("version", ["1", "2", "3", "10", "11", "12"])
async def test_without_the_level_for_it_the_messages_of_others_stay(world: World, version: str) -> None:
    room_id = await world.public_room(BOB, room_version=version)
    event_id = await world.say(ALICE, room_id)
    assert await world.refused(BOB, "PUT", f"rooms/{room_id}/redact/{event_id}/t", {}) == (403, "M_FORBIDDEN")
    assert (await event(world, room_id, event_id))["content"] != {}


@pytest.mark.parametrize("version", ["10", "11"])
async def test_a_redaction_says_in_both_places_what_it_redacts(world: World, version: str) -> None:
    room_id = await world.room(room_version=version)
    event_id = await world.say(ALICE, room_id)
    sent = await world.ask(ALICE, "PUT", f"rooms/{room_id}/redact/{event_id}/t", {})
    redaction = await event(world, room_id, sent["event_id"])
    assert redaction["redacts"] == redaction["content"]["redacts"] == event_id


async def test_a_message_of_another_room_is_not_found(world: World) -> None:
    room_id, other = await world.room(), await world.room()
    event_id = await world.say(ALICE, other)
    assert await world.refused(ALICE, "PUT", f"rooms/{room_id}/redact/{event_id}/t", {}) == (404, "M_NOT_FOUND")


async def test_what_is_no_event_id_cannot_be_redacted(world: World) -> None:
    assert await world.refused(ALICE, "PUT", f"rooms/{await world.room()}/redact/x/t", {}) == (400, "M_INVALID_PARAM")


async def test_repeating_a_redaction_redacts_once(world: World) -> None:
    room_id = await world.room()
    path = f"rooms/{room_id}/redact/{await world.say(ALICE, room_id)}/t"
    assert await world.ask(ALICE, "PUT", path, {}) == await world.ask(ALICE, "PUT", path, {})
    assert await world.ask(ALICE, "PUT", path, {}) != await world.ask(ALICE, "PUT", path, {}, device=LAPTOP)


@pytest.mark.parametrize("version", ["10", "12"])
async def test_a_redaction_may_come_through_the_door_of_messages(world: World, version: str) -> None:
    room_id = await world.room(room_version=version)
    event_id = await world.say(ALICE, room_id)
    await world.ask(ALICE, "PUT", f"rooms/{room_id}/send/m.room.redaction/t", {"redacts": event_id})
    assert (await event(world, room_id, event_id))["content"] == {}


@pytest.mark.parametrize(
    ("body", "errcode"), [({}, "M_MISSING_PARAM"), ({"redacts": 5}, "M_BAD_JSON"), ({"redacts": "x"}, "M_INVALID_PARAM")]
)
async def test_at_the_door_of_messages_a_redaction_says_what_it_redacts(
    world: World, body: dict[str, Any], errcode: str
) -> None:
    path = f"rooms/{await world.room()}/send/m.room.redaction/t"
    assert await world.refused(ALICE, "PUT", path, body) == (400, errcode)


# State


@pytest.mark.parametrize("path", ["state/m.room.topic", "state/m.room.topic/"])
async def test_the_empty_state_key_may_be_left_out(world: World, path: str) -> None:
    room_id = await world.room()
    await world.ask(ALICE, "PUT", f"rooms/{room_id}/{path}", {"topic": "Talk"})
    assert await state(world, room_id, "m.room.topic") == {"topic": "Talk"}


@pytest.mark.parametrize("state_key", ["x", "a/b", "ü", "_@alice", "#"])
async def test_a_state_key_is_taken_as_it_is(world: World, state_key: str) -> None:
    room_id = await world.room()
    path = f"rooms/{room_id}/state/m.x/{quote(state_key, safe='')}"
    event_id = (await world.ask(ALICE, "PUT", path, {"a": 1}))["event_id"]
    assert (await event(world, room_id, event_id))["state_key"] == state_key


async def test_state_needs_the_level_for_it(world: World) -> None:
    room_id = await world.public_room(BOB)
    assert await world.refused(BOB, "PUT", f"rooms/{room_id}/state/m.room.name", {"name": "x"}) == (403, "M_FORBIDDEN")


async def test_the_state_key_may_not_name_another_user(world: World) -> None:
    room_id = await world.room()
    assert await world.refused(ALICE, "PUT", f"rooms/{room_id}/state/m.x/{BOB}", {}) == (403, "M_FORBIDDEN")
    await world.ask(ALICE, "PUT", f"rooms/{room_id}/state/m.x/{ALICE}", {})


async def test_a_room_is_created_once(world: World) -> None:
    assert await world.refused(ALICE, "PUT", f"rooms/{await world.room()}/state/m.room.create", {}) == (403, "M_FORBIDDEN")


async def test_power_levels_must_be_integers(world: World) -> None:
    path = f"rooms/{await world.room()}/state/m.room.power_levels"
    assert await world.refused(ALICE, "PUT", path, {"ban": "50"}) == (400, "M_BAD_JSON")


@pytest.mark.parametrize(
    ("content", "errcode"),
    [
        ({"alias": "#nothing:here.example"}, "M_BAD_ALIAS"),
        ({"alt_aliases": ["#lobby:here.example", "#nothing:here.example"]}, "M_BAD_ALIAS"),
        ({"alias": "nothing"}, "M_INVALID_PARAM"),
        ({"alt_aliases": ["nothing"]}, "M_INVALID_PARAM"),
        ({"alt_aliases": "#lobby:here.example"}, "M_BAD_JSON"),
    ],
)
async def test_a_canonical_alias_must_name_the_room(world: World, content: dict[str, Any], errcode: str) -> None:
    path = f"rooms/{await world.room(room_alias_name='lobby')}/state/m.room.canonical_alias"
    assert await world.refused(ALICE, "PUT", path, content) == (400, errcode)


async def test_a_canonical_alias_that_names_the_room_is_taken_and_may_go(world: World) -> None:
    room_id = await world.room(room_alias_name="lobby")
    for content in ({"alt_aliases": ["#lobby:here.example"]}, {"alias": "#lobby:here.example"}, {}):
        await world.set_state(ALICE, room_id, "m.room.canonical_alias", content)
        assert await state(world, room_id, "m.room.canonical_alias") == content


# Members as state


async def put_member(world: World, who: UserId, room_id: RoomId, target: str, membership: object, **more: Any) -> Any:
    return await world.tried(who, "PUT", f"rooms/{room_id}/state/m.room.member/{target}", {"membership": membership, **more})


async def test_memberships_may_be_put_as_state(world: World) -> None:
    room_id = await world.room()
    for who, membership in ((ALICE, "invite"), (BOB, "join"), (ALICE, "leave"), (ALICE, "ban"), (ALICE, "leave")):
        assert (await put_member(world, who, room_id, BOB, membership))[0] == 200
        assert (await state(world, room_id, "m.room.member", BOB))["membership"] == membership


async def test_a_joined_user_may_change_how_he_is_called_here(world: World) -> None:
    room_id = await world.public_room(BOB)
    await put_member(world, BOB, room_id, BOB, "join", displayname="Bob")
    assert await state(world, room_id, "m.room.member", BOB) == {"membership": "join", "displayname": "Bob"}


async def test_nobody_else_may_change_how_he_is_called(world: World) -> None:
    room_id = await world.public_room(BOB)
    status, body = await put_member(world, ALICE, room_id, BOB, "join", displayname="x")
    assert (status, body["errcode"]) == (403, "M_FORBIDDEN")


async def test_a_user_of_another_server_is_invited_through_it(world: World) -> None:
    room_id = await world.room()
    assert await put_member(world, ALICE, room_id, EVE, "invite") == (200, {"event_id": "$remote"})


@pytest.mark.parametrize(("membership", "errcode"), [("dance", "M_BAD_JSON"), (5, "M_BAD_JSON")])
async def test_there_is_no_other_membership(world: World, membership: object, errcode: str) -> None:
    status, body = await put_member(world, ALICE, await world.room(), ALICE, membership)
    assert (status, body["errcode"]) == (400, errcode)


@pytest.mark.parametrize("path", ["m.room.member", "m.room.member/", "m.room.member/alice"])
async def test_a_member_event_is_about_a_user(world: World, path: str) -> None:
    path = f"rooms/{await world.room()}/state/{path}"
    assert await world.refused(ALICE, "PUT", path, {"membership": "join"}) == (400, "M_INVALID_PARAM")


# Receipts and markers


async def receipts(world: World, room_id: RoomId, user_id: UserId) -> dict[str, str]:
    """type → event of the user's receipts."""
    room = await world.reader.room(room_id)
    assert room is not None
    return {row.receipt_type: row.event_id for row in await world.ephemeral.receipts_of_user(room, user_id)}


async def fully_read(world: World, room_id: RoomId, user_id: UserId) -> Any:
    status, body = await world.tried(user_id, "GET", f"user/{user_id}/rooms/{room_id}/account_data/m.fully_read")
    return body["event_id"] if status == 200 else None


@pytest.mark.parametrize("kind", ["m.read", "m.read.private"])
async def test_a_receipt_is_set(world: World, kind: str) -> None:
    room_id = await world.room()
    event_id = await world.say(ALICE, room_id)
    assert await world.ask(ALICE, "POST", f"rooms/{room_id}/receipt/{kind}/{event_id}", {}) == {}
    assert await receipts(world, room_id, ALICE) == {kind: event_id}


async def test_the_fully_read_marker_may_be_set_as_a_receipt(world: World) -> None:
    room_id = await world.room()
    event_id = await world.say(ALICE, room_id)
    assert await world.ask(ALICE, "POST", f"rooms/{room_id}/receipt/m.fully_read/{event_id}", {}) == {}
    assert await fully_read(world, room_id, ALICE) == event_id
    assert await receipts(world, room_id, ALICE) == {}


@pytest.mark.parametrize(
    ("kind", "body", "error"),
    [
        ("m.unknown", {}, (400, "M_INVALID_PARAM")),
        ("m.read", {"thread_id": ""}, (400, "M_INVALID_PARAM")),
        ("m.read", {"thread_id": "x"}, (400, "M_INVALID_PARAM")),
        ("m.read", {"thread_id": 5}, (400, "M_BAD_JSON")),
        ("m.fully_read", {"thread_id": "main"}, (400, "M_INVALID_PARAM")),
    ],
)
async def test_a_receipt_that_makes_no_sense_is_refused(
    world: World, kind: str, body: dict[str, Any], error: tuple[int, str]
) -> None:
    room_id = await world.room()
    event_id = await world.say(ALICE, room_id)
    assert await world.refused(ALICE, "POST", f"rooms/{room_id}/receipt/{kind}/{event_id}", body) == error


@pytest.mark.parametrize("kind", ["m.read", "m.read.private", "m.fully_read"])
async def test_strangers_have_nothing_to_read(world: World, kind: str) -> None:
    room_id = await world.public_room()
    path = f"rooms/{room_id}/receipt/{kind}/{await world.say(ALICE, room_id)}"
    assert await world.refused(BOB, "POST", path, {}) == (403, "M_FORBIDDEN")
    assert await world.refused(BOB, "POST", f"rooms/{NOWHERE}/receipt/{kind}/$x", {}) == (403, "M_FORBIDDEN")


async def test_an_event_of_another_room_cannot_be_read_here(world: World) -> None:
    room_id, other = await world.room(), await world.room()
    path = f"rooms/{room_id}/receipt/m.read/{await world.say(ALICE, other)}"
    assert await world.refused(ALICE, "POST", path, {}) == (404, "M_NOT_FOUND")


async def test_all_markers_may_be_set_at_once(world: World) -> None:
    room_id = await world.room()
    first, second, third = [await world.say(ALICE, room_id, txn_id=str(number)) for number in range(3)]
    body = {"m.fully_read": first, "m.read": second, "m.read.private": third}
    assert await world.ask(ALICE, "POST", f"rooms/{room_id}/read_markers", body) == {}
    assert await receipts(world, room_id, ALICE) == {"m.read": second, "m.read.private": third}
    assert await fully_read(world, room_id, ALICE) == first


async def test_no_marker_at_all_may_be_set(world: World) -> None:
    assert await world.ask(ALICE, "POST", f"rooms/{await world.room()}/read_markers", {"m.read": None}) == {}


@pytest.mark.parametrize(("value", "errcode"), [(5, "M_BAD_JSON"), ("x", "M_INVALID_PARAM")])
@pytest.mark.parametrize("kind", ["m.fully_read", "m.read", "m.read.private"])
async def test_a_marker_is_an_event_id(world: World, kind: str, value: object, errcode: str) -> None:
    assert await world.refused(ALICE, "POST", f"rooms/{await world.room()}/read_markers", {kind: value}) == (400, errcode)


# Typing


async def type_on(world: World, user_id: UserId, room_id: RoomId, **body: Any) -> Any:
    return await world.tried(user_id, "PUT", f"rooms/{room_id}/typing/{user_id}", body)


async def test_a_user_types_and_stops(world: World) -> None:
    room_id = await world.room()
    assert await type_on(world, ALICE, room_id, typing=True, timeout=5_000) == (200, {})
    assert world.typing.users(room_id) == [ALICE]
    assert await type_on(world, ALICE, room_id, typing=False) == (200, {})
    assert world.typing.users(room_id) == []


async def test_typing_ends_by_itself(world: World) -> None:
    room_id = await world.room()
    await type_on(world, ALICE, room_id, typing=True, timeout=5_000)
    world.clock.advance(5_000)
    assert world.typing.users(room_id) == []


@pytest.mark.parametrize("timeout", [0, -5])
async def test_typing_for_no_time_is_not_typing(world: World, timeout: int) -> None:
    room_id = await world.room()
    assert (await type_on(world, ALICE, room_id, typing=True, timeout=timeout))[0] == 200
    assert world.typing.users(room_id) == []


@pytest.mark.parametrize(
    ("body", "errcode"),
    [({}, "M_MISSING_PARAM"), ({"typing": 1}, "M_BAD_JSON"), ({"typing": True, "timeout": "x"}, "M_BAD_JSON")],
)
async def test_typing_is_true_or_false(world: World, body: dict[str, Any], errcode: str) -> None:
    status, answer = await type_on(world, ALICE, await world.room(), **body)
    assert (status, answer["errcode"]) == (400, errcode)


async def test_nobody_types_for_another(world: World) -> None:
    room_id = await world.public_room(BOB)
    path = f"rooms/{room_id}/typing/{BOB}"
    assert await world.refused(ALICE, "PUT", path, {"typing": True}) == (403, "M_FORBIDDEN")


async def test_strangers_do_not_type(world: World) -> None:
    status, _ = await type_on(world, BOB, await world.public_room(), typing=True)
    assert status == 403


# As older clients say it


async def test_a_redaction_may_come_without_a_transaction(world: World) -> None:
    room_id = await world.room()
    event_id: EventId = await world.say(ALICE, room_id)
    answer = await world.ask(ALICE, "POST", f"rooms/{room_id}/redact/{event_id}", {"reason": "spam"})
    redacted = await event(world, room_id, event_id)
    assert redacted["unsigned"]["redacted_because"]["event_id"] == answer["event_id"]


# Suspended


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "createRoom", {}),
        ("PUT", "rooms/{}/send/m.room.message/t", {"body": "x"}),
        ("PUT", "rooms/{}/state/m.room.topic", {"topic": "x"}),
        ("PUT", f"rooms/{{}}/state/m.room.member/{CAROL}", {"membership": "invite"}),
        ("PUT", f"rooms/{{}}/state/m.room.member/{ALICE}", {"membership": "join", "displayname": "x"}),
    ],
)
async def test_the_suspended_send_nothing(world: World, method: str, path: str, body: dict[str, Any]) -> None:
    room_id = await world.room()
    refused = await world.refused(ALICE, method, path.format(room_id), body, requester=SUSPENDED)
    assert refused == (403, "M_USER_SUSPENDED")


@pytest.mark.parametrize("door", ["redact/{}/x", "send/m.room.redaction/x"])
async def test_the_suspended_redact_nothing_of_others(world: World, door: str) -> None:
    room_id = await world.public_room(BOB)
    event_id: EventId = await world.say(BOB, room_id)
    body = {"redacts": event_id} if door.startswith("send") else {}
    path = f"rooms/{room_id}/{door.format(event_id)}"
    assert await world.refused(ALICE, "PUT", path, body, requester=SUSPENDED) == (403, "M_USER_SUSPENDED")


async def test_the_suspended_redact_nothing_of_others_by_its_relation(world: World) -> None:
    room_id = await world.public_room(BOB)
    event_id: EventId = await world.say(ALICE, room_id)
    body = {"with_rel_types": ["m.thread"]}
    path = f"rooms/{room_id}/redact/{event_id}/x"
    assert await world.refused(ALICE, "PUT", path, body, requester=SUSPENDED) == (403, "M_USER_SUSPENDED")


async def test_the_suspended_may_leave_by_a_state_event(world: World) -> None:
    room_id = await world.public_room(BOB)
    path = f"rooms/{room_id}/state/m.room.member/{BOB}"
    suspended = replace(Requester(BOB, PHONE, 1), is_suspended=True)
    await world.ask(BOB, "PUT", path, {"membership": "leave"}, requester=suspended)
    assert await state(world, room_id, "m.room.member", BOB) == {"membership": "leave"}


@pytest.mark.parametrize("door", ["redact/{}/x", "send/m.room.redaction/x"])
async def test_the_suspended_may_redact_what_they_said(world: World, door: str) -> None:
    room_id = await world.room()
    event_id: EventId = await world.say(ALICE, room_id)
    body = {"redacts": event_id} if door.startswith("send") else {}
    await world.ask(ALICE, "PUT", f"rooms/{room_id}/{door.format(event_id)}", body, requester=SUSPENDED)
    assert bodies((await world.messages(ALICE, room_id))["chunk"]) == []
