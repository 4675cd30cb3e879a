"""Reports, invites in bulk, other servers, notices, the audit log and statistics under our own prefix."""

from collections.abc import Mapping
from typing import Any

import orjson

from watchword.base.errors import BadRequest, NotFound
from watchword.edge.endpoint import Body
from watchword.edge.replies import Reply
from watchword.protocol.ids import ServerName, UserId, parse_room_id, parse_server_name, parse_user_id
from watchword.server.admin.commands import AuditEntry, AuditQuery
from watchword.server.admin.door import OURS, Admin, Call, act, look
from watchword.server.admin.ports import Destination
from watchword.server.admin.queries import flag_of, is_backwards, limit_of, page_of, start_of
from watchword.server.moderation.commands import Kind, Report, ReportQuery
from watchword.server.moderation.rejections import Criteria

# Reports


async def reports(call: Call, admin: Admin) -> Reply:
    request = call.request
    kind = request.query_one("kind")
    if kind is not None and kind not in {each.value for each in Kind}:
        raise BadRequest("M_INVALID_PARAM", "kind is event, room or user.")
    query = ReportQuery(
        kind=None if kind is None else Kind(kind),
        handled=flag_of(request, "handled"),
        reporter=request.query_parsed("reporter", parse_user_id),
        room_id=request.query_parsed("room_id", parse_room_id),
        oldest_first=not is_backwards(request),
        start=start_of(request),
        limit=limit_of(request),
    )
    found, total = await admin.reports.newest(query)
    return Reply.json(page_of("reports", [_report(each) for each in found], request, total))


def _report(report: Report) -> dict[str, Any]:
    what = report.what
    return {
        "report_id": report.report_id,
        "kind": what.kind.value,
        "reporter": what.reporter,
        "reason": what.reason,
        "room_id": what.room_id,
        "event_id": what.event_id,
        "user_id": what.user_id,
        "received_ts": report.received_ts,
        "handled_ts": report.handled_ts,
        "handled_by": report.handled_by,
    }


def report_number(call: Call) -> int:
    """The number of a report in the path. Raises NotFound for what is no number."""
    text = call.request.params["reportId"]
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX):
        raise NotFound("There is no such report.")
    return int(text)


async def show_report(call: Call, admin: Admin) -> Reply:
    """event: as its reporter saw it, and handed it in; an encrypted one is as unreadable as it was on its way."""
    found = await admin.reports.one(report_number(call))
    if found is None:
        raise NotFound("There is no such report.")
    event = None if found.what.event is None else orjson.loads(found.what.event)
    return Reply.json({**_report(found), "event": event})


async def handle_report(call: Call, admin: Admin) -> Reply:
    outcome = call.request.field_or("outcome", str, "resolved")
    if outcome not in ("resolved", "dismissed"):
        raise BadRequest("M_INVALID_PARAM", "outcome is resolved or dismissed.")
    call.entry.add(outcome=outcome)
    if not await admin.reports.handle(report_number(call), call.by, call.entry):
        raise NotFound("There is no such open report.")
    return Reply.EMPTY


async def reject_invites(call: Call, admin: Admin) -> Reply:
    request = call.request
    criteria = Criteria(
        sender=request.field_or_none("sender", str),
        server=request.field_or_none("server", str),
        room_id=None if request.json.get("room_id") is None else request.field_parsed("room_id", parse_room_id),
    )
    if criteria == Criteria():
        raise BadRequest("M_MISSING_PARAM", "Say whose invites: sender, server or room_id.")
    call.entry.about(criteria.sender or criteria.server or criteria.room_id or "")
    count = await admin.rejections.reject(criteria, tell=request.field_or("tell", bool, True))
    call.entry.add(count=count)
    return Reply.json({"rejected": count})


# Other servers


async def destinations(call: Call, admin: Admin) -> Reply:
    limit = limit_of(call.request)
    found = await admin.destinations.destinations(call.request.query_one("from") or "", limit)
    body: dict[str, Any] = {"destinations": [destination_body(each) for each in found]}
    if len(found) == limit:
        body["next_batch"] = found[-1].server_name
    return Reply.json(body)


def destination_body(found: Destination) -> dict[str, Any]:
    """Another server, as ours show it."""
    return {
        "server_name": found.server_name,
        "failures": found.failures,
        "failing_since_ts": found.failing_since_ts or None,
        "retry_after_ts": found.retry_after_ts or None,
        "last_success_ts": found.last_success_ts or None,
        "owed_since_position": found.behind_after,
    }


def server_of(call: Call) -> ServerName:
    """The server in the path."""
    return call.request.param("serverName", parse_server_name)


async def show_destination(call: Call, admin: Admin) -> Reply:
    found = await admin.destinations.destination(server_of(call))
    if found is None:
        raise NotFound("Nothing is known of this server.")
    return Reply.json(destination_body(found))


async def retry(call: Call, admin: Admin) -> Reply:
    return Reply.json({"was_waiting": admin.destinations.retry_now(server_of(call))})


# Notices


async def notice(call: Call, admin: Admin) -> Reply:
    user_id, content = call.request.field_parsed("user_id", parse_user_id), call.request.field("content", dict)
    return Reply.json({"event_id": await send_notice(call, admin, user_id, content)})


async def send_notice(call: Call, admin: Admin, user_id: UserId, content: Mapping[str, Any]) -> str:
    """Say something to a user in the server's name; what is said is not in the audit log."""
    call.entry.about(user_id)
    event_id = await admin.notices.send(user_id, content)
    call.entry.add(event_id=event_id)
    return event_id


# The server


async def audit(call: Call, admin: Admin) -> Reply:
    request, limit = call.request, limit_of(call.request)
    query = AuditQuery(
        before=request.query_int("from", 0),
        limit=limit,
        by=request.query_parsed("by", parse_user_id),
        whom=request.query_one("whom"),
        action=request.query_one("action"),
    )
    found = await admin.audit.page(query)
    body: dict[str, Any] = {"entries": [_audit_entry(each) for each in found]}
    if len(found) == limit and found:
        body["next_batch"] = str(found[-1].entry_id)
    return Reply.json(body)


def _audit_entry(entry: AuditEntry) -> dict[str, Any]:
    return {
        "entry_id": entry.entry_id,
        "ts": entry.ts,
        "by": entry.by,
        "action": entry.action,
        "whom": entry.whom,
        "outcome": entry.outcome,
        "address": entry.address,
        "details": dict(entry.details),
    }


async def statistics(call: Call, admin: Admin) -> Reply:
    return Reply.json(await admin.statistics.shown())


_DIGITS_MAX = 15
_REPORT = OURS + "/reports/{reportId}"
_DESTINATION = OURS + "/destinations/{serverName}"

ENDPOINTS = (
    look(OURS + "/reports", "report.list", reports),
    look(_REPORT, "report.show", show_report),
    act("POST", _REPORT + "/handle", "report.handle", handle_report),
    act("POST", OURS + "/invites/reject", "invites.reject", reject_invites, Body.JSON),
    look(OURS + "/destinations", "federation.list", destinations),
    look(_DESTINATION, "federation.show", show_destination),
    act("POST", _DESTINATION + "/retry", "federation.retry", retry),
    act("POST", OURS + "/notices", "notice.send", notice, Body.JSON),
    look(OURS + "/audit", "audit.read", audit),
    look(OURS + "/statistics", "server.statistics", statistics),
)
