"""Terms → an expression of the index, and how well a text fits them; pure.

The rank of a result is made of its own text alone: how often the words stand in it, measured by its length, and whether
they are whole words. So it costs the same however many messages there are, and pages by it stay in order.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from watchword.protocol import event_types
from watchword.protocol.events import Pdu
from watchword.protocol.room_topic import plain_topic
from watchword.server.search.commands import Words
from watchword.server.search.segmentation import Term, fold, indexed, original_words

COLUMNS = {"content.body": "body", "content.name": "name", "content.topic": "topic"}
_OPEN_CHARACTERS_MIN = 3
_OPEN_CHARACTERS_MIN_BEYOND_ASCII = 2
_MILLION = 1_000_000


def words_of(pdu: Pdu, edit: Pdu | None = None, characters_max: int | None = None) -> Words | None:
    """What an event is found by; None for one that is not to be found.

    edit: what stands in for it now. characters_max: of each text only so much from its beginning.
    """
    content: Mapping[str, Any] = pdu.content
    if edit is not None:
        replacement = edit.content.get("m.new_content")
        content = replacement if isinstance(replacement, Mapping) else {}
    match pdu.type:
        case event_types.MESSAGE if pdu.state_key is None:
            words = Words(body=indexed(_text(content.get("body"))[:characters_max]))
        case event_types.NAME if pdu.state_key == "":
            words = Words(name=indexed(_text(content.get("name"))[:characters_max]))
        case event_types.TOPIC if pdu.state_key == "":
            forms = dict.fromkeys((plain_topic(content) or "", _text(content.get("topic"))))
            words = Words(topic=" ".join(indexed(form[:characters_max]) for form in forms).strip())
        case _:
            return None
    return words if any(words) else None


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def scope_words(room_nid: int, sender_nid: int) -> str:
    """The scope of an entry, as words."""
    return f"r{room_nid} s{sender_nid}"


def expression(terms: Sequence[Term], columns: Sequence[str], room_nids: Sequence[int], sender_nid: int | None = None) -> str:
    """What the index is asked: every term, in one of these columns, in one of these rooms, from this sender."""
    rooms = " OR ".join(f"r{nid}" for nid in room_nids)
    scope = f"({rooms})" if sender_nid is None else f"(({rooms}) AND s{sender_nid})"
    wanted = " AND ".join(_phrase(term) for term in terms)
    return f"scope : {scope} AND {{{' '.join(columns)}}} : ({wanted})"


def expression_of_room(room_nid: int) -> str:
    """Everything of a room."""
    return f"scope : r{room_nid}"


def _phrase(term: Term) -> str:
    # Words are letters, marks and digits alone: no quotation mark can be in them.
    return f'"{" ".join(term.words)}"' + (" *" if term.is_open else "")


def opened(terms: Sequence[Term]) -> list[Term]:
    """The same terms, each single word as the beginning of a word, unless it is too short to mean anything."""
    return [term._replace(is_open=True) if _may_open(term) else term for term in terms]


def _may_open(term: Term) -> bool:
    word = term.words[0]
    least = _OPEN_CHARACTERS_MIN if word.isascii() else _OPEN_CHARACTERS_MIN_BEYOND_ASCII
    return len(term.words) == 1 and len(word) >= least


def rank(terms: Sequence[Term], words: Words, columns: Sequence[str]) -> int:
    """How well a text fits, in millionths."""
    listed = " ".join(getattr(words, column) for column in columns).split()
    if not listed:
        return 0
    weight = sum(_weight(term, listed) for term in terms)
    return round(_MILLION * weight / math.sqrt(len(listed)))


def _weight(term: Term, listed: Sequence[str]) -> float:
    wanted = list(term.words)
    size = len(wanted)
    whole = sum(listed[place : place + size] == wanted for place in range(len(listed) - size + 1))
    partial = sum(word.startswith(wanted[0]) for word in listed) - whole if term.is_open else 0
    return math.log1p(whole) + math.log1p(partial) / 4


def highlights(terms: Sequence[Term], texts: Sequence[str], most: int) -> list[str]:
    """The words of these texts that made them results, as they are written there."""
    found: dict[str, None] = {}
    singles = [term for term in terms if len(term.words) == 1]
    for term in terms:
        if len(term.words) > 1:
            found[_stretch(term)] = None
    for text in texts:
        for word in original_words(text):
            folded = fold(word)
            for term in singles:
                if folded == term.words[0] or (term.is_open and folded.startswith(term.words[0])):
                    found[word] = None
    for term in singles:
        found.setdefault(term.words[0])
    return list(found)[:most]


def _stretch(term: Term) -> str:
    """A term of several words as it stands in a text: pairs are laid over each other again."""
    words = term.words
    if all(len(word) == 2 for word in words) and all(left[1] == right[0] for left, right in pairwise(words)):
        return words[0] + "".join(word[1] for word in words[1:])
    return " ".join(words)
