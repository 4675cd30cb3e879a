"""The answers of discovery, encoded once at the start."""

import orjson

from watchword import __version__
from watchword.edge.requester import Kind, Requester
from watchword.protocol.room_versions import ROOM_VERSIONS
from watchword.server.discovery.settings import Contact, DiscoverySettings

LAST_MINOR_VERSION = 19
_SERVER = {"name": "Watchword", "version": __version__}

VERSIONS: tuple[str, ...] = (
    # COMPAT(clients of 2019, until 2028): bots of that age look for the old names.
    *(f"r0.{minor}.{patch}" for minor, patch in ((0, 1), (1, 0), (2, 0), (3, 0), (4, 0), (5, 0), (6, 0), (6, 1))),
    *(f"v1.{minor}" for minor in range(1, LAST_MINOR_VERSION + 1)),
)


class Discovery:
    """Says what the server is. Everything is encoded JSON; None is "not announced"."""

    def __init__(self, settings: DiscoverySettings) -> None:
        self._settings = settings
        self.versions = orjson.dumps(
            {
                "versions": VERSIONS,
                "unstable_features": dict(settings.unstable_features),
                # Spec: proposals/4383
                "server": _SERVER,
                "net.zemos.msc4383.server": _SERVER,
            },
        )
        self.well_known_client = _encoded(_client(settings))
        self.well_known_server = (
            None if settings.server_delegation is None else orjson.dumps({"m.server": settings.server_delegation})
        )
        self.well_known_support = _encoded(_support(settings))
        # By whether the requester is an administrator, and whether he signed in through OAuth.
        key = settings.policy_server_key
        self.well_known_policy_server = None if key is None else orjson.dumps({"public_keys": {"ed25519": key}})
        self._capabilities = {
            (is_admin, is_oauth): orjson.dumps({"capabilities": {**found, **(_moderation(settings) if is_admin else {})}})
            for is_oauth, found in ((False, _capabilities(settings)), (True, _for_oauth(_capabilities(settings))))
            for is_admin in (False, True)
        }
        self._capabilities_of_guests = orjson.dumps({"capabilities": _for_guests(_capabilities(settings))})

    def capabilities(self, requester: Requester) -> bytes:
        """What this requester may do. Spec: client-server-api#capabilities-negotiation"""
        if requester.is_guest:
            return self._capabilities_of_guests
        return self._capabilities[requester.is_admin, requester.kind is Kind.OAUTH]


def _encoded(value: dict[str, object]) -> bytes | None:
    return orjson.dumps(value) if value else None


def _client(settings: DiscoverySettings) -> dict[str, object]:
    if settings.client_base_url is None:
        return {}
    found: dict[str, object] = {"m.homeserver": {"base_url": settings.client_base_url}}
    if settings.identity_base_url is not None:
        found["m.identity_server"] = {"base_url": settings.identity_base_url}
    return {**settings.client_extra, **found}


def _support(settings: DiscoverySettings) -> dict[str, object]:
    found: dict[str, object] = {}
    if settings.support_contacts:
        found["contacts"] = [_contact(contact) for contact in settings.support_contacts]
    if settings.support_page is not None:
        found["support_page"] = settings.support_page
    return found


def _contact(contact: Contact) -> dict[str, str]:
    known = {"matrix_id": contact.matrix_id, "email_address": contact.email_address}
    return {"role": contact.role, **{key: value for key, value in known.items() if value is not None}}


def _enabled(value: bool) -> dict[str, bool]:
    return {"enabled": value}


def _capabilities(settings: DiscoverySettings) -> dict[str, object]:
    return {
        "m.change_password": _enabled(settings.may_change_password),
        "m.room_versions": {
            "default": settings.default_room_version,
            "available": dict.fromkeys(ROOM_VERSIONS, "stable"),
        },
        "m.set_displayname": _enabled(True),
        "m.set_avatar_url": _enabled(True),
        "m.profile_fields": _enabled(True),
        "uk.tcpip.msc4133.profile_fields": _enabled(True),
        "m.3pid_changes": _enabled(settings.may_change_threepids),
        "m.get_login_token": _enabled(settings.may_get_login_token),
        "m.forget_forced_upon_leave": _enabled(settings.forgets_rooms_left),
        "m.preview_url": _enabled(settings.url_previews),
        "io.element.msc4452.preview_url": _enabled(settings.url_previews),
        "im.nheko.msc3664.related_event_match": _enabled(settings.reply_rule),
        **_delayed(settings),
    }


def _delayed(settings: DiscoverySettings) -> dict[str, object]:
    if settings.delayed_events is None:
        return {}
    delay_ms_max, scheduled_max = settings.delayed_events
    limits = {"max_delay_ms": delay_ms_max, "max_scheduled": scheduled_max}
    return {"m.delayed_events": limits, "org.matrix.msc4140.delayed_events": limits}


def _for_oauth(capabilities: dict[str, object]) -> dict[str, object]:
    # What needs user-interactive authentication is done at the account page instead.
    return {
        **capabilities,
        "m.change_password": _enabled(False),
        "m.3pid_changes": _enabled(False),
        "m.get_login_token": _enabled(False),
    }


def _for_guests(capabilities: dict[str, object]) -> dict[str, object]:
    # Guests have no password and may set their display name alone.
    return {
        **capabilities,
        "m.change_password": _enabled(False),
        "m.3pid_changes": _enabled(False),
        "m.set_avatar_url": _enabled(False),
        "m.profile_fields": {"enabled": True, "allowed": ["displayname"]},
        "m.get_login_token": _enabled(False),
    }


def _moderation(settings: DiscoverySettings) -> dict[str, object]:
    rights = {name: True for name, may in (("lock", settings.may_lock), ("suspend", settings.may_suspend)) if may}
    return {"m.account_moderation": rights} if rights else {}
