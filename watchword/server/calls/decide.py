"""What a client is told about TURN and media servers: settings, who and when in, the answer out.

Media servers know rooms and participants by names that tell nothing of Matrix.
Spec: client-server-api#voice-over-ip, proposals 4143 and 4195
"""

import base64
import hashlib
import hmac

from watchword.protocol import canonical_json, unpadded_base64
from watchword.protocol.ids import UserId
from watchword.server.calls.commands import CallSettings, LiveKitSettings, TokenRequest


def turn_server(settings: CallSettings, user_id: UserId, now_ms: int) -> dict[str, object]:
    """Credentials for the TURN server; {} where there is none, or none for us.

    The user name is when it ends and whose it is, the password its HMAC-SHA1 under the secret that the TURN server shares.
    Spec: client-server-api#get_matrixclientv3voipturnserver
    """
    if not settings.turn_uris:
        return {}
    lifetime_s = settings.lifetime_ms // 1_000
    if settings.shared_secret is not None:
        user = f"{now_ms // 1_000 + lifetime_s}:{user_id}"
        digest = hmac.new(settings.shared_secret.encode(), user.encode(), hashlib.sha1).digest()
        password = base64.b64encode(digest).decode()
    elif settings.user is not None and settings.password is not None:
        user, password = settings.user, settings.password
    else:
        return {}
    return {"username": user, "password": password, "uris": list(settings.turn_uris), "ttl": lifetime_s}


def rtc_transports(settings: CallSettings) -> list[dict[str, str]]:
    """The media servers that calls of many may use, as clients of today know them. Spec: proposals/4143"""
    found = [{"type": "livekit", "livekit_service_url": url} for url in settings.livekit_urls]
    if settings.livekit is not None:
        # Beside a service, which older clients ask instead of us, it is the service's own.
        first = found.pop(0) if found else {"type": "livekit"}
        found.insert(0, {**first, "url": settings.livekit.url})
    return found


def transports(settings: CallSettings) -> list[dict[str, str]]:
    """The same in the form of the proposal: only those into which this server lets people itself. Spec: proposals/4195"""
    return [] if settings.livekit is None else [{"type": "m.livekit", "url": settings.livekit.url}]


def _pseudonym(*parts: str) -> str:
    return unpadded_base64.encode(hashlib.sha256(canonical_json.encode(list(parts))).digest())


def media_room(wanted: TokenRequest) -> str:
    """The name of a call's room at a LiveKit server: one for each slot of each room. Spec: proposals/4195"""
    return _pseudonym(wanted.room_id, wanted.slot_id)


def participant(user_id: UserId, wanted: TokenRequest) -> str:
    """The name of a member of a call at a LiveKit server; other members work it out as well. Spec: proposals/4195"""
    return _pseudonym(user_id, wanted.member_id)


def token_claims(settings: LiveKitSettings, name: str, room: str, now_ms: int, *, may_publish: bool) -> dict[str, object]:
    """What a token says that lets somebody into a room. Only who lives here may publish here. Spec: proposals/4195"""
    now = now_ms // 1_000
    return {
        "iss": settings.key,
        "sub": name,
        "nbf": now,
        "exp": now + settings.token_lifetime_ms // 1_000,
        "video": {
            "room": room,
            # It would also let its bearer delete every room.
            "roomCreate": False,
            "roomJoin": True,
            "canPublish": may_publish,
            "canSubscribe": True,
            "canUpdateOwnMetadata": False,
            "hidden": False,
        },
    }


def own_claims(settings: LiveKitSettings, now_ms: int) -> dict[str, object]:
    """What our own token says, with which we make rooms."""
    now = now_ms // 1_000
    return {"iss": settings.key, "sub": "homeserver", "nbf": now - 60, "exp": now + 60, "video": {"roomCreate": True}}
