"""The words of push: counts, pushers, and what came of a notification."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from watchword.base.errors import BadRequest
from watchword.protocol.default_push_rules import DEFAULTS, Predefined
from watchword.protocol.ids import DeviceId, EventId, RoomId, UserId


@dataclass(frozen=True, slots=True)
class PushSettings:
    """What an operator may choose.

    predefined: the rules that every user has. plain_http: whether gateways may be without TLS; for test set-ups alone, and
    only if the client for them can reach such ones.
    """

    predefined: Predefined = field(default_factory=lambda: DEFAULTS)
    plain_http: bool = False


@dataclass(frozen=True, slots=True)
class Unread:
    """How many events of the main timeline notify, and how many of them loudly.

    threads: root → the same two of a thread.
    """

    notifications: int = 0
    highlights: int = 0
    threads: Mapping[str, tuple[int, int]] = field(default_factory=dict)

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


@dataclass(frozen=True, slots=True)
class PusherForm:
    """What a client says of a pusher. data: with `url`, and `format` if the client wants one."""

    kind: str
    app_display_name: str
    device_display_name: str
    profile_tag: str
    lang: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Pusher:
    """A pusher. pushkey_ts: milliseconds. delivered: the log's position of the last event that was settled."""

    pusher_id: int
    key: PusherKey
    device_id: DeviceId | None
    form: PusherForm
    pushkey_ts: int
    delivered: int = 0
    failures: int = 0
    retry_after_ts: int = 0

    def to_json(self) -> dict[str, Any]:
        """As clients see it. Spec: client-server-api#get_matrixclientv3pushers"""
        form = self.form
        shown: dict[str, Any] = {
            "app_id": self.key.app_id,
            "pushkey": self.key.pushkey,
            "kind": form.kind,
            "app_display_name": form.app_display_name,
            "device_display_name": form.device_display_name,
            "lang": form.lang,
            "data": dict(form.data),
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
