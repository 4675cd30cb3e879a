"""What a client is told about TURN and media servers: settings, who and when in, the answer out."""

import base64
import hashlib
import hmac

from watchword.protocol.ids import UserId
from watchword.server.calls.commands import CallSettings


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
    """The media servers that calls of many may use. Spec: proposals/4143"""
    return [{"type": "livekit", "livekit_service_url": url} for url in settings.livekit_urls]
