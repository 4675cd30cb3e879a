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
    "sliding sync, first 20 rooms of 30, 1 events": 20,
    "sliding sync, first 20 rooms of 30, 20 events": 20,
    "sliding sync, empty, 30 rooms": 10,
    "sliding sync, first 20 rooms of 200, 1 events": 20,
    "sliding sync, first 20 rooms of 200, 20 events": 20,
    "sliding sync, empty, 200 rooms": 10,
    "create room": 10,
    "federation send to remote receipt": 15,
}

# What is not a ratio, as the table says it.
ABSOLUTE: Mapping[str, str] = {"start": "≤ 1,500 ms to the answer", "idle memory": "≤ 70 MiB"}
