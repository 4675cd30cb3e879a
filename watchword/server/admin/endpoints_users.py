"""Users, and invitations, under our own prefix."""

from typing import Any

from watchword.base.errors import BadRequest, NotFound, RemoteProtocolError
from watchword.edge.endpoint import Body
from watchword.edge.replies import Reply
from watchword.protocol.ids import RoomId, UserId, parse_device_id, parse_room_id, parse_user_id
from watchword.server.accounts.commands import Account, AccountQuery, CreateInvitation, Device, Invitation, Listed
from watchword.server.accounts.invitations import invitation_link
from watchword.server.accounts.listing import shown_text
from watchword.server.admin.door import OURS, Admin, Call, act, look
from watchword.server.admin.queries import flag_of, is_backwards, limit_of, page_of, start_of
from watchword.server.admin.users import NewUser
from watchword.server.media.commands import Upload
from watchword.server.media.inventory import UploadQuery
from watchword.server.push.journal import PusherStory


def _user(call: Call) -> UserId:
    return call.request.param("userId", parse_user_id)


# Looking


async def users(call: Call, admin: Admin) -> Reply:
    request = call.request
    query = AccountQuery(
        name=request.query_one("search"),
        guests=flag_of(request, "guests"),
        admins=flag_of(request, "admins"),
        deactivated=flag_of(request, "deactivated"),
        locked=flag_of(request, "locked"),
        suspended=flag_of(request, "suspended"),
        order_by=request.query_one("order_by") or "name",
        backwards=is_backwards(request),
        start=start_of(request),
        limit=limit_of(request),
    )
    found, total = await admin.users.accounts.listing.page(query)
    return Reply.json(page_of("users", [_listed(each) for each in found], request, total))


def _listed(listed: Listed) -> dict[str, Any]:
    return {
        "user_id": listed.user_id,
        "displayname": shown_text(listed.displayname),
        "avatar_url": shown_text(listed.avatar_url),
        "created_ts": listed.created_ts,
        "last_seen_ts": listed.last_seen_ts,
        "admin": listed.is_admin,
        "guest": listed.is_guest,
        "locked": listed.is_locked,
        "suspended": listed.is_suspended,
        "deactivated": listed.is_deactivated,
        "erased": listed.is_erased,
        "appservice_id": listed.appservice_id,
    }


async def show_user(call: Call, admin: Admin) -> Reply:
    return Reply.json(await _sheet(admin, await admin.users.target(call.requester, _user(call))))


async def _sheet(admin: Admin, account: Account) -> dict[str, Any]:
    sheet = await admin.users.sheet(account)
    return {
        "user_id": account.user_id,
        "displayname": sheet.displayname,
        "avatar_url": sheet.avatar_url,
        "created_ts": account.created_ts,
        "last_seen_ts": sheet.last_seen_ts,
        "admin": account.is_admin,
        "guest": account.is_guest,
        "locked": account.is_locked,
        "suspended": account.is_suspended,
        "deactivated": account.is_deactivated,
        "erased": account.is_erased,
        "has_password": account.password_hash is not None,
        "invited_by": account.invited_by,
        "appservice_id": account.appservice_id,
        "threepids": [{"medium": each.threepid.medium, "address": each.threepid.address} for each in sheet.threepids],
        "devices": len(sheet.devices),
        "rooms": len(sheet.rooms),
        "media": {"files": sheet.media.files, "bytes": sheet.media.bytes},
    }


async def devices(call: Call, admin: Admin) -> Reply:
    account = await admin.users.target(call.requester, _user(call))
    found = await admin.users.devices(account.user_id)
    clients = await admin.users.accounts.reader.session_clients(account.user_id)
    return Reply.json({"devices": [_device(device, clients.get(device.device_id)) for device in found]})


def _device(device: Device, oauth_client_id: str | None) -> dict[str, Any]:
    return {
        "device_id": device.device_id,
        "display_name": device.display_name,
        "last_seen_ts": device.last_seen_ts,
        "last_seen_ip": device.last_seen_ip,
        "last_seen_user_agent": device.last_seen_agent,
        "oauth_client_id": oauth_client_id,
    }


async def rooms(call: Call, admin: Admin) -> Reply:
    account = await admin.users.target(call.requester, _user(call))
    return Reply.json({"rooms": sorted(await admin.users.rooms.joined_rooms(account.user_id))})


