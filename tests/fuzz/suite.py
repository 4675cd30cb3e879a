"""All targets, in one list."""

from collections.abc import Sequence

from tests.fuzz import of_edge, of_protocol, of_server
from tests.fuzz.targets import Target


def every_target() -> Sequence[Target]:
    """Every parser that has a target."""
    return (*of_protocol.TARGETS, *of_server.TARGETS, *of_edge.TARGETS)
