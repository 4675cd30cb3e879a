"""The account page: who I am, my devices, my password, the reset of my cryptographic identity, the end of my account.

What cannot be undone asks for the password once more, or, of accounts without one, for a sign-in a short while ago.
"""

from typing import Any

from watchword.base.errors import ProtocolError, Refusal
from watchword.edge.endpoint import Rate
from watchword.edge.replies import Reply
from watchword.edge.requester import Kind, Requester
from watchword.protocol.ids import DeviceId, parse_device_id
from watchword.server.accounts.commands import Device
from watchword.server.oauth import metadata
from watchword.server.oauth.assembly import OAuth
from watchword.server.oauth.clients import client_title
from watchword.server.oauth.decide import account_page
from watchword.server.oauth.doors import SIGN_IN, Asked, page, signed_in, with_query

_DEVICES = f"{metadata.ACCOUNT}/devices"
_DEVICE = f"{metadata.ACCOUNT}/device"
_DEVICE_SIGN_OUT = f"{_DEVICE}/sign-out"
_PASSWORD = f"{metadata.ACCOUNT}/password"
_DEACTIVATE = f"{metadata.ACCOUNT}/deactivate"
_RESET = f"{metadata.ACCOUNT}/reset-identity"


async def overview(asked: Asked, oauth: OAuth) -> Reply:
    """The account management URL. Spec: client-server-api#oauth-20-account-management"""
    wanted = account_page(asked.form.get("action") or None, asked.form.get("device_id") or None)
    if wanted is not None:
        return oauth.pages.go(asked.visit, wanted)
    return await _overview(asked, oauth)


async def _overview(asked: Asked, oauth: OAuth, *, complaint: str = "", done: str = "", status: int = 200) -> Reply:
    profile = await oauth.accounts.reader.profile(asked.account.user_id)
    return oauth.pages.page(
        "account",
        asked.visit,
        status=status,
        complaint=complaint,
        done=done,
        display_name=profile.get("displayname") or "",
        device_count=len(await oauth.accounts.reader.devices(asked.account.user_id)),
        has_password=asked.account.password_hash is not None and oauth.sign_in.has_passwords,
    )


async def rename(asked: Asked, oauth: OAuth) -> Reply:
    try:
        await oauth.sign_in.set_display_name(asked.account, asked.form.get("display_name"))
    except Refusal as refusal:
        return await _overview(asked, oauth, complaint=refusal.text, status=refusal.status)
    return await _overview(asked, oauth, done="Your name was changed.")


# Devices


async def devices(asked: Asked, oauth: OAuth) -> Reply:
    return await _devices(asked, oauth)


async def _devices(asked: Asked, oauth: OAuth, done: str = "", complaint: str = "", status: int = 200) -> Reply:
    found = list(await oauth.accounts.reader.devices(asked.account.user_id))
    found.sort(key=lambda device: device.last_seen_ts or 0, reverse=True)
    now_ms = oauth.clock.now_ms()
    rows = [{"device": device, "seen": seen_text(device.last_seen_ts, now_ms)} for device in found]
    return oauth.pages.page("devices", asked.visit, status=status, rows=rows, done=done, complaint=complaint)


def seen_text(last_seen_ts: int | None, now_ms: int) -> str:
    """When a device was last seen, in words that are coarse enough to be true for a while."""
    if last_seen_ts is None:
        return "not seen yet"
    minutes = max(0, now_ms - last_seen_ts) // 60_000
    for size, name in ((1_440, "day"), (60, "hour")):
        if minutes >= size:
            count = minutes // size
            return f"last seen {count} {name}{'' if count == 1 else 's'} ago"
    return "last seen just now" if minutes < 5 else f"last seen {minutes} minutes ago"


async def _device(asked: Asked, oauth: OAuth) -> Device | None:
    try:
        device_id = parse_device_id(asked.form.get("device_id"))
    except ProtocolError:
        return None
    return await oauth.accounts.reader.device(asked.account.user_id, device_id)


async def _gone(asked: Asked, oauth: OAuth) -> Reply:
    return await _devices(asked, oauth, complaint="You have no such device. It may be signed out already.", status=404)


