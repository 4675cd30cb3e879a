"""Which events of the room state an event must cite as its auth events.

Deliberately absent: whether they allow it (`auth_rules`).

Spec: server-server-api#auth-events-selection
"""

from collections.abc import Mapping
from typing import Any

from watchword.protocol import event_types
from watchword.protocol.auth_state import CREATE_KEY, JOIN_RULES_KEY, POWER_LEVELS_KEY
from watchword.protocol.events import StateKey
from watchword.protocol.ids import EventId
from watchword.protocol.room_versions import RoomVersion


def auth_state_keys(
    event_type: str, state_key: str | None, sender: str, content: Mapping[str, Any], version: RoomVersion
) -> list[StateKey]:
    """The addresses of the state that an event of this kind is authorised by, each once; those that exist are cited."""
    if event_type == event_types.CREATE:
        return []
    keys: list[StateKey] = [POWER_LEVELS_KEY, (event_types.MEMBER, sender)]
    if not version.room_id_is_create_hash:
        keys.insert(0, CREATE_KEY)
    if event_type != event_types.MEMBER or state_key is None:
        return keys
    if state_key != sender:
        keys.append((event_types.MEMBER, state_key))
    membership = content.get("membership")
    if membership in ("join", "invite", "knock"):
        keys.append(JOIN_RULES_KEY)
    if membership == "invite":
        token = third_party_token(content)
        if token is not None:
            keys.append((event_types.THIRD_PARTY_INVITE, token))
    if version.restricted_joins:
        authoriser = content.get("join_authorised_via_users_server")
        if isinstance(authoriser, str) and authoriser not in (sender, state_key):
            keys.append((event_types.MEMBER, authoriser))
    return keys


def auth_events_for(
    event_type: str,
    state_key: str | None,
    sender: str,
    content: Mapping[str, Any],
    version: RoomVersion,
    *,
    state: Mapping[StateKey, EventId],
) -> list[EventId]:
    """The auth_events of a new event in this room state, in the order of `auth_state_keys`."""
    found = (state.get(key) for key in auth_state_keys(event_type, state_key, sender, content, version))
    return [event_id for event_id in found if event_id is not None]


def third_party_token(content: Mapping[str, Any]) -> str | None:
    """`third_party_invite.signed.token` of an invite, if it is there."""
    invite = content.get("third_party_invite")
    signed = invite.get("signed") if isinstance(invite, Mapping) else None
    token = signed.get("token") if isinstance(signed, Mapping) else None
    return token if isinstance(token, str) else None
