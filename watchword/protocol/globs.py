"""Sets of globs that whole identifiers are held against: names of servers, users, rooms.

Globs come from strangers, so they are matched without backtracking: each part between two stars is found at its first
place and never tried again, which is enough for globs. Names without a wildcard, as most are, are looked up in a set.
Deliberately absent: the globs of push rules, which find words in texts (`push_patterns`).

Spec: appendices#glob-style-matching
"""

import re
from collections.abc import Callable, Iterable, Sequence

from watchword.base import limits

_Matches = Callable[[str], object]


class Globs:
    """Globs, compiled once. Case matters: lower both sides where it shall not."""

    __slots__ = ("_names", "_patterns")

    def __init__(self, globs: Iterable[str]) -> None:
        """What no identifier can match is dropped."""
        possible = [glob for glob in globs if len(glob) - glob.count("*") <= limits.identifier_bytes_max]
        self._names = frozenset(glob for glob in possible if "*" not in glob and "?" not in glob)
        self._patterns: Sequence[_Matches] = [_pattern(glob) for glob in possible if "*" in glob or "?" in glob]

    def match(self, text: str) -> bool:
        """Whether any of them fits the whole text."""
        return text in self._names or any(matches(text) for matches in self._patterns)

    def __bool__(self) -> bool:
        return bool(self._names or self._patterns)


def _pattern(glob: str) -> _Matches:
    """`*` is any number of characters, `?` is one."""
    first, *others = (re.escape(part).replace(r"\?", ".") for part in re.sub(r"\*+", "*", glob).split("*"))
    if not others:
        return re.compile(first, re.DOTALL).fullmatch
    middle = "".join(f"(?>.*?{part})" for part in others[:-1])
    return re.compile(f"{first}{middle}.*{others[-1]}", re.DOTALL).fullmatch
