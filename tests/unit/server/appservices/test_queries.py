"""Names that a service alone knows, the networks it leads to, and whether it is there."""

from typing import Any
from urllib.parse import quote

import pytest

from tests.unit.server.appservices.house import GHOST, HERE, Bridge, House

_PROTOCOL = {
    "user_fields": ["network", "nickname"],
    "location_fields": ["network", "channel"],
    "icon": "mxc://a.example/irc",
    "field_types": {"network": {"regexp": ".*", "placeholder": "irc.example"}},
    "instances": [{"desc": "Libera", "fields": {"network": "libera"}, "network_id": "libera"}],
}


async def test_a_ghost_is_made_when_somebody_invites_him(house: House) -> None:
    alice = await house.person("alice")

    async def made() -> Any:
        await house.ghost()
        return {}

    house.bridge.answers[f"/_matrix/app/v1/users/{GHOST}"] = (200, made)
    room_id = await house.room(by=alice)
    path = f"rooms/{quote(room_id)}/invite"
    assert (await house.ask("POST", path, {"user_id": GHOST}, by=alice))[0] == 200
    assert (await house.ask("POST", path, {"user_id": f"@irc_mallory:{HERE}"}, by=alice))[0] == 404


async def test_a_user_outside_every_namespace_is_not_asked_for(house: House) -> None:
    alice = await house.person("alice")
    room_id = await house.room(by=alice)
    body = {"user_id": f"@nobody:{HERE}"}
    assert (await house.ask("POST", f"rooms/{quote(room_id)}/invite", body, by=alice))[0] == 404
    assert not house.bridge.asked


async def test_networks_are_described_by_those_who_lead_there(house: House) -> None:
    house.bridge.answers["/_matrix/app/v1/thirdparty/protocol/irc"] = (200, _PROTOCOL)
    alice = await house.person("alice")
    assert await house.ask("GET", "thirdparty/protocols", by=alice) == (200, {"irc": _PROTOCOL})
    assert await house.ask("GET", "thirdparty/protocol/irc", by=alice) == (200, _PROTOCOL)
    assert (await house.ask("GET", "thirdparty/protocol/smoke", by=alice))[0] == 404
    assert len(house.bridge.asked) == 1


@pytest.mark.parametrize("answer", [(500, {}), (200, []), (200, {**_PROTOCOL, "instances": {}}), (200, {"icon": 1})])
async def test_nonsense_about_a_network_is_not_passed_on(house: House, answer: tuple[int, Any]) -> None:
    house.bridge.answers["/_matrix/app/v1/thirdparty/protocol/irc"] = answer
    alice = await house.person("alice")
    assert (await house.ask("GET", "thirdparty/protocol/irc", by=alice))[0] == 404
    assert await house.ask("GET", "thirdparty/protocols", by=alice) == (200, {})


async def test_locations_and_users_of_a_network_are_found(house: House) -> None:
    location = {"alias": f"#irc_matrix:{HERE}", "protocol": "irc", "fields": {"channel": "#matrix"}}
    user = {"userid": GHOST, "protocol": "irc", "fields": {"nickname": "eve"}}
    house.bridge.answers.update(
        {
            "/_matrix/app/v1/thirdparty/location/irc": (200, [location, {"alias": 5}]),
            "/_matrix/app/v1/thirdparty/user/irc": (200, [user]),
            "/_matrix/app/v1/thirdparty/location": (200, [location]),
            "/_matrix/app/v1/thirdparty/user": (200, []),
        }
    )
    alice = await house.person("alice")
    assert await house.ask("GET", "thirdparty/location/irc", by=alice, channel="#matrix") == (200, [location])
    assert house.bridge.asked[-1] == ("GET", "/_matrix/app/v1/thirdparty/location/irc?channel=%23matrix")
    assert await house.ask("GET", "thirdparty/user/irc", by=alice) == (200, [user])
    assert await house.ask("GET", "thirdparty/location", by=alice, alias=location["alias"]) == (200, [location])  # type: ignore[arg-type]
    assert (await house.ask("GET", "thirdparty/user", by=alice, userid=GHOST))[0] == 404
    assert (await house.ask("GET", "thirdparty/user", by=alice))[0] == 400
    assert (await house.ask("GET", "thirdparty/user/smoke", by=alice))[0] == 404


async def test_the_users_token_is_not_passed_on(house: House) -> None:
    alice = await house.person("alice")
    await house.ask("GET", "thirdparty/user/irc", by=alice, access_token="secret of a user")
    assert all("secret" not in path for _, path in house.bridge.asked if "/_matrix/app/v1/" in path)
    assert not any("of%20a%20user" in path or "of+a+user" in path for _, path in house.bridge.asked)


async def test_a_service_of_the_old_paths_is_asked_there(house: House, bridge: Bridge) -> None:
    alice = await house.person("alice")
    old = "/_matrix/app/unstable/thirdparty/user/irc"
    bridge.answers["/_matrix/app/v1/thirdparty/user/irc"] = (404, {"errcode": "M_UNRECOGNIZED"})
    user = {"userid": GHOST, "protocol": "irc", "fields": {}}
    bridge.answers[old] = (200, [user])
    assert await house.ask("GET", "thirdparty/user/irc", by=alice) == (200, [user])


async def test_nobody_else_takes_an_alias_of_its_own(house: House) -> None:
    alice = await house.person("alice")
    room_id = await house.room(by=alice)
    alias = f"#irc_matrix:{HERE}"
    status, answer = await house.ask("PUT", f"directory/room/{quote(alias)}", {"room_id": room_id}, by=alice)
    assert (status, answer["errcode"]) == (400, "M_EXCLUSIVE")
    status, answer = await house.ask("POST", "createRoom", {"room_alias_name": "irc_matrix"}, by=alice)
    assert (status, answer["errcode"]) == (400, "M_EXCLUSIVE")
    assert (await house.ask("POST", "createRoom", {"room_alias_name": "irc_matrix"}))[0] == 200


async def test_a_room_is_made_when_somebody_asks_for_its_alias(house: House) -> None:
    alice = await house.person("alice")

    async def made() -> Any:
        await house.room(room_alias_name="irc_matrix")
        return {}

    alias = f"#irc_matrix:{HERE}"
    house.bridge.answers[f"/_matrix/app/v1/rooms/{alias}"] = (200, made)
    status, answer = await house.ask("POST", f"join/{quote(alias)}", {}, by=alice)
    assert status == 200, answer
    assert (await house.ask("GET", f"directory/room/{quote('#irc_nowhere:' + HERE)}", by=alice))[0] == 404
