"""The words of push: counts, pushers, and what came of a notification."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import msgspec

from watchword.base.errors import BadRequest
from watchword.protocol.default_push_rules import DEFAULTS, Predefined
from watchword.protocol.ids import DeviceId, EventId, RoomId, UserId


@dataclass(frozen=True, slots=True)
class DigestSettings:
    """How mails about what is unread are written. delay_ms: how long something must be unread before the first one.

    base_url: where this server is for browsers; without it nothing can be unsubscribed, and no mail is sent.
    bodies: whether what was said in rooms without encryption is quoted.
    """

    server_name: str
    base_url: str
    delay_ms: int = 600_000
    bodies: bool = False


@dataclass(frozen=True, slots=True)
class PushSettings:
    """What an operator may choose.

    predefined: the rules that every user has. plain_http: whether gateways may be without TLS; for test set-ups alone, and
    only if the client for them can reach such ones. digests: None where there are no pushers of the kind email.
    """

    predefined: Predefined = field(default_factory=lambda: DEFAULTS)
    plain_http: bool = False
    digests: DigestSettings | None = None


class Unread(msgspec.Struct, frozen=True):
    """How many events of the main timeline notify, and how many of them loudly.

    threads: root → the same two of a thread.
    """

    notifications: int = 0
    highlights: int = 0
    threads: Mapping[str, tuple[int, int]] = {}

    @property
    def is_nothing(self) -> bool:
        """Whether all is read."""
        return not self.notifications and not self.threads


NOTHING_UNREAD = Unread()


@dataclass(frozen=True, slots=True)
class PusherKey:
    """What names a pusher among all."""

    user_id: UserId
    app_id: str
    pushkey: str


HTTP = "http"
EMAIL = "email"


@dataclass(frozen=True, slots=True)
class PusherForm:
    """What a client says of a pusher. data: with `url`, and `format` if the client wants one, for the kind http."""

    kind: str
    app_display_name: str
    device_display_name: str
    profile_tag: str
    lang: str
    data: Mapping[str, Any]
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class Pusher:
    """A pusher. pushkey_ts: milliseconds. delivered: the log's position of the last event that was settled.

    device_id: the session that it goes with; None for none, as for application services and e-mail.
    """

    pusher_id: int
    key: PusherKey
    device_id: DeviceId | None
    form: PusherForm
    pushkey_ts: int
    delivered: int = 0
    failures: int = 0
    retry_after_ts: int = 0

    def to_json(self) -> dict[str, Any]:
        """As clients see it. Spec: client-server-api#get_matrixclientv3pushers, proposals/3881"""
        form = self.form
        shown: dict[str, Any] = {
            "app_id": self.key.app_id,
            "pushkey": self.key.pushkey,
            "kind": form.kind,
            "app_display_name": form.app_display_name,
            "device_display_name": form.device_display_name,
            "lang": form.lang,
            "data": dict(form.data),
            "org.matrix.msc3881.enabled": form.enabled,
            "org.matrix.msc3881.device_id": self.device_id if form.kind == HTTP else None,
        }
        if form.profile_tag:
            shown["profile_tag"] = form.profile_tag
        return shown


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """What became of one notification. event_id: None where only the number of unread rooms was sent."""

    ts: int
    event_id: EventId | None
    outcome: str


class Removed(Enum):
    """Why a pusher is gone."""

    DELETED = "deleted by the user"
    TAKEN_OVER = "taken over by another user"
    SESSION_ENDED = "its session ended"
    REJECTED = "the gateway gave it up"
    ADDRESS_GONE = "the address is no longer the account's"
    UNSUBSCRIBED = "unsubscribed by mail"


@dataclass(frozen=True, slots=True)
class Removal:
    """A pusher that is gone."""

    app_id: str
    kind: str
    device_id: DeviceId | None
    ts: int
    reason: str


@dataclass(frozen=True, slots=True)
class DigestState:
    """How far a user is told by mail what he has not read.

    due_ts: when the next mail is to go; 0 if nothing waits. last_ts: when one went last. mails: how many since the user
    was last seen reading. told: up to which position of the log all was mailed. token: ends the mails.
    """

    pusher_id: int
    token: str
    due_ts: int = 0
    last_ts: int = 0
    mails: int = 0
    told: int = 0


@dataclass(frozen=True, slots=True)
class Refused:
    """A pusher that is not taken, and why."""

    errcode: str
    text: str

    def error(self) -> BadRequest:
        """To be raised at the door."""
        return BadRequest(self.errcode, self.text)


@dataclass(frozen=True, slots=True)
class Subject:
    """What a notification is about: an event, as far as the gateway may hear of it."""

    event_id: EventId
    room_id: RoomId
    type: str
    sender: UserId
    content: Mapping[str, Any]
    sender_display_name: str | None = None
    room_name: str | None = None
    room_alias: str | None = None
    user_is_target: bool = False
