"""Every call of the client against the doors of another whole stack: `endpoints` are tested by the same exchange."""

from typing import Any

import orjson
import pytest

from tests.unit.server.federation.stacks import ALICE, BOB, ROOM, A, B, Net, Stack, json_answer
from watchword.base.errors import PeerError
from watchword.protocol.ids import DeviceId, EventId, RoomAlias, RoomId, UserId
from watchword.server.federation.client import FederationClient
from watchword.server.federation.ports import PeerCall, WholeAnswer

EVENT = EventId("$a/b+c")


@pytest.fixture
def client(two: tuple[Stack, Stack]) -> FederationClient:
    return two[1].out.client


async def test_joining(two: tuple[Stack, Stack], client: FederationClient) -> None:
    template = await client.make_join(A, ROOM, BOB, ["10", "11"])
    assert (template.room_version, template.event["sender"]) == ("11", BOB)
    answer = await client.send_join(A, ROOM, EVENT, {"x": 1})
    assert (answer.event, answer.state, answer.auth_chain) == ({"x": 1}, [{"s": 1}], [])
    assert (answer.servers_in_room, answer.members_omitted) == ([A], False)
    assert two[0].rooms.asked == [
        ("make_join", B, ROOM, BOB, ["10", "11"]),
        ("send_join", B, ROOM, EVENT, {"x": 1}, False),
    ]


async def test_a_token_for_a_call_is_asked_for_under_its_old_name_where_the_new_one_is_not_known(
    net: Net, client: FederationClient
) -> None:
    asked = []

    def answers(call: PeerCall) -> WholeAnswer:
        asked.append(call.uri)
        if "/v1/" in call.uri:
            return json_answer({"errcode": "M_UNRECOGNIZED", "error": "?"}, 404)
        return json_answer({"jwt": "token"})

    net.hosts["a.example:8448"] = answers
    assert await client.livekit_token(A, {"user_id": BOB}) == {"jwt": "token"}
    assert [uri.partition("/federation/")[2] for uri in asked] == [
        "v1/rtc/livekit/get_token",
        "unstable/io.element.msc4195/rtc/livekit/get_token",
    ]
    net.hosts["a.example:8448"] = lambda call: json_answer({"errcode": "M_FORBIDDEN", "error": "?"}, 403)
    with pytest.raises(PeerError) as refused:
        await client.livekit_token(A, {"user_id": BOB})
    assert refused.value.errcode == "M_FORBIDDEN"


async def test_leaving_and_knocking(two: tuple[Stack, Stack], client: FederationClient) -> None:
    assert (await client.make_leave(A, ROOM, BOB)).room_version == "1"
    await client.send_leave(A, ROOM, EVENT, {"x": 1})
    assert (await client.make_knock(A, ROOM, BOB, ["7"])).room_version == "7"
    assert await client.send_knock(A, ROOM, EVENT, {}) == [{"type": "m.room.create"}]


async def test_nobody_joins_for_another_server_s_user(client: FederationClient) -> None:
    for make in (client.make_join, client.make_knock):
        with pytest.raises(PeerError) as refused:
            await make(A, ROOM, ALICE, ["11"])
        assert (refused.value.status, refused.value.errcode) == (403, "M_FORBIDDEN")
    with pytest.raises(PeerError):
        await client.make_leave(A, ROOM, ALICE)


async def test_a_refusal_comes_back_with_its_code(two: tuple[Stack, Stack], client: FederationClient) -> None:
    two[0].rooms.denied.add(B)
    with pytest.raises(PeerError) as refused:
        await client.make_join(A, ROOM, BOB, ["11"])
    assert (refused.value.status, refused.value.errcode, refused.value.body["error"]) == (403, "M_FORBIDDEN", "You are banned.")
    assert two[1].out.backoff.failures(A) == 0


async def test_inviting(two: tuple[Stack, Stack], client: FederationClient) -> None:
    event = {"type": "m.room.member", "unsigned": {"age": 1}}
    assert await client.invite(A, ROOM, EVENT, event, "11", [{"type": "m.room.create"}]) == {**event, "signed": True}
    (_, origin, invite) = two[0].rooms.asked[0]
    assert (origin, invite.room_version, invite.invite_room_state) == (B, "11", [{"type": "m.room.create"}])


@pytest.mark.parametrize(("version", "falls_back"), [("1", True), ("2", True), ("3", False), ("12", False)])
async def test_an_old_server_is_invited_in_the_old_form(
    two: tuple[Stack, Stack], client: FederationClient, net: Net, version: str, falls_back: bool
) -> None:
    def old(call: PeerCall) -> WholeAnswer:
        if "/v2/" in call.uri:
            return json_answer({"errcode": "M_UNRECOGNIZED", "error": "?"}, 404)
        assert call.body is not None
        return json_answer([200, {"event": orjson.loads(call.body)}])

    net.hosts["a.example:8448"] = old
    if falls_back:
        signed = await client.invite(A, ROOM, EVENT, {"type": "x"}, version, [{"s": 1}])
        assert signed == {"type": "x", "unsigned": {"invite_room_state": [{"s": 1}]}}
    else:
        with pytest.raises(PeerError):
            await client.invite(A, ROOM, EVENT, {"type": "x"}, version, [])


