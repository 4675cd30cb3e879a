"""How much less CPU than the reference an operation shall cost; goals to print beside what was measured, no limits."""

from collections.abc import Mapping

RATIOS: Mapping[str, float] = {
    "send, 1 sender": 30,
    "send, 8 senders, 1 room": 30,
    "send, 8 senders, 8 rooms": 30,
    "fan-out to 100 long polls": 40,
    "initial sync of 30 rooms": 15,
    "initial sync of 200 rooms": 15,
    "empty sync in 30 rooms": 10,
    "empty sync in 200 rooms": 10,
    "create room": 10,
    "federation send to remote receipt": 15,
}

IDLE_BYTES_MAX = 70 * 1024 * 1024
START_MS_MAX = 1_500
