"""Text → the words that an index knows, pure, for any script.

A word is folded: case, width and the accents of the scripts that have them do not count. Scripts that set no spaces
between words (Chinese, Japanese, Thai, Khmer …), and Korean, whose words carry their endings with them, are cut into
overlapping pairs of characters: whoever looks for any two or more of them in a row finds them. The last character of a run
stands alone too, so that one character is found as the beginning of a pair or as the end of a run.

Deliberately absent: stemming, stop words, dictionaries. They are right for one language and wrong for the next.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple

_SPACELESS = (
    "\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u1950-\u19df\u1a20-\u1aaf\u1b00-\u1b7f\u3005-\u3007\u3041-\u312f"
    "\u3130-\u318f\u31a0-\u31bf\u31f0-\u31ff\u3400-\u4dbf\u4e00-\ua4cf\ua960-\ua9ff\uaa60-\uaa7f\uac00-\ud7ff\uf900-\ufaff"
    "\U0001b000-\U0001b16f\U00020000-\U000323af"
)
"""Thai, Lao, Burmese, Khmer, Tai scripts, Javanese, Balinese, kana, bopomofo, hangul, Han, Yi."""

_RUNS = re.compile(rf"[{_SPACELESS}]+|[^\s{_SPACELESS}]+")
_IS_SPACELESS = re.compile(rf"[{_SPACELESS}]")
_ASCII_WORD = re.compile(r"[a-z0-9]+")
_ACCENTS = re.compile(
    "[\u0300-\u0305\u0307-\u036f]|(?<!\u0438)\u0306"  # of й the sign above is no accent
    "|[\u0483-\u0487\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670"
    "\u06d6-\u06dc\u06df-\u06e8\u06ea-\u06ed\u0711\u0730-\u074a\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe00-\ufe0f\u200c\u200d]"
)
_LETTERS = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ħ": "h", "ı": "i", "æ": "ae", "œ": "oe", "ð": "d", "þ": "th", "ŧ": "t", "ŋ": "n"}
)
_QUOTED = re.compile(r'"([^"]*)"')


class _Separators(dict[int, int]):
    """For `str.translate`: letters, marks and digits stay, everything else is a space. Learnt as it comes."""

    def __missing__(self, code: int) -> int:
        kept = code if unicodedata.category(chr(code))[0] in "LMN" else 0x20
        self[code] = kept
        return kept


_SEPARATORS = _Separators()


class Run(NamedTuple):
    """A stretch of text of one kind, folded. spaceless: it is to be cut into pairs."""

    text: str
    spaceless: bool


def fold(text: str) -> str:
    """The text without differences of case, width and accent."""
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    return unicodedata.normalize("NFC", _ACCENTS.sub("", folded)).translate(_LETTERS)


def runs(text: str) -> Iterator[Run]:
    """The words of a text and its stretches without spaces, folded, in order."""
    folded = fold(text)
    if folded.isascii():
        yield from (Run(word, False) for word in _ASCII_WORD.findall(folded))
        return
    for found in _RUNS.findall(folded.translate(_SEPARATORS)):
        yield Run(found, _IS_SPACELESS.match(found) is not None)


def pairs(run: str) -> list[str]:
    """A stretch without spaces as overlapping pairs, and its last character."""
    return [run[place : place + 2] for place in range(len(run))]


def indexed(text: str) -> str:
    """A text as the index takes it: words between spaces. Half a surrogate pair is not kept: it has no bytes."""
    folded = fold(text)
    if folded.isascii():
        return " ".join(_ASCII_WORD.findall(folded))
    words: list[str] = []
    for run in runs(text):
        words.extend(pairs(run.text) if run.spaceless else (run.text,))
    return " ".join(words)


class Term(NamedTuple):
    """Words that must stand in this order, side by side. is_open: the last may be the beginning of a longer word."""

    words: Sequence[str]
    is_open: bool


def terms(query: str, most: int) -> list[Term]:
    """What a query asks for: all of these terms. What stands in quotation marks is one term."""
    found: list[Term] = []
    for number, piece in enumerate(_QUOTED.split(query)):
        words: list[str] = []
        for run in runs(piece):
            if number % 2:
                words.extend(_queried(run).words)
            else:
                found.append(_queried(run))
        if words:
            found.append(Term(words, False))
    unique = dict.fromkeys(Term(tuple(term.words), term.is_open) for term in found)
    return list(unique)[:most]


def _queried(run: Run) -> Term:
    if not run.spaceless:
        return Term((run.text,), False)
    if len(run.text) == 1:
        return Term((run.text,), True)
    # Not the last character alone: in a longer run it does not stand alone.
    return Term(tuple(pairs(run.text)[:-1]), False)


def beginnings(text: str, most: int) -> list[str]:
    """What a name may be found by from its beginning: its words, and every stretch without spaces from each of its places."""
    found: dict[str, None] = {}
    for run in runs(text):
        tails = [run.text[place:] for place in range(len(run.text))] if run.spaceless else [run.text]
        found.update(dict.fromkeys(tails))
    return list(found)[:most]


def original_words(text: str) -> list[str]:
    """The words of a text as they are written."""
    return text.translate(_SEPARATORS).split()
