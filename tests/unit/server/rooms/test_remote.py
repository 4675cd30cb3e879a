import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.server.rooms.stacks import Network, Stack, same_state
from tests.unit.server.rooms.test_receiver import refusals, shared_room
from watchword.base.errors import BadRequest, Forbidden, NotFound, PeerError, Refusal
from watchword.protocol.ids import RoomAlias, RoomId
from watchword.server.changes import OutOfBandMembership
from watchword.server.rooms.ports import Template
from watchword.server.rooms.remote import refusal_for
from watchword.storage import Position


async def test_a_join_goes_through_the_next_server_if_one_fails(network: Network, a: Stack, b: Stack, c: Stack) -> None:
    room_id = await shared_room(network, a, b)
    network.part(a, c)
    await c.join(room_id, "carol", a, b)
    network.heal()
    await network.settle()
    assert await same_state(room_id, a, b, c)
    assert refusals(a, b, c) == []


async def test_two_users_who_join_at_once_cost_one_remote_join(network: Network, a: Stack, b: Stack) -> None:
    import asyncio

    room_id = await a.create()
    await asyncio.gather(b.join(room_id, "bob", a), b.join(room_id, "bea", a))
    await network.settle()
    assert network.times("send_join") == 1
    assert (await a.room(room_id)).members.servers[b.name] == 2
    assert await same_state(room_id, a, b)


def _content(template: Template, **changes: Any) -> Template:
    return Template({**template.event, "content": {**template.event["content"], **changes}}, template.room_version)


LIES: list[Callable[[Template], Template]] = [
    lambda t: Template({**t.event, "type": "m.room.power_levels"}, t.room_version),
    lambda t: Template({**t.event, "sender": "@alice:a.example"}, t.room_version),
    lambda t: Template({**t.event, "state_key": "@bea:b.example"}, t.room_version),
    lambda t: Template({**t.event, "room_id": "!" + "x" * 43}, t.room_version),
    lambda t: _content(t, membership="ban"),
    lambda t: Template({**t.event, "prev_events": "all"}, t.room_version),
    lambda t: Template({**t.event, "depth": -1}, t.room_version),
    lambda t: Template(t.event, "77"),
    lambda t: Template({}, t.room_version),
]


@pytest.mark.parametrize("number", range(len(LIES)))
async def test_a_forged_template_is_never_signed(number: int, network: Network, a: Stack, b: Stack) -> None:
    room_id = await a.create()

    def lie(body: bytes) -> Any:
        import orjson

        decoded = orjson.loads(body)
        forged = LIES[number](Template(decoded["event"], decoded["room_version"]))
        return {"event": forged.event, "room_version": forged.room_version}

    network.lies[a.name, "make_join"] = lie
    with pytest.raises(Refusal):
        await b.join(room_id, "bob", a)
    assert network.times("send_join") == 0


async def test_what_a_template_adds_is_not_sent(network: Network, a: Stack, b: Stack) -> None:
    room_id = await a.create()

    def lie(body: bytes) -> Any:
        import orjson

        decoded = orjson.loads(body)
        decoded["event"]["content"]["displayname"] = "Mallory"
        decoded["event"]["redacts"] = "$x"
        return decoded

    network.lies[a.name, "make_join"] = lie
    await b.join(room_id, "bob", a)
    event_id = (await b.state(room_id))[("m.room.member", b.user("bob"))]
    stored = await b.stored(event_id)
    assert stored is not None
    assert stored.pdu.content == {"membership": "join"}
    assert "redacts" not in stored.pdu.json


ANSWERS: list[Callable[[dict[str, Any]], dict[str, Any]]] = [
    lambda answer: {**answer, "state": []},
    lambda answer: {**answer, "state": [e for e in answer["state"] if e["type"] != "m.room.create"], "auth_chain": []},
    lambda answer: {**answer, "state": answer["state"] * 1 + [], "auth_chain": [], "members_omitted": True},
    lambda answer: {**answer, "state": [{**e, "signatures": {}} for e in answer["state"]]},
    lambda answer: {**answer, "state": [e for e in answer["state"] if e["type"] != "m.room.join_rules"], "auth_chain": []},
]


@pytest.mark.parametrize("number", range(len(ANSWERS)))
async def test_an_answer_that_does_not_carry_the_join_makes_no_room(number: int, network: Network, a: Stack, b: Stack) -> None:
    room_id = await a.create()

    def lie(body: bytes) -> Any:
        import orjson

        return ANSWERS[number](orjson.loads(body))

    network.lies[a.name, "send_join"] = lie
    with pytest.raises(Refusal):
        await b.join(room_id, "bob", a)
    room = await b.rooms.registry.find(room_id)
    assert room is None or not room.is_alive
    assert await b.membership(room_id, b.user("bob")) is None


