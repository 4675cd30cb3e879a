"""Invites by address, with an identity server that keeps its word, and one whose word is worth nothing."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.unit.server.rooms.stacks import Network, Stack
from tests.unit.server.rooms.world import ALICE, BOB, CAROL, World, open_world
from watchword.base.errors import BadRequest, Forbidden, NotFound, PeerError, Refusal
from watchword.protocol.ids import RoomId, UserId
from watchword.protocol.signatures import SigningKey, sign_json
from watchword.server.rooms.commands import InviteAddress, PromisedInvite
from watchword.server.rooms.third_party_invites import keys_that_signed, promise

KEY = SigningKey(b"i" * 32, "0")
OTHER = SigningKey(b"o" * 32, "0")
PUBLIC = KEY.verify_key.to_base64()
ID_SERVER = "id.example"
URL = "https://id.example/valid"


class IdentityServer:
    """Fits InvitationServers. owners: address → user. kept: what it keeps. revoked: keys that are good no more."""

    enabled = True

    def __init__(self) -> None:
        self.owners: dict[str, UserId] = {}
        self.kept: list[Mapping[str, Any]] = []
        self.revoked: set[str] = set()

    def read_address(self, medium: str, address: str) -> tuple[str, str]:
        if "@" not in address:
            raise BadRequest("M_INVALID_PARAM", "No address.")
        return medium, address.lower()

    async def lookup(self, name: str, access_token: str, address: tuple[str, str]) -> UserId | None:
        assert (name, access_token) == (ID_SERVER, "token")
        return self.owners.get(address[1])

    async def store_invite(self, name: str, access_token: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        self.kept.append(body)
        keys = [{"public_key": PUBLIC, "key_validity_url": URL}]
        return {"token": f"token{len(self.kept)}", "display_name": "b...@e...", "public_keys": keys}

    async def is_key_valid(self, url: str, public_key: str) -> bool:
        return url == URL and public_key not in self.revoked


def signed_for(user: UserId, sender: UserId, token: str = "token1", key: SigningKey = KEY) -> dict[str, Any]:
    return sign_json({"mxid": user, "sender": sender, "token": token}, ID_SERVER, key)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as world:
        await world.users(ALICE, BOB, CAROL)
        yield world


@pytest.fixture
def identity(world: World) -> IdentityServer:
    server = IdentityServer()
    object.__setattr__(world.doors.addresses, "identity", server)
    return server


def an_address(address: str = "Bob@Example.org", **changes: Any) -> dict[str, Any]:
    body = {"medium": "email", "address": address, "id_server": ID_SERVER, "id_access_token": "token"}
    return {key: value for key, value in {**body, **changes}.items() if value is not None}


# At the door


async def test_an_address_with_an_owner_invites_the_owner(world: World, identity: IdentityServer) -> None:
    identity.owners["bob@example.org"] = BOB
    room_id = await world.room(ALICE)
    await world.ask(ALICE, "POST", f"rooms/{room_id}/invite", an_address())
    row = await world.reader.membership_of(BOB, room_id)
    assert row is not None
    assert (row.membership, identity.kept) == ("invite", [])


async def test_an_address_without_an_owner_is_promised_an_invite(world: World, identity: IdentityServer) -> None:
    room_id = await world.room(ALICE, name="The room", room_alias_name="us", creation_content={"type": "m.space"})
    await world.ask(ALICE, "PUT", f"profile/{ALICE}/displayname", {"displayname": "Alice"})
    await world.ask(ALICE, "POST", f"rooms/{room_id}/invite", an_address())
    (kept,) = identity.kept
    assert (kept["medium"], kept["address"], kept["room_id"], kept["sender"]) == ("email", "bob@example.org", room_id, ALICE)
    assert (kept["room_name"], kept["room_alias"], kept["room_type"]) == ("The room", "#us:here.example", "m.space")
    assert (kept["room_join_rules"], kept["sender_display_name"]) == ("invite", "Alice")
    promised = await world.ask(ALICE, "GET", f"rooms/{room_id}/state/m.room.third_party_invite/token1")
    assert promised == {
        "display_name": "b...@e...",
        "public_key": PUBLIC,
        "key_validity_url": URL,
        "public_keys": [{"public_key": PUBLIC, "key_validity_url": URL}],
    }


async def test_a_new_room_invites_by_address_too(world: World, identity: IdentityServer) -> None:
    identity.owners["bob@example.org"] = BOB
    room_id = await world.room(ALICE, invite_3pid=[an_address(), an_address("carol@example.org")])
    row = await world.reader.membership_of(BOB, room_id)
    assert row is not None
    assert row.membership == "invite"
    assert [kept["address"] for kept in identity.kept] == ["carol@example.org"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (an_address(id_server=None), (400, "M_MISSING_PARAM")),
        (an_address(id_access_token=None), (400, "M_MISSING_PARAM")),
        (an_address(medium=5), (400, "M_BAD_JSON")),
        (an_address("nonsense"), (400, "M_INVALID_PARAM")),
    ],
)
async def test_what_is_no_address_is_refused(
    world: World, identity: IdentityServer, body: dict[str, Any], expected: tuple[int, str]
) -> None:
    room_id = await world.room(ALICE)
    assert await world.refused(ALICE, "POST", f"rooms/{room_id}/invite", body) == expected
    assert await world.refused(ALICE, "POST", "createRoom", {"invite_3pid": [body]}) == expected
    assert await world.refused(ALICE, "POST", "createRoom", {"invite_3pid": ["x"]}) == (400, "M_BAD_JSON")
    assert await world.refused(ALICE, "POST", "createRoom", {"invite_3pid": [body] * 21}) == (400, "M_INVALID_PARAM")


async def test_who_may_not_invite_gives_nobodys_address_away(world: World, identity: IdentityServer) -> None:
    room_id = await world.public_room(BOB, power_level_content_override={"invite": 50})
    for user in (BOB, CAROL):
        assert await world.refused(user, "POST", f"rooms/{room_id}/invite", an_address()) == (403, "M_FORBIDDEN")
    assert identity.kept == []


async def test_without_identity_servers_nobody_is_invited_by_address(world: World) -> None:
    room_id = await world.room(ALICE)
    assert await world.refused(ALICE, "POST", f"rooms/{room_id}/invite", an_address()) == (400, "M_THREEPID_DENIED")
    assert await world.refused(ALICE, "POST", "createRoom", {"invite_3pid": [an_address()]}) == (400, "M_THREEPID_DENIED")


async def test_a_join_that_shows_the_signature_is_let_in(world: World, identity: IdentityServer) -> None:
    room_id = await world.room(ALICE)
    await world.ask(ALICE, "POST", f"rooms/{room_id}/invite", an_address())
    body = {"third_party_signed": signed_for(CAROL, ALICE)}
    assert await world.refused(BOB, "POST", f"rooms/{room_id}/join", body) == (403, "M_FORBIDDEN")
    body = {"third_party_signed": {**signed_for(BOB, ALICE), "sender": 5}}
    assert await world.refused(BOB, "POST", f"rooms/{room_id}/join", body) == (400, "M_BAD_JSON")
    assert world.nobody.asked == []


# What identity servers say


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"token": "t", "display_name": "x"},
        {"token": "t", "display_name": "x", "public_keys": []},
        {"token": "t", "display_name": "x", "public_keys": [{"public_key": "k"}]},
        {"token": "", "public_keys": [{"public_key": "k", "key_validity_url": "u"}]},
        {"token": "t" * 256, "public_keys": [{"public_key": "k", "key_validity_url": "u"}]},
        {"token": 5, "public_keys": [{"public_key": "k", "key_validity_url": "u"}]},
    ],
)
def test_an_identity_server_that_answers_nonsense_promises_nothing(answer: dict[str, Any]) -> None:
    with pytest.raises(Refusal) as refused:
        promise(answer)
    assert refused.value.status == 502


def test_only_keys_that_signed_are_asked_about() -> None:
    content = {
        "public_key": OTHER.verify_key.to_base64(),
        "key_validity_url": "https://other",
        "public_keys": [{"public_key": PUBLIC}, {"public_key": PUBLIC, "key_validity_url": URL}, {"public_key": 5}, "x"],
    }
    assert keys_that_signed(signed_for(BOB, ALICE), content) == [(PUBLIC, None), (PUBLIC, URL)]
    assert keys_that_signed(signed_for(BOB, ALICE), {"public_keys": 5}) == []


# Between servers


def stacks_identity(*stacks: Stack) -> IdentityServer:
    server = IdentityServer()
    for stack in stacks:
        object.__setattr__(stack.rooms.doors.addresses, "identity", server)
    return server


async def promised_room(a: Stack, preset: str = "private_chat") -> RoomId:
    room_id = await a.create(preset=preset)
    wanted = InviteAddress(room_id, a.user("alice"), "email", "bob@example.org", ID_SERVER, "token")
    await a.rooms.doors.addresses.invite(wanted)
    return room_id


def the_invite(room_id: RoomId, a: Stack, target: UserId, **changes: Any) -> PromisedInvite:
    signed = changes.pop("signed", None) or signed_for(target, a.user("alice"), **changes)
    return PromisedInvite(room_id, a.user("alice"), target, signed)


async def test_a_local_user_who_shows_that_the_address_is_his_is_invited(a: Stack) -> None:
    stacks_identity(a)
    room_id = await promised_room(a)
    await a.rooms.doors.addresses.bound(a.user("anna"), [the_invite(room_id, a, a.user("anna"))])
    member = await a.stored((await a.state(room_id))[("m.room.member", a.user("anna"))])
    assert member is not None
    assert member.pdu.content["membership"] == "invite"
    assert member.pdu.content["third_party_invite"]["display_name"] == "b...@e..."
    await a.join(room_id, "anna")


async def test_another_servers_user_is_invited_by_a_server_in_the_room(network: Network, a: Stack, b: Stack) -> None:
    stacks_identity(a, b)
    room_id = await promised_room(a)
    await b.rooms.doors.addresses.bound(b.user("bob"), [the_invite(room_id, a, b.user("bob"))])
    assert await b.membership(room_id, b.user("bob")) == "invite"
    members = (await a.room(room_id)).members.membership
    assert members[b.user("bob")] == "invite"
    await b.join(room_id, "bob", a)
    assert members[b.user("bob")] == "join"


async def test_a_server_in_the_room_makes_the_invite_of_its_user_itself(network: Network, a: Stack, b: Stack) -> None:
    stacks_identity(a, b)
    room_id = await promised_room(a, "public_chat")
    await b.join(room_id, "bea", a)
    await network.settle()
    asked = len(network.asked)
    await b.rooms.doors.addresses.bound(b.user("bob"), [the_invite(room_id, a, b.user("bob"))])
    assert network.asked[asked:] == []
    await network.settle()
    for stack in (a, b):
        assert (await stack.room(room_id)).members.membership[b.user("bob")] == "invite"


@pytest.mark.parametrize("wrong", ["key", "token", "mxid", "revoked", "no token"])
async def test_a_signature_that_does_not_prove_it_makes_no_invite(a: Stack, wrong: str) -> None:
    identity = stacks_identity(a)
    room_id = await promised_room(a)
    anna = a.user("anna")
    if wrong == "key":
        invite = the_invite(room_id, a, anna, key=OTHER)
    elif wrong == "token":
        invite = the_invite(room_id, a, anna, token="another")
    elif wrong == "mxid":
        invite = the_invite(room_id, a, anna, signed=signed_for(a.user("eve"), a.user("alice")))
    elif wrong == "no token":
        invite = the_invite(room_id, a, anna, signed={"mxid": anna})
    else:
        identity.revoked.add(PUBLIC)
        invite = the_invite(room_id, a, anna)
    with pytest.raises((Forbidden, BadRequest)):
        await a.rooms.doors.addresses.exchange(invite)
    await a.rooms.doors.addresses.bound(anna, [invite])
    assert await a.membership(room_id, anna) is None


async def test_invites_of_strangers_and_of_rooms_that_nobody_knows_are_left(network: Network, a: Stack, b: Stack) -> None:
    stacks_identity(a, b)
    room_id = await promised_room(a)
    bob = b.user("bob")
    addresses = b.rooms.doors.addresses
    await addresses.bound(UserId("@nobody:b.example"), [the_invite(room_id, a, UserId("@nobody:b.example"))])
    await addresses.bound(a.user("alice"), [the_invite(room_id, a, a.user("alice"))])
    await addresses.bound(bob, [the_invite(room_id, a, b.user("bea"))])
    assert network.asked == []
    nowhere = PromisedInvite(RoomId("!nowhere:b.example"), b.user("bea"), bob, signed_for(bob, b.user("bea")))
    with pytest.raises(NotFound):
        await addresses.keep(nowhere)
    network.part(a, b)
    with pytest.raises(PeerError):
        await addresses.keep(the_invite(room_id, a, bob))
    with pytest.raises(NotFound):
        await addresses.exchange(the_invite(room_id, a, bob))


async def test_who_takes_no_invites_is_not_invited_by_address_either(a: Stack) -> None:
    stacks_identity(a)
    room_id = await promised_room(a)
    anna = a.user("anna")
    async with a.database.write() as tx:
        content = {"default_action": "block"}
        await a.rooms.doors.user_data.put_account_data(tx, anna, None, "m.invite_permission_config", content)
    with pytest.raises(Forbidden):
        await a.rooms.doors.addresses.exchange(the_invite(room_id, a, anna))
    assert await a.membership(room_id, anna) is None


async def test_doing_it_twice_makes_one_invite(a: Stack) -> None:
    stacks_identity(a)
    room_id = await promised_room(a)
    invite = the_invite(room_id, a, a.user("anna"))
    await a.rooms.doors.addresses.exchange(invite)
    event_id = (await a.state(room_id))[("m.room.member", a.user("anna"))]
    await a.rooms.doors.addresses.exchange(invite)
    assert (await a.state(room_id))[("m.room.member", a.user("anna"))] == event_id
    with pytest.raises(NotFound):
        await a.rooms.doors.addresses.exchange(the_invite(room_id, a, UserId("@nobody:a.example")))
