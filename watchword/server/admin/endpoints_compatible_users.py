"""Users and registration tokens under the names that provisioning scripts and consoles know; the same commands as ours.

COMPAT(scripts and consoles written for Synapse, until nobody asks for it): field names are theirs. What has no counterpart
here says so: nobody is shadow-banned, external accounts belong to the pages of single sign-on, and what is ended stays so.
"""

from collections.abc import Mapping
from typing import Any

from watchword.base import limits
from watchword.base.errors import BadRequest, NotFound
from watchword.edge.auditing import Deed
from watchword.edge.endpoint import Body
from watchword.edge.replies import Reply
from watchword.edge.request import Request
from watchword.edge.requester import Requester
from watchword.protocol.ids import DeviceId, UserId, domain_of, parse_device_id, parse_user_id
from watchword.server.accounts.commands import Account, AccountQuery, CreateInvitation, Device, Invitation, Listed
from watchword.server.accounts.listing import shown_text
from watchword.server.accounts.threepids.commands import Threepid
from watchword.server.accounts.threepids.decide import parse_threepid
from watchword.server.admin.decide import ADMINS_TOO, ONESELF_TOO
from watchword.server.admin.door import KNOWN, Admin, Call, act, look, steps
from watchword.server.admin.queries import flag_of, is_backwards, limit_of, start_of
from watchword.server.admin.users import NewUser, localpart_in

_IGNORED_ORDERS = frozenset(("user_type", "shadow_banned"))


def user_of(call: Call) -> UserId:
    """The user in the path."""
    return call.request.param("userId", parse_user_id)


def token_after(request: Request, rows: int, total: int) -> int | None:
    """Where the next page begins, None if there is none."""
    end = start_of(request) + rows
    return end if rows and end < total else None


# Looking


async def users_v2(call: Call, admin: Admin) -> Reply:
    """Without those that are deactivated or locked, unless they are asked for, too."""
    deactivated = None if call.request.query_bool("deactivated") else False
    return await _users(call, admin, deactivated)


async def users_v3(call: Call, admin: Admin) -> Reply:
    return await _users(call, admin, flag_of(call.request, "deactivated"))


async def _users(call: Call, admin: Admin, deactivated: bool | None) -> Reply:
    request = call.request
    name, order_by = request.query_one("name"), request.query_one("order_by") or "name"
    query = AccountQuery(
        name=name,
        user_id=request.query_one("user_id") if name is None else None,
        guests=None if request.query_bool("guests", default=True) else False,
        admins=flag_of(request, "admins"),
        deactivated=deactivated,
        locked=None if request.query_bool("locked") else False,
        order_by="name" if order_by in _IGNORED_ORDERS else order_by,
        backwards=is_backwards(request),
        start=start_of(request),
        limit=limit_of(request),
    )
    found, total = await admin.users.accounts.listing.page(query)
    body: dict[str, Any] = {"users": [_listed(each) for each in found], "total": total}
    after = token_after(request, len(found), total)
    if after is not None:
        body["next_token"] = str(after)
    return Reply.json(body)


def _listed(listed: Listed) -> dict[str, Any]:
    return {
        "name": listed.user_id,
        "is_guest": listed.is_guest,
        "admin": listed.is_admin,
        "user_type": None,
        "deactivated": listed.is_deactivated,
        "erased": listed.is_erased,
        "shadow_banned": False,
        "displayname": shown_text(listed.displayname),
        "avatar_url": shown_text(listed.avatar_url),
        "creation_ts": listed.created_ts,
        "last_seen_ts": listed.last_seen_ts,
        "locked": listed.is_locked,
        "suspended": listed.is_suspended,
    }


async def show_user(call: Call, admin: Admin) -> Reply:
    return Reply.json(await _shown(admin, await admin.users.target(call.requester, user_of(call))))


async def _shown(admin: Admin, account: Account) -> dict[str, Any]:
    sheet = await admin.users.sheet(account)
    return {
        "name": account.user_id,
        "displayname": sheet.displayname,
        "avatar_url": sheet.avatar_url,
        "threepids": [
            {
                "medium": each.threepid.medium,
                "address": each.threepid.address,
                "added_at": each.added_ts,
                "validated_at": each.validated_ts,
            }
            for each in sheet.threepids
        ],
        "is_guest": account.is_guest,
        "admin": account.is_admin,
        "deactivated": account.is_deactivated,
        "erased": account.is_erased,
        "shadow_banned": False,
        "creation_ts": account.created_ts // 1000,
        "last_seen_ts": sheet.last_seen_ts,
        "appservice_id": account.appservice_id,
        "consent_server_notice_sent": None,
        "consent_version": None,
        "consent_ts": None,
        "external_ids": [],
        "user_type": None,
        "locked": account.is_locked,
        "suspended": account.is_suspended,
    }