async def test_state_that_is_not_allowed_is_left_out_of_the_answer(network: Network, a: Stack, b: Stack) -> None:
    room_id = await a.create()
    forged = await a.crafted(room_id, a.user("anna"), {"name": "Forged"}, kind="m.room.name", state_key="")

    def lie(body: bytes) -> Any:
        import orjson

        answer = orjson.loads(body)
        answer["state"].append(forged)
        return answer

    network.lies[a.name, "send_join"] = lie
    await b.join(room_id, "bob", a)
    assert ("m.room.name", "") not in await b.state(room_id)


async def test_the_version_that_is_not_supported_is_passed_up(network: Network, a: Stack, b: Stack) -> None:
    room_id = await a.create()
    body = {"errcode": "M_INCOMPATIBLE_ROOM_VERSION", "room_version": "99"}

    def refuse(_: object) -> object:
        raise PeerError(a.name, "no", status=400, errcode="M_INCOMPATIBLE_ROOM_VERSION", body=body)

    network.lies[a.name, "make_join"] = refuse
    with pytest.raises(BadRequest) as caught:
        await b.join(room_id, "bob", a)
    assert caught.value.body()["room_version"] == "99"


async def test_a_banned_user_cannot_join(network: Network, a: Stack, b: Stack) -> None:
    room_id = await a.create()
    await a.change(room_id, "ban", b.user("bob"))
    with pytest.raises(Forbidden):
        await b.join(room_id, "bob", a)


async def test_a_room_that_nobody_has_is_not_found(network: Network, a: Stack, b: Stack) -> None:
    with pytest.raises(NotFound):
        await b.join(RoomId("!none:a.example"), "bob", a)
    assert refusal_for([]).status == 404
    assert refusal_for([PeerError("x", "down")]).status == 502


@pytest.mark.parametrize("version", ["1", "6", "12"])
async def test_an_invite_is_signed_told_and_accepted(version: str, network: Network, a: Stack, b: Stack) -> None:
    room_id = await a.create(version=version, preset="private_chat", name="The room")
    await a.change(room_id, "invite", b.user("bob"))
    await network.settle()
    row = await b.rooms.reader.membership_of(b.user("bob"), room_id)
    assert row is not None
    assert row.membership == "invite"
    assert row.stripped is not None
    assert b"The room" in row.stripped
    assert b"m.room.create" in row.stripped
    assert b"hashes" not in row.stripped
    invite = json.loads(row.stripped)[-1]
    assert (invite["state_key"], invite["origin_server_ts"] > 0) == (b.user("bob"), True)
    room = await b.room(room_id)
    assert not room.is_alive
    changes = [logged.change for logged in await b.log.read(Position(0), 100)]
    assert any(isinstance(change, OutOfBandMembership) for change in changes)
    await b.join(room_id, "bob", a)
    await network.settle()
    assert await same_state(room_id, a, b)
    assert (await b.room(room_id)).is_alive
    row = await b.rooms.reader.membership_of(b.user("bob"), room_id)
    assert row is not None
    assert row.stripped is None


async def test_an_invite_into_a_room_that_the_other_server_is_in_comes_by_transaction(
    network: Network, a: Stack, b: Stack
) -> None:
    room_id = await shared_room(network, a, b)
    await a.change(room_id, "invite", b.user("bea"))
    await network.settle()
    assert await b.membership(room_id, b.user("bea")) == "invite"
    assert await same_state(room_id, a, b)
    await b.join(room_id, "bea")
    await network.settle()
    assert await same_state(room_id, a, b)


async def test_a_rejected_invite_is_told_to_the_room(network: Network, a: Stack, b: Stack) -> None:
    room_id = await a.create(preset="private_chat")
    await a.change(room_id, "invite", b.user("bob"))
    await b.change(room_id, "leave", b.user("bob"), "bob")
    assert await b.membership(room_id, b.user("bob")) == "leave"
    assert (await a.room(room_id)).members.membership[b.user("bob")] == "leave"


async def test_an_invite_can_be_rejected_when_nobody_can_be_reached(network: Network, a: Stack, b: Stack) -> None:
    room_id = await a.create(preset="private_chat")
    await a.change(room_id, "invite", b.user("bob"))
    network.part(a, b)
    await b.change(room_id, "leave", b.user("bob"), "bob")
    assert await b.membership(room_id, b.user("bob")) == "leave"


async def test_an_invite_that_is_taken_back_ends(network: Network, a: Stack, b: Stack) -> None:
    room_id = await a.create(preset="private_chat")
    await a.change(room_id, "invite", b.user("bob"))
    await network.settle()
    await a.change(room_id, "kick", b.user("bob"))
    await network.settle()
    assert await b.membership(room_id, b.user("bob")) == "leave"


@pytest.mark.parametrize(
    "lie", [lambda event: {**event, "content": {"membership": "ban"}}, lambda event: {**event, "signatures": {}}]
)
async def test_an_invite_that_comes_back_changed_is_not_sent(
    lie: Callable[[dict[str, Any]], dict[str, Any]], network: Network, a: Stack, b: Stack
) -> None:
    import orjson

    room_id = await a.create(preset="private_chat")
    network.lies[b.name, "invite"] = lambda body: lie(orjson.loads(body))
    with pytest.raises(Refusal):
        await a.change(room_id, "invite", b.user("bob"))
    assert b.user("bob") not in (await a.room(room_id)).members.membership


