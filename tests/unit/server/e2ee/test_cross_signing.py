from typing import Any

import pytest

from tests.unit.server.e2ee.world import (
    ALICE,
    BOB,
    CAROL,
    LAPTOP,
    PHONE,
    THERE,
    World,
    cross_signing_key,
    device_keys,
    public,
    sign,
    signer,
)
from watchword.base.errors import Refusal, Unauthenticated
from watchword.edge.request import Request
from watchword.edge.requester import Kind, Requester
from watchword.protocol.ids import UserId
from watchword.server.changes import CrossSigningChanged, DeviceListChanged
from watchword.storage.log import Position

MASTER, SELF, USER = 5, 6, 7


def keys(user: UserId = ALICE, master: int = MASTER, subkeys: int = SELF) -> dict[str, Any]:
    return {
        "master_key": cross_signing_key("master", master, user=user),
        "self_signing_key": cross_signing_key("self_signing", subkeys, by=master, user=user),
        "user_signing_key": cross_signing_key("user_signing", subkeys + 1, by=master, user=user),
    }


async def upload(world: World, body: dict[str, Any], user: UserId = ALICE) -> None:
    assert await world.ask("POST", "keys/device_signing/upload", body, user=user) == {}


async def sign_keys(world: World, body: dict[str, Any], user: UserId = ALICE) -> dict[str, Any]:
    failures: dict[str, Any] = (await world.ask("POST", "keys/signatures/upload", body, user=user))["failures"]
    return failures


async def query(world: World, of: UserId, by: UserId) -> dict[str, Any]:
    answer: dict[str, Any] = await world.ask("POST", "keys/query", {"device_keys": {of: []}}, user=by)
    return answer


async def test_the_first_keys_need_no_proof_and_the_same_ones_again_do_not_either(world: World) -> None:
    await upload(world, keys())
    await upload(world, keys())
    await upload(world, {"self_signing_key": keys()["self_signing_key"]})
    await upload(world, {})
    assert world.neighbours.asked == []
    assert [logged.change for logged in await world.log.read(Position(0), 10)] == [CrossSigningChanged(ALICE)]


@pytest.mark.parametrize("body", [keys(master=8), {"self_signing_key": cross_signing_key("self_signing", 9, by=MASTER)}])
async def test_other_keys_need_proof(world: World, body: dict[str, Any]) -> None:
    await upload(world, keys())
    with pytest.raises(Unauthenticated):
        await upload(world, body)
    assert (await query(world, ALICE, ALICE))["master_keys"] == {ALICE: keys()["master_key"]}
    world.neighbours.proved = True
    await upload(world, body)
    assert (await query(world, ALICE, ALICE))["self_signing_keys"] == {ALICE: body["self_signing_key"]}


async def test_an_application_service_needs_no_proof(world: World) -> None:
    await upload(world, keys())
    requester = Requester(ALICE, None, 1, kind=Kind.APPSERVICE)
    await world.service.cross_signing.upload(Request("POST", "", json=keys(master=8)), requester)
    assert world.neighbours.asked == []


async def test_a_new_master_key_ends_the_old_subkeys(world: World) -> None:
    await upload(world, keys())
    world.neighbours.proved = True
    await upload(world, {"master_key": cross_signing_key("master", 8)})
    answer = await query(world, ALICE, ALICE)
    assert answer["master_keys"] == {ALICE: cross_signing_key("master", 8)}
    assert (answer["self_signing_keys"], answer["user_signing_keys"]) == ({}, {})


@pytest.mark.parametrize(
    ("body", "status", "errcode"),
    [
        ({"self_signing_key": cross_signing_key("self_signing", SELF, by=MASTER)}, 400, "M_MISSING_PARAM"),
        ({**keys(), "self_signing_key": cross_signing_key("self_signing", SELF, by=9)}, 400, "M_INVALID_SIGNATURE"),
        ({**keys(), "user_signing_key": cross_signing_key("user_signing", USER)}, 400, "M_INVALID_SIGNATURE"),
        ({"master_key": cross_signing_key("master", MASTER, user=BOB)}, 400, "M_INVALID_PARAM"),
        ({"master_key": cross_signing_key("self_signing", MASTER)}, 400, "M_INVALID_PARAM"),
    ],
)
async def test_wrong_keys_are_refused(world: World, body: dict[str, Any], status: int, errcode: str) -> None:
    with pytest.raises(Refusal) as refused:
        await upload(world, body)
    assert (refused.value.status, refused.value.errcode) == (status, errcode)
    assert world.log.position == 0


async def test_a_key_that_is_named_like_a_device_is_refused(world: World) -> None:
    world.neighbours.names[ALICE][public(MASTER)] = None  # type: ignore[index]
    with pytest.raises(Refusal) as refused:
        await upload(world, keys())
    assert (refused.value.status, refused.value.errcode) == (403, "M_FORBIDDEN")


async def test_two_uploads_at_once_do_not_both_replace_nothing(world: World) -> None:
    await upload(world, keys())
    world.neighbours.authorise = lambda *_: upload_meanwhile(world)  # type: ignore[method-assign]
    with pytest.raises(Refusal):
        await upload(world, {"self_signing_key": cross_signing_key("self_signing", 9, by=MASTER)})


async def upload_meanwhile(world: World) -> None:
    async def proved(*_: object) -> None:
        return

    world.neighbours.authorise = proved  # type: ignore[method-assign,assignment]
    await upload(world, keys(master=8))


