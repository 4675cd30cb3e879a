"""The rules of accounts: values in, an answer or a `Refused` out. Nothing is looked up and nothing is kept here."""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from watchword.base import limits
from watchword.base.errors import ProtocolError
from watchword.protocol.ids import ServerName, UserId, parse_mxc, parse_new_localpart, parse_user_id
from watchword.server.accounts.commands import (
    Account,
    AccountSettings,
    Flows,
    IdentityProvider,
    Invitation,
    Policy,
    PresenceState,
    Refused,
    RegistrationMode,
)
from watchword.server.accounts.threepids.commands import EMAIL, MSISDN, Wanted

PASSWORD = "m.login.password"  # noqa: S105 (the name of a login type)
DUMMY = "m.login.dummy"
REGISTRATION_TOKEN = "m.login.registration_token"  # noqa: S105
APPSERVICE = "m.login.application_service"
TOKEN = "m.login.token"  # noqa: S105
SSO = "m.login.sso"
EMAIL_IDENTITY = "m.login.email.identity"
MSISDN_IDENTITY = "m.login.msisdn"
TERMS = "m.login.terms"
CAPTCHA = "m.login.recaptcha"

BUSY = "org.matrix.msc3026.busy"
"""The user is there and does not want to be disturbed. Spec: proposals/3026"""
PRESENCES = frozenset({"online", "offline", "unavailable", BUSY})
SERVER_CONTROLLED_TYPES = frozenset({"m.fully_read", "m.push_rules"})

_NAMESPACED = re.compile(r"[a-z][a-z0-9._-]*")
_TIME_ZONE = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+){0,3}")
_REGISTRATION_TOKEN = re.compile(rf"[A-Za-z0-9._~-]{{1,{limits.registration_token_characters_max}}}")


# Names


def new_user_id(username: str, server_name: ServerName) -> UserId | Refused:
    """The ID that a new user gets from a wished name. Upper case is folded; anything else outside the grammar is refused.

    Spec: appendices#user-identifiers
    """
    folded = "".join(character.lower() if "A" <= character <= "Z" else character for character in username)
    try:
        localpart = parse_new_localpart(folded)
    except ProtocolError:
        return Refused("M_INVALID_USERNAME", "A user name consists of a-z, 0-9 and . _ = - / +")
    user_id = f"@{localpart}:{server_name}"
    if len(user_id.encode()) > limits.identifier_bytes_max:
        return Refused("M_INVALID_USERNAME", "This user name is too long.")
    return UserId(user_id)


def login_user_id(body: Mapping[str, Any], server_name: ServerName) -> UserId | Refused | None:
    """Whom a login names; None for somebody who cannot be a user of this server.

    Spec: client-server-api#identifier-types
    """
    identifier = body.get("identifier")
    if identifier is None:
        name = body.get("user")
        if name is None and ("medium" in body or "address" in body):
            return None
    elif not isinstance(identifier, dict):
        return Refused("M_BAD_JSON", "identifier must be an object.")
    elif identifier.get("type") in ("m.id.thirdparty", "m.id.phone"):
        return None
    elif identifier.get("type") != "m.id.user":
        return Refused("M_UNKNOWN", "This type of identifier is not known.")
    else:
        name = identifier.get("user")
    if name is None:
        return Refused("M_MISSING_PARAM", "The user to log in is missing.")
    if not isinstance(name, str):
        return Refused("M_BAD_JSON", "The user to log in must be a string.")
    return _local_user_id(name, server_name)


def _local_user_id(name: str, server_name: ServerName) -> UserId | None:
    localpart, _, domain = name[1:].partition(":") if name.startswith("@") else (name, "", server_name)
    if domain != server_name:
        return None
    try:
        return parse_user_id(f"@{localpart.lower()}:{domain}")
    except ProtocolError:
        return None


def password_refusal(password: str, characters_min: int) -> Refused | None:
    """Why a new password cannot be taken."""
    if len(password) < characters_min:
        return Refused("M_WEAK_PASSWORD", f"A password has at least {characters_min} characters.")
    if len(password) > limits.password_bytes_max:
        return Refused("M_INVALID_PARAM", "This password is too long.")
    return None


def device_name_refusal(name: str | None) -> Refused | None:
    """Why a device cannot have this display name."""
    if name is not None and len(name) > limits.device_display_name_characters_max:
        return Refused("M_INVALID_PARAM", "This device name is too long.")
    return None


def login_flows(settings: AccountSettings) -> list[dict[str, object]]:
    """The ways to log in. Spec: client-server-api#get_matrixclientv3login"""
    found: list[dict[str, object]] = []
    if settings.password_login:
        found.append({"type": PASSWORD})
    if settings.identity_providers:
        providers = [_shown_provider(provider) for provider in settings.identity_providers]
        # Our pages offer every way in, so a client that knows what OAuth is need show no other.
        # COMPAT(clients before v1.18, until 2028): they know the flag by the name of the proposal.
        preferred = {"oauth_aware_preferred": True, "org.matrix.msc3824.delegated_oidc_compatibility": True}
        found.append({"type": SSO, "identity_providers": providers, **preferred})
    if settings.login_tokens:
        found.append({"type": TOKEN, "get_login_token": True})
    elif settings.identity_providers:
        found.append({"type": TOKEN})
    return [*found, {"type": APPSERVICE}]