async def is_administrator(call: Call, admin: Admin) -> Reply:
    account = await admin.users.target(call.requester, user_of(call))
    return Reply.json({"admin": account.is_admin})


async def whois(call: Call, admin: Admin) -> Reply:
    account = await admin.users.target(call.requester, user_of(call))
    return Reply.json(await admin.users.accounts.admin.whois(call.requester, account.user_id))


async def joined_rooms(call: Call, admin: Admin) -> Reply:
    account = await admin.users.target(call.requester, user_of(call))
    rooms = sorted(await admin.users.rooms.joined_rooms(account.user_id))
    return Reply.json({"joined_rooms": rooms, "total": len(rooms)})


async def username_available(call: Call, admin: Admin) -> Reply:
    username = call.request.query_one("username")
    if username is None:
        raise BadRequest("M_MISSING_PARAM", "username is missing.")
    await admin.users.accounts.registrar.check_name(username)
    return Reply.json({"available": True})


# One request that makes or changes an account


async def put_user(request: Request, requester: Requester, admin: Admin) -> Reply:
    user_id = request.param("userId", parse_user_id)
    if domain_of(user_id) != admin.server_name:
        raise BadRequest("M_INVALID_PARAM", "This user is not of this server.")
    _check_body(request)
    account = await admin.users.accounts.reader.account(user_id)
    status = 200
    if account is None:
        if request.field_or("deactivated", bool, False):
            raise NotFound("There is no such user.")
        await _create(request, requester, admin, user_id)
        status = 201
    else:
        if account.is_deactivated:
            raise BadRequest("M_INVALID_PARAM", "This account is deactivated, and stays so.")
        await _change(request, requester, admin, account)
    await _change_profile(request, requester, admin, user_id)
    if request.field_or("deactivated", bool, False):
        async with admin.audit.act(Deed.asked(request, requester.user_id, "user.deactivate", user_id)) as entry:
            await admin.users.deactivate(requester, user_id, False, entry)
    changed = await admin.users.accounts.reader.account(user_id)
    assert changed is not None, user_id
    return Reply.json(await _shown(admin, changed), status)


def _check_body(request: Request) -> None:
    """What cannot be done is said before anything is."""
    if request.field_or_none("external_ids", list):
        raise BadRequest("M_INVALID_PARAM", "external_ids cannot be set here: users link them by signing in.")
    if request.field_or_none("user_type", str) is not None:
        raise BadRequest("M_INVALID_PARAM", "There are no types of users here.")
    for name in ("admin", "deactivated", "locked", "suspended", "logout_devices"):
        request.field_or_none(name, bool)
    for name in ("password", "displayname", "avatar_url"):
        request.field_or_none(name, str)
    _threepids(request)


def _threepids(request: Request) -> list[Threepid] | None:
    listed = request.field_or_none("threepids", list)
    if listed is None:
        return None
    found = [
        parse_threepid(str(each.get("medium")), str(each.get("address"))) if isinstance(each, Mapping) else None
        for each in listed
    ]
    known = [each for each in found if each is not None]
    if len(known) < len(found):
        raise BadRequest("M_INVALID_PARAM", "threepids are objects with medium and address.")
    return known


async def _create(request: Request, requester: Requester, admin: Admin, user_id: UserId) -> None:
    new = NewUser(
        localpart_in(user_id), request.field_or_none("password", str), admin=request.field_or_none("admin", bool) or False
    )
    async with admin.audit.act(Deed.asked(request, requester.user_id, "user.create", user_id)) as entry:
        await admin.users.create(new, entry)


async def _change(request: Request, requester: Requester, admin: Admin, account: Account) -> None:
    user_id, password = account.user_id, request.field_or_none("password", str)
    if password is not None:
        log_out = request.field_or_none("logout_devices", bool)
        async with admin.audit.act(Deed.asked(request, requester.user_id, "user.password", user_id)) as entry:
            await admin.users.reset_password(requester, user_id, password, log_out=log_out is not False, entry=entry)
    wanted = request.field_or_none("admin", bool)
    if wanted is not None and wanted != account.is_admin:
        async with admin.audit.act(Deed.asked(request, requester.user_id, "user.admin", user_id)) as entry:
            await admin.users.set_admin(requester, user_id, wanted, entry)
    for name, was, change, action in (
        ("locked", account.is_locked, admin.users.set_locked, "user.lock"),
        ("suspended", account.is_suspended, admin.users.set_suspended, "user.suspend"),
    ):
        wanted = request.field_or_none(name, bool)
        if wanted is not None and wanted != was:
            async with admin.audit.act(Deed.asked(request, requester.user_id, action, user_id)) as entry:
                await change(requester, user_id, wanted, entry)


