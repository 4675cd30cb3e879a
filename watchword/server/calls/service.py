"""Calls put together."""

from dataclasses import dataclass

from watchword.base.clock import Clock
from watchword.server.calls.commands import CallSettings


@dataclass(frozen=True, slots=True)
class Calls:
    """What the doors need."""

    settings: CallSettings
    clock: Clock