def _shown_provider(provider: IdentityProvider) -> dict[str, object]:
    shown = {"id": provider.provider_id, "name": provider.name, "icon": provider.icon, "brand": provider.brand}
    return {key: value for key, value in shown.items() if value is not None}


# Registration


def registration_flows(settings: AccountSettings) -> Flows | Refused:
    """What a newcomer must go through.

    Whoever was invited is no program, and solves no captcha. A flow that is part of a longer one ends with a dummy stage,
    so that the longer one can be finished. So does the token alone: that is the flow that bots are written for, which send
    the token first and complete the registration with the dummy stage. Spec: client-server-api#dummy-auth
    """
    if settings.registration is RegistrationMode.CLOSED:
        return Refused("M_FORBIDDEN", "This server does not take registrations.", status=403)
    begins: list[tuple[str, ...]] = [(REGISTRATION_TOKEN,)]
    if settings.registration is RegistrationMode.OPEN:
        # Where everybody may come, an invitation still opens its rooms and gives its rights.
        begins.insert(0, () if settings.captcha is None else (CAPTCHA,))
    terms = (TERMS,) if settings.policies else ()
    found = [
        (*begin, *terms, *email, *msisdn)
        for begin in begins
        for email in _address_stages(settings.threepids.at_registration(EMAIL), EMAIL_IDENTITY)
        for msisdn in _address_stages(settings.threepids.at_registration(MSISDN), MSISDN_IDENTITY)
    ]
    bare = ((), (REGISTRATION_TOKEN,))
    return tuple((*flow, DUMMY) if flow in bare or _is_part_of_another(flow, found) else flow for flow in found)


def _address_stages(wanted: Wanted, stage: str) -> Sequence[tuple[str, ...]]:
    return {Wanted.OFF: ((),), Wanted.OPTIONAL: ((), (stage,)), Wanted.REQUIRED: ((stage,),)}[wanted]


def _is_part_of_another(flow: Sequence[str], flows: Collection[Sequence[str]]) -> bool:
    return any(set(flow) < set(other) for other in flows)


def stage_params(settings: AccountSettings, flows: Flows) -> dict[str, object]:
    """What a client needs to know for the stages of these flows. Spec: client-server-api#terms-of-service-at-registration"""
    stages = {stage for flow in flows for stage in flow}
    found: dict[str, object] = {}
    if TERMS in stages:
        found[TERMS] = {"policies": {policy.policy_id: _shown_policy(policy) for policy in settings.policies}}
    if CAPTCHA in stages and settings.captcha is not None:
        found[CAPTCHA] = {"public_key": settings.captcha.site_key}
    return found


def _shown_policy(policy: Policy) -> dict[str, object]:
    texts = {language: {"name": text.name, "url": text.url} for language, text in policy.texts.items()}
    return {"version": policy.version, **texts}


def is_complete(flows: Flows, completed: Collection[str]) -> bool:
    """Whether some flow has all its stages behind it."""
    return any(all(stage in completed for stage in flow) for flow in flows)


def is_registration_token(token: str) -> bool:
    """Whether a string can be a registration token. Spec: client-server-api#token-authenticated-registration"""
    return _REGISTRATION_TOKEN.fullmatch(token) is not None


def invitation_refusal(uses_allowed: int | None, label: str, invite_to: Collection[str], token: str | None) -> Refused | None:
    """Why an invitation cannot be made like this."""
    if uses_allowed is not None and not 1 <= uses_allowed <= limits.invitation_uses_max:
        return Refused("M_INVALID_PARAM", "The number of uses is out of range.")
    if len(label) > limits.invitation_label_characters_max:
        return Refused("M_INVALID_PARAM", "The label is too long.")
    if len(invite_to) > limits.invitation_rooms_max:
        return Refused("M_INVALID_PARAM", "Too many rooms to invite to.")
    if token is not None and not is_registration_token(token):
        return Refused("M_INVALID_PARAM", "A token consists of at most 64 letters, digits and . _ ~ -")
    return None


def invitation_is_open(invitation: Invitation, now_ms: int) -> bool:
    """Whether one more newcomer may use it, counting registrations under way."""
    if invitation.revoked_ts is not None or (invitation.expires_ts is not None and invitation.expires_ts <= now_ms):
        return False
    used = invitation.uses_completed + invitation.uses_pending
    return invitation.uses_allowed is None or used < invitation.uses_allowed


# Moderation


