"""What an operator looks at."""

import json
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Run
from tests.unit.cli.operated import make_users, with_server
from watchword.edge.auditing import Deed
from watchword.edge.requester import Requester
from watchword.protocol.ids import RoomId, UserId
from watchword.server.app import Homeserver
from watchword.server.rooms.commands import CreateRoom, SendEvent
from watchword.server.rooms.view import Reader

ROOT, ALICE, BOB = (UserId(f"@{name}:a.example") for name in ("root", "alice", "bob"))


@pytest.fixture
def peopled(settings: Path) -> Path:
    """A server with people, a report of an event, one of a user, and something in the audit log."""

    async def people(server: Homeserver) -> None:
        await make_users(server, "+root", "alice", "bob")
        await server.accounts.profiles.store_field(ALICE, "displayname", "Alice \x1b[2J Marigold")
        room_id = await server.rooms.membership.create(CreateRoom(ALICE, "12", "private_chat"))
        content = {"msgtype": "m.text", "body": "a loud shout"}
        event_id = await server.rooms.writer.send(SendEvent(room_id, ALICE, "m.room.message", content))
        await server.moderation.reports.report_event(Reader(ALICE, None), room_id, event_id, "too loud")
        await server.moderation.reports.report_room(BOB, RoomId("!spam:b.example"), "spam")
        requester = Requester(ROOT, None, 1, is_admin=True)
        async with server.admin.audit.act(Deed(ROOT, "user.lock", BOB, "192.0.2.1")) as entry:
            entry.add(locked=True)
            await server.accounts.admin.set_locked(requester, BOB, True, also=entry)

    with_server(settings, people)
    return settings


@pytest.mark.parametrize("command", ["users", "reports", "audit"])
def test_where_no_server_is_there_is_nothing_to_look_at(run: Run, settings: Path, command: str) -> None:
    result = run(command, "-c", settings)
    assert result.exit_code == 1
    assert "There is no server in" in result.output
    assert not (settings.parent / "data").exists()


def test_users_are_listed_with_their_standing(run: Run, peopled: Path) -> None:
    lines = run("users", "-c", peopled).output.splitlines()
    assert lines[0].split() == ["USER", "SINCE", "SEEN", "STANDING", "NAME"]
    assert [line.split()[0] for line in lines[1:]] == [ALICE, BOB, ROOT]
    assert "locked" in lines[2]
    assert "admin" in lines[3]
    assert "\x1b" not in lines[1]
    assert [line.split()[0] for line in run("users", "-c", peopled, "--admins").output.splitlines()[1:]] == [ROOT]
    assert [line.split()[0] for line in run("users", "-c", peopled, "--locked").output.splitlines()[1:]] == [BOB]
    assert [line.split()[0] for line in run("users", "-c", peopled, "--search", "MARI").output.splitlines()[1:]] == [ALICE]
    assert run("users", "-c", peopled, "--suspended").output == "There are no such users.\n"
    assert run("users", "-c", peopled, "--deactivated").output == "There are no such users.\n"
    assert "… and 2 more" in run("users", "-c", peopled, "--limit", "1", "--order", "created").output


def test_reports_are_listed_and_shown(run: Run, peopled: Path) -> None:
    lines = run("reports", "-c", peopled).output.splitlines()
    assert lines[0].split() == ["NUMBER", "WHEN", "OF", "WHAT", "BY", "REASON"]
    assert "too loud" in lines[1]
    assert "!spam:b.example" in lines[2]
    assert "spam" in run("reports", "-c", peopled, "--kind", "room").output
    assert run("reports", "-c", peopled, "--handled").output == "There are no such reports.\n"
    shown = run("reports", "-c", peopled, "1").output
    for text in ("too loud", "a loud shout", ALICE, "not yet"):
        assert text in shown
    assert run("reports", "-c", peopled, "99").exit_code == 1


def test_looking_at_a_report_is_in_the_audit_log(run: Run, peopled: Path) -> None:
    run("reports", "-c", peopled, "1")
    entry = json.loads(run("audit", "-c", peopled, "--json", "--limit", "1").output)
    assert (entry["by"], entry["action"], entry["whom"], entry["outcome"]) == (None, "report.show", "1", "done")


def test_the_audit_log_is_shown_and_searched(run: Run, peopled: Path) -> None:
    lines = run("audit", "-c", peopled).output.splitlines()
    assert lines[0].split() == ["WHEN", "WHO", "WHAT", "OUTCOME", "FROM", "WHOM"]
    assert lines[1].split()[2:] == [ROOT, "user.lock", "done", "192.0.2.1", BOB, "locked=True"]
    for options in (("--by", ROOT), ("--whom", BOB), ("--action", "user"), ("--action", "user.lock")):
        assert len(run("audit", "-c", peopled, *options).output.splitlines()) == 2
    assert run("audit", "-c", peopled, "--action", "room").output == "There are no such entries.\n"


def test_making_and_revoking_invitations_is_in_the_audit_log(run: Run, peopled: Path) -> None:
    token = run("invite", "-c", peopled, "--token-only", "--label", "the choir").output.strip()
    run("revoke", "-c", peopled, "1")
    lines = run("audit", "-c", peopled, "--action", "invitation").output
    assert "invitation.revoke" in lines
    assert "label=the choir" in lines
    assert token not in lines


def test_a_running_server_is_looked_at_beside_it(run: Run, peopled: Path) -> None:
    from watchword.storage.folder import FolderClaim

    claim = FolderClaim(peopled.parent / "data", "a.example")
    try:
        assert ALICE in run("users", "-c", peopled).output
    finally:
        claim.release()
