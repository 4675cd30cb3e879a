from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from tests.unit.server.rooms.stacks import Network, Stack, copied, copied_bytes
from tests.unit.server.rooms.test_receiver import shared_room
from watchword.base.errors import BadRequest, Forbidden, NotFound, Refusal
from watchword.protocol.events import event_id_of, with_content_hash
from watchword.protocol.ids import EventId, RoomId, ServerName
from watchword.protocol.room_versions import ROOM_VERSIONS
from watchword.protocol.signatures import SigningKey, sign_event
from watchword.server.federation.ports import (
    IncomingInvite,
)

VERSIONS = list(ROOM_VERSIONS)


async def test_versions_must_meet(a: Stack, b: Stack) -> None:
    room_id = await a.create(version="10")
    with pytest.raises(BadRequest) as caught:
        await a.rooms.remote.for_servers.make_join(b.name, room_id, b.user("bob"), ["1", "2"])
    assert caught.value.errcode == "M_INCOMPATIBLE_ROOM_VERSION"
    assert caught.value.body()["room_version"] == "10"


async def test_templates_are_not_for_everybody(network: Network, a: Stack, b: Stack, c: Stack) -> None:
    rooms = a.rooms.remote.for_servers
    room_id = await a.create(preset="private_chat")
    with pytest.raises(Forbidden):
        await rooms.make_join(b.name, room_id, b.user("bob"), VERSIONS)
    with pytest.raises(Forbidden):
        await rooms.make_leave(b.name, room_id, b.user("bob"))
    with pytest.raises(Forbidden):
        await rooms.make_knock(b.name, room_id, b.user("bob"), VERSIONS)
    with pytest.raises(NotFound):
        await rooms.make_join(b.name, RoomId("!none:a.example"), b.user("bob"), VERSIONS)
    public = await a.create()
    await a.send(public, "m.room.server_acl", {"allow": ["*"], "deny": ["c.example"]}, "")
    with pytest.raises(Forbidden):
        await rooms.make_join(c.name, public, c.user("carol"), VERSIONS)
    old = await a.create(version="6")
    with pytest.raises(Forbidden):
        await rooms.make_knock(b.name, old, b.user("bob"), VERSIONS)


async def a_join(a: Stack, b: Stack, room: RoomId, /, **changes: Any) -> dict[str, Any]:
    """A signed join of Bob's, with something else said."""
    template = orjson.loads(await a.rooms.remote.for_servers.make_join(b.name, room, b.user("bob"), VERSIONS))["event"]
    version = (await a.room(room)).version
    event = with_content_hash({**{key: value for key, value in template.items() if key != "origin"}, **changes})
    return copied(sign_event(event, version, b.name, b.key))


@pytest.mark.parametrize(
    "changes",
    [
        {"content": {"membership": "leave"}},
        {"type": "m.room.message"},
        {"state_key": "@bea:b.example"},
        {"sender": "@alice:a.example", "state_key": "@alice:a.example"},
        {"room_id": "!" + "x" * 43},
        {"depth": "deep"},
    ],
)
async def test_a_signed_join_must_be_a_join_of_its_sender(changes: Mapping[str, Any], a: Stack, b: Stack) -> None:
    room_id = await a.create()
    event = await a_join(a, b, room_id, **changes)
    version = (await a.room(room_id)).version
    with pytest.raises(BadRequest) as caught:
        await a.rooms.remote.for_servers.send_join(b.name, room_id, event_id_of(event, version), event, False)
    assert caught.value.errcode == "M_INVALID_PARAM"
    assert b.user("bob") not in (await a.room(room_id)).members.membership


async def test_a_join_with_a_forged_signature_or_another_id_is_refused(a: Stack, b: Stack) -> None:
    room_id = await a.create()
    version = (await a.room(room_id)).version
    event = await a_join(a, b, room_id)
    send_join = a.rooms.remote.for_servers.send_join
    with pytest.raises(BadRequest):
        await send_join(b.name, room_id, EventId("$another"), event, False)
    forged = sign_event({**event, "signatures": {}}, version, b.name, SigningKey(b"q" * 32, "1"))
    with pytest.raises(Forbidden):
        await send_join(b.name, room_id, event_id_of(forged, version), forged, False)
    floating = await a_join(a, b, room_id, prev_events=["$nothing"])
    with pytest.raises(BadRequest):
        await send_join(b.name, room_id, event_id_of(floating, version), floating, False)


async def test_a_join_is_answered_with_the_state_before_it_also_a_second_time(a: Stack, b: Stack) -> None:
    room_id = await a.create()
    version = (await a.room(room_id)).version
    before = await a.state(room_id)
    event = await a_join(a, b, room_id)
    event_id = event_id_of(event, version)
    answer = orjson.loads(await a.rooms.remote.for_servers.send_join(b.name, room_id, event_id, event, False))
    assert {event_id_of(each, version) for each in answer["state"]} == set(before.values())
    assert answer["event"] == event
    assert answer["servers_in_room"] == ["a.example"]
    assert answer["members_omitted"] is False
    again = orjson.loads(await a.rooms.remote.for_servers.send_join(b.name, room_id, event_id, event, False))
    assert again["state"] == answer["state"]


