"""Operations whose answers are not simply passed on."""

import pytest

from tests.unit.client.homeserver import Fault, Homeserver
from watchword.base.errors import PeerError
from watchword.client.api import sync_filter
from watchword.client.crypto.requests import ToDevice
from watchword.client.session import Session


async def test_what_is_not_there_is_none(alice: Session) -> None:
    assert await alice.api.account_data(alice.user_id, "m.nothing") is None
    assert await alice.api.backup_version() is None
    assert await alice.api.backed_up_keys("1", "!r", "s") == {"rooms": {}}


async def test_account_data_is_read_back(alice: Session) -> None:
    await alice.api.set_account_data(alice.user_id, "m.x", {"a": 1})
    assert await alice.api.account_data(alice.user_id, "m.x") == {"a": 1}


async def test_other_refusals_are_raised(alice: Session, homeserver: Homeserver) -> None:
    homeserver.faults.append(Fault("account_data", 403, {"errcode": "M_FORBIDDEN"}))
    with pytest.raises(PeerError):
        await alice.api.account_data(alice.user_id, "m.x")
    homeserver.faults.append(Fault("room_keys", 403, {"errcode": "M_FORBIDDEN"}))
    with pytest.raises(PeerError):
        await alice.api.backup_version()


async def test_backed_up_keys_have_one_form_however_narrow_the_question(alice: Session, homeserver: Homeserver) -> None:
    homeserver.keys.backup = {"!r:x": {"sessions": {"s/1": {"n": 1}}}}
    expected = {"rooms": homeserver.keys.backup}
    assert await alice.api.backed_up_keys("1") == expected
    assert await alice.api.backed_up_keys("1", "!r:x") == expected
    assert await alice.api.backed_up_keys("1", "!r:x", "s/1") == expected


async def test_an_answer_without_what_was_asked_for_is_an_error(alice: Session, homeserver: Homeserver) -> None:
    homeserver.faults.append(Fault("createRoom", 200, {}))
    with pytest.raises(PeerError):
        await alice.api.create_room({})


async def test_a_room_is_not_made_twice_when_the_answer_is_lost(alice: Session, homeserver: Homeserver) -> None:
    homeserver.faults.append(Fault("createRoom", 502, after=True))
    with pytest.raises(PeerError):
        await alice.api.create_room({})
    assert len(homeserver.rooms) == 1


async def test_a_to_device_request_is_the_same_when_repeated(alice: Session, homeserver: Homeserver) -> None:
    homeserver.faults.append(Fault("sendToDevice", 502, after=True))
    await alice.api.perform(ToDevice("id", "m.dummy", {"@b:x": {"B": {}}}))
    assert len(homeserver.keys.to_device[("@b:x", "B")]) == 1


def test_the_filter_asks_for_whole_membership_and_no_presence() -> None:
    assert sync_filter(7) == '{"room":{"timeline":{"limit":7}},"presence":{"not_types":["*"]}}'