async def test_the_user_signing_key_is_shown_to_its_owner_only(world: World) -> None:
    await upload(world, keys())
    assert (await query(world, ALICE, ALICE))["user_signing_keys"] == {ALICE: keys()["user_signing_key"]}
    assert (await query(world, ALICE, BOB))["user_signing_keys"] == {}
    answer = await world.ask_as_server("POST", "user/keys/query", {"device_keys": {ALICE: []}})
    assert answer.keys() == {"device_keys", "master_keys", "self_signing_keys"}


# Signatures


async def test_a_self_signed_device_is_shown_signed_to_everybody(world: World) -> None:
    await upload(world, keys())
    await world.ask("POST", "keys/upload", {"device_keys": device_keys()})
    signed = sign(device_keys(), ALICE, public(SELF), signer(SELF))
    assert await sign_keys(world, {ALICE: {PHONE: signed}}) == {}
    for viewer in (ALICE, BOB):
        shown = (await query(world, ALICE, viewer))["device_keys"][ALICE][PHONE]
        assert shown["signatures"] == signed["signatures"]
    assert (await world.reader.user_devices(ALICE))["devices"][0]["keys"] == signed
    assert (await world.log.read(Position(0), 10))[-1].change == DeviceListChanged(ALICE, PHONE)
    before = world.log.position
    assert await sign_keys(world, {ALICE: {PHONE: signed}}) == {}
    await world.ask("POST", "keys/upload", {"device_keys": device_keys()})
    assert world.log.position == before


async def test_other_identity_keys_of_a_device_lose_its_signature(world: World) -> None:
    await upload(world, keys())
    await world.ask("POST", "keys/upload", {"device_keys": device_keys()})
    await sign_keys(world, {ALICE: {PHONE: sign(device_keys(), ALICE, public(SELF), signer(SELF))}})
    await world.ask("POST", "keys/upload", {"device_keys": device_keys(seed=2)})
    shown = (await query(world, ALICE, BOB))["device_keys"][ALICE][PHONE]
    assert shown["signatures"] == device_keys(seed=2)["signatures"]


async def test_a_device_signs_its_own_master_key(world: World) -> None:
    await upload(world, keys())
    await world.ask("POST", "keys/upload", {"device_keys": device_keys(seed=1)})
    signed = sign(keys()["master_key"], ALICE, PHONE, signer(1))
    assert await sign_keys(world, {ALICE: {public(MASTER): signed}}) == {}
    assert (await query(world, ALICE, BOB))["master_keys"] == {ALICE: signed}
    assert (await world.log.read(Position(0), 10))[-1].change == CrossSigningChanged(ALICE)


@pytest.mark.parametrize("other", [BOB, CAROL])
async def test_a_signature_on_another_users_master_key_is_for_the_signer_alone(world: World, other: UserId) -> None:
    await upload(world, keys())
    theirs = cross_signing_key("master", 8, user=other)
    if other == BOB:
        await upload(world, {"master_key": theirs}, user=BOB)
    world.neighbours.keys[THERE] = {"master_keys": {CAROL: theirs}}
    signed = sign(theirs, ALICE, public(USER), signer(USER))
    before = world.log.position
    assert await sign_keys(world, {other: {public(8): signed}}) == {}
    assert (await query(world, other, ALICE))["master_keys"] == {other: signed}
    if other == BOB:
        assert (await query(world, other, BOB))["master_keys"] == {other: theirs}
    assert await world.reader.users_signed(ALICE, before, world.log.position) == [other]
    assert await world.reader.users_signed(BOB, before, world.log.position) == []


async def test_signatures_that_are_wrong_are_failures_of_their_own(world: World) -> None:
    await upload(world, keys())
    await upload(world, {"master_key": cross_signing_key("master", 8, user=BOB)}, user=BOB)
    await world.ask("POST", "keys/upload", {"device_keys": device_keys()})
    bobs = cross_signing_key("master", 8, user=BOB)
    body: dict[str, Any] = {
        ALICE: {
            PHONE: sign(device_keys(), ALICE, public(SELF), signer(9)),
            LAPTOP: sign(device_keys(ALICE, LAPTOP), ALICE, public(SELF), signer(SELF)),
            public(MASTER): keys()["master_key"],
        },
        BOB: {
            public(8): sign({**bobs, "usage": ["other"]}, ALICE, public(USER), signer(USER)),
            public(9): sign(bobs, ALICE, public(USER), signer(USER)),
            "text": "text",
        },
    }
    failures = await sign_keys(world, body)
    assert {user: {key: error["errcode"] for key, error in by_key.items()} for user, by_key in failures.items()} == {
        ALICE: {PHONE: "M_INVALID_SIGNATURE", LAPTOP: "M_NOT_FOUND", public(MASTER): "M_INVALID_PARAM"},
        BOB: {public(8): "M_INVALID_PARAM", public(9): "M_NOT_FOUND", "text": "M_INVALID_PARAM"},
    }


async def test_a_body_of_the_wrong_shape_is_refused(world: World) -> None:
    with pytest.raises(Refusal, match="M_BAD_JSON"):
        await sign_keys(world, {ALICE: "text"})


async def test_without_cross_signing_keys_nothing_can_be_signed(world: World) -> None:
    await world.ask("POST", "keys/upload", {"device_keys": device_keys()})
    failures = await sign_keys(world, {ALICE: {PHONE: sign(device_keys(), ALICE, public(SELF), signer(SELF))}})
    assert failures[ALICE][PHONE]["errcode"] == "M_INVALID_SIGNATURE"