async def device(asked: Asked, oauth: OAuth) -> Reply:
    found = await _device(asked, oauth)
    if found is None:
        return await _gone(asked, oauth)
    return await _device_page(asked, oauth, found)


async def _device_page(asked: Asked, oauth: OAuth, found: Device, done: str = "", complaint: str = "") -> Reply:
    client_id = (await oauth.accounts.reader.session_clients(asked.account.user_id)).get(found.device_id)
    client = await oauth.clients.find(client_id)
    return oauth.pages.page(
        "device",
        asked.visit,
        status=400 if complaint else 200,
        device=found,
        seen=seen_text(found.last_seen_ts, oauth.clock.now_ms()),
        client=None if client is None else client.metadata,
        title=None if client is None else client_title(client),
        sign_out=with_query(_DEVICE_SIGN_OUT, device_id=found.device_id),
        done=done,
        complaint=complaint,
    )


async def rename_device(asked: Asked, oauth: OAuth) -> Reply:
    found = await _device(asked, oauth)
    if found is None:
        return await _gone(asked, oauth)
    requester = Requester(asked.account.user_id, None, 0, kind=Kind.OAUTH)
    try:
        await oauth.accounts.devices.rename(requester, found.device_id, asked.form.get("display_name").strip())
    except Refusal as refusal:
        return await _device_page(asked, oauth, found, complaint=refusal.text)
    renamed = await oauth.accounts.reader.device(asked.account.user_id, found.device_id)
    return await _device_page(asked, oauth, renamed or found, done="The device was renamed.")


async def device_sign_out_page(asked: Asked, oauth: OAuth) -> Reply:
    found = await _device(asked, oauth)
    if found is None:
        return await _gone(asked, oauth)
    return oauth.pages.page(
        "device_sign_out", asked.visit, device=found, seen=seen_text(found.last_seen_ts, oauth.clock.now_ms())
    )


async def device_sign_out(asked: Asked, oauth: OAuth) -> Reply:
    found = await _device(asked, oauth)
    if found is None:
        return await _gone(asked, oauth)
    requester = Requester(asked.account.user_id, None, 0, kind=Kind.OAUTH)
    await oauth.accounts.devices.delete(requester, [found.device_id])
    return await _devices(asked, oauth, done=f"{found.display_name or found.device_id} was signed out.")


# What asks for a proof


async def _unproved(asked: Asked, oauth: OAuth) -> str | None:
    """Why the proof that came with a form is none; None if it is good. Raises LimitExceeded."""
    if not _asks_password(asked, oauth):
        return None if oauth.browsers.is_fresh(asked.visit) else "Please sign in once more."
    if await oauth.sign_in.is_password(asked.request, asked.account, asked.form.get("password")):
        return None
    return "The password is wrong."


def _asks_password(asked: Asked, oauth: OAuth) -> bool:
    return asked.account.password_hash is not None and oauth.sign_in.has_passwords


def _proof_page(template: str, asked: Asked, oauth: OAuth, complaint: str = "", **values: Any) -> Reply:
    """A page whose form must carry a proof; who has no password signs in once more before he sees it."""
    if not _asks_password(asked, oauth) and not oauth.browsers.is_fresh(asked.visit):
        here = asked.request.target if asked.request.method == "GET" else asked.request.path
        return oauth.pages.go(asked.visit, with_query(SIGN_IN, next=here, again="1"))
    return oauth.pages.page(
        template,
        asked.visit,
        status=403 if complaint else 200,
        complaint=complaint,
        asks_password=_asks_password(asked, oauth),
        **values,
    )


async def password_page(asked: Asked, oauth: OAuth) -> Reply:
    return _password_form(asked, oauth)


def _password_form(asked: Asked, oauth: OAuth, complaint: str = "") -> Reply:
    if not oauth.sign_in.has_passwords:
        return oauth.pages.message(asked.visit, "No passwords", "This server has no passwords.", status=403)
    least = oauth.accounts.settings.password_characters_min
    return _proof_page("password", asked, oauth, complaint, password_characters_min=least)


