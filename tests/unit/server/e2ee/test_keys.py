import asyncio
from typing import Any

import pytest

from tests.unit.server.e2ee.world import (
    ALICE,
    BOB,
    CAROL,
    DAVE,
    LAPTOP,
    PHONE,
    THERE,
    World,
    cross_signing_key,
    device_keys,
    one_time_key,
)
from watchword.base.errors import Refusal
from watchword.protocol.ids import DeviceId
from watchword.server.changes import DeviceListChanged, KeyCountsChanged
from watchword.storage.log import Position

C = DeviceId("C")


def keys(count: int, start: int = 0) -> dict[str, Any]:
    return {f"signed_curve25519:K{number:03}": one_time_key(f"key {number}") for number in range(start, start + count)}


async def claim(world: World, algorithm: str = "signed_curve25519") -> dict[str, Any]:
    answer = await world.ask("POST", "keys/claim", {"one_time_keys": {ALICE: {PHONE: algorithm}}}, user=BOB)
    found: dict[str, Any] = answer["one_time_keys"].get(ALICE, {}).get(PHONE, {})
    return found


async def test_an_upload_answers_the_counts_and_always_names_signed_curve25519(world: World) -> None:
    answer = await world.ask("POST", "keys/upload", {"one_time_keys": {"curve25519:A": "plain"}})
    assert answer == {"one_time_key_counts": {"curve25519": 1, "signed_curve25519": 0}}
    assert await world.ask("POST", "keys/upload", {}) == answer


async def test_keys_of_another_device_are_refused(world: World) -> None:
    for foreign in (device_keys(ALICE, LAPTOP), device_keys(BOB, PHONE)):
        with pytest.raises(Refusal, match="M_INVALID_PARAM"):
            await world.ask("POST", "keys/upload", {"device_keys": foreign})


async def test_a_request_without_a_device_cannot_upload_keys(world: World) -> None:
    with pytest.raises(Refusal, match="M_INVALID_PARAM"):
        await world.ask("POST", "keys/upload", {"one_time_keys": keys(1)}, device=None)


async def test_the_same_one_time_key_again_is_accepted_but_other_content_is_refused(world: World) -> None:
    await world.ask("POST", "keys/upload", {"one_time_keys": keys(3)})
    assert (await world.ask("POST", "keys/upload", {"one_time_keys": keys(3)}))["one_time_key_counts"] == {
        "signed_curve25519": 3
    }
    with pytest.raises(Refusal) as refused:
        await world.ask("POST", "keys/upload", {"one_time_keys": {"signed_curve25519:K001": one_time_key("other")}})
    assert (refused.value.status, refused.value.errcode) == (400, "M_INVALID_PARAM")


async def test_a_refused_upload_changes_nothing(world: World) -> None:
    await world.ask("POST", "keys/upload", {"one_time_keys": keys(1)})
    with pytest.raises(Refusal):
        await world.ask(
            "POST",
            "keys/upload",
            {"one_time_keys": {**keys(1, 1), "signed_curve25519:K000": one_time_key("x")}, "device_keys": device_keys()},
        )
    assert (await world.reader.key_counts(ALICE, PHONE))[0] == {"signed_curve25519": 1}
    assert (await world.ask("POST", "keys/query", {"device_keys": {ALICE: []}}))["device_keys"] == {ALICE: {}}


async def test_a_hundred_concurrent_claims_get_a_hundred_different_keys(world: World) -> None:
    await world.ask("POST", "keys/upload", {"one_time_keys": keys(100)})
    found = await asyncio.gather(*(claim(world) for _ in range(110)))
    names = [name for answer in found for name in answer]
    assert len(names) == 100
    assert len(set(names)) == 100


async def test_keys_are_handed_out_in_the_order_of_their_uploads(world: World) -> None:
    await world.ask("POST", "keys/upload", {"one_time_keys": keys(1, 9)})
    await world.ask("POST", "keys/upload", {"one_time_keys": keys(1, 1)})
    assert [*await claim(world), *await claim(world)] == ["signed_curve25519:K009", "signed_curve25519:K001"]