async def pushers(call: Call, admin: Admin) -> Reply:
    account = await admin.users.target(call.requester, _user(call))
    story = await admin.users.push.of(account.user_id)
    removals = [{"ts": each.ts, "app_id": each.app_id, "reason": each.reason} for each in story.removals]
    return Reply.json({"pushers": [_pusher(each) for each in story.pushers], "removed": removals})


def _pusher(story: PusherStory) -> dict[str, Any]:
    pusher = story.pusher
    return {
        "app_id": pusher.key.app_id,
        "kind": pusher.form.kind,
        "app_display_name": pusher.form.app_display_name,
        "device_display_name": pusher.form.device_display_name,
        "device_id": pusher.device_id,
        "enabled": pusher.form.enabled,
        "gateway": pusher.form.data.get("url"),
        "failures": pusher.failures,
        "retry_after_ts": pusher.retry_after_ts or None,
        "journal": [{"ts": each.ts, "event_id": each.event_id, "outcome": each.outcome} for each in story.entries],
    }


async def uploads(call: Call, admin: Admin) -> Reply:
    request = call.request
    account = await admin.users.target(call.requester, _user(call))
    query = UploadQuery(
        account.user_id,
        order_by=request.query_one("order_by") or "created_ts",
        backwards=is_backwards(request, default=True),
        start=start_of(request),
        limit=limit_of(request),
    )
    found, total = await admin.inventory.uploads(query)
    return Reply.json(page_of("media", [_upload(each, admin.server_name) for each in found], request, total))


def _upload(upload: Upload, server_name: str) -> dict[str, Any]:
    return {
        "content_uri": f"mxc://{server_name}/{upload.media_id}",
        "content_type": upload.content_type,
        "file_name": upload.file_name,
        "bytes": upload.size_bytes,
        "created_ts": upload.created_ts,
        "sha256": upload.sha256.hex(),
        "quarantined_by": upload.quarantined_by or None,
    }


# Doing


async def create_user(call: Call, admin: Admin) -> Reply:
    request = call.request
    new = NewUser(
        request.field("localpart", str),
        request.field_or_none("password", str),
        request.field_or_none("displayname", str),
        request.field_or("admin", bool, False),
    )
    return Reply.json(await _sheet(admin, await admin.users.create(new, call.entry)))


async def set_admin(call: Call, admin: Admin) -> Reply:
    wanted = call.request.field("admin", bool)
    await admin.users.set_admin(call.requester, _user(call), wanted, call.entry)
    return Reply.json({"admin": wanted})


async def set_locked(call: Call, admin: Admin) -> Reply:
    wanted = call.request.field("locked", bool)
    await admin.users.set_locked(call.requester, _user(call), wanted, call.entry)
    return Reply.json({"locked": wanted})


async def set_suspended(call: Call, admin: Admin) -> Reply:
    wanted = call.request.field("suspended", bool)
    await admin.users.set_suspended(call.requester, _user(call), wanted, call.entry)
    return Reply.json({"suspended": wanted})


async def deactivate(call: Call, admin: Admin) -> Reply:
    erase = call.request.field_or("erase", bool, False)
    unbound = await admin.users.deactivate(call.requester, _user(call), erase, call.entry)
    return Reply.json({"unbound": unbound})


async def reset_password(call: Call, admin: Admin) -> Reply:
    request = call.request
    await admin.users.reset_password(
        call.requester,
        _user(call),
        request.field("new_password", str),
        log_out=request.field_or("logout_devices", bool, True),
        entry=call.entry,
    )
    return Reply.EMPTY


async def set_profile(call: Call, admin: Admin) -> Reply:
    """Display name and picture; what is not said stays."""
    account = await admin.users.target(call.requester, _user(call))
    for field in ("displayname", "avatar_url"):
        value = call.request.field_or_none(field, str)
        if value is not None:
            await admin.users.set_profile(account.user_id, field, value, call.entry)
    return Reply.EMPTY


async def sign_out_device(call: Call, admin: Admin) -> Reply:
    user_id, device_id = _user(call), call.request.param("deviceId", parse_device_id)
    call.entry.add(device_id=device_id)
    await admin.users.end_devices(call.requester, user_id, [device_id], call.entry)
    return Reply.EMPTY