async def change_password(asked: Asked, oauth: OAuth) -> Reply:
    new = asked.form.get("new_password")
    if not oauth.sign_in.has_passwords:
        return _password_form(asked, oauth)
    if new != asked.form.get("new_password_again"):
        return _password_form(asked, oauth, "The two new passwords are not the same.")
    try:
        oauth.accounts.registrar.check_password(new)
    except Refusal as refusal:
        return _password_form(asked, oauth, refusal.text)
    complaint = await _unproved(asked, oauth)
    if complaint is not None:
        return _password_form(asked, oauth, complaint)
    user_id = asked.account.user_id
    log_out = asked.form.get("sign_out_devices") == "yes"
    await oauth.accounts.admin.change_password(user_id, new, log_out=log_out, keep=None)
    account = await oauth.accounts.reader.account(user_id)
    assert account is not None
    # Every other browser was signed in with the old password, and is signed in no more.
    visit = await oauth.browsers.sign_in(asked.visit, account)
    return await _overview(Asked(asked.request, visit, asked.form), oauth, done="Your password was changed.")


async def deactivate_page(asked: Asked, oauth: OAuth) -> Reply:
    return _proof_page("deactivate", asked, oauth)


async def deactivate(asked: Asked, oauth: OAuth) -> Reply:
    complaint = await _unproved(asked, oauth)
    if complaint is None and asked.form.get("sure") != "yes":
        complaint = "Please confirm that you are sure."
    if complaint is not None:
        return _proof_page("deactivate", asked, oauth, complaint)
    await oauth.accounts.admin.deactivate(asked.account.user_id, erase=asked.form.get("erase") == "yes")
    await oauth.browsers.sign_out_everywhere(asked.account.user_id)
    visit = await oauth.browsers.sign_out(asked.visit)
    return oauth.pages.message(visit, "Account deactivated", "Your account was closed and all devices are signed out.")


async def reset_page(asked: Asked, oauth: OAuth) -> Reply:
    return await _reset_form(asked, oauth)


async def _reset_form(asked: Asked, oauth: OAuth, complaint: str = "") -> Reply:
    found = await _device(asked, oauth)
    return _proof_page("reset_identity", asked, oauth, complaint, device=found)


async def reset(asked: Asked, oauth: OAuth) -> Reply:
    complaint = await _unproved(asked, oauth)
    if complaint is not None:
        return await _reset_form(asked, oauth, complaint)
    found = await _device(asked, oauth)
    device_id: DeviceId | None = None if found is None else found.device_id
    await oauth.approvals.approve(asked.account.user_id, device_id)
    text = "Go back to your application: for the next ten minutes it may set up a new identity. You may close this page."
    return oauth.pages.message(asked.visit, "Reset approved", text)


_SPEC = "client-server-api#oauth-20-account-management"

ENDPOINTS = (
    page("GET", metadata.ACCOUNT, signed_in(overview), spec=_SPEC),
    page("POST", metadata.ACCOUNT, signed_in(rename), rate=Rate.WRITE, spec=_SPEC),
    page("GET", _DEVICES, signed_in(devices), spec=_SPEC),
    page("GET", _DEVICE, signed_in(device), spec=_SPEC),
    page("POST", _DEVICE, signed_in(rename_device), rate=Rate.WRITE, spec=_SPEC),
    page("GET", _DEVICE_SIGN_OUT, signed_in(device_sign_out_page), spec=_SPEC),
    page("POST", _DEVICE_SIGN_OUT, signed_in(device_sign_out), rate=Rate.WRITE, spec=_SPEC),
    page("GET", _PASSWORD, signed_in(password_page), spec=_SPEC),
    page("POST", _PASSWORD, signed_in(change_password), rate=Rate.LOGIN, spec=_SPEC),
    page("GET", _DEACTIVATE, signed_in(deactivate_page), spec=_SPEC),
    page("POST", _DEACTIVATE, signed_in(deactivate), rate=Rate.LOGIN, spec=_SPEC),
    page("GET", _RESET, signed_in(reset_page), spec=_SPEC),
    page("POST", _RESET, signed_in(reset), rate=Rate.LOGIN, spec=_SPEC),
)
