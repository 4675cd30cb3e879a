"""Rooms, media, reports, servers and the server itself under the names that consoles know; the same commands as ours.

COMPAT(scripts and consoles written for Synapse, until nobody asks for it): field names are theirs.
"""

from typing import Any

import orjson

from watchword.base import limits
from watchword.base.errors import BadRequest, NotFound
from watchword.edge.endpoint import Auth, Body, Endpoint
from watchword.edge.replies import Reply
from watchword.protocol.ids import RoomId, parse_room_id, parse_server_name, parse_user_id
from watchword.server.admin.commands import Removal, RemoveRoom
from watchword.server.admin.door import KNOWN, Admin, Call, act, look
from watchword.server.admin.endpoints_compatible_users import token_after, user_of
from watchword.server.admin.endpoints_rooms import quarantine_all
from watchword.server.admin.endpoints_server import report_number, send_notice, server_of
from watchword.server.admin.ports import Destination
from watchword.server.admin.queries import flag_of, is_backwards, limit_of, start_of
from watchword.server.admin.rooms import RoomQuery
from watchword.server.media.commands import MediaName, Upload
from watchword.server.media.inventory import UploadQuery
from watchword.server.moderation.commands import Kind, Report, ReportQuery
from watchword.server.rooms.estate import RoomEntry

_ORDERS = {"alphabetical": "name", "size": "joined_members"}
_SHUTTING_DOWN = {"leaving": "shutting_down", "purging": "purging", "done": "complete"}

# Rooms


def _room(call: Call) -> RoomId:
    return call.request.param("roomId", parse_room_id)


async def rooms(call: Call, admin: Admin) -> Reply:
    request = call.request
    order_by = request.query_one("order_by") or "name"
    query = RoomQuery(
        search=request.query_one("search_term") or None,
        public=flag_of(request, "public_rooms"),
        empty=flag_of(request, "empty_rooms"),
        order_by=_ORDERS.get(order_by, order_by),
        backwards=is_backwards(request),
        start=start_of(request),
        limit=limit_of(request),
    )
    found, total = await admin.rooms.page(query)
    body: dict[str, Any] = {"rooms": [_entry(each) for each in found], "offset": query.start, "total_rooms": total}
    after = token_after(request, len(found), total)
    if after is not None:
        body["next_batch"] = after
    if query.start > 0:
        body["prev_batch"] = max(0, query.start - query.limit)
    return Reply.json(body)


def _entry(entry: RoomEntry) -> dict[str, Any]:
    return {
        "room_id": entry.room_id,
        "name": entry.name,
        "canonical_alias": entry.canonical_alias,
        "joined_members": entry.joined,
        "joined_local_members": entry.joined_local,
        "version": entry.version,
        "creator": entry.creator,
        "encryption": entry.encryption,
        "federatable": entry.is_federated,
        "public": entry.is_public,
        "join_rules": entry.join_rule,
        "guest_access": entry.guest_access,
        "history_visibility": entry.history_visibility,
        "state_events": entry.state_events,
        "room_type": entry.room_type,
    }


async def show_room(call: Call, admin: Admin) -> Reply:
    room_id = _room(call)
    sheet = await admin.rooms.sheet(room_id)
    room = await admin.rooms.room(room_id)
    devices = 0
    for user_id in list(room.members.joined_local):
        devices += len(await admin.users.accounts.reader.devices(user_id))
    local = await admin.rooms.estate.local_members(room)
    rows = [await admin.rooms.reader.membership_of(user_id, room_id) for user_id, _ in local]
    return Reply.json(
        {
            **_entry(sheet.entry),
            "topic": sheet.topic,
            "avatar": sheet.avatar_url,
            "joined_local_devices": devices,
            "forgotten": all(row is None or row.forgotten for row in rows),
        }
    )


async def members(call: Call, admin: Admin) -> Reply:
    room = await admin.rooms.room(_room(call))
    joined = sorted(room.members.joined)
    return Reply.json({"members": joined, "total": len(joined)})


