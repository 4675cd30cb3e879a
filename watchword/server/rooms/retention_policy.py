"""How long what is said in a room is kept, pure: what the room wishes, within what the operator allows.

Spec: proposals/1763
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

RETENTION = "m.room.retention"


@dataclass(frozen=True, slots=True)
class RetentionSettings:
    """What the operator chose. Lifetimes in milliseconds; None: no bound.

    default_ms: of rooms that wish nothing; None keeps for ever. least_ms, most_ms: what a room may wish.
    """

    enabled: bool = False
    default_ms: int | None = None
    least_ms: int | None = None
    most_ms: int | None = None

    def lifetime(self, content: Mapping[str, Any]) -> int | None:
        """How long events live in a room with this m.room.retention ({} for none); None for ever."""
        if not self.enabled:
            return None
        wished = _lifetime_in(content)
        lifetime = self.default_ms if wished is None else wished
        if lifetime is None:
            return None
        if self.least_ms is not None:
            lifetime = max(lifetime, self.least_ms)
        return lifetime if self.most_ms is None else min(lifetime, self.most_ms)

    def configuration(self) -> dict[str, Any]:
        """What clients are told. Spec: proposals/1763"""
        if not self.enabled:
            return {"policies": {}, "limits": {}}
        everywhere = {} if self.default_ms is None else {"max_lifetime": self.default_ms}
        bounds = {name: value for name, value in (("min", self.least_ms), ("max", self.most_ms)) if value is not None}
        return {"policies": {"*": everywhere}, "limits": {"max_lifetime": bounds} if bounds else {}}


KEEPS_EVERYTHING = RetentionSettings()


def _lifetime_in(content: Mapping[str, Any]) -> int | None:
    """The max_lifetime that a room wishes; None if it wishes none, or nothing that makes sense."""
    most, least = content.get("max_lifetime"), content.get("min_lifetime", 0)
    if type(most) is not int or most <= 0:
        return None
    return most if type(least) is int and least <= most else None