async def _change_profile(request: Request, requester: Requester, admin: Admin, user_id: UserId) -> None:
    for field in ("displayname", "avatar_url"):
        value = request.field_or_none(field, str)
        if value is not None:
            async with admin.audit.act(Deed.asked(request, requester.user_id, "user.profile", user_id)) as entry:
                await admin.users.set_profile(user_id, field, value, entry)
    wanted = _threepids(request)
    if wanted is not None:
        async with admin.audit.act(Deed.asked(request, requester.user_id, "user.threepids", user_id)) as entry:
            await admin.users.target(requester, user_id, ONESELF_TOO if user_id == requester.user_id else ADMINS_TOO)
            entry.add(count=len(wanted))
            await admin.users.accounts.threepids.replace(user_id, wanted, entry)


# Doing


async def set_admin(call: Call, admin: Admin) -> Reply:
    await admin.users.set_admin(call.requester, user_of(call), call.request.field("admin", bool), call.entry)
    return Reply.EMPTY


async def suspend(call: Call, admin: Admin) -> Reply:
    user_id, wanted = user_of(call), call.request.field("suspend", bool)
    await admin.users.set_suspended(call.requester, user_id, wanted, call.entry)
    return Reply.json({f"user_{user_id}_suspended": wanted})


async def deactivate(call: Call, admin: Admin) -> Reply:
    erase = call.request.field_or("erase", bool, False)
    unbound = await admin.users.deactivate(call.requester, user_of(call), erase, call.entry)
    return Reply.json({"id_server_unbind_result": "success" if unbound else "no-support"})


async def reset_password(call: Call, admin: Admin) -> Reply:
    request = call.request
    log_out = request.field_or("logout_devices", bool, True)
    password = request.field("new_password", str)
    await admin.users.reset_password(call.requester, user_of(call), password, log_out=log_out, entry=call.entry)
    return Reply.EMPTY


# Devices


async def devices(call: Call, admin: Admin) -> Reply:
    account = await admin.users.target(call.requester, user_of(call))
    found = await admin.users.devices(account.user_id)
    return Reply.json({"devices": [_device(account.user_id, each) for each in found], "total": len(found)})


def _device(user_id: UserId, device: Device) -> dict[str, Any]:
    return {
        "device_id": device.device_id,
        "display_name": device.display_name,
        "last_seen_ip": device.last_seen_ip,
        "last_seen_user_agent": device.last_seen_agent,
        "last_seen_ts": device.last_seen_ts,
        "user_id": user_id,
    }


def _device_id(call: Call) -> DeviceId:
    device_id = call.request.param("deviceId", parse_device_id)
    call.entry.add(device_id=device_id)
    return device_id


async def show_device(call: Call, admin: Admin) -> Reply:
    account = await admin.users.target(call.requester, user_of(call))
    return Reply.json(_device(account.user_id, await admin.users.device(account.user_id, _device_id(call))))


async def rename_device(call: Call, admin: Admin) -> Reply:
    account = await admin.users.target(call.requester, user_of(call))
    name = call.request.field_or_none("display_name", str)
    await admin.users.rename_device(account.user_id, _device_id(call), name)
    return Reply.EMPTY


async def delete_device(call: Call, admin: Admin) -> Reply:
    await admin.users.end_devices(call.requester, user_of(call), [_device_id(call)], call.entry)
    return Reply.EMPTY


async def delete_devices(call: Call, admin: Admin) -> Reply:
    listed = call.request.field("devices", list)
    if len(listed) > limits.devices_deleted_at_once_max or not all(isinstance(each, str) for each in listed):
        raise BadRequest("M_BAD_JSON", "devices is a list of device IDs.")
    call.entry.add(devices=len(listed))
    await admin.users.end_devices(call.requester, user_of(call), [DeviceId(each) for each in listed], call.entry)
    return Reply.EMPTY


# Registration tokens


async def tokens(call: Call, admin: Admin) -> Reply:
    """A token is kept as its hash: what stands for it here is `~` and its number, which every path below takes, too."""
    wanted = flag_of(call.request, "valid")
    found = await admin.invitations.list()
    now_ms = admin.clock.now_ms()
    shown = [_token(each) for each in found if each.revoked_ts is None and wanted in (None, _is_valid(each, now_ms))]
    return Reply.json({"registration_tokens": shown})


def _is_valid(invitation: Invitation, now_ms: int) -> bool:
    used = invitation.uses_completed + invitation.uses_pending
    is_used_up = invitation.uses_allowed is not None and used >= invitation.uses_allowed
    return not is_used_up and (invitation.expires_ts is None or invitation.expires_ts > now_ms)


def _token(invitation: Invitation, token: str | None = None) -> dict[str, Any]:
    return {
        "token": token or f"~{invitation.invitation_id}",
        "uses_allowed": invitation.uses_allowed,
        "pending": invitation.uses_pending,
        "completed": invitation.uses_completed,
        "expiry_time": invitation.expires_ts,
    }


