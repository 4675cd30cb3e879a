"""Whom an application service speaks for, and whose a name is."""

from urllib.parse import quote

from tests.unit.server.appservices.house import AS_TOKEN, BOT, GHOST, HERE, House


async def test_a_service_is_its_own_user_unless_it_says_otherwise(house: House) -> None:
    await house.ghost()
    assert await house.ask("GET", "account/whoami") == (200, {"user_id": BOT, "is_guest": False})
    assert (await house.ask("GET", "account/whoami", user_id=GHOST))[1]["user_id"] == GHOST


async def test_it_speaks_for_nobody_outside_its_namespace(house: House) -> None:
    await house.person("alice")
    for user_id, errcode in ((f"@alice:{HERE}", "M_EXCLUSIVE"), ("@irc_eve:b.example", "M_EXCLUSIVE"), (GHOST, "M_FORBIDDEN")):
        status, answer = await house.ask("GET", "account/whoami", user_id=user_id)
        assert (status, answer["errcode"]) == (403, errcode)
    assert (await house.ask("GET", "account/whoami", user_id="nobody"))[0] == 400


async def test_it_may_act_as_a_device_that_its_user_has(house: House) -> None:
    await house.ghost()
    assert (await house.ask("PUT", "devices/BRIDGE", {"display_name": "x"}, user_id=GHOST))[0] == 201
    for name in ("device_id", "org.matrix.msc3202.device_id"):
        query = {"user_id": GHOST, name: "BRIDGE"}
        assert (await house.ask("GET", "account/whoami", **query))[1]["device_id"] == "BRIDGE"
        status, answer = await house.ask("GET", "account/whoami", **{**query, name: "OTHER"})
        assert (status, answer["errcode"]) == (400, "M_UNKNOWN_DEVICE")


async def test_nobody_else_registers_its_names(house: House) -> None:
    body = {"username": "irc_mallory", "password": "correct horse battery"}
    status, answer = await house.ask("POST", "register", body, by="")
    assert (status, answer["errcode"]) == (400, "M_EXCLUSIVE")
    body = {"type": "m.login.application_service", "username": "mallory"}
    status, answer = await house.ask("POST", "register", body)
    assert (status, answer["errcode"]) == (400, "M_EXCLUSIVE")


async def test_registering_again_says_that_the_user_is_there(house: House) -> None:
    await house.ghost()
    body = {"type": "m.login.application_service", "username": "irc_eve"}
    status, answer = await house.ask("POST", "register", body)
    assert (status, answer["errcode"]) == (400, "M_USER_IN_USE")


async def test_an_unknown_token_is_nobodys(house: House) -> None:
    status, answer = await house.ask("GET", "account/whoami", by=AS_TOKEN + "x")
    assert (status, answer["errcode"]) == (401, "M_UNKNOWN_TOKEN")


async def test_a_locked_ghost_does_nothing_and_a_deactivated_one_is_gone(house: House) -> None:
    await house.ghost()
    admin = await house.server.accounts.registrar.register_as_operator("root", "correct horse battery", admin=True)
    assert admin.tokens is not None
    path = f"/_matrix/client/v1/admin/lock/{quote(GHOST)}"
    assert (await house.ask("PUT", path, {"locked": True}, by=admin.tokens.access_token))[0] == 200
    status, answer = await house.ask("GET", "account/whoami", user_id=GHOST)
    assert (status, answer["errcode"]) == (401, "M_USER_LOCKED")


async def test_a_service_sends_with_a_time_of_its_own(house: House) -> None:
    room_id = await house.room()
    path = f"rooms/{quote(room_id)}/send/m.room.message/t"
    status, answer = await house.ask("PUT", path, {"msgtype": "m.text", "body": "old"}, ts="1234567")
    assert status == 200
    _, event = await house.ask("GET", f"rooms/{quote(room_id)}/event/{quote(answer['event_id'])}")
    assert event["origin_server_ts"] == 1_234_567


async def test_a_service_logs_in_for_its_users(house: House) -> None:
    await house.ghost()
    identifier = {"type": "m.id.user", "user": GHOST}
    status, answer = await house.ask("POST", "login", {"type": "m.login.application_service", "identifier": identifier})
    assert status == 200
    assert (await house.ask("GET", "account/whoami", by=answer["access_token"]))[1]["user_id"] == GHOST
