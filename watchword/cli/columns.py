"""Tables for a terminal: aligned columns, the last one cut to what fits. Wide characters count as two."""

import shutil
import sys
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime

_GAP = "  "
_LAST_MIN = 20
_ENDLESS = 1 << 20


def table(head: Sequence[str], rows: Sequence[Sequence[str]], width: int | None = None) -> str:
    """The rows under their heads, one a line. width: of the terminal, which is asked; nothing is cut for other programs."""
    cells = [head, *([printable(cell) for cell in row] for row in rows)]
    widths = [max(_columns(row[place]) for row in cells) for place in range(len(head) - 1)]
    if width is None:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else _ENDLESS
    left = width - sum(widths) - len(_GAP) * len(widths)
    lines = []
    for row in cells:
        fixed = [cell + " " * (size - _columns(cell)) for cell, size in zip(row[:-1], widths, strict=True)]
        lines.append(_GAP.join([*fixed, _cut(row[-1], max(left, _LAST_MIN))]).rstrip())
    return "\n".join(lines)


def moment(ts: int | None) -> str:
    """A time as people read it; a dash for none."""
    return "-" if ts is None else datetime.fromtimestamp(ts / 1000, UTC).strftime("%Y-%m-%d %H:%M")


def printable(text: str) -> str:
    """Text of somebody else's that cannot play tricks with the terminal: on one line, without control characters."""
    return "".join(" " if unicodedata.category(each) in ("Cc", "Cf", "Zl", "Zp", "Cs") else each for each in text)


def _columns(text: str) -> int:
    return sum(0 if unicodedata.combining(each) else 2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in text)


def _cut(text: str, most: int) -> str:
    if _columns(text) <= most:
        return text
    taken = ""
    for each in text:
        if _columns(taken + each) >= most:
            break
        taken += each
    return taken + "…"