async def is_blocked(call: Call, admin: Admin) -> Reply:
    by = await admin.rooms.blocks.blocked_by(_room(call))
    return Reply.json({"block": False} if by is None else {"block": True, "user_id": by})


async def set_blocked(call: Call, admin: Admin) -> Reply:
    blocked = call.request.field("block", bool)
    call.entry.add(blocked=blocked)
    await admin.rooms.blocks.set(_room(call), call.by, blocked, call.entry)
    return Reply.json({"block": blocked})


async def _removal(call: Call, admin: Admin) -> Removal:
    request = call.request
    if request.json.get("new_room_user_id") is not None:
        raise BadRequest("M_INVALID_PARAM", "No room is made instead: send notices to those who were in it.")
    command = RemoveRoom(
        _room(call),
        call.by,
        purge=request.field_or("purge", bool, True),
        block=request.field_or("block", bool, False),
    )
    return await admin.rooms.remove(command, call.entry)


async def delete_room(call: Call, admin: Admin) -> Reply:
    """Answers once everybody has left; what is to go from the disk goes by itself."""
    begun = await _removal(call, admin)
    return Reply.json(_shutdown(await admin.rooms.removals.left(begun.removal_id)))


def _shutdown(removal: Removal) -> dict[str, Any]:
    return {
        "kicked_users": list(removal.left),
        "failed_to_kick_users": list(removal.failed),
        "local_aliases": list(removal.aliases),
        "new_room_id": None,
    }


async def delete_room_later(call: Call, admin: Admin) -> Reply:
    return Reply.json({"delete_id": (await _removal(call, admin)).removal_id})


async def delete_status_of_room(call: Call, admin: Admin) -> Reply:
    found = await admin.rooms.removals.of_room(_room(call))
    if not found:
        raise NotFound("Nobody has deleted this room.")
    return Reply.json({"results": [{"delete_id": each.removal_id, **_status(each)} for each in found]})


async def delete_status(call: Call, admin: Admin) -> Reply:
    found = await admin.rooms.removals.one(call.request.params["deleteId"])
    if found is None:
        raise NotFound("There is no such deletion.")
    return Reply.json(_status(found))


def _status(removal: Removal) -> dict[str, Any]:
    failed = removal.stage == "done" and bool(removal.failed)
    body: dict[str, Any] = {
        "status": "failed" if failed else _SHUTTING_DOWN[removal.stage],
        "shutdown_room": _shutdown(removal),
    }
    if failed:
        body["error"] = "Somebody could not leave."
    return body


# Media


def _media(call: Call) -> MediaName:
    name = MediaName(call.request.param("serverName", parse_server_name), call.request.params["mediaId"])
    call.entry.about(f"mxc://{name.server_name}/{name.media_id}")
    return name


async def quarantine(call: Call, admin: Admin) -> Reply:
    await admin.media.quarantine(_media(call), call.by, "", call.entry)
    return Reply.EMPTY


async def release(call: Call, admin: Admin) -> Reply:
    await admin.media.release(_media(call), call.entry)
    return Reply.EMPTY


async def quarantine_of_user(call: Call, admin: Admin) -> Reply:
    return Reply.json({"num_quarantined": await quarantine_all(call, admin, user_of(call))})


async def delete_media(call: Call, admin: Admin) -> Reply:
    name = _media(call)
    if name.server_name != admin.server_name:
        raise BadRequest("M_INVALID_PARAM", "Only files of this server are deleted here.")
    if not await admin.media.delete([name], call.entry):
        raise NotFound("There is no such file.")
    return Reply.json({"deleted_media": [name.media_id], "total": 1})


def _uploads(call: Call) -> UploadQuery:
    request = call.request
    return UploadQuery(
        user_of(call),
        order_by=request.query_one("order_by") or "created_ts",
        backwards=is_backwards(request, default=request.query_one("order_by") is None),
        start=start_of(request),
        limit=limit_of(request),
    )


