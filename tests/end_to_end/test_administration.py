"""An operator's day: a spammer, a report, a lock, a room that goes, on a real server and over a restart."""

from urllib.parse import quote

from tests.end_to_end.harness.people import V3, Person, fresh, path
from tests.end_to_end.harness.servers import Server

ADMIN = "/_watchword/client/v1/admin"


def quoted(text: str) -> str:
    return quote(text, safe="")


def test_an_operator_deals_with_a_spammer(north: Server) -> None:
    root = Person.provisioned(north, "root", admin=True)
    alice, spammer = Person.provisioned(north, "alice"), Person.provisioned(north, "spammer")
    room_id = alice.makes_room(preset="public_chat")
    spammer.joins(room_id)
    event_id = spammer.says(room_id, "Buy now!")
    alice.sees(room_id, event_id)
    alice.post("rooms", room_id, "report", event_id, reason="spam")
    assert alice.ask("GET", f"{ADMIN}/reports").status == 403

    reports = root.call("GET", f"{ADMIN}/reports", handled="false")["reports"]
    report = next(each for each in reports if each["event_id"] == event_id)
    assert root.call("GET", f"{ADMIN}/reports/{report['report_id']}")["event"]["content"]["body"] == "Buy now!"
    root.call("PUT", f"{ADMIN}/users/{quoted(spammer.user_id)}/locked", {"locked": True})
    refused = spammer.ask("GET", path("account", "whoami"))
    assert (refused.status, refused.json["errcode"]) == (401, "M_USER_LOCKED")
    root.call("POST", f"{ADMIN}/reports/{report['report_id']}/handle", {"outcome": "resolved"})

    done = root.call("GET", f"{ADMIN}/audit", by=root.user_id)["entries"]
    assert [(each["action"], each["whom"], each["outcome"]) for each in done][:2] == [
        ("report.handle", str(report["report_id"]), "done"),
        ("user.lock", spammer.user_id, "done"),
    ]


def test_a_room_is_left_by_everybody_and_other_servers_are_told(north: Server, south: Server) -> None:
    root, alice, bob = (Person.provisioned(north, name, admin=name == "root") for name in ("root", "alice", "bob"))
    carol = Person.provisioned(south, "carol")
    room_id = alice.makes_room(preset="public_chat")
    bob.joins(room_id)
    carol.joins(room_id, via=alice.user_id.partition(":")[2])
    bob.syncs()
    answer = root.call("DELETE", f"/_synapse/admin/v1/rooms/{quoted(room_id)}", {"block": True})
    assert sorted(answer["kicked_users"]) == sorted([alice.user_id, bob.user_id])
    bob.waits_for(lambda: room_id in bob.left)
    carol.sees_membership(room_id, alice.user_id, "leave")
    carol.says(room_id, "Where is everybody?")
    assert bob.ask("POST", f"{V3}/join/{quoted(room_id)}", {}).status == 403
    assert root.call("GET", f"{ADMIN}/rooms/{quoted(room_id)}")["blocked_by"] == root.user_id


def test_a_script_provisions_users(north: Server) -> None:
    root = Person.provisioned(north, "root", admin=True)
    user_id = f"@{fresh('provisioned')}:{root.user_id.partition(':')[2]}"
    made = root.ask("PUT", f"/_synapse/admin/v2/users/{quoted(user_id)}", {"password": "correct horse", "displayname": "P"})
    assert (made.status, made.json["displayname"]) == (201, "P")
    login = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": user_id}, "password": "correct horse"}
    assert root.ask("POST", f"{V3}/login", login).json["user_id"] == user_id
