"""Pagination tokens: `s` and a log position, as /sync gives them, or `t` and a place in a room's timeline."""

from watchword.base.errors import BadRequest
from watchword.server.rooms import records
from watchword.storage import Position

_DIGITS_MAX = 19
_POS_PARTS = 3


def timeline_token(ordering: int) -> str:
    """A token for the place just after the event at this ordering."""
    return f"t{ordering}"


def sync_token(position: Position) -> str:
    """A token for everything up to a position."""
    return f"s{position}"


def parse_sync_token(text: str) -> Position:
    """Raises BadRequest M_INVALID_PARAM for anything we did not give."""
    if text.startswith("s") and text[1:].isascii() and text[1:].isdigit() and len(text) <= _DIGITS_MAX:
        return Position(int(text[1:]))
    raise BadRequest("M_INVALID_PARAM", "This token was not given by this server.")


def parse_timeline_token(text: str) -> int:
    """The ordering that a token stands after; those of both kinds of sync are understood too.

    Raises BadRequest M_INVALID_PARAM.
    """
    digits = text[1:]
    if text.startswith("p") and digits.count("_") == _POS_PARTS - 1:
        # A `pos` of sliding sync begins with a position of the log, and is understood here like a token of /sync.
        text = "s" + digits.partition("_")[0]
    if text.startswith("t") and digits.isascii() and digits.isdigit() and len(digits) <= _DIGITS_MAX:
        return min(int(digits), records.FOREVER)
    return min(records.ordering_of(parse_sync_token(text)), records.FOREVER)
