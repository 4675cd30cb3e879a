"""Users and invitations under our own prefix."""

import pytest

from tests.unit.server.admin.world import ALICE, BOB, HERE, OURS, ROOT, V1, V3, AdminWorld, quoted

USERS = f"{OURS}/users"


async def test_users_are_listed_searched_and_paged(world: AdminWorld) -> None:
    page = await world.get(USERS, limit=2)
    assert ([user["user_id"] for user in page["users"]], page["total"], page["next_batch"]) == ([ALICE, BOB], 3, "2")
    rest = await world.get(USERS, limit=2, **{"from": page["next_batch"]})
    assert [user["user_id"] for user in rest["users"]] == [ROOT]
    assert "next_batch" not in rest
    assert [user["user_id"] for user in (await world.get(USERS, search="LIC"))["users"]] == [ALICE]
    assert [user["user_id"] for user in (await world.get(USERS, admins="true"))["users"]] == [ROOT]
    assert (await world.ask("root", "GET", USERS, order_by="password")).errcode == "M_INVALID_PARAM"


async def test_a_user_is_made_and_shown(world: AdminWorld) -> None:
    made = await world.call("root", "POST", USERS, {"localpart": "carol", "password": "correct horse", "displayname": "C"})
    assert (made["user_id"], made["displayname"], made["has_password"], made["admin"]) == (f"@carol:{HERE}", "C", True, False)
    assert await world.get(f"{USERS}/{made['user_id']}") == made
    login = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": "carol"}, "password": "correct horse"}
    await world.call(None, "POST", f"{V3}/login", login)


async def test_the_right_of_an_administrator_is_given_and_taken_but_not_from_oneself(world: AdminWorld) -> None:
    assert await world.call("root", "PUT", f"{USERS}/{ALICE}/admin", {"admin": True}) == {"admin": True}
    await world.call("alice", "GET", USERS)
    await world.call("alice", "PUT", f"{USERS}/{ROOT}/admin", {"admin": False})
    assert (await world.ask("root", "GET", USERS)).status == 403
    assert (await world.ask("alice", "PUT", f"{USERS}/{ALICE}/admin", {"admin": False})).status == 403
    assert [(entry.by, entry.whom, entry.details, entry.outcome) for entry in await world.entries(action="user.admin")] == [
        (ALICE, ALICE, {}, "M_FORBIDDEN"),
        (ALICE, ROOT, {"admin": False}, "done"),
        (ROOT, ALICE, {"admin": True}, "done"),
    ]


async def test_a_guest_is_made_no_administrator(world: AdminWorld) -> None:
    guest = (await world.call(None, "POST", f"{V3}/register", {}, kind="guest"))["user_id"]
    assert (await world.ask("root", "PUT", f"{USERS}/{guest}/admin", {"admin": True})).errcode == "M_INVALID_PARAM"


async def test_a_locked_user_can_do_nothing_but_log_out(world: AdminWorld) -> None:
    await world.call("root", "PUT", f"{USERS}/{ALICE}/locked", {"locked": True})
    answer = await world.ask("alice", "GET", f"{V3}/account/whoami")
    assert (answer.status, answer.errcode, answer.body["soft_logout"]) == (401, "M_USER_LOCKED", True)
    await world.call("root", "PUT", f"{USERS}/{ALICE}/locked", {"locked": False})
    await world.call("alice", "GET", f"{V3}/account/whoami")
    assert (await world.ask("root", "PUT", f"{USERS}/{ROOT}/locked", {"locked": True})).status == 403


async def test_a_suspended_user_is_restored(world: AdminWorld) -> None:
    await world.call("root", "PUT", f"{USERS}/{ALICE}/suspended", {"suspended": True})
    assert (await world.ask("alice", "POST", f"{V3}/createRoom", {})).errcode == "M_USER_SUSPENDED"
    await world.call("root", "PUT", f"{USERS}/{ALICE}/suspended", {"suspended": False})
    await world.room()


async def test_the_same_acts_through_the_specified_doors_are_kept_too(world: AdminWorld) -> None:
    await world.call("root", "PUT", f"{V1}/admin/lock/{ALICE}", {"locked": True})
    await world.call("root", "PUT", f"{V1}/admin/suspend/{BOB}", {"suspended": True})
    await world.get(f"{V3}/admin/whois/{BOB}")
    await world.get(f"{V3}/admin/whois/{ROOT}")
    assert (await world.ask("root", "PUT", f"{V1}/admin/lock/{ROOT}", {"locked": True})).status == 403
    assert [(entry.action, entry.whom, entry.outcome) for entry in await world.entries()] == [
        ("user.lock", ROOT, "M_FORBIDDEN"),
        ("user.whois", BOB, "done"),
        ("user.suspend", BOB, "done"),
        ("user.lock", ALICE, "done"),
    ]