async def show_token(call: Call, admin: Admin) -> Reply:
    return Reply.json(_token(await _found(call, admin), call.request.params["token"]))


async def _found(call: Call, admin: Admin) -> Invitation:
    found = await admin.invitations.one(call.request.params["token"])
    if found is None or found.revoked_ts is not None:
        raise NotFound("There is no such registration token.")
    # The path may hold the token itself, which is nobody's business but its owner's.
    call.entry.about(f"~{found.invitation_id}")
    return found


async def create_token(call: Call, admin: Admin) -> Reply:
    request = call.request
    length = request.field_or("length", int, 16)
    if not 1 <= length <= limits.registration_token_characters_max:
        raise BadRequest("M_INVALID_PARAM", "length is between 1 and 64.")
    uses_allowed, expires_ts = request.field_or_none("uses_allowed", int), _expiry(request, admin)
    call.entry.add(uses_allowed=uses_allowed)
    token = request.field_or_none("token", str) or admin.users.accounts.registrar.entropy.letters(length, _ALPHABET)
    command = CreateInvitation(created_by=call.by, uses_allowed=uses_allowed, expires_ts=expires_ts, token=token)
    made = await admin.invitations.create(command, call.entry)
    return Reply.json(_token(made.invitation, made.token))


def _expiry(request: Request, admin: Admin) -> int | None:
    expires_ts = request.field_or_none("expiry_time", int)
    if expires_ts is not None and expires_ts < admin.clock.now_ms():
        raise BadRequest("M_INVALID_PARAM", "expiry_time lies in the past.")
    return expires_ts


async def change_token(call: Call, admin: Admin) -> Reply:
    request = call.request
    found = await _found(call, admin)
    uses_allowed = found.uses_allowed
    if "uses_allowed" in request.json:
        uses_allowed = request.field_or_none("uses_allowed", int)
    expires_ts = _expiry(request, admin) if "expiry_time" in request.json else found.expires_ts
    if uses_allowed == 0:
        # None at all is how scripts end a token without deleting it.
        uses_allowed, expires_ts = found.uses_allowed, admin.clock.now_ms()
    call.entry.add(uses_allowed=uses_allowed, expires_ts=expires_ts)
    await admin.invitations.change(found.invitation_id, uses_allowed=uses_allowed, expires_ts=expires_ts, also=call.entry)
    changed = await _found(call, admin)
    return Reply.json(_token(changed, request.params["token"]))


async def delete_token(call: Call, admin: Admin) -> Reply:
    found = await _found(call, admin)
    await admin.invitations.revoke(found.invitation_id, call.entry)
    return Reply.EMPTY


_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_USER = KNOWN + "/v2/users/{userId}"
_DEVICE = _USER + "/devices/{deviceId}"
_TOKENS = KNOWN + "/v1/registration_tokens"

ENDPOINTS = (
    look(KNOWN + "/v2/users", "user.list", users_v2),
    look(KNOWN + "/v3/users", "user.list", users_v3),
    look(_USER, "user.show", show_user),
    steps("PUT", _USER, put_user, Body.OPTIONAL_JSON),
    look(KNOWN + "/v1/users/{userId}/admin", "user.show", is_administrator),
    act("PUT", KNOWN + "/v1/users/{userId}/admin", "user.admin", set_admin, Body.JSON),
    look(KNOWN + "/v1/users/{userId}/joined_rooms", "user.rooms", joined_rooms),
    look(KNOWN + "/v1/whois/{userId}", "user.whois", whois),
    act("POST", KNOWN + "/v1/deactivate/{userId}", "user.deactivate", deactivate),
    act("PUT", KNOWN + "/v1/suspend/{userId}", "user.suspend", suspend, Body.JSON),
    act("POST", KNOWN + "/v1/reset_password/{userId}", "user.password", reset_password, Body.JSON),
    look(KNOWN + "/v1/username_available", "user.list", username_available),
    look(_USER + "/devices", "user.devices", devices),
    look(_DEVICE, "user.devices", show_device),
    act("PUT", _DEVICE, "user.device_name", rename_device),
    act("DELETE", _DEVICE, "user.sign_out", delete_device),
    act("POST", _USER + "/delete_devices", "user.sign_out", delete_devices, Body.JSON),
    look(_TOKENS, "invitation.list", tokens),
    act("POST", _TOKENS + "/new", "invitation.create", create_token),
    look(_TOKENS + "/{token}", "invitation.show", show_token, names=False),
    act("PUT", _TOKENS + "/{token}", "invitation.change", change_token, Body.JSON, names=False),
    act("DELETE", _TOKENS + "/{token}", "invitation.revoke", delete_token, names=False),
)
