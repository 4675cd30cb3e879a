"""The ping, as services ask for it."""

from tests.unit.server.appservices.house import House

_PING = "/_matrix/client/v1/appservice/irc/ping"


async def test_a_service_may_find_out_whether_it_is_reached(house: House) -> None:
    house.bridge.answers["/_matrix/app/v1/ping"] = (200, {})
    status, answer = await house.ask("POST", _PING, {"transaction_id": "x"})
    assert status == 200
    assert answer["duration_ms"] >= 0
    house.bridge.answers["/_matrix/app/v1/ping"] = (418, {"tea": True})
    status, answer = await house.ask("POST", _PING)
    assert (status, answer["errcode"], answer["status"], answer["body"]) == (502, "M_BAD_STATUS", 418, '{"tea": true}')


async def test_nobody_else_pings_a_service(house: House) -> None:
    alice = await house.person("alice")
    for path, by in ((_PING, alice), ("/_matrix/client/v1/appservice/other/ping", "secret of the service")):
        status, answer = await house.ask("POST", path, by=by)
        assert (status, answer["errcode"]) == (403, "M_FORBIDDEN")


async def test_a_ping_of_nobody_says_so(house: House) -> None:
    registration = house.server.appservices.authority.registrations[0]
    object.__setattr__(registration, "url", "http://127.0.0.1:9")
    status, answer = await house.ask("POST", _PING)
    assert (status, answer["errcode"]) == (502, "M_CONNECTION_FAILED")
    object.__setattr__(registration, "url", None)
    status, answer = await house.ask("POST", _PING)
    assert (status, answer["errcode"]) == (400, "M_URL_NOT_SET")