async def sign_out(call: Call, admin: Admin) -> Reply:
    """Every device."""
    user_id = _user(call)
    await admin.users.target(call.requester, user_id)
    found = [device.device_id for device in await admin.users.accounts.reader.devices(user_id)]
    call.entry.add(devices=len(found))
    await admin.users.end_devices(call.requester, user_id, found, call.entry)
    return Reply.json({"signed_out": len(found)})


# Invitations


async def invitations(call: Call, admin: Admin) -> Reply:
    found = await admin.invitations.list(limit_of(call.request))
    return Reply.json({"invitations": [_invitation(each) for each in found]})


def _invitation(invitation: Invitation) -> dict[str, Any]:
    return {
        "invitation_id": invitation.invitation_id,
        "label": invitation.label,
        "created_by": invitation.created_by,
        "created_ts": invitation.created_ts,
        "expires_ts": invitation.expires_ts,
        "revoked_ts": invitation.revoked_ts,
        "uses_allowed": invitation.uses_allowed,
        "uses_completed": invitation.uses_completed,
        "uses_pending": invitation.uses_pending,
        "rooms": list(invitation.invite_to),
        "grants_admin": invitation.grants_admin,
    }


async def invite(call: Call, admin: Admin) -> Reply:
    """The secret is in this answer, and nowhere else."""
    request = call.request
    allowed = request.field_or_none("uses_allowed", int) if "uses_allowed" in request.json else 1
    expires_ts = request.field_or_none("expires_ts", int)
    if "expires_ts" not in request.json:
        expires_ts = admin.clock.now_ms() + admin.invitation_lifetime_ms
    command = CreateInvitation(
        created_by=call.by,
        uses_allowed=allowed,
        expires_ts=expires_ts,
        label=request.field_or("label", str, ""),
        invite_to=_rooms_named(call),
        grants_admin=request.field_or("grants_admin", bool, False),
        token=request.field_or_none("token", str),
    )
    call.entry.add(uses_allowed=command.uses_allowed, grants_admin=command.grants_admin, label=command.label)
    made = await admin.invitations.create(command, call.entry)
    link = invitation_link(admin.base_url, made.token)
    return Reply.json({**_invitation(made.invitation), "token": made.token, "link": link})


def _rooms_named(call: Call) -> list[RoomId]:
    try:
        return [parse_room_id(str(room)) for room in call.request.field_or("rooms", list, [])]
    except RemoteProtocolError as error:
        raise BadRequest("M_INVALID_PARAM", "rooms is a list of room IDs.") from error


async def revoke(call: Call, admin: Admin) -> Reply:
    found = await admin.invitations.one("~" + call.request.params["invitationId"])
    if found is None or not await admin.invitations.revoke(found.invitation_id, call.entry):
        raise NotFound("There is no open invitation of this number.")
    return Reply.EMPTY


_USERS = OURS + "/users"
_USER = _USERS + "/{userId}"

ENDPOINTS = (
    look(_USERS, "user.list", users),
    act("POST", _USERS, "user.create", create_user, Body.JSON),
    look(_USER, "user.show", show_user),
    act("PUT", _USER + "/admin", "user.admin", set_admin, Body.JSON),
    act("PUT", _USER + "/locked", "user.lock", set_locked, Body.JSON),
    act("PUT", _USER + "/suspended", "user.suspend", set_suspended, Body.JSON),
    act("PUT", _USER + "/profile", "user.profile", set_profile, Body.JSON),
    act("POST", _USER + "/deactivate", "user.deactivate", deactivate),
    act("POST", _USER + "/password", "user.password", reset_password, Body.JSON),
    act("POST", _USER + "/sign_out", "user.sign_out", sign_out),
    look(_USER + "/devices", "user.devices", devices),
    act("DELETE", _USER + "/devices/{deviceId}", "user.sign_out", sign_out_device),
    look(_USER + "/rooms", "user.rooms", rooms),
    look(_USER + "/pushers", "user.pushers", pushers),
    look(_USER + "/media", "user.media", uploads),
    look(OURS + "/invitations", "invitation.list", invitations),
    act("POST", OURS + "/invitations", "invitation.create", invite),
    act("DELETE", OURS + "/invitations/{invitationId}", "invitation.revoke", revoke),
)
