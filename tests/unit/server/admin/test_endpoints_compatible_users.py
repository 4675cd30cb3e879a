"""Users and registration tokens under the names that scripts know."""

from typing import Any

import pytest

from tests.unit.server.admin.world import ALICE, BOB, HERE, KNOWN, ROOT, V1, V3, AdminWorld

USERS = f"{KNOWN}/v2/users"
TOKENS = f"{KNOWN}/v1/registration_tokens"
CAROL = f"@carol:{HERE}"


async def test_the_list_leaves_out_who_is_deactivated_or_locked_unless_asked(world: AdminWorld) -> None:
    async def names(version: str = "v2", **query: str) -> list[str]:
        page = await world.get(f"{KNOWN}/{version}/users", **query)
        assert page["total"] == len(page["users"])
        return [user["name"] for user in page["users"]]

    await world.call("root", "POST", f"{KNOWN}/v1/deactivate/{ALICE}", {})
    await world.call("root", "PUT", f"{V1}/admin/lock/{BOB}", {"locked": True})
    assert await names() == [ROOT]
    assert await names(deactivated="true") == [ALICE, ROOT]
    assert await names(locked="true") == [BOB, ROOT]
    assert await names("v3", locked="true") == [ALICE, BOB, ROOT]
    assert await names("v3", locked="true", deactivated="true") == [ALICE]
    assert await names(user_id="roo") == [ROOT]
    assert await names(name="roo", user_id="ignored") == [ROOT]
    assert await names(order_by="shadow_banned", dir="b") == [ROOT]


async def test_pages_follow_each_other(world: AdminWorld) -> None:
    page = await world.get(USERS, limit=2)
    assert (page["next_token"], page["total"]) == ("2", 3)
    rest = await world.get(USERS, **{"from": "2"})
    assert [user["name"] for user in rest["users"]] == [ROOT]
    assert "next_token" not in rest
    assert page["users"][0]["creation_ts"] == world.clock.now_ms()


async def test_a_user_is_made_with_put_and_changed_by_it(world: AdminWorld) -> None:
    body: dict[str, Any] = {
        "password": "correct horse",
        "displayname": "Carol",
        "threepids": [{"medium": "email", "address": "Carol@Example.org"}],
        "admin": False,
        "user_type": None,
    }
    made = await world.ask("root", "PUT", f"{USERS}/{CAROL}", body)
    assert made.status == 201
    assert (made.body["name"], made.body["displayname"], made.body["creation_ts"]) == (
        CAROL,
        "Carol",
        world.clock.now_ms() // 1000,
    )
    assert [each["address"] for each in made.body["threepids"]] == ["carol@example.org"]
    changes = {"admin": True, "displayname": "", "threepids": [], "locked": False}
    changed = await world.ask("root", "PUT", f"{USERS}/{CAROL}", changes)
    assert (changed.status, changed.body["admin"], changed.body["displayname"], changed.body["threepids"]) == (
        200,
        True,
        None,
        [],
    )
    actions = [entry.action for entry in await world.entries(by=ROOT)]
    assert actions == ["user.threepids", "user.profile", "user.admin", "user.threepids", "user.profile", "user.create"]
    assert await world.get(f"{USERS}/{CAROL}") == changed.body


async def test_put_locks_suspends_and_gives_a_new_password(world: AdminWorld) -> None:
    await world.call("root", "PUT", f"{USERS}/{ALICE}", {"password": "correct horse", "logout_devices": False})
    await world.call("alice", "GET", f"{V3}/account/whoami")
    await world.call("root", "PUT", f"{USERS}/{ALICE}", {"password": "correct horse"})
    assert (await world.ask("alice", "GET", f"{V3}/account/whoami")).status == 401
    shown = await world.call("root", "PUT", f"{USERS}/{BOB}", {"locked": True, "suspended": True})
    assert (shown["locked"], shown["suspended"]) == (True, True)
    assert (await world.ask("bob", "GET", f"{V3}/account/whoami")).errcode == "M_USER_LOCKED"


