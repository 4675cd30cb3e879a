"""Making rooms: which events, in which order, and what happens if one of them may not be."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from tests.unit.server.rooms.world import ALICE, BOB, CAROL, EVE, World, types
from watchword.base.errors import BadRequest
from watchword.protocol.ids import RoomId
from watchword.protocol.room_versions import ROOM_VERSIONS
from watchword.server.rooms.commands import CreateRoom
from watchword.server.rooms.creation import create_content, invite_step, power_levels_content, steps

VERSIONS = ["1", "5", "6", "10", "11", "12"]
USUAL = ["m.room.create", "m.room.member", "m.room.power_levels"]
PRESET = ["m.room.join_rules", "m.room.history_visibility", "m.room.guest_access"]


def wanted(**more: Any) -> CreateRoom:
    return CreateRoom(**{"creator": ALICE, "version": "11", "preset": "private_chat", **more})


def contents(events: list[Mapping[str, Any]], kind: str) -> list[Mapping[str, Any]]:
    return [event["content"] for event in events if event["type"] == kind]


async def first_events(world: World, **body: Any) -> list[Mapping[str, Any]]:
    return await world.timeline(await world.room(ALICE, **body))


async def nothing_is_left(world: World) -> bool:
    """Neither rows nor memory know a room."""
    async with world.database.read() as tx:
        rows = [await tx.fetch_all(f"SELECT 1 FROM {table}") for table in ("rooms", "events", "aliases")]
    return not any(rows) and (await world.ask(ALICE, "GET", "joined_rooms"))["joined_rooms"] == []


# Order


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("preset", "rules"),
    [
        ("private_chat", ("invite", "shared", "can_join")),
        ("trusted_private_chat", ("invite", "shared", "can_join")),
        ("public_chat", ("public", "shared", "forbidden")),
    ],
)
async def test_a_room_begins_with_its_presets_events_in_their_order(
    world: World, version: str, preset: str, rules: tuple[str, str, str]
) -> None:
    events = await first_events(world, preset=preset, room_version=version)
    assert types(events) == [*USUAL, *PRESET]
    join_rule, visibility, guests = (event["content"] for event in events[3:])
    found = (join_rule["join_rule"], visibility["history_visibility"], guests["guest_access"])
    assert found == rules


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("preset", ["private_chat", "trusted_private_chat", "public_chat"])
async def test_everything_at_once_comes_in_the_order_of_the_specification(world: World, version: str, preset: str) -> None:
    events = await first_events(
        world,
        preset=preset,
        room_version=version,
        room_alias_name="lobby",
        initial_state=[{"type": "m.x", "content": {}}, {"type": "m.room.encryption", "content": {"algorithm": "a"}}],
        name="Lobby",
        topic="Talk",
        invite=[BOB, CAROL],
    )
    assert types(events) == [
        *USUAL,
        "m.room.canonical_alias",
        *PRESET,
        "m.x",
        "m.room.encryption",
        "m.room.name",
        "m.room.topic",
        "m.room.member",
        "m.room.member",
    ]
    assert [event["state_key"] for event in events if event["type"] == "m.room.member"] == [ALICE, BOB, CAROL]


async def test_events_follow_one_another(world: World) -> None:
    events = await first_events(world)
    assert [event["depth"] for event in events] == list(range(1, len(events) + 1))


@pytest.mark.parametrize(("visibility", "join_rule"), [("public", "public"), ("private", "invite"), (None, "invite")])
async def test_without_a_preset_the_visibility_chooses_it(world: World, visibility: str | None, join_rule: str) -> None:
    events = await first_events(world, **({"visibility": visibility} if visibility else {}))
    assert contents(events, "m.room.join_rules") == [{"join_rule": join_rule}]


async def test_a_preset_goes_before_the_visibility(world: World) -> None:
    events = await first_events(world, visibility="public", preset="private_chat")
    assert contents(events, "m.room.join_rules") == [{"join_rule": "invite"}]


async def test_the_visibility_decides_whether_the_room_is_listed(world: World) -> None:
    public, private = await world.room(visibility="public"), await world.room(preset="public_chat")
    listed = [entry["room_id"] for entry in (await world.ask(ALICE, "GET", "publicRooms"))["chunk"]]
    assert public in listed
    assert private not in listed


# What beats what


async def test_initial_state_beats_the_preset(world: World) -> None:
    state = [{"type": "m.room.history_visibility", "state_key": "", "content": {"history_visibility": "joined"}}]
    events = await first_events(world, initial_state=state)
    assert contents(events, "m.room.history_visibility") == [{"history_visibility": "joined"}]


async def test_name_and_topic_beat_initial_state(world: World) -> None:
    state = [{"type": "m.room.name", "content": {"name": "a"}}, {"type": "m.room.topic", "content": {"topic": "a"}}]
    events = await first_events(world, initial_state=state, name="b", topic="b")
    assert contents(events, "m.room.name") == [{"name": "b"}]
    assert [content["topic"] for content in contents(events, "m.room.topic")] == ["b"]


async def test_without_name_and_topic_initial_state_names_the_room(world: World) -> None:
    events = await first_events(world, initial_state=[{"type": "m.room.name", "content": {"name": "a"}}])
    assert contents(events, "m.room.name") == [{"name": "a"}]


def test_a_server_may_ask_for_levels_of_its_own_and_a_client_for_others() -> None:
    version = ROOM_VERSIONS["11"]
    levels = power_levels_content(wanted(event_levels={"m.call": 0}), version)["events"]
    assert (levels["m.call"], levels["m.room.name"]) == (0, 50)
    override = {"events": {"m.call": 7}}
    chosen = power_levels_content(wanted(event_levels={"m.call": 0}, power_level_override=override), version)
    assert chosen["events"] == {"m.call": 7}


def test_initial_state_under_another_key_beats_nothing() -> None:
    state: list[tuple[str, str, dict[str, Any]]] = [("m.room.join_rules", "x", {})]
    found = [(step.type, step.state_key) for step in steps(wanted(initial_state=state), ROOM_VERSIONS["11"])]
    assert ("m.room.join_rules", "") in found
    assert ("m.room.join_rules", "x") in found


async def test_a_topic_is_said_twice(world: World) -> None:
    events = await first_events(world, topic="Talk")
    assert contents(events, "m.room.topic") == [{"topic": "Talk", "m.topic": {"m.text": [{"body": "Talk"}]}}]


async def test_initial_state_may_turn_the_power_levels_the_creator_may_change(world: World) -> None:
    levels = {"users": {ALICE: 100}, "ban": 99}
    room_id = await world.room(room_version="11", initial_state=[{"type": "m.room.power_levels", "content": levels}])
    assert await world.ask(ALICE, "GET", f"rooms/{room_id}/state/m.room.power_levels") == levels


# The create event


@pytest.mark.parametrize("version", VERSIONS)
async def test_the_create_event_says_the_version(world: World, version: str) -> None:
    (content,) = contents(await first_events(world, room_version=version), "m.room.create")
    assert content["room_version"] == version


@pytest.mark.parametrize("version", VERSIONS)
def test_up_to_version_10_the_create_event_names_its_creator(version: str) -> None:
    content = create_content(wanted(version=version), ROOM_VERSIONS[version])
    assert content.get("creator") == (ALICE if int(version) <= 10 else None)


async def test_creation_content_overrides_neither_version_nor_creator(world: World) -> None:
    extra = {"room_version": "1", "creator": BOB, "m.federate": False, "type": "m.space"}
    (content,) = contents(await first_events(world, room_version="10", creation_content=extra), "m.room.create")
    assert content == {"room_version": "10", "creator": ALICE, "m.federate": False, "type": "m.space"}


async def test_from_version_11_nobody_is_named_creator_by_the_client(world: World) -> None:
    (content,) = contents(await first_events(world, room_version="11", creation_content={"creator": BOB}), "m.room.create")
    assert "creator" not in content


async def test_in_version_12_the_room_is_called_as_its_create_event(world: World) -> None:
    room_id = await world.room(room_version="12")
    create = (await world.timeline(room_id))[0]
    assert "room_id" not in create
    state = await world.ask(ALICE, "GET", f"rooms/{room_id}/state")
    assert [event["event_id"] for event in state if event["type"] == "m.room.create"] == [f"${room_id[1:]}"]


async def test_before_version_12_the_room_is_called_after_the_server(world: World) -> None:
    assert (await world.room(room_version="11")).endswith(":here.example")


async def test_rooms_of_version_12_made_at_the_same_moment_are_different_rooms(world: World) -> None:
    rooms = await asyncio.gather(*(world.room(room_version="12") for _ in range(5)))
    assert len(set(rooms)) == 5


# Version 12: creators


async def test_in_version_12_trusted_guests_become_creators(world: World) -> None:
    extra = {"additional_creators": [CAROL]}
    events = await first_events(
        world, room_version="12", preset="trusted_private_chat", invite=[BOB, CAROL], creation_content=extra
    )
    assert contents(events, "m.room.create")[0]["additional_creators"] == [CAROL, BOB]


async def test_in_version_12_guests_who_are_not_trusted_do_not_become_creators(world: World) -> None:
    events = await first_events(world, room_version="12", preset="private_chat", invite=[BOB])
    assert "additional_creators" not in contents(events, "m.room.create")[0]


async def test_in_version_12_creators_have_no_power_level(world: World) -> None:
    events = await first_events(world, room_version="12", preset="trusted_private_chat", invite=[BOB])
    assert contents(events, "m.room.power_levels")[0]["users"] == {}


async def test_in_version_12_additional_creators_may_do_what_the_creator_may(world: World) -> None:
    room_id = await world.room(room_version="12", preset="public_chat", creation_content={"additional_creators": [BOB]})
    await world.join(BOB, room_id)
    await world.set_state(BOB, room_id, "m.room.tombstone", {"body": "x", "replacement_room": "!new"})


@pytest.mark.parametrize("creators", ["@bob:here.example", [5], ["bob"], [ALICE, "@:"], {}])
@pytest.mark.parametrize("preset", ["private_chat", "trusted_private_chat"])
async def test_in_version_12_additional_creators_must_be_user_ids(world: World, creators: object, preset: str) -> None:
    body = {"room_version": "12", "preset": preset, "creation_content": {"additional_creators": creators}, "invite": [BOB]}
    status, _ = await world.refused(ALICE, "POST", "createRoom", body)
    assert status == 400
    assert await nothing_is_left(world)


async def test_in_version_12_a_level_for_a_creator_is_refused(world: World) -> None:
    body = {"room_version": "12", "power_level_content_override": {"users": {ALICE: 100}}}
    assert await world.refused(ALICE, "POST", "createRoom", body) == (400, "M_BAD_JSON")
    assert await nothing_is_left(world)


# Power levels


def test_before_version_12_trusted_guests_have_the_creators_level() -> None:
    command = wanted(preset="trusted_private_chat", invite=[BOB])
    assert power_levels_content(command, ROOM_VERSIONS["11"])["users"] == {ALICE: 100, BOB: 100}


def test_guests_have_no_level_otherwise() -> None:
    assert power_levels_content(wanted(invite=[BOB]), ROOM_VERSIONS["11"])["users"] == {ALICE: 100}


@pytest.mark.parametrize(("version", "level"), [("11", 100), ("12", 150)])
def test_a_tombstone_needs_more_than_other_state(version: str, level: int) -> None:
    content = power_levels_content(wanted(version=version), ROOM_VERSIONS[version])
    assert content["events"]["m.room.tombstone"] == level > content["state_default"]


def test_an_override_replaces_key_by_key() -> None:
    command = wanted(power_level_override={"events": {"m.x": 1}, "ban": 77})
    usual, content = power_levels_content(wanted(), ROOM_VERSIONS["11"]), power_levels_content(command, ROOM_VERSIONS["11"])
    assert content == {**usual, "events": {"m.x": 1}, "ban": 77}


async def test_an_override_is_in_the_room(world: World) -> None:
    events = await first_events(world, power_level_content_override={"events_default": 10, "invite": 60})
    content = contents(events, "m.room.power_levels")[0]
    assert (content["events_default"], content["invite"], content["kick"]) == (10, 60, 50)


@pytest.mark.parametrize("override", [{"ban": "50"}, {"users": {BOB: 1.5}}, {"events": []}, {"users": [ALICE]}])
async def test_an_override_that_is_no_power_level_is_refused(world: World, override: dict[str, Any]) -> None:
    body = {"power_level_content_override": override}
    assert await world.refused(ALICE, "POST", "createRoom", body) == (400, "M_BAD_JSON")
    assert await nothing_is_left(world)


async def test_an_override_that_takes_the_creators_power_is_an_invalid_state(world: World) -> None:
    body = {"room_version": "11", "power_level_content_override": {"users": {ALICE: 0}}, "name": "x"}
    assert await world.refused(ALICE, "POST", "createRoom", body) == (400, "M_INVALID_ROOM_STATE")
    assert await nothing_is_left(world)


# Invites


@pytest.mark.parametrize("is_direct", [True, False])
def test_is_direct_is_said_in_every_invite(is_direct: bool) -> None:
    expected = {"membership": "invite", **({"is_direct": True} if is_direct else {})}
    assert invite_step(wanted(is_direct=is_direct), BOB).content == expected


async def test_the_guests_are_invited(world: World) -> None:
    room_id = await world.room(invite=[BOB], is_direct=True)
    assert room_id in (await world.sync(BOB))["rooms"]["invite"]


async def test_guests_of_other_servers_are_invited_through_them(world: World) -> None:
    events = await first_events(world, invite=[EVE])
    assert types(events) == [*USUAL, *PRESET]
    assert [(word, command.target) for word, command in world.nobody.asked] == [("invite", EVE)]  # type: ignore[attr-defined]


async def test_the_creators_member_event_has_his_profile(world: World) -> None:
    await world.ask(ALICE, "PUT", f"profile/{ALICE}/displayname", {"displayname": "Alice"})
    member = contents(await first_events(world), "m.room.member")[0]
    assert member == {"membership": "join", "displayname": "Alice"}


async def test_an_invited_users_member_event_has_his_profile(world: World) -> None:
    await world.ask(BOB, "PUT", f"profile/{BOB}/displayname", {"displayname": "Bob"})
    member = contents(await first_events(world, invite=[BOB]), "m.room.member")[1]
    assert member == {"membership": "invite", "displayname": "Bob"}


# Failing


async def test_an_alias_that_is_taken_is_refused(world: World) -> None:
    await world.room(room_alias_name="lobby")
    body = {"room_alias_name": "lobby"}
    assert await world.refused(ALICE, "POST", "createRoom", body) == (400, "M_ROOM_IN_USE")


async def test_a_room_whose_alias_is_taken_leaves_nothing(world: World) -> None:
    room_id = await world.room(room_alias_name="lobby")
    await world.refused(ALICE, "POST", "createRoom", {"room_alias_name": "lobby"})
    assert (await world.ask(ALICE, "GET", "joined_rooms"))["joined_rooms"] == [room_id]
    async with world.database.read() as tx:
        assert len(await tx.fetch_all("SELECT 1 FROM rooms")) == 1


@pytest.mark.parametrize(
    "state",
    [
        {"type": "m.room.create", "content": {}},
        {"type": "m.room.member", "state_key": BOB, "content": {"membership": "join"}},
        {"type": "m.room.member", "state_key": ALICE, "content": {"membership": "leave"}},
        {"type": "m.x", "state_key": BOB, "content": {}},
    ],
)
async def test_state_that_is_not_allowed_is_an_invalid_state(world: World, state: dict[str, Any]) -> None:
    body = {"initial_state": [state], "name": "x", "room_alias_name": "lobby"}
    assert await world.refused(ALICE, "POST", "createRoom", body) == (400, "M_INVALID_ROOM_STATE")
    assert await nothing_is_left(world)


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ({"x": 1.5}, (400, "M_BAD_JSON")),
        ({"x": 2**60}, (400, "M_BAD_JSON")),
        ({"x": "x" * 70_000}, (413, "M_TOO_LARGE")),
    ],
)
async def test_content_that_no_event_can_have_leaves_nothing(
    world: World, content: dict[str, Any], error: tuple[int, str]
) -> None:
    body = {"initial_state": [{"type": "m.x", "content": content}]}
    assert await world.refused(ALICE, "POST", "createRoom", body) == error
    assert await nothing_is_left(world)


async def test_a_guest_who_does_not_exist_leaves_nothing(world: World) -> None:
    status, _ = await world.refused(ALICE, "POST", "createRoom", {"invite": ["@nobody:here.example"]})
    assert status == 404
    assert await nothing_is_left(world)


async def test_after_a_failed_creation_the_alias_is_free(world: World) -> None:
    bad = {"room_alias_name": "lobby", "power_level_content_override": {"ban": "x"}}
    await world.refused(ALICE, "POST", "createRoom", bad)
    room_id = await world.room(room_alias_name="lobby")
    assert (await world.ask(ALICE, "GET", "directory/room/%23lobby:here.example"))["room_id"] == room_id


async def test_the_maker_itself_refuses_creators_that_are_no_list(world: World) -> None:
    extra = {"additional_creators": "x"}
    command = wanted(version="12", preset="trusted_private_chat", invite=[BOB], creation_content=extra)
    with pytest.raises(BadRequest, match="M_BAD_JSON"):
        await world.maker.create(command)


async def test_a_room_can_be_used_at_once(world: World) -> None:
    room_id: RoomId = await world.room()
    await world.say(ALICE, room_id)
