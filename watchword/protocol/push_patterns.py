"""Glob patterns of push rules, compiled so that no text makes them slow.

`*` stands for any characters, `?` for exactly one; case does not matter. Each piece between two `*` is searched once, from
where the one before it ended, and never again: a pattern costs at most its length times the text's.
Deliberately absent: the globs of server ACLs (`server_acl`).

Spec: appendices#glob-style-matching, client-server-api#conditions-1
"""

import re

_WORD = "[a-z0-9_]"
"""Text and patterns are lowered first. A word boundary is the start or end, or whatever is not of these."""
_WILDCARDS = re.compile(r"[*?]+")


class Pattern:
    """A glob for lowered texts.

    literal: the one text that fits, if it is only one. wildcard_characters: how much of it may be slow to search (pieces
    with `?`).
    """

    __slots__ = ("_probe", "_regex", "literal", "wildcard_characters")

    def __init__(self, glob: str, *, within: bool) -> None:
        """within: match a part of the text from word boundary to word boundary, rather than all of it."""
        lowered = glob.lower()
        pieces = lowered.split("*")
        self.wildcard_characters = sum(len(piece) for piece in pieces if "?" in piece)
        self.literal = lowered if not within and len(pieces) == 1 and not self.wildcard_characters else None
        self._probe = max(_WILDCARDS.split(lowered), key=len)
        self._regex = None if self.literal is not None else re.compile((_within if within else _whole)(pieces), re.DOTALL)

    def fits(self, lowered: str) -> bool:
        """Whether a text, already lowered, matches."""
        if self._regex is None:
            return lowered == self.literal
        return self._probe in lowered and self._regex.match(lowered) is not None


def contains_words(lowered: str, words: str) -> bool:
    """Whether `words` (lowered, no glob) stand in the text from word boundary to word boundary."""
    if not words:
        return False
    start = lowered.find(words)
    while start >= 0:
        end = start + len(words)
        if not (start and _is_word(lowered[start - 1])) and not (end < len(lowered) and _is_word(lowered[end])):
            return True
        start = lowered.find(words, start + 1)
    return False


def _is_word(character: str) -> bool:
    return character == "_" or (character.isascii() and character.isalnum())


def _piece(text: str) -> str:
    return "".join("." if character == "?" else re.escape(character) for character in text)


def _whole(pieces: list[str]) -> str:
    first, *rest = map(_piece, pieces)
    if not rest:
        return first + r"\Z"
    *middle, last = rest
    return first + "".join(f"(?>.*?{piece})" for piece in middle) + f".*{last}\\Z"


def _within(pieces: list[str]) -> str:
    first, *rest = map(_piece, pieces)
    if not rest:
        return f".*?(?<!{_WORD}){first}(?!{_WORD})"
    *middle, last = rest
    # If the earliest place for a piece leads nowhere, no later one does: it would leave less text for the rest.
    begin = f"(?>.*?(?<!{_WORD}){first})"
    return begin + "".join(f"(?>.*?{piece})" for piece in middle) + f".*?{last}(?!{_WORD})"