async def test_a_claimed_key_that_is_uploaded_again_stays_claimed(world: World) -> None:
    await world.ask("POST", "keys/upload", {"one_time_keys": keys(1)})
    assert await claim(world)
    answer = await world.ask("POST", "keys/upload", {"one_time_keys": keys(1)})
    assert answer == {"one_time_key_counts": {"signed_curve25519": 0}}
    assert not await claim(world)


async def test_the_fallback_key_follows_the_last_one_time_key_and_is_then_used(world: World) -> None:
    fallback = {"signed_curve25519:FB": {**one_time_key("fallback"), "fallback": True}}
    await world.ask("POST", "keys/upload", {"one_time_keys": keys(1), "fallback_keys": fallback})
    assert await world.reader.key_counts(ALICE, PHONE) == ({"signed_curve25519": 1}, ["signed_curve25519"])
    assert list(await claim(world)) == ["signed_curve25519:K000"]
    assert await claim(world) == fallback
    assert await world.reader.key_counts(ALICE, PHONE) == ({"signed_curve25519": 0}, [])
    before = world.log.position
    assert await claim(world) == fallback
    assert world.log.position == before


async def test_keys_may_be_published_with_the_device_in_the_path(world: World) -> None:
    await world.ask("POST", "keys/upload/PHONE", {"one_time_keys": keys(1)})
    assert await claim(world) == keys(1)


async def test_a_fallback_key_may_come_under_its_old_name(world: World) -> None:
    fallback = {"signed_curve25519:FB": one_time_key("fallback")}
    await world.ask("POST", "keys/upload", {"org.matrix.msc2732.fallback_keys": fallback})
    assert await claim(world) == fallback


async def test_a_new_fallback_key_replaces_the_old_one_and_is_unused(world: World) -> None:
    for name in ("A", "B"):
        await world.ask("POST", "keys/upload", {"fallback_keys": {f"signed_curve25519:{name}": one_time_key(name)}})
        assert (await world.reader.key_counts(ALICE, PHONE))[1] == ["signed_curve25519"]
        assert list(await claim(world)) == [f"signed_curve25519:{name}"]
    await world.ask("POST", "keys/upload", {"fallback_keys": {"signed_curve25519:B": one_time_key("B")}})
    assert (await world.reader.key_counts(ALICE, PHONE))[1] == []


async def test_a_claim_of_an_unknown_device_user_or_algorithm_finds_nothing(world: World) -> None:
    await world.ask("POST", "keys/upload", {"one_time_keys": keys(1)})
    asked: dict[str, Any] = {
        ALICE: {"OTHER": "signed_curve25519"},
        "@nobody:here.example": {PHONE: "x"},
        "not a user": {PHONE: "x"},
    }
    assert await world.ask("POST", "keys/claim", {"one_time_keys": asked}) == {"one_time_keys": {}, "failures": {}}
    assert not await claim(world, "curve25519")


async def test_counts_are_announced_in_the_log(world: World) -> None:
    await world.ask("POST", "keys/upload", {"device_keys": device_keys(), "one_time_keys": keys(1)})
    await claim(world)
    changes = [logged.change for logged in await world.log.read(Position(0), 10)]
    counted = KeyCountsChanged(ALICE, PHONE)
    assert changes == [DeviceListChanged(ALICE, PHONE), counted, counted]


async def test_a_query_answers_the_devices_with_their_names(world: World) -> None:
    await world.ask("POST", "keys/upload", {"device_keys": device_keys()})
    await world.ask("POST", "keys/upload", {"device_keys": device_keys(device=LAPTOP)}, device=LAPTOP)
    answer = await world.ask("POST", "keys/query", {"device_keys": {ALICE: []}}, user=BOB)
    assert answer["device_keys"][ALICE] == {
        PHONE: {**device_keys(), "unsigned": {"device_display_name": "Phone"}},
        LAPTOP: device_keys(device=LAPTOP),
    }
    answer = await world.ask("POST", "keys/query", {"device_keys": {ALICE: [LAPTOP]}}, user=BOB)
    assert list(answer["device_keys"][ALICE]) == [LAPTOP]


async def test_an_unknown_user_is_no_failure(world: World) -> None:
    asked: dict[str, Any] = {"@nobody:here.example": [], "nonsense": [], "@x:bad server": []}
    answer = await world.ask("POST", "keys/query", {"device_keys": asked})
    assert (answer["device_keys"], answer["failures"]) == ({}, {})


