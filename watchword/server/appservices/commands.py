"""What is delivered, and what went wrong with it. Words only."""

from dataclasses import dataclass
from typing import NamedTuple

from watchword.protocol.ids import DeviceId, UserId
from watchword.storage import Position


class Letter(NamedTuple):
    """To-device messages of a device up to a position: delivered with a transaction, to be deleted when it was taken."""

    user_id: UserId
    device_id: DeviceId
    until: Position


@dataclass(frozen=True, slots=True)
class Transaction:
    """What is under way. body: the very bytes that are sent each time. made_ts: milliseconds since 1970."""

    txn_id: int
    body: bytes
    letters: tuple[Letter, ...]
    made_ts: int
