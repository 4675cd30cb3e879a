"""Rooms and media under our own prefix."""

from dataclasses import asdict
from typing import Any

from watchword.base import limits
from watchword.base.errors import BadRequest, NotFound
from watchword.edge.endpoint import Body
from watchword.edge.replies import Reply
from watchword.protocol.ids import RoomId, parse_room_id, parse_server_name, parse_user_id
from watchword.server.admin.commands import Removal, RemoveRoom
from watchword.server.admin.door import OURS, Admin, Call, act, look
from watchword.server.admin.queries import flag_of, is_backwards, limit_of, page_of, start_of
from watchword.server.admin.rooms import RoomQuery
from watchword.server.media.commands import MediaName
from watchword.server.media.inventory import UploadQuery
from watchword.server.rooms.estate import RoomEntry

_SHA256_HEX = 64


def _room(call: Call) -> RoomId:
    return call.request.param("roomId", parse_room_id)


# Rooms


async def rooms(call: Call, admin: Admin) -> Reply:
    request = call.request
    query = RoomQuery(
        search=request.query_one("search"),
        public=flag_of(request, "public"),
        empty=flag_of(request, "empty"),
        order_by=request.query_one("order_by") or "name",
        backwards=is_backwards(request),
        start=start_of(request),
        limit=limit_of(request),
    )
    found, total = await admin.rooms.page(query)
    return Reply.json(page_of("rooms", [_entry(each) for each in found], request, total))


def _entry(entry: RoomEntry) -> dict[str, Any]:
    return {
        "room_id": entry.room_id,
        "name": entry.name,
        "canonical_alias": entry.canonical_alias,
        "version": entry.version,
        "room_type": entry.room_type,
        "creator": entry.creator,
        "public": entry.is_public,
        "federated": entry.is_federated,
        "encryption": entry.encryption,
        "join_rule": entry.join_rule,
        "guest_access": entry.guest_access,
        "history_visibility": entry.history_visibility,
        "joined_members": entry.joined,
        "joined_local_members": entry.joined_local,
        "state_events": entry.state_events,
    }


async def show_room(call: Call, admin: Admin) -> Reply:
    sheet = await admin.rooms.sheet(_room(call))
    return Reply.json(
        {
            **_entry(sheet.entry),
            "topic": sheet.topic,
            "avatar_url": sheet.avatar_url,
            "aliases": list(sheet.aliases),
            "servers": sheet.servers,
            "state_types": dict(sheet.state_types),
            "size": asdict(sheet.size),
            "blocked_by": sheet.blocked_by,
        }
    )


async def members(call: Call, admin: Admin) -> Reply:
    request, limit = call.request, limit_of(call.request)
    membership, after = request.query_one("membership") or "join", request.query_one("from") or ""
    found = await admin.rooms.members(_room(call), membership, after, limit)
    body: dict[str, Any] = {"members": [{"user_id": user_id, "local": is_local} for user_id, is_local in found]}
    if len(found) == limit:
        body["next_batch"] = found[-1][0]
    return Reply.json(body)


async def set_blocked(call: Call, admin: Admin) -> Reply:
    blocked = call.request.field("blocked", bool)
    call.entry.add(blocked=blocked)
    await admin.rooms.blocks.set(_room(call), call.by, blocked, call.entry)
    return Reply.json({"blocked": blocked})


async def unlist(call: Call, admin: Admin) -> Reply:
    """Off the directory, and without its aliases here."""
    room_id = _room(call)
    await admin.rooms.room(room_id)
    return Reply.json({"aliases": list(await admin.rooms.estate.unname(room_id))})


async def remove(call: Call, admin: Admin) -> Reply:
    request = call.request
    command = RemoveRoom(
        _room(call),
        call.by,
        purge=request.field_or("purge", bool, True),
        block=request.field_or("block", bool, False),
        reason=request.field_or("reason", str, "")[: limits.audit_text_characters_max],
    )
    return Reply.json(_removal(await admin.rooms.remove(command, call.entry)))


async def removals(call: Call, admin: Admin) -> Reply:
    found = await admin.rooms.removals.of_room(_room(call))
    return Reply.json({"removals": [_removal(each) for each in found]})


async def show_removal(call: Call, admin: Admin) -> Reply:
    found = await admin.rooms.removals.one(call.request.params["removalId"])
    if found is None:
        raise NotFound("There is no such removal.")
    return Reply.json(_removal(found))


def _removal(removal: Removal) -> dict[str, Any]:
    return {
        "removal_id": removal.removal_id,
        "room_id": removal.room_id,
        "stage": removal.stage,
        "purge": removal.purge,
        "reason": removal.reason,
        "begun_by": removal.begun_by,
        "begun_ts": removal.begun_ts,
        "ended_ts": removal.ended_ts,
        "left": list(removal.left),
        "failed": list(removal.failed),
        "aliases": list(removal.aliases),
    }


# Media


def _media(call: Call) -> MediaName:
    name = MediaName(call.request.param("serverName", parse_server_name), call.request.params["mediaId"])
    call.entry.about(f"mxc://{name.server_name}/{name.media_id}")
    return name