def moderation_refusal(
    *, by_admin: bool, is_local: bool, is_self: bool, target: Account | None, changes: bool
) -> Refused | None:
    """Why the lock or suspension of an account may not be seen, or not be changed.

    In this order, so that only administrators learn who exists. Spec: client-server-api#server-administration
    """
    if not by_admin:
        return Refused("M_FORBIDDEN", "Only administrators of this server may do this.", status=403)
    if not is_local:
        return Refused("M_INVALID_PARAM", "This user is not of this server.")
    if is_self and changes:
        return Refused("M_FORBIDDEN", "Nobody may do this to himself.", status=403)
    if target is None or target.is_deactivated:
        return Refused("M_NOT_FOUND", "There is no such user.", status=404)
    if target.is_admin and not is_self:
        return Refused("M_FORBIDDEN", "This cannot be done to another administrator.", status=403)
    return None


# Profiles


def profile_key_refusal(key: str) -> Refused | None:
    """Why a profile cannot have this key. Spec: appendices#common-namespaced-identifier-grammar"""
    if len(key.encode("utf-8", "replace")) > limits.profile_key_bytes_max:
        return Refused("M_KEY_TOO_LARGE", "This profile key is too long.")
    if _NAMESPACED.fullmatch(key) is None:
        return Refused("M_INVALID_PARAM", "This is not the name of a profile field.")
    return None


def profile_value_refusal(key: str, value: object) -> Refused | None:
    """Why a profile field cannot have this value. null is a value like any other.

    Spec: client-server-api#put_matrixclientv3profileuseridkeyname
    """
    if value is None or key not in _PROFILE_TEXTS:
        return None
    if not isinstance(value, str):
        return Refused("M_BAD_JSON", f"{key} must be a string.")
    if not _PROFILE_TEXTS[key](value):
        return Refused("M_INVALID_PARAM", f"This is not a valid {key}.")
    return None


def _is_displayname(value: str) -> bool:
    return len(value) <= limits.displayname_characters_max


def _is_avatar_url(value: str) -> bool:
    if len(value) > limits.avatar_url_bytes_max:
        return False
    # COMPAT(element, until 2028): "" takes the picture away.
    if value == "":
        return True
    try:
        parse_mxc(value)
    except ProtocolError:
        return False
    return True


def _is_time_zone(value: str) -> bool:
    return len(value) <= limits.profile_key_bytes_max and _TIME_ZONE.fullmatch(value) is not None


_PROFILE_TEXTS = {"displayname": _is_displayname, "avatar_url": _is_avatar_url, "m.tz": _is_time_zone}


def profile_bytes(fields: Mapping[str, bytes]) -> int:
    """The size of a profile as one JSON object."""
    return 2 + sum(len(key) + len(value) + 4 for key, value in fields.items())


# Account data


def account_data_refusal(data_type: str) -> Refused | None:
    """Why a client may not write this type itself."""
    if data_type in SERVER_CONTROLLED_TYPES:
        return Refused("M_BAD_JSON", f"{data_type} is not set this way.", status=405)
    if len(data_type.encode("utf-8", "replace")) > limits.identifier_bytes_max:
        return Refused("M_INVALID_PARAM", "This type is too long.")
    return None


def tag_refusal(tag: str, content: Mapping[str, Any]) -> Refused | None:
    """Why a room cannot have this tag. Spec: client-server-api#room-tagging"""
    if not tag or len(tag.encode("utf-8", "replace")) > limits.tag_bytes_max:
        return Refused("M_INVALID_PARAM", "A tag has 1 to 255 bytes.")
    order = content.get("order")
    if order is None:
        return None
    if isinstance(order, bool) or not isinstance(order, int | float):
        return Refused("M_BAD_JSON", "order must be a number.")
    if not 0 <= order <= 1:
        return Refused("M_INVALID_PARAM", "order lies between 0 and 1.")
    return None


def tags_in(content: Mapping[str, Any]) -> dict[str, Any]:
    """The tags of an m.tag content; {} if it has none that can be read."""
    tags = content.get("tags")
    return dict(tags) if isinstance(tags, dict) else {}


def ignored_users_in(content: Mapping[str, Any]) -> frozenset[UserId]:
    """Whom an m.ignored_user_list names. Spec: client-server-api#mignored_user_list"""
    ignored = content.get("ignored_users")
    return frozenset(UserId(user_id) for user_id in ignored) if isinstance(ignored, dict) else frozenset()


# Presence


def presence_refusal(presence: str, status_msg: str | None) -> Refused | None:
    """Why a user's presence cannot be this."""
    if presence not in PRESENCES:
        return Refused("M_INVALID_PARAM", "presence is online, offline or unavailable.")
    if status_msg is not None and len(status_msg) > limits.presence_status_characters_max:
        return Refused("M_INVALID_PARAM", "status_msg is too long.")
    return None


def rested(state: PresenceState, now_ms: int) -> PresenceState:
    """What becomes of somebody's presence by time alone: without a sign of life, unavailable, later offline."""
    idle_ms = now_ms - state.last_active_ts
    if state.presence == "offline" or idle_ms < limits.presence_idle_ms:
        return state
    # Busy is what he chose; that his hands rest does not make it less true.
    presence = "offline" if idle_ms >= limits.presence_gone_ms else BUSY if state.presence == BUSY else "unavailable"
    if presence == state.presence:
        return state
    return PresenceState(presence, state.status_msg, state.last_active_ts, currently_active=False)
