"""What administrators may ask for, and what is kept of it. Frozen; plain values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from watchword.protocol.ids import RoomId, UserId

Details = Mapping[str, str | int | bool | None]

DONE = "done"
"""The outcome of what was carried out; any other is the errcode of a refusal."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """What somebody did. by: None for the operator at the machine or with the shared secret."""

    entry_id: int
    ts: int
    by: UserId | None
    action: str
    whom: str
    outcome: str
    address: str
    details: Details = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """Which entries, newest first. before: an entry_id, 0 for the newest. action: one, or a whole group as in `user`."""

    before: int = 0
    limit: int = 100
    by: UserId | None = None
    whom: str | None = None
    action: str | None = None


@dataclass(frozen=True, slots=True)
class RemoveRoom:
    """Have everybody of this server leave a room. purge: and take it from the disk. block: nobody may come back."""

    room_id: RoomId
    by: UserId
    purge: bool
    block: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Removal:
    """How far that has come. stage: `leaving`, `purging` or `done`. ended_ts: None while it goes on."""

    removal_id: str
    room_id: RoomId
    begun_by: UserId
    begun_ts: int
    purge: bool
    reason: str
    stage: str = "leaving"
    left: Sequence[UserId] = ()
    failed: Sequence[UserId] = ()
    aliases: Sequence[str] = ()
    ended_ts: int | None = None