async def test_put_deactivates_for_ever(world: AdminWorld) -> None:
    assert (await world.ask("root", "PUT", f"{USERS}/{CAROL}", {"deactivated": True})).status == 404
    assert (await world.call("root", "PUT", f"{USERS}/{ALICE}", {"deactivated": True}))["deactivated"]
    again = await world.ask("root", "PUT", f"{USERS}/{ALICE}", {"deactivated": False, "password": "correct horse"})
    assert (again.status, again.errcode) == (400, "M_INVALID_PARAM")


@pytest.mark.parametrize(
    "body",
    [
        {"external_ids": [{"auth_provider": "x", "external_id": "y"}]},
        {"user_type": "bot"},
        {"admin": "yes"},
        {"displayname": 7},
        {"threepids": ["x"]},
        {"threepids": [{"medium": "pigeon", "address": "x"}]},
        {"threepids": [{"medium": "email", "address": f"{number}@x.org"} for number in range(30)]},
        {"avatar_url": "https://x"},
        {"password": "x"},
    ],
)
async def test_put_refuses_what_it_cannot_do(world: AdminWorld, body: dict[str, object]) -> None:
    assert (await world.ask("root", "PUT", f"{USERS}/{ALICE}", body)).status == 400
    assert (await world.get(f"{USERS}/{ALICE}"))["threepids"] == []


async def test_put_is_for_users_of_this_server(world: AdminWorld) -> None:
    assert (await world.ask("root", "PUT", f"{USERS}/@x:there.example", {})).status == 400
    assert (await world.ask("root", "PUT", f"{USERS}/@Not a name:{HERE}".replace(" ", "%20"), {})).status == 400


async def test_an_address_belongs_to_one_user(world: AdminWorld) -> None:
    body = {"threepids": [{"medium": "email", "address": "a@example.org"}]}
    await world.call("root", "PUT", f"{USERS}/{ALICE}", body)
    assert (await world.ask("root", "PUT", f"{USERS}/{BOB}", body)).errcode == "M_THREEPID_IN_USE"


async def test_rights_rooms_sessions_and_names_are_told(world: AdminWorld) -> None:
    room_id = await world.room()
    path = f"{KNOWN}/v1/users/{ALICE}"
    assert await world.get(f"{path}/admin") == {"admin": False}
    assert await world.call("root", "PUT", f"{path}/admin", {"admin": True}) == {}
    assert await world.call("alice", "GET", f"{path}/admin") == {"admin": True}
    assert (await world.ask("root", "GET", f"{KNOWN}/v1/users/{CAROL}/admin")).status == 404
    assert await world.get(f"{path}/joined_rooms") == {"joined_rooms": [room_id], "total": 1}
    (device,) = (await world.get(f"{KNOWN}/v1/whois/{ALICE}"))["devices"].values()
    assert device["sessions"][0]["connections"][0]["ip"] == "192.0.2.7"
    assert await world.get(f"{KNOWN}/v1/username_available", username="carol") == {"available": True}
    assert (await world.ask("root", "GET", f"{KNOWN}/v1/username_available", username="bob")).errcode == "M_USER_IN_USE"
    assert (await world.ask("root", "GET", f"{KNOWN}/v1/username_available")).errcode == "M_MISSING_PARAM"


async def test_acts_answer_as_scripts_expect(world: AdminWorld) -> None:
    assert await world.call("root", "PUT", f"{KNOWN}/v1/suspend/{ALICE}", {"suspend": True}) == {
        f"user_{ALICE}_suspended": True
    }
    body = {"new_password": "correct horse", "logout_devices": False}
    assert await world.call("root", "POST", f"{KNOWN}/v1/reset_password/{ALICE}", body) == {}
    assert await world.call("root", "POST", f"{KNOWN}/v1/deactivate/{ALICE}", {"erase": True}) == {
        "id_server_unbind_result": "success"
    }
    # COMPAT: an empty body may come as nothing at all.
    assert (await world.ask("root", "POST", f"{KNOWN}/v1/deactivate/{BOB}")).status == 200