async def test_fetching_events(two: tuple[Stack, Stack], client: FederationClient) -> None:
    assert await client.backfill(A, ROOM, [EVENT, EventId("$2")], 5_000) == [{"n": 1}, {"n": 2}]
    assert await client.get_missing_events(A, ROOM, [EVENT], [EventId("$2")], 50, 3) == [{"n": 3}]
    assert await client.state(A, ROOM, EVENT) == ([{"n": 4}], [{"n": 5}])
    assert await client.state_ids(A, ROOM, EVENT) == (["$s"], ["$c"])
    assert await client.event(A, EVENT) == {"n": 6}
    assert await client.event_auth(A, ROOM, EVENT) == [{"n": 7}]
    assert two[0].rooms.asked[0] == ("backfill", [EVENT, "$2"], 100)
    wanted = two[0].rooms.asked[1][1]
    assert (wanted.earliest, wanted.latest, wanted.limit, wanted.min_depth) == ([EVENT], ["$2"], 20, 3)


async def test_spaces_and_times_are_asked_for(two: tuple[Stack, Stack], client: FederationClient) -> None:
    def reply(call: PeerCall) -> WholeAnswer:
        asked.append(call.uri)
        return json_answer({"event_id": EVENT, "origin_server_ts": 5})

    asked: list[str] = []
    two[0].net.hosts[f"{A}:8448"] = reply
    assert await client.hierarchy(A, ROOM, True) == {"event_id": EVENT, "origin_server_ts": 5}
    assert await client.timestamp_to_event(A, ROOM, 7, backwards=True) == (EVENT, 5)
    await client.timestamp_to_event(A, ROOM, 7, backwards=False)
    prefix = "/_matrix/federation/v1"
    assert asked == [
        f"{prefix}/hierarchy/%21room%3Aa.example?suggested_only=true",
        f"{prefix}/timestamp_to_event/%21room%3Aa.example?ts=7&dir=b",
        f"{prefix}/timestamp_to_event/%21room%3Aa.example?ts=7&dir=f",
    ]


async def test_queries(two: tuple[Stack, Stack], client: FederationClient) -> None:
    two[0].people.profiles[ALICE] = {"displayname": "Alice", "avatar_url": "mxc://a/b"}
    assert await client.query_directory(A, RoomAlias("#room:a.example")) == (ROOM, [A, B])
    assert await client.query_profile(A, ALICE, None) == {"displayname": "Alice", "avatar_url": "mxc://a/b"}
    assert await client.query_profile(A, ALICE, "displayname") == {"displayname": "Alice"}
    assert await client.query_profile(A, ALICE, "m.tz") == {}
    assert await client.public_rooms(A, {"limit": 5, "filter": {"generic_search_term": "x"}}) == {"chunk": [{"room_id": ROOM}]}
    assert await client.version(A) == {"server": {"name": "Watchword", "version": "1.2.3"}}
    for user in (UserId("@nobody:a.example"), BOB):
        with pytest.raises(PeerError) as refused:
            await client.query_profile(A, user, None)
        assert refused.value.status == 404


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"[]",
        b"{",
        b"null",
        b'{"event":5}',
        b'{"event":{},"room_version":7}',
        b"\xff\xfe",
        b"[" * 50_000,
        b'{"a":' * 2_000,
        b" " * 3_000_000,
    ],
)
async def test_garbage_is_a_peer_error(client: FederationClient, net: Net, answer: bytes) -> None:
    net.hosts["a.example:8448"] = lambda call: WholeAnswer(200, {}, answer)
    with pytest.raises(PeerError):
        await client.make_join(A, ROOM, BOB, ["11"])
    with pytest.raises(PeerError):
        await client.send_join(A, ROOM, EVENT, {})


async def test_devices_are_asked_in_their_forms(client: FederationClient, net: Net) -> None:
    asked: list[tuple[str, str, Any]] = []

    def devices(call: PeerCall) -> WholeAnswer:
        asked.append((call.method, call.uri, None if call.body is None else orjson.loads(call.body)))
        return json_answer({"ok": 1})

    net.hosts["a.example:8448"] = devices
    assert await client.user_devices(A, ALICE) == {"ok": 1}
    await client.query_keys(A, {ALICE: [DeviceId("D")]})
    await client.claim_keys(A, {ALICE: {DeviceId("D"): "signed_curve25519"}})
    prefix = "/_matrix/federation/v1/user"
    assert asked == [
        ("GET", f"{prefix}/devices/%40alice%3Aa.example", None),
        ("POST", f"{prefix}/keys/query", {"device_keys": {ALICE: ["D"]}}),
        ("POST", f"{prefix}/keys/claim", {"one_time_keys": {ALICE: {"D": "signed_curve25519"}}}),
    ]


async def test_an_event_may_be_missing_and_a_room_nonsense(client: FederationClient, net: Net) -> None:
    net.hosts["a.example:8448"] = lambda call: json_answer({"pdus": [], "room_id": 5})
    with pytest.raises(PeerError):
        await client.event(A, EVENT)
    with pytest.raises(PeerError):
        await client.query_directory(A, RoomAlias("#x:a.example"))
    net.hosts["a.example:8448"] = lambda call: json_answer({"room_id": str(RoomId("nonsense"))})
    with pytest.raises(PeerError):
        await client.query_directory(A, RoomAlias("#x:a.example"))


@pytest.mark.parametrize(
    ("is_unstable", "path"),
    [(False, "/_matrix/policy/v1/sign"), (True, "/_matrix/policy/unstable/org.matrix.msc4284/sign")],
)
async def test_a_policy_server_is_asked_to_sign(net: Net, client: FederationClient, is_unstable: bool, path: str) -> None:
    asked: list[PeerCall] = []

    def policy(call: PeerCall) -> WholeAnswer:
        asked.append(call)
        return json_answer({A: {"ed25519:policy_server": "signature"}})

    net.hosts["a.example:8448"] = policy
    answer = await client.policy_sign(A, {"type": "m.room.message"}, is_unstable=is_unstable)
    assert answer == {A: {"ed25519:policy_server": "signature"}}
    assert [(call.method, call.uri, call.body) for call in asked] == [("POST", path, b'{"type":"m.room.message"}')]