async def media_of_user(call: Call, admin: Admin) -> Reply:
    await admin.users.target(call.requester, user_of(call))
    found, total = await admin.inventory.uploads(_uploads(call))
    body: dict[str, Any] = {"media": [_upload(each) for each in found], "total": total}
    after = token_after(call.request, len(found), total)
    if after is not None:
        body["next_token"] = after
    return Reply.json(body)


def _upload(upload: Upload) -> dict[str, Any]:
    return {
        "media_id": upload.media_id,
        "media_type": upload.content_type,
        "media_length": upload.size_bytes,
        "upload_name": upload.file_name,
        "created_ts": upload.created_ts,
        "last_access_ts": None,
        "quarantined_by": upload.quarantined_by or None,
        "safe_from_quarantine": False,
    }


async def delete_media_of_user(call: Call, admin: Admin) -> Reply:
    await admin.users.target(call.requester, user_of(call))
    found, _ = await admin.inventory.uploads(_uploads(call))
    ids = [upload.media_id for upload in found]
    call.entry.add(files=len(ids))
    await admin.media.delete([MediaName(admin.inventory.server_name, media_id) for media_id in ids], call.entry)
    return Reply.json({"deleted_media": ids, "total": len(ids)})


async def media_statistics(call: Call, admin: Admin) -> Reply:
    found, total = await admin.inventory.ranking(start_of(call.request), limit_of(call.request))
    rows = [
        {
            "user_id": user_id,
            "displayname": (await admin.users.accounts.reader.profile(user_id)).get("displayname"),
            "media_count": files,
            "media_length": size,
        }
        for user_id, files, size in found
    ]
    body: dict[str, Any] = {"users": rows, "total": total}
    after = token_after(call.request, len(rows), total)
    if after is not None:
        body["next_token"] = after
    return Reply.json(body)


# Reports of events


async def reports(call: Call, admin: Admin) -> Reply:
    request = call.request
    query = ReportQuery(
        kind=Kind.EVENT,
        reporter=request.query_parsed("user_id", parse_user_id),
        room_id=request.query_parsed("room_id", parse_room_id),
        oldest_first=not is_backwards(request, default=True),
        start=start_of(request),
        limit=limit_of(request),
    )
    found, total = await admin.reports.newest(query)
    body: dict[str, Any] = {"event_reports": [await _report(each, admin) for each in found], "total": total}
    after = token_after(request, len(found), total)
    if after is not None:
        body["next_token"] = after
    return Reply.json(body)


async def _report(report: Report, admin: Admin) -> dict[str, Any]:
    what = report.what
    room = None if what.room_id is None else await admin.rooms.reader.room(what.room_id)
    entry = None if room is None else await admin.rooms.estate.entry(room)
    return {
        "id": report.report_id,
        "received_ts": report.received_ts,
        "room_id": what.room_id,
        "name": None if entry is None else entry.name,
        "canonical_alias": None if entry is None else entry.canonical_alias,
        "event_id": what.event_id,
        "user_id": what.reporter,
        "reason": what.reason,
        "score": None,
        "sender": what.user_id,
    }


async def _found_report(call: Call, admin: Admin) -> Report:
    found = await admin.reports.one(report_number(call))
    if found is None or found.what.kind is not Kind.EVENT:
        raise NotFound("There is no such report.")
    return found


async def show_report(call: Call, admin: Admin) -> Reply:
    found = await _found_report(call, admin)
    event = {} if found.what.event is None else orjson.loads(found.what.event)
    return Reply.json({**await _report(found, admin), "event_json": event})


async def delete_report(call: Call, admin: Admin) -> Reply:
    found = await _found_report(call, admin)
    await admin.reports.delete(found.report_id, call.entry)
    return Reply.EMPTY


# Other servers, and this one