async def test_an_invite_waits_without_holding_the_room(network: Network, a: Stack, b: Stack) -> None:
    room_id = await a.create(preset="private_chat")
    raced: list[str] = []

    def race(body: bytes) -> bytes:
        assert not (a.rooms.registry.at_hand(room_id) or 0).lock.locked()  # type: ignore[union-attr]
        raced.append("raced")
        return body

    network.lies[b.name, "invite"] = race
    await a.change(room_id, "invite", b.user("bob"))
    assert raced == ["raced"]


async def test_a_knock_is_told_and_can_be_taken_back(network: Network, a: Stack, b: Stack) -> None:
    room_id = await a.create(preset="private_chat", name="Door")
    await a.send(room_id, "m.room.join_rules", {"join_rule": "knock"}, "")
    await b.knock(room_id, "bob", a)
    row = await b.rooms.reader.membership_of(b.user("bob"), room_id)
    assert row is not None
    assert (row.membership, b"Door" in (row.stripped or b"")) == ("knock", True)
    assert (await a.room(room_id)).members.membership[b.user("bob")] == "knock"
    await a.change(room_id, "invite", b.user("bob"))
    await b.join(room_id, "bob", a)
    # The invite comes by transaction too, after the join that it led to.
    await network.settle()
    assert await same_state(room_id, a, b)
    assert refusals(a, b) == []
    assert len((await b.room(room_id)).extremities) == 1


async def test_an_alias_is_resolved_by_its_server(network: Network, a: Stack, b: Stack) -> None:
    room_id = await a.create(alias="#room:a.example")
    found = await b.rooms.remote.memberships.resolve_alias(RoomAlias("#room:a.example"))
    assert found == (room_id, ["a.example"])
    assert await b.rooms.remote.memberships.resolve_alias(RoomAlias("#none:a.example")) is None
    network.part(a, b)
    with pytest.raises(Refusal):
        await b.rooms.remote.memberships.resolve_alias(RoomAlias("#room:a.example"))


async def test_the_last_user_leaves_and_comes_back(network: Network, a: Stack, b: Stack) -> None:
    room_id = await shared_room(network, a, b)
    await b.say(room_id, "before", "bob")
    await b.change(room_id, "leave", b.user("bob"), "bob")
    await network.settle()
    assert not (await b.room(room_id)).is_alive
    await a.say(room_id, "meanwhile")
    await a.send(room_id, "m.room.topic", {"topic": "new"}, "")
    await network.settle()
    assert await b.bodies(room_id, "bob") == ["before"]
    await b.join(room_id, "bob", a)
    await network.settle()
    assert await same_state(room_id, a, b)
    await b.say(room_id, "again", "bob")
    await network.settle()
    assert await a.bodies(room_id, "alice") == ["before", "meanwhile", "again"]
    assert await b.bodies(room_id, "bob") == ["before", "meanwhile", "again"]
    await b.restarted()
    assert await same_state(room_id, a, b)


async def test_a_restricted_join_is_vouched_for_by_the_resident(network: Network, a: Stack, b: Stack, c: Stack) -> None:
    space = await shared_room(network, a, b)
    room_id = await a.create(preset="private_chat")
    allow = [{"type": "m.room_membership", "room_id": space}, {"type": "unknown"}]
    await a.send(room_id, "m.room.join_rules", {"join_rule": "restricted", "allow": allow}, "")
    await b.join(room_id, "bob", a)
    await network.settle()
    assert await same_state(room_id, a, b)
    event_id = (await b.state(room_id))[("m.room.member", b.user("bob"))]
    stored = await b.stored(event_id)
    assert stored is not None
    assert stored.pdu.content["join_authorised_via_users_server"] == a.user("alice")
    assert stored.pdu.json["signatures"].keys() == {"a.example", "b.example"}
    with pytest.raises(Forbidden):
        await c.join(room_id, "carol", a)


async def test_a_restricted_join_goes_through_another_server_if_nobody_here_may_invite(
    network: Network, a: Stack, b: Stack
) -> None:
    space = await a.create()
    room_id = await a.create(preset="private_chat")
    allow = [{"type": "m.room_membership", "room_id": space}]
    await a.send(room_id, "m.room.join_rules", {"join_rule": "restricted", "allow": allow}, "")
    levels = dict((await a.room(room_id)).content("m.room.power_levels"))
    await a.send(room_id, "m.room.power_levels", {**levels, "invite": 50}, "")
    await b.join(space, "bob", a)
    await b.join(space, "bea", a)
    await b.join(room_id, "bob", a)
    await network.settle()
    await b.join(room_id, "bea")
    await network.settle()
    assert (await b.room(room_id)).members.servers[b.name] == 2
    assert await same_state(room_id, a, b)
