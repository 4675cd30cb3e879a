from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from tests.unit.server.rooms.stacks import Network, Stack, copied, copied_bytes, decoded
from tests.unit.server.rooms.test_receiver import shared_room
from watchword.base.errors import BadRequest, Forbidden, NotFound, Refusal
from watchword.protocol.events import event_id_of, with_content_hash
from watchword.protocol.ids import EventId, RoomAlias, RoomId, ServerName
from watchword.protocol.room_versions import ROOM_VERSIONS
from watchword.protocol.signatures import SigningKey, sign_event
from watchword.server.federation.ports import (
    IncomingInvite,
    MissingEvents,
    PublicRoomsQuery,
    Receiver,
    RoomAcls,
    RoomsForServers,
)

VERSIONS = list(ROOM_VERSIONS)


async def test_the_parts_fit_the_ports_of_federation(a: Stack) -> None:
    rooms: RoomsForServers = a.rooms.remote.for_servers
    receiver: Receiver = a.rooms.remote.receiver
    acls: RoomAcls = a.rooms.remote.acls
    assert rooms
    assert receiver
    assert acls


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


async def test_only_servers_in_the_room_may_read_it(network: Network, a: Stack, b: Stack, c: Stack) -> None:
    room_id = await shared_room(network, a, b)
    event_id = await a.say(room_id, "hello")
    rooms = a.rooms.remote.for_servers
    wanted = MissingEvents([], [event_id], 10, 0)
    for ask in (
        rooms.backfill(c.name, room_id, [event_id], 10),
        rooms.missing_events(c.name, room_id, wanted),
        rooms.state(c.name, room_id, event_id),
        rooms.state_ids(c.name, room_id, event_id),
        rooms.event_auth(c.name, room_id, event_id),
    ):
        with pytest.raises(Forbidden):
            await ask
    with pytest.raises(NotFound):
        await rooms.event(c.name, event_id)
    with pytest.raises(NotFound):
        await rooms.event(b.name, EventId("$none"))
    with pytest.raises(NotFound):
        await rooms.state(b.name, room_id, EventId("$none"))
    other = await a.create()
    foreign = await a.say(other, "foreign")
    with pytest.raises(NotFound):
        await rooms.state_ids(b.name, room_id, foreign)
    assert decoded(await rooms.backfill(b.name, room_id, [foreign], 10)) == []


async def test_the_state_before_an_event_and_its_chain_are_whole(network: Network, a: Stack, b: Stack) -> None:
    room_id = await shared_room(network, a, b)
    before = await a.state(room_id)
    event_id = await a.send(room_id, "m.room.topic", {"topic": "x"}, "")
    await a.send(room_id, "m.room.topic", {"topic": "y"}, "")
    rooms = a.rooms.remote.for_servers
    ids, chain_ids = await rooms.state_ids(b.name, room_id, event_id)
    assert set(ids) == set(before.values())
    state, chain = await rooms.state(b.name, room_id, event_id)
    version = (await a.room(room_id)).version
    assert {event_id_of(each, version) for each in decoded(state)} == set(ids)
    assert {event_id_of(each, version) for each in decoded(chain)} == set(chain_ids)
    given = {*ids, *chain_ids}
    for each in (*decoded(state), *decoded(chain)):
        assert set(each["auth_events"]) <= given
    auth = decoded(await rooms.event_auth(b.name, room_id, event_id))
    stored = await a.stored(event_id)
    assert stored is not None
    assert set(stored.pdu.auth_events) <= {event_id_of(each, version) for each in auth}


async def test_earlier_events_are_given_in_their_order(network: Network, a: Stack, b: Stack) -> None:
    room_id = await shared_room(network, a, b)
    said = [await a.say(room_id, str(number)) for number in range(30)]
    rooms = a.rooms.remote.for_servers
    version = (await a.room(room_id)).version

    def ids(events: Any) -> list[EventId]:
        return [event_id_of(each, version) for each in decoded(events)]

    assert ids(await rooms.backfill(b.name, room_id, [said[-1]], 5)) == said[:-6:-1]
    assert ids(await rooms.missing_events(b.name, room_id, MissingEvents([said[20]], [said[25]], 10, 0))) == said[21:25]
    assert ids(await rooms.missing_events(b.name, room_id, MissingEvents([], [said[25]], 3, 0))) == said[22:25]
    stored = await a.stored(said[23])
    assert stored is not None
    wanted = MissingEvents([], [said[25]], 10, stored.pdu.depth)
    assert ids(await rooms.missing_events(b.name, room_id, wanted)) == said[23:25]


async def test_what_a_server_may_not_see_is_redacted_not_left_out(network: Network, a: Stack, b: Stack) -> None:
    room_id = await a.create()
    await a.send(room_id, "m.room.history_visibility", {"history_visibility": "joined"}, "")
    secret = await a.say(room_id, "secret")
    await b.join(room_id, "bob", a)
    seen = await a.say(room_id, "seen")
    rooms = a.rooms.remote.for_servers
    pdus = decoded(await rooms.backfill(b.name, room_id, [seen], 10))
    messages = [each["content"] for each in pdus if each["type"] == "m.room.message"]
    assert messages == [{"msgtype": "m.text", "body": "seen"}, {}]
    assert copied_bytes(await rooms.event(b.name, secret))["content"] == {}
    assert copied_bytes(await rooms.event(b.name, seen))["content"]["body"] == "seen"


async def test_aliases_and_the_directory_are_told(a: Stack, b: Stack) -> None:
    room_id = await a.create(alias="#x:a.example", is_public=True, name="Listed")
    rooms = a.rooms.remote.for_servers
    assert await rooms.resolve_alias(RoomAlias("#x:a.example")) == (room_id, ["a.example"])
    assert await rooms.resolve_alias(RoomAlias("#y:a.example")) is None
    page = await rooms.public_rooms(b.name, PublicRoomsQuery(10, None, None, None))
    assert [each["name"] for each in page["chunk"]] == ["Listed"]