async def delete_media(call: Call, admin: Admin) -> Reply:
    name = _media(call)
    if not await admin.media.delete([name], call.entry):
        raise NotFound("There is no such file.")
    return Reply.EMPTY


async def delete_media_of(call: Call, admin: Admin) -> Reply:
    """Up to a page of a user's files, the newest first; once more until nothing is left."""
    account = await admin.users.target(call.requester, call.request.param("userId", parse_user_id))
    found, total = await admin.inventory.uploads(UploadQuery(account.user_id, limit=limit_of(call.request)))
    names = [MediaName(admin.inventory.server_name, upload.media_id) for upload in found]
    call.entry.add(files=len(names))
    deleted = await admin.media.delete(names, call.entry)
    return Reply.json({"deleted": deleted, "left": max(0, total - deleted)})


async def quarantine_media_of(call: Call, admin: Admin) -> Reply:
    """Every file of a user."""
    account = await admin.users.target(call.requester, call.request.param("userId", parse_user_id))
    call.entry.add(reason=_reason(call))
    return Reply.json({"quarantined": await quarantine_all(call, admin, account.user_id)})


async def quarantine_all(call: Call, admin: Admin, user_id: str) -> int:
    """Quarantine all that somebody uploaded; how many files."""
    account = await admin.users.target(call.requester, parse_user_id(user_id))
    count = 0
    while True:
        query = UploadQuery(account.user_id, "media_id", backwards=False, start=count, limit=limits.admin_page_max)
        found, _ = await admin.inventory.uploads(query)
        if not found:
            call.entry.add(files=count)
            return count
        for upload in found:
            await admin.media.quarantine(upload.sha256, call.by, _reason(call))
        count += len(found)


def _reason(call: Call) -> str:
    return call.request.field_or("reason", str, "")[: limits.audit_text_characters_max]


async def quarantine(call: Call, admin: Admin) -> Reply:
    name, reason = _media(call), _reason(call)
    call.entry.add(reason=reason)
    sha256 = await admin.media.quarantine(name, call.by, reason, call.entry)
    return Reply.json({"sha256": sha256.hex()})


async def release(call: Call, admin: Admin) -> Reply:
    if not await admin.media.release(_media(call), call.entry):
        raise NotFound("This file is not in quarantine.")
    return Reply.EMPTY


async def quarantined(call: Call, admin: Admin) -> Reply:
    before_ts = call.request.query_int("before_ts", limits.canonical_integer_max)
    found = await admin.media.quarantined(before_ts, limit_of(call.request))
    rows = [
        {
            "sha256": each.sha256.hex(),
            "quarantined_by": each.quarantined_by,
            "reason": each.reason,
            "created_ts": each.created_ts,
        }
        for each in found
    ]
    return Reply.json({"quarantined": rows})


def _sha256(call: Call) -> bytes:
    text = call.request.params["sha256"]
    try:
        digest = bytes.fromhex(text)
    except ValueError:
        digest = b""
    if len(text) != _SHA256_HEX or len(digest) != _SHA256_HEX // 2:
        raise BadRequest("M_INVALID_PARAM", "A SHA-256 is 64 hexadecimal digits.")
    return digest


async def quarantine_hash(call: Call, admin: Admin) -> Reply:
    """Also of files that are not here yet."""
    reason = _reason(call)
    call.entry.add(reason=reason)
    await admin.media.quarantine(_sha256(call), call.by, reason, call.entry)
    return Reply.EMPTY


async def release_hash(call: Call, admin: Admin) -> Reply:
    if not await admin.media.release(_sha256(call), call.entry):
        raise NotFound("This file is not in quarantine.")
    return Reply.EMPTY


_ROOM = OURS + "/rooms/{roomId}"
_MEDIA = OURS + "/media/{serverName}/{mediaId}"
_HASH = OURS + "/quarantine/{sha256}"

ENDPOINTS = (
    look(OURS + "/rooms", "room.list_all", rooms),
    look(_ROOM, "room.show", show_room),
    look(_ROOM + "/members", "room.members", members),
    look(_ROOM + "/removals", "room.removals", removals),
    act("PUT", _ROOM + "/blocked", "room.block", set_blocked, Body.JSON),
    act("POST", _ROOM + "/unlist", "room.unlist", unlist),
    act("POST", _ROOM + "/remove", "room.remove", remove),
    look(OURS + "/removals/{removalId}", "room.removals", show_removal),
    act("DELETE", _MEDIA, "media.delete", delete_media),
    act("PUT", _MEDIA + "/quarantine", "media.quarantine", quarantine),
    act("DELETE", _MEDIA + "/quarantine", "media.release", release),
    act("DELETE", OURS + "/users/{userId}/media", "media.delete", delete_media_of),
    act("POST", OURS + "/users/{userId}/media/quarantine", "media.quarantine", quarantine_media_of),
    look(OURS + "/quarantine", "media.quarantined", quarantined),
    act("PUT", _HASH, "media.quarantine", quarantine_hash),
    act("DELETE", _HASH, "media.release", release_hash),
)
