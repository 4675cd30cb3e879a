"""Scenarios on one server: from the operator's invitation to the last logout."""

import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests.end_to_end.harness import wire
from tests.end_to_end.harness.people import V3, Person, fresh
from tests.end_to_end.harness.servers import Server, unused_port
from tests.end_to_end.harness.wire import compact


def _register(server: Server, name: str, auth: dict[str, str] | None) -> wire.Answer:
    body = {"username": name, "password": "correct horse", **({} if auth is None else {"auth": auth})}
    answer = wire.ask(server.client, "POST", f"{V3}/register", compact(body))
    if answer.status == 401 and answer.json.get("completed") == ["m.login.registration_token"]:
        # The token was good; the last stage asks for nothing.
        return _register(server, name, {"type": "m.login.dummy", "session": answer.json["session"]})
    return answer


def test_an_invitation_leads_from_a_link_to_messages_on_two_devices(north: Server) -> None:
    link = north.command("invite", "--label", "for the newcomer")
    token = parse_qs(urlsplit(link).fragment)["token"][0]
    assert "for the newcomer" in north.command("invitations")

    name = fresh("newcomer")
    asked = _register(north, name, None)
    assert asked.status == 401
    assert asked.json["flows"] == [{"stages": ["m.login.registration_token", "m.login.dummy"]}]
    auth = {"type": "m.login.registration_token", "token": token, "session": asked.json["session"]}
    newcomer = Person(north, _register(north, name, auth).json, "correct horse")
    assert newcomer.user_id == f"@{name}:north.example"

    laptop = newcomer.on_another_device()
    room_id = newcomer.makes_room(name="Notes")
    newcomer.says(room_id, "from the telephone")
    laptop.hears(room_id, "from the telephone")
    laptop.says(room_id, "from the laptop")
    newcomer.hears(room_id, "from the laptop")

    laptop.post("logout")
    assert laptop.ask("GET", f"{V3}/account/whoami").refusal == (401, "M_UNKNOWN_TOKEN")
    assert newcomer.get("account", "whoami")["device_id"] == newcomer.device_id
    newcomer.post("logout", "all")
    assert newcomer.ask("GET", f"{V3}/sync").refusal == (401, "M_UNKNOWN_TOKEN")


def test_an_invitation_is_good_once(north: Server) -> None:
    token = north.command("invite", "--token-only")
    session = _register(north, fresh("first"), None).json["session"]
    auth = {"type": "m.login.registration_token", "token": token, "session": session}
    assert _register(north, fresh("first"), auth).status == 200
    again = _register(north, fresh("second"), auth | {"session": _register(north, fresh("second"), None).json["session"]})
    assert again.status == 401
    assert "access_token" not in again.json


def test_nobody_registers_without_an_invitation(north: Server) -> None:
    session = _register(north, fresh("mallory"), None).json["session"]
    for auth in ({"type": "m.login.dummy"}, {"type": "m.login.registration_token", "token": "guessed"}):
        assert _register(north, fresh("mallory"), {**auth, "session": session}).status == 401


def test_a_message_wakes_who_waits_for_it(north: Server) -> None:
    alice, bob = Person.provisioned(north, "alice"), Person.provisioned(north, "bob")
    room_id = alice.makes_room(invite=[bob.user_id])
    bob.accepts(room_id)
    bob.syncs()
    event_id = alice.says(room_id, "good morning")
    heard = bob.hears(room_id, "good morning")
    assert heard["event_id"] == event_id
    assert "transaction_id" not in heard.get("unsigned", {})
    assert alice.hears(room_id, "good morning")["unsigned"]["transaction_id"]


def test_a_repeated_transaction_sends_nothing_twice(north: Server) -> None:
    alice = Person.provisioned(north, "alice")
    room_id = alice.makes_room()
    target = f"{V3}/rooms/{room_id}/send/m.room.message/once"
    sent = [alice.call("PUT", target, {"msgtype": "m.text", "body": "only once"}) for _ in range(3)]
    assert sent[0] == sent[1] == sent[2]
    assert alice.history_bodies(room_id) == ["only once"]


def test_a_stop_answers_who_waits_and_a_start_remembers_all(north: Server) -> None:
    alice = Person.provisioned(north, "alice")
    room_id = alice.makes_room(name="Archive")
    alice.says(room_id, "before the restart")
    alice.syncs()
    north.stop()
    north.start()
    alice.says(room_id, "after the restart")
    alice.hears(room_id, "after the restart")
    assert alice.history_bodies(room_id) == ["before the restart", "after the restart"]
    assert alice.get("rooms", room_id, "state", "m.room.name")["name"] == "Archive"


def test_one_command_brings_a_server_up_and_invites_its_first_administrator(tmp_path: Path) -> None:
    port = unused_port()
    command = [sys.executable, "-P", "-m", "watchword.cli.main", "up", "--data", str(tmp_path / "data"), "--port", str(port)]
    with subprocess.Popen(
        [*command, "--server-name", "self.example"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        said = ""
        while "registration token: " not in said:
            line = process.stdout.readline()
            assert line, said
            said += line
        token = said.rpartition("registration token: ")[2].strip()
        place = wire.Place(port)
        wish = {"username": "founder", "password": "correct horse"}
        session = wire.ask(place, "POST", f"{V3}/register", compact(wish)).json["session"]
        auth = {"type": "m.login.registration_token", "token": token, "session": session}
        wire.ask(place, "POST", f"{V3}/register", compact({**wish, "auth": auth}))
        auth = {"type": "m.login.dummy", "session": session}
        founder = wire.ask(place, "POST", f"{V3}/register", compact({**wish, "auth": auth})).json
        assert founder["user_id"] == "@founder:self.example"
        headers = {"authorization": f"Bearer {founder['access_token']}"}
        target = f"{V3}/capabilities"
        moderation = wire.ask(place, "GET", target, headers=headers).json["capabilities"]["m.account_moderation"]
        assert moderation == {"lock": True, "suspend": True}
        process.terminate()
        assert process.wait(10) == 0
    again = subprocess.run(
        [*command, "--server-name", "other.example"], capture_output=True, text=True, check=False, timeout=20
    )
    assert again.returncode == 2
    assert "can never be changed" in again.stderr
