"""The errors of the house. The pure core returns refusals; at the door they are raised.

A `Refusal` is an expected "no" that is safe to show; the door turns it into a status and the standard error body.
Every other error is for the log: a client never sees its text.
"""

from collections.abc import Mapping
from dataclasses import dataclass


class WatchwordError(Exception):
    """The root of every error that Watchword raises on purpose."""


class Refusal(WatchwordError):
    """An expected "no": status, errcode, a sentence we wrote, and extra keys of the error body.

    Spec: client-server-api#standard-error-response
    """

    status = 400

    def __init__(
        self,
        errcode: str,
        text: str,
        *,
        status: int | None = None,
        extra: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{errcode}: {text}")
        self.errcode = errcode
        self.text = text
        self.extra: Mapping[str, object] = extra or {}
        self.headers: Mapping[str, str] = headers or {}
        if status is not None:
            self.status = status

    def body(self) -> dict[str, object]:
        """The standard error body."""
        return {"errcode": self.errcode, "error": self.text, **self.extra}


@dataclass(frozen=True, slots=True)
class Refused:
    """A pure decision's "no"; the shell raises it as a Refusal."""

    errcode: str
    text: str
    status: int = 400

    def refusal(self) -> Refusal:
        """As the door shows it."""
        return Refusal(self.errcode, self.text, status=self.status)


class BadRequest(Refusal):
    """400: the request is wrong in itself."""


class Unauthenticated(Refusal):
    """401: we do not know who asks, or need to know more."""

    status = 401


class Forbidden(Refusal):
    """403: we know who asks, and the answer is no."""

    status = 403

    def __init__(self, text: str, errcode: str = "M_FORBIDDEN") -> None:
        super().__init__(errcode, text)


class NotFound(Refusal):
    """404: not here, or not for you; the two look the same."""

    status = 404

    def __init__(self, text: str, errcode: str = "M_NOT_FOUND") -> None:
        super().__init__(errcode, text)


class Conflict(Refusal):
    """409: it exists already, or has changed meanwhile."""

    status = 409


class TooLarge(Refusal):
    """413: more than a stated bound."""

    status = 413

    def __init__(self, text: str, errcode: str = "M_TOO_LARGE") -> None:
        super().__init__(errcode, text)


class LimitExceeded(Refusal):
    """429: too many requests; says when to come back."""

    status = 429

    def __init__(self, retry_after_ms: int, text: str = "Too many requests.") -> None:
        seconds = max(1, -(-retry_after_ms // 1000))
        super().__init__(
            "M_LIMIT_EXCEEDED",
            text,
            extra={"retry_after_ms": retry_after_ms},
            headers={"Retry-After": str(seconds)},
        )
        self.retry_after_ms = retry_after_ms


class ProtocolError(WatchwordError):
    """Data that Matrix forbids."""


class LocalProtocolError(ProtocolError):
    """We were about to send it: our bug."""


class RemoteProtocolError(ProtocolError):
    """A peer or a client sent it: drop, count, go on."""


class PeerError(WatchwordError):
    """Another server could not be reached, timed out, or refused.

    status and errcode are what it answered, None if it did not answer.
    """

    def __init__(
        self,
        server_name: str,
        reason: str,
        *,
        status: int | None = None,
        errcode: str | None = None,
        body: Mapping[str, object] | None = None,
        retry_after_ms: int | None = None,
    ) -> None:
        super().__init__(f"{server_name}: {reason}")
        self.server_name = server_name
        self.reason = reason
        self.status = status
        self.errcode = errcode
        self.body: Mapping[str, object] = body or {}
        self.retry_after_ms = retry_after_ms


class StorageError(WatchwordError):
    """The database is busy, full or corrupt. Nothing of the failed transaction was kept."""


class ConfigError(WatchwordError):
    """A setting is wrong. Raised only at start; says where, what was found and what was expected."""

    def __init__(self, file: str, key: str, found: object, expected: str) -> None:
        super().__init__(f"{file}: {key}: found {found!r}, expected {expected}")
        self.file = file
        self.key = key
        self.found = found
        self.expected = expected