async def test_devices_are_listed_renamed_and_deleted(world: AdminWorld) -> None:
    path = f"{USERS}/{ALICE}/devices"
    found = await world.get(path)
    assert (found["total"], found["devices"][0]["user_id"]) == (1, ALICE)
    device = f"{path}/{found['devices'][0]['device_id']}"
    assert await world.call("root", "PUT", device, {"display_name": "Telephone"}) == {}
    assert (await world.get(device))["display_name"] == "Telephone"
    assert (await world.ask("root", "GET", f"{path}/NONE")).status == 404
    assert await world.call("root", "DELETE", device) == {}
    (other,) = (await world.get(f"{USERS}/{BOB}/devices"))["devices"]
    wanted = {"devices": [other["device_id"], "NONE"]}
    assert await world.call("root", "POST", f"{USERS}/{BOB}/delete_devices", wanted) == {}
    assert (await world.get(f"{USERS}/{BOB}/devices"))["total"] == 0
    assert (await world.ask("root", "POST", f"{USERS}/{BOB}/delete_devices", {"devices": [7]})).status == 400


# Registration tokens


async def test_a_token_is_made_shown_changed_and_deleted(world: AdminWorld) -> None:
    made = await world.call("root", "POST", f"{TOKENS}/new", {"token": "come-in", "uses_allowed": 2})
    assert made == {"token": "come-in", "uses_allowed": 2, "pending": 0, "completed": 0, "expiry_time": None}
    assert await world.get(f"{TOKENS}/come-in") == made
    later = world.clock.now_ms() + 1_000
    changed = await world.call("root", "PUT", f"{TOKENS}/come-in", {"expiry_time": later})
    assert changed == {**made, "expiry_time": later}
    # Of those on the list the tokens are not known any more: their numbers stand for them, and serve as well.
    (listed,) = (await world.get(TOKENS))["registration_tokens"]
    assert (listed["token"], listed["uses_allowed"]) == ("~1", 2)
    assert (await world.call("root", "PUT", f"{TOKENS}/~1", {"uses_allowed": None}))["uses_allowed"] is None
    assert await world.call("root", "DELETE", f"{TOKENS}/~1") == {}
    assert (await world.ask("root", "GET", f"{TOKENS}/come-in")).status == 404
    assert (await world.get(TOKENS))["registration_tokens"] == []


async def test_tokens_are_chosen_by_whether_they_are_good(world: AdminWorld) -> None:
    for body in ({"uses_allowed": 1}, {"expiry_time": world.clock.now_ms() + 1_000}):
        await world.call("root", "POST", f"{TOKENS}/new", body)
    world.clock.advance(2_000)
    assert [each["token"] for each in (await world.get(TOKENS, valid="true"))["registration_tokens"]] == ["~1"]
    assert [each["token"] for each in (await world.get(TOKENS, valid="false"))["registration_tokens"]] == ["~2"]


async def test_no_uses_at_all_end_a_token(world: AdminWorld) -> None:
    made = await world.call("root", "POST", f"{TOKENS}/new", {"length": 20})
    assert len(made["token"]) == 20
    await world.call("root", "PUT", f"{TOKENS}/{made['token']}", {"uses_allowed": 0})
    assert not (await world.call(None, "GET", f"{V1}/register/m.login.registration_token/validity", token=made["token"]))[
        "valid"
    ]


@pytest.mark.parametrize("body", [{"length": 0}, {"length": 65}, {"token": "not a token"}, {"expiry_time": 1}])
async def test_tokens_that_make_no_sense_are_not_made(world: AdminWorld, body: dict[str, object]) -> None:
    assert (await world.ask("root", "POST", f"{TOKENS}/new", body)).status == 400


async def test_a_token_is_never_in_the_audit_log(world: AdminWorld) -> None:
    secret = "very-secret-token"
    await world.call("root", "POST", f"{TOKENS}/new", {"token": secret})
    await world.call("root", "GET", f"{TOKENS}/{secret}")
    await world.ask("root", "GET", f"{TOKENS}/{secret}-mistyped")
    await world.ask("root", "PUT", f"{TOKENS}/{secret}-mistyped", {})
    await world.call("root", "PUT", f"{TOKENS}/{secret}", {"uses_allowed": 5})
    await world.call("root", "DELETE", f"{TOKENS}/{secret}")
    entries = await world.entries()
    assert secret not in repr(entries)
    assert [(entry.action, entry.whom) for entry in entries] == [
        ("invitation.revoke", "~1"),
        ("invitation.change", "~1"),
        ("invitation.change", ""),
        ("invitation.show", "~1"),
        ("invitation.create", ""),
    ]