async def test_a_deactivated_user_is_gone_and_his_name_stays_taken(world: AdminWorld) -> None:
    assert await world.call("root", "POST", f"{USERS}/{ALICE}/deactivate", {"erase": True}) == {"unbound": True}
    assert (await world.ask("alice", "GET", f"{V3}/account/whoami")).status == 401
    shown = await world.get(f"{USERS}/{ALICE}")
    assert (shown["deactivated"], shown["erased"]) == (True, True)
    assert (await world.ask("root", "POST", USERS, {"localpart": "alice"})).errcode == "M_USER_IN_USE"
    assert (await world.ask("root", "POST", f"{USERS}/{ALICE}/deactivate", {})).status == 404
    assert (await world.ask("root", "POST", f"{USERS}/{ROOT}/deactivate", {})).status == 403


async def test_a_new_password_signs_everybody_out_and_is_nowhere_to_be_read(world: AdminWorld) -> None:
    body = {"new_password": "a secret of theirs"}
    await world.call("root", "POST", f"{USERS}/{ALICE}/password", body)
    assert (await world.ask("alice", "GET", f"{V3}/account/whoami")).status == 401
    await world.call("root", "POST", f"{USERS}/{BOB}/password", {**body, "logout_devices": False})
    await world.call("bob", "GET", f"{V3}/account/whoami")
    assert (await world.ask("root", "POST", f"{USERS}/{BOB}/password", {"new_password": "x"})).errcode == "M_WEAK_PASSWORD"
    assert "secret" not in repr(await world.entries())
    await world.call("root", "PUT", f"{USERS}/{BOB}/admin", {"admin": True})
    assert (await world.ask("root", "POST", f"{USERS}/{BOB}/password", body)).status == 403


async def test_devices_are_shown_and_signed_out(world: AdminWorld) -> None:
    await world.call("alice", "GET", f"{V3}/account/whoami")
    (device,) = (await world.get(f"{USERS}/{ALICE}/devices"))["devices"]
    assert (device["last_seen_ip"], device["last_seen_ts"]) == ("192.0.2.7", world.clock.now_ms())
    await world.call("root", "DELETE", f"{USERS}/{ALICE}/devices/{device['device_id']}")
    assert (await world.ask("alice", "GET", f"{V3}/account/whoami")).status == 401
    assert (await world.last()).details == {"device_id": device["device_id"]}
    assert await world.call("root", "POST", f"{USERS}/{BOB}/sign_out") == {"signed_out": 1}
    assert (await world.ask("bob", "GET", f"{V3}/account/whoami")).status == 401


async def test_rooms_files_and_pushers_of_a_user_are_shown(world: AdminWorld) -> None:
    room_id = await world.room()
    assert await world.get(f"{USERS}/{ALICE}/rooms") == {"rooms": [room_id]}
    media_id = await world.upload("alice", b"12345")
    (file,) = (await world.get(f"{USERS}/{ALICE}/media"))["media"]
    assert (file["content_uri"], file["bytes"], file["quarantined_by"]) == (f"mxc://{HERE}/{media_id}", 5, None)
    pusher = {
        "pushkey": "a-key-of-a-telephone",
        "app_id": "org.example.app",
        "kind": "http",
        "app_display_name": "App",
        "device_display_name": "Telephone",
        "lang": "en",
        "data": {"url": "https://push.example.org/_matrix/push/v1/notify"},
    }
    await world.call("alice", "POST", f"{V3}/pushers/set", pusher)
    shown = await world.get(f"{USERS}/{ALICE}/pushers")
    assert (shown["pushers"][0]["app_id"], shown["pushers"][0]["journal"], shown["removed"]) == ("org.example.app", [], [])
    assert "a-key-of-a-telephone" not in repr(shown)


async def test_a_profile_is_changed(world: AdminWorld) -> None:
    await world.call("root", "PUT", f"{USERS}/{ALICE}/profile", {"displayname": "Somebody"})
    assert (await world.get(f"{USERS}/{ALICE}"))["displayname"] == "Somebody"
    await world.call("root", "PUT", f"{USERS}/{ALICE}/profile", {"displayname": ""})
    assert (await world.get(f"{USERS}/{ALICE}"))["displayname"] is None


async def test_an_invitation_is_made_listed_used_and_revoked(world: AdminWorld) -> None:
    room_id = await world.room("root")
    made = await world.call("root", "POST", f"{OURS}/invitations", {"label": "Carol", "rooms": [room_id]})
    assert (made["uses_allowed"], made["created_by"], made["rooms"]) == (1, ROOT, [room_id])
    assert made["expires_ts"] > world.clock.now_ms()
    assert made["link"].endswith(made["token"])
    listed = await world.get(f"{OURS}/invitations")
    assert listed == {"invitations": [{key: made[key] for key in made if key not in ("token", "link")}]}
    valid = f"{V1}/register/m.login.registration_token/validity"
    assert (await world.call(None, "GET", valid, token=made["token"]))["valid"]
    path = f"{OURS}/invitations/{made['invitation_id']}"
    await world.call("root", "DELETE", path)
    assert not (await world.call(None, "GET", valid, token=made["token"]))["valid"]
    assert (await world.ask("root", "DELETE", path)).status == 404
    assert (await world.ask("root", "DELETE", f"{OURS}/invitations/x")).status == 404
    assert made["token"] not in repr(await world.entries())