async def test_members_may_be_left_out_of_the_answer(a: Stack, b: Stack) -> None:
    room_id = await a.create(name="Named")
    await a.join(room_id, "anna")
    version = (await a.room(room_id)).version
    event = await a_join(a, b, room_id)
    encoded = await a.rooms.remote.for_servers.send_join(b.name, room_id, event_id_of(event, version), event, True)
    answer = orjson.loads(encoded)
    assert answer["members_omitted"] is True
    assert all(each["type"] != "m.room.member" for each in answer["state"])
    given = {event_id_of(each, version) for each in (*answer["state"], *answer["auth_chain"])}
    for each in (*answer["state"], *answer["auth_chain"], event):
        assert set(each["auth_events"]) <= given


async def test_a_join_is_told_to_the_other_servers(network: Network, a: Stack, b: Stack, c: Stack) -> None:
    room_id = await shared_room(network, a, c)
    event = await a_join(a, b, room_id)
    version = (await a.room(room_id)).version
    await a.rooms.remote.for_servers.send_join(b.name, room_id, event_id_of(event, version), event, False)
    await network.settle()
    assert (await c.room(room_id)).members.membership[b.user("bob")] == "join"


async def test_restricted_joins_are_judged_as_specified(network: Network, a: Stack, b: Stack) -> None:
    rooms = a.rooms.remote.for_servers
    space = await shared_room(network, a, b)
    room_id = await a.create(preset="private_chat")

    async def ask() -> Refusal | None:
        try:
            await rooms.make_join(b.name, room_id, b.user("bob"), VERSIONS)
        except Refusal as refusal:
            return refusal
        return None

    async def allow(*rooms: str) -> None:
        conditions = [{"type": "m.room_membership", "room_id": each} for each in rooms]
        await a.send(room_id, "m.room.join_rules", {"join_rule": "restricted", "allow": conditions}, "")

    await allow(space)
    assert await ask() is None
    await allow()
    refusal = await ask()
    assert refusal is not None
    assert (refusal.status, refusal.errcode) == (403, "M_FORBIDDEN")
    await allow("!elsewhere:c.example")
    refusal = await ask()
    assert refusal is not None
    assert (refusal.status, refusal.errcode) == (400, "M_UNABLE_TO_AUTHORISE_JOIN")
    await allow(space, "!elsewhere:c.example")
    levels = dict((await a.room(room_id)).content("m.room.power_levels"))
    await a.change(room_id, "invite", a.user("anna"))
    await a.join(room_id, "anna")
    await a.send(room_id, "m.room.power_levels", {**levels, "invite": 60}, "")
    await a.change(room_id, "leave", a.user("alice"))
    refusal = await ask()
    assert refusal is not None
    assert (refusal.status, refusal.errcode) == (400, "M_UNABLE_TO_GRANT_JOIN")


async def an_invite(a: Stack, b: Stack, **changes: Any) -> IncomingInvite:
    room_id = await a.create(preset="private_chat", name="Hidden")
    content = {"membership": "invite", **changes.pop("content", {})}
    target = changes.pop("state_key", b.user("bob"))
    event = await a.crafted(room_id, a.user("alice"), content, kind="m.room.member", state_key=target)
    room = await a.room(room_id)
    create_event = room.current("m.room.create")
    assert create_event is not None
    create = copied(create_event.json)
    version = changes.pop("room_version", "12")
    return IncomingInvite(room_id, event_id_of(event, room.version), version, event, changes.pop("state", [create]))


async def test_an_invite_comes_back_signed(a: Stack, b: Stack) -> None:
    invite = await an_invite(a, b)
    signed = copied_bytes(await b.rooms.remote.for_servers.invite(a.name, invite))
    assert signed["signatures"].keys() == {"a.example", "b.example"}
    assert {**signed, "signatures": 0} == {**invite.event, "signatures": 0}


async def test_an_invite_is_not_signed_for_just_anything(a: Stack, b: Stack) -> None:
    sign = b.rooms.remote.for_servers.invite
    with pytest.raises(NotFound):
        await sign(a.name, await an_invite(a, b, state_key=b.user("nobody")))
    with pytest.raises(BadRequest):
        await sign(a.name, await an_invite(a, b, state_key="@x:c.example"))
    with pytest.raises(BadRequest):
        await sign(a.name, await an_invite(a, b, content={"membership": "ban"}))
    with pytest.raises(BadRequest):
        await sign(ServerName("c.example"), await an_invite(a, b))
    with pytest.raises(BadRequest) as caught:
        await sign(a.name, await an_invite(a, b, room_version="99"))
    assert caught.value.errcode == "M_INCOMPATIBLE_ROOM_VERSION"
    with pytest.raises(BadRequest) as caught:
        await sign(a.name, await an_invite(a, b, state=[]))
    assert caught.value.errcode == "M_MISSING_PARAM"
    wrong = await an_invite(a, b)
    other = await an_invite(a, b)
    with pytest.raises(BadRequest):
        await sign(a.name, IncomingInvite(wrong.room_id, wrong.event_id, "12", wrong.event, other.invite_room_state))
    unsigned = {**wrong.event, "signatures": {"a.example": {"ed25519:1": "x"}}}
    with pytest.raises(Forbidden):
        await sign(a.name, IncomingInvite(wrong.room_id, wrong.event_id, "12", unsigned, wrong.invite_room_state))
