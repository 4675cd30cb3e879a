"""A LiveKit server: signing what it believes, and having it make rooms.

Deliberately absent: media, and ending calls.
Spec: proposals/4195
"""

from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.edge.fetch import Fetcher, Outgoing
from watchword.server.calls import decide
from watchword.server.calls.commands import LiveKitSettings

_CREATE_ROOM = "/twirp/livekit.RoomService/CreateRoom"


def signed(settings: LiveKitSettings, claims: Mapping[str, object]) -> str:
    """Claims as the token that the LiveKit server believes."""
    # joserfc loads a good part of cryptography; a server without a LiveKit server never needs it.
    from joserfc import jwt
    from joserfc.jwk import OctKey

    return jwt.encode({"alg": "HS256", "typ": "JWT"}, dict(claims), OctKey.import_key(settings.secret))


@dataclass(frozen=True)
class LiveKitServer:
    """Fits `ports.MediaRooms`."""

    settings: LiveKitSettings
    fetcher: Fetcher
    clock: Clock

    async def ensure(self, name: str) -> None:
        """Have a room there, which is made if need be. Raises PeerError."""
        token = signed(self.settings, decide.own_claims(self.settings, self.clock.now_ms()))
        await self.fetcher.fetch_json(
            Outgoing(
                "POST",
                self.settings.api_url.rstrip("/") + _CREATE_ROOM,
                headers={"content-type": "application/json", "authorization": f"Bearer {token}"},
                body=orjson.dumps({"name": name}),
                timeout_ms=limits.livekit_timeout_ms,
                bytes_max=limits.livekit_answer_bytes_max,
            )
        )