@pytest.mark.parametrize(
    "body", [{"rooms": ["nonsense"]}, {"rooms": "!a:b"}, {"uses_allowed": 0}, {"label": 7}, {"token": "not a token"}]
)
async def test_an_invitation_that_makes_no_sense_is_not_made(world: AdminWorld, body: dict[str, object]) -> None:
    assert (await world.ask("root", "POST", f"{OURS}/invitations", body)).status == 400
    assert (await world.get(f"{OURS}/invitations"))["invitations"] == []


async def test_an_invitation_may_be_for_ever_and_for_everybody(world: AdminWorld) -> None:
    made = await world.call("root", "POST", f"{OURS}/invitations", {"uses_allowed": None, "expires_ts": None})
    assert (made["uses_allowed"], made["expires_ts"]) == (None, None)


async def test_user_ids_are_read_before_anything_else(world: AdminWorld) -> None:
    assert (await world.ask("root", "GET", f"{USERS}/{quoted('nonsense')}")).errcode == "M_INVALID_PARAM"
    assert (await world.ask("root", "GET", f"{USERS}/{quoted('@x:there.example')}")).errcode == "M_INVALID_PARAM"


# What suspension leaves. Spec: client-server-api#account-suspension


async def _suspended_member(world: AdminWorld) -> tuple[str, str, str]:
    """A public room of Bob's with Alice in it, who is suspended then; (room, an event of Alice's, one of Bob's)."""
    room_id = await world.room("bob", preset="public_chat", power_level_content_override={"redact": 0})
    await world.call("alice", "POST", f"{V3}/rooms/{quoted(room_id)}/join", {})
    hers, his = await world.say("alice", room_id, "hers"), await world.say("bob", room_id, "his")
    await world.call("root", "PUT", f"{USERS}/{ALICE}/suspended", {"suspended": True})
    return room_id, hers, his


async def test_a_suspended_user_reads_leaves_redacts_what_is_hers_and_keeps_her_keys(world: AdminWorld) -> None:
    room_id, hers, _ = await _suspended_member(world)
    other = await world.room("bob", invite=[ALICE])
    room = f"{V3}/rooms/{quoted(room_id)}"
    messages = await world.call("alice", "GET", f"{room}/messages", dir="b")
    assert {"hers", "his"} <= {event["content"].get("body") for event in messages["chunk"]}
    await world.call("alice", "GET", f"{V3}/sync")
    await world.call("alice", "POST", f"{room}/receipt/m.read/{quoted(hers)}", {})
    await world.call("alice", "PUT", f"{room}/redact/{quoted(hers)}/1", {})
    backup = {"algorithm": "m.megolm_backup.v1.curve25519-aes-sha2", "auth_data": {"public_key": "x", "signatures": {}}}
    await world.call("alice", "POST", f"{V3}/room_keys/version", backup)
    letter = {"messages": {ALICE: {"*": {"transaction_id": "t"}}}}
    await world.call("alice", "PUT", f"{V3}/sendToDevice/m.key.verification.request/1", letter)
    await world.call("alice", "PUT", f"{room}/state/m.room.member/{quoted(ALICE)}", {"membership": "leave"})
    await world.call("alice", "POST", f"{V3}/rooms/{quoted(other)}/leave", {})
    assert (await world.call("alice", "GET", f"{V3}/joined_rooms"))["joined_rooms"] == []
    await world.call("alice", "POST", f"{V3}/logout", {})


async def test_a_suspended_user_says_nothing_and_brings_nobody_in(world: AdminWorld) -> None:
    room_id, hers, his = await _suspended_member(world)
    open_room = await world.room("bob", preset="public_chat")
    room = f"{V3}/rooms/{quoted(room_id)}"
    for method, path, body in (
        ("PUT", f"{room}/send/m.room.message/9", {"msgtype": "m.text", "body": "x"}),
        ("PUT", f"{room}/state/m.room.topic/", {"topic": "x"}),
        ("PUT", f"{room}/state/m.room.member/{quoted(ALICE)}", {"membership": "join"}),
        ("PUT", f"{room}/redact/{quoted(his)}/9", {}),
        ("PUT", f"{room}/send/m.room.redaction/8", {"redacts": his}),
        ("POST", f"{room}/invite", {"user_id": ROOT}),
        ("POST", f"{room}/kick", {"user_id": BOB}),
        ("POST", f"{V3}/join/{quoted(open_room)}", {}),
        ("POST", f"{V3}/knock/{quoted(open_room)}", {}),
        ("POST", f"{V3}/createRoom", {}),
        ("POST", f"{room}/upgrade", {"new_version": "12"}),
        ("PUT", f"{V3}/profile/{ALICE}/displayname", {"displayname": "x"}),
    ):
        answer = await world.ask("alice", method, path, body)
        assert (answer.status, answer.errcode) == (403, "M_USER_SUSPENDED"), (method, path, answer.body)
    await world.call("alice", "PUT", f"{room}/send/m.room.redaction/7", {"redacts": hers})