@pytest.mark.parametrize("wanted", [{ALICE: "PHONE"}, {ALICE: [1]}, {ALICE: {}}])
async def test_a_malformed_query_is_refused(world: World, wanted: object) -> None:
    with pytest.raises(Refusal, match="M_BAD_JSON"):
        await world.ask("POST", "keys/query", {"device_keys": wanted})


@pytest.mark.parametrize("wanted", [{ALICE: "PHONE"}, {ALICE: {PHONE: 1}}])
async def test_a_malformed_claim_is_refused(world: World, wanted: object) -> None:
    with pytest.raises(Refusal, match="M_BAD_JSON"):
        await world.ask("POST", "keys/claim", {"one_time_keys": wanted})


async def test_users_of_other_servers_are_asked_for_there_and_checked(world: World) -> None:
    world.neighbours.keys[THERE] = {
        "device_keys": {CAROL: {"C": device_keys(CAROL, C), "D": device_keys(CAROL, C)}, BOB: {PHONE: device_keys(BOB)}},
        "master_keys": {CAROL: cross_signing_key("master", 5, user=CAROL), BOB: cross_signing_key("master", 6, user=BOB)},
        "self_signing_keys": "nonsense",
    }
    answer = await world.ask("POST", "keys/query", {"device_keys": {CAROL: [], DAVE: []}})
    assert answer["device_keys"] == {CAROL: {"C": device_keys(CAROL, C)}}
    assert list(answer["master_keys"]) == [CAROL]
    assert answer["failures"] == {}


async def test_what_has_no_place_in_another_servers_keys_is_left_out(world: World) -> None:
    keys = {**device_keys(CAROL, C), "unsigned": {"device_display_name": "Name", "age": 1 << 70}}
    world.neighbours.keys[THERE] = {"device_keys": {CAROL: {C: keys}, DAVE: {C: {**device_keys(DAVE, C), "unsigned": 1}}}}
    answer = await world.ask("POST", "keys/query", {"device_keys": {CAROL: [], DAVE: []}})
    assert answer["device_keys"][CAROL] == {C: {**device_keys(CAROL, C), "unsigned": {"device_display_name": "Name"}}}
    assert answer["device_keys"][DAVE] == {C: device_keys(DAVE, C)}


async def test_a_server_that_is_down_is_a_failure_of_its_own(world: World) -> None:
    world.neighbours.down.add(THERE)
    answer = await world.ask("POST", "keys/query", {"device_keys": {CAROL: [], ALICE: []}})
    assert list(answer["failures"]) == [THERE]
    assert answer["device_keys"] == {ALICE: {}}
    claimed = await world.ask("POST", "keys/claim", {"one_time_keys": {CAROL: {"C": "signed_curve25519"}}})
    assert list(claimed["failures"]) == [THERE]


async def test_of_a_remote_claim_only_what_was_asked_for_is_taken(world: World) -> None:
    world.neighbours.keys[THERE] = {
        "one_time_keys": {
            CAROL: {"C": {"signed_curve25519:1": one_time_key("1")}, "X": {"signed_curve25519:2": one_time_key("2")}, "Y": 1},
            BOB: {PHONE: {"signed_curve25519:3": one_time_key("3")}},
            DAVE: {"D": {"other:1": "wrong algorithm"}},
        }
    }
    asked = {CAROL: {"C": "signed_curve25519", "Y": "signed_curve25519"}, DAVE: {"D": "signed_curve25519"}}
    answer = await world.ask("POST", "keys/claim", {"one_time_keys": asked})
    assert answer == {"one_time_keys": {CAROL: {"C": {"signed_curve25519:1": one_time_key("1")}}}, "failures": {}}


async def test_uploading_the_same_device_keys_again_is_no_change(world: World) -> None:
    await world.ask("POST", "keys/upload", {"device_keys": device_keys()})
    before = world.log.position
    await world.ask("POST", "keys/upload", {"device_keys": device_keys()})
    assert world.log.position == before
    await world.ask("POST", "keys/upload", {"device_keys": device_keys(seed=2)})
    assert world.log.position == before + 1
