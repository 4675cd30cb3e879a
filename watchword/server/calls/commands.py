"""What an operator says about calls, and what somebody asks of a media server."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from watchword.protocol.ids import RoomId


@dataclass(frozen=True, slots=True)
class LiveKitSettings:
    """A LiveKit server of our own. url: where clients connect (wss). api_url: where we do. key, secret: shared with it."""

    url: str
    api_url: str
    key: str
    secret: str = field(repr=False)
    token_lifetime_ms: int = 600_000


@dataclass(frozen=True, slots=True)
class CallSettings:
    """turn_uris: empty where there is no TURN server. With shared_secret each user gets a password of his own for a while
    (lifetime_ms); without one everybody gets user and password. livekit_urls: services, the preferred one first.
    livekit: None unless we let people into a LiveKit server ourselves.
    """

    turn_uris: Sequence[str] = ()
    shared_secret: str | None = field(default=None, repr=False)
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    lifetime_ms: int = 86_400_000
    livekit_urls: Sequence[str] = ()
    livekit: LiveKitSettings | None = None


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """Somebody wants into a media server. slot_id, member_id: of the call, as its members know them."""

    url: str
    room_id: RoomId
    slot_id: str
    member_id: str
