"""Looking for anything readable that should not be: plain text or picture bytes in what a server keeps and logs."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_PIECE = 16
_READ_BYTES = 1 << 20


@dataclass(frozen=True)
class Needle:
    """What must not be found, in one of the forms in which it could lie about."""

    what: str
    data: bytes


def needles(texts: Sequence[str], picture: bytes) -> list[Needle]:
    """Every sentence as UTF-8, as UTF-16 and as escaped JSON, and pieces of the picture from its middle."""
    found: list[Needle] = []
    for text in texts:
        found.append(Needle(text, text.encode()))
        found.append(Needle(text, text.encode("utf-16-le")))
        escaped = json.dumps(text)[1:-1].encode()
        if escaped != text.encode():
            found.append(Needle(text, escaped))
    start = 48  # behind the parts that every PNG has
    found.extend(
        Needle("the picture", picture[at : at + _PIECE]) for at in range(start, len(picture) - _PIECE - 12, 4 * _PIECE)
    )
    return found


def files_under(folders: Sequence[Path]) -> Iterator[Path]:
    """Every file, databases with their journals among them."""
    for folder in folders:
        yield from (path for path in sorted(folder.rglob("*")) if path.is_file())


def search(folders: Sequence[Path], wanted: Sequence[Needle]) -> tuple[int, list[tuple[Path, str]]]:
    """How many bytes were searched, and what was found where."""
    overlap = max(len(needle.data) for needle in wanted)
    size = 0
    found: list[tuple[Path, str]] = []
    for path in files_under(folders):
        tail = b""
        with path.open("rb") as file:
            while piece := file.read(_READ_BYTES):
                size += len(piece)
                window = tail + piece
                found.extend((path, needle.what) for needle in wanted if needle.data in window)
                tail = window[-overlap:]
    return size, found