async def destinations(call: Call, admin: Admin) -> Reply:
    """By name. from: how many of the first ones to pass over."""
    start, limit = start_of(call.request), limit_of(call.request)
    listed = await admin.destinations.destinations("", limits.destinations_owed_max)
    page = listed[start : start + limit]
    body: dict[str, Any] = {"destinations": [_destination(each) for each in page], "total": len(listed)}
    after = token_after(call.request, len(page), len(listed))
    if after is not None:
        body["next_token"] = str(after)
    return Reply.json(body)


def _destination(found: Destination) -> dict[str, Any]:
    return {
        "destination": found.server_name,
        "retry_last_ts": found.failing_since_ts,
        "retry_interval": max(0, found.retry_after_ts - found.failing_since_ts) if found.failures else 0,
        "failure_ts": found.failing_since_ts or None,
        "last_successful_stream_ordering": None,
    }


async def show_destination(call: Call, admin: Admin) -> Reply:
    found = await admin.destinations.destination(server_of(call))
    if found is None:
        raise NotFound("Nothing is known of this server.")
    return Reply.json(_destination(found))


async def reset_connection(call: Call, admin: Admin) -> Reply:
    if not admin.destinations.retry_now(server_of(call)):
        raise BadRequest("M_UNKNOWN", "This server is not waited for.")
    return Reply.EMPTY


async def notice(call: Call, admin: Admin) -> Reply:
    user_id, content = call.request.field_parsed("user_id", parse_user_id), call.request.field("content", dict)
    return Reply.json({"event_id": await send_notice(call, admin, user_id, content)})


async def version(_: object, requester: None, admin: Admin) -> Reply:
    """Consoles ask this before anybody has logged in; other servers may ask for the version, too."""
    return Reply.json({"server_version": admin.statistics.version})


_ROOM = KNOWN + "/v1/rooms/{roomId}"
_MEDIA = KNOWN + "/v1/media"
_ITEM = "/{serverName}/{mediaId}"
_REPORTS = KNOWN + "/v1/event_reports"
_SERVERS = KNOWN + "/v1/federation/destinations"

ENDPOINTS = (
    look(KNOWN + "/v1/rooms", "room.list_all", rooms),
    look(_ROOM, "room.show", show_room),
    look(_ROOM + "/members", "room.members", members),
    look(_ROOM + "/block", "room.show", is_blocked),
    act("PUT", _ROOM + "/block", "room.block", set_blocked, Body.JSON),
    act("DELETE", _ROOM, "room.remove", delete_room),
    act("DELETE", KNOWN + "/v2/rooms/{roomId}", "room.remove", delete_room_later),
    look(KNOWN + "/v2/rooms/{roomId}/delete_status", "room.removals", delete_status_of_room),
    look(KNOWN + "/v2/rooms/delete_status/{deleteId}", "room.removals", delete_status),
    act("POST", _MEDIA + "/quarantine" + _ITEM, "media.quarantine", quarantine),
    act("POST", _MEDIA + "/unquarantine" + _ITEM, "media.release", release),
    act("POST", KNOWN + "/v1/user/{userId}/media/quarantine", "media.quarantine", quarantine_of_user),
    act("DELETE", _MEDIA + _ITEM, "media.delete", delete_media),
    look(KNOWN + "/v1/users/{userId}/media", "user.media", media_of_user),
    act("DELETE", KNOWN + "/v1/users/{userId}/media", "media.delete", delete_media_of_user),
    look(KNOWN + "/v1/statistics/users/media", "server.statistics", media_statistics),
    look(_REPORTS, "report.list", reports),
    look(_REPORTS + "/{reportId}", "report.show", show_report),
    act("DELETE", _REPORTS + "/{reportId}", "report.delete", delete_report),
    look(_SERVERS, "federation.list", destinations),
    look(_SERVERS + "/{serverName}", "federation.show", show_destination),
    act("POST", _SERVERS + "/{serverName}/reset_connection", "federation.retry", reset_connection),
    act("POST", KNOWN + "/v1/send_server_notice", "notice.send", notice, Body.JSON),
    Endpoint("GET", KNOWN + "/v1/server_version", version, "", auth=Auth.NONE),
)
