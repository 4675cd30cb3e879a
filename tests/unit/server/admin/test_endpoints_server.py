"""Reports, invites in bulk, other servers, notices, the audit log and statistics under our own prefix."""

from pathlib import Path

from tests.unit.server.admin.world import ALICE, BOB, HERE, OURS, ROOT, V3, AdminWorld, open_world, quoted
from watchword.protocol.ids import ServerName

REPORTS = f"{OURS}/reports"
THERE = ServerName("there.example")


async def _reported(world: AdminWorld) -> tuple[str, str]:
    """A room with an event that Bob has reported; (room, event)."""
    room_id = await world.room(preset="public_chat")
    await world.call("bob", "POST", f"{V3}/rooms/{quoted(room_id)}/join", {})
    event_id = await world.say("alice", room_id, "shout")
    await world.call("bob", "POST", f"{V3}/rooms/{quoted(room_id)}/report/{quoted(event_id)}", {"reason": "loud"})
    return room_id, event_id


async def test_reports_are_listed_shown_with_their_event_and_handled(world: AdminWorld) -> None:
    room_id, event_id = await _reported(world)
    await world.call("bob", "POST", f"{V3}/users/{ALICE}/report", {"reason": "rude"})
    page = await world.get(REPORTS)
    assert [(each["kind"], each["reason"]) for each in page["reports"]] == [("event", "loud"), ("user", "rude")]
    assert [each["kind"] for each in (await world.get(REPORTS, kind="user"))["reports"]] == ["user"]
    assert (await world.get(REPORTS, room_id=room_id))["total"] == 1
    assert (await world.get(REPORTS, reporter=ALICE))["total"] == 0
    number = page["reports"][0]["report_id"]
    shown = await world.get(f"{REPORTS}/{number}")
    assert (shown["event_id"], shown["user_id"], shown["reporter"]) == (event_id, ALICE, BOB)
    assert shown["event"]["content"]["body"] == "shout"
    await world.call("root", "POST", f"{REPORTS}/{number}/handle", {"outcome": "dismissed"})
    shown = await world.get(f"{REPORTS}/{number}")
    assert (shown["handled_by"], shown["event"]) == (ROOT, None)
    assert (await world.get(REPORTS, handled="false"))["total"] == 1
    assert (await world.ask("root", "POST", f"{REPORTS}/{number}/handle", {})).status == 404
    (failed, done) = await world.entries(action="report.handle")
    assert (done.whom, done.details, failed.outcome) == (str(number), {"outcome": "dismissed"}, "M_NOT_FOUND")
    assert "shout" not in repr(await world.entries())


async def test_questions_about_reports_that_make_no_sense_are_refused(world: AdminWorld) -> None:
    assert (await world.ask("root", "GET", REPORTS, kind="joke")).errcode == "M_INVALID_PARAM"
    for number in ("x", "7", "9" * 30):
        assert (await world.ask("root", "GET", f"{REPORTS}/{number}")).status == 404
    assert (await world.ask("root", "POST", f"{REPORTS}/1/handle", {"outcome": "burnt"})).errcode == "M_INVALID_PARAM"


async def test_invites_of_a_spammer_are_rejected_in_bulk(world: AdminWorld) -> None:
    rooms = [await world.room(invite=[BOB]) for _ in range(3)]
    other = await world.room("root", invite=[BOB])
    path = f"{OURS}/invites/reject"
    assert (await world.ask("root", "POST", path, {})).errcode == "M_MISSING_PARAM"
    assert await world.call("root", "POST", path, {"sender": ALICE}) == {"rejected": 3}
    assert await world.call("root", "POST", path, {"room_id": rooms[0]}) == {"rejected": 0}
    invited = (await world.call("bob", "GET", f"{V3}/sync"))["rooms"]["invite"]
    assert list(invited) == [other]
    assert (await world.entries(action="invites.reject"))[1].details == {"count": 3}


async def test_other_servers_are_shown_and_tried_again(world: AdminWorld) -> None:
    backoff = world.server.federation_out.backoff
    await backoff.failed(backoff.begin(THERE))
    (found,) = (await world.get(f"{OURS}/destinations"))["destinations"]
    assert (found["server_name"], found["failures"], found["failing_since_ts"]) == (THERE, 1, world.clock.now_ms())
    assert found["retry_after_ts"] > world.clock.now_ms()
    path = f"{OURS}/destinations/{THERE}"
    assert (await world.get(path))["failures"] == 1
    assert backoff.wait_ms(THERE) > 0
    assert await world.call("root", "POST", f"{path}/retry") == {"was_waiting": True}
    assert backoff.wait_ms(THERE) == 0
    backoff.begin(THERE)
    assert (await world.ask("root", "GET", f"{OURS}/destinations/other.example")).status == 404
    assert await world.call("root", "POST", f"{OURS}/destinations/other.example/retry") == {"was_waiting": False}
    page = await world.get(f"{OURS}/destinations", limit=1)
    assert page["next_batch"] == THERE
    assert (await world.get(f"{OURS}/destinations", **{"from": THERE}))["destinations"] == []


async def test_a_notice_is_sent_and_its_text_is_not_kept(tmp_path: Path) -> None:
    body = {"user_id": BOB, "content": {"msgtype": "m.text", "body": "We move house tonight."}}
    async with open_world(tmp_path, notices__localpart="notices") as world:
        event_id = (await world.call("root", "POST", f"{OURS}/notices", body))["event_id"]
        (entry,) = await world.entries()
        assert (entry.action, entry.whom, entry.details) == ("notice.send", BOB, {"event_id": event_id})
        invited = (await world.call("bob", "GET", f"{V3}/sync"))["rooms"]["invite"]
        assert len(invited) == 1
        assert (await world.ask("root", "POST", f"{OURS}/notices", {**body, "user_id": f"@x:{HERE}"})).status == 404


async def test_notices_are_refused_where_the_server_has_nothing_to_say(world: AdminWorld) -> None:
    body = {"user_id": BOB, "content": {"msgtype": "m.text", "body": "Hello"}}
    assert (await world.ask("root", "POST", f"{OURS}/notices", body)).status == 404


async def test_the_audit_log_is_read_in_pages_and_that_is_kept_too(world: AdminWorld) -> None:
    for wanted in (True, False):
        await world.call("root", "PUT", f"{OURS}/users/{ALICE}/locked", {"locked": wanted})
    page = await world.get(f"{OURS}/audit", limit=1)
    assert page["entries"][0]["details"] == {"locked": False}
    rest = await world.get(f"{OURS}/audit", **{"from": page["next_batch"]})
    assert [(entry["action"], entry["by"], entry["whom"], entry["outcome"]) for entry in rest["entries"]] == [
        ("user.lock", ROOT, ALICE, "done")
    ]
    assert [entry["action"] for entry in (await world.get(f"{OURS}/audit", action="audit"))["entries"]] == ["audit.read"]
    assert (await world.get(f"{OURS}/audit", by=BOB))["entries"] == []
    assert len((await world.get(f"{OURS}/audit", whom=ALICE))["entries"]) == 2
    assert (await world.ask("root", "GET", f"{OURS}/audit", by="nonsense")).errcode == "M_INVALID_PARAM"


async def test_statistics_are_shown(world: AdminWorld) -> None:
    assert (await world.get(f"{OURS}/statistics"))["users"]["active"] == 3
