"""What an operator says about calls."""

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class CallSettings:
    """turn_uris: empty where there is no TURN server. With shared_secret each user gets a password of his own for a while
    (lifetime_ms); without one everybody gets user and password. livekit_urls: services, the preferred one first.
    """

    turn_uris: Sequence[str] = ()
    shared_secret: str | None = field(default=None, repr=False)
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    lifetime_ms: int = 86_400_000
    livekit_urls: Sequence[str] = ()
